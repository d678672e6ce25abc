"""Keeping decoded scenes in memory, as far as a limit allows."""

from __future__ import annotations

import threading

import numpy as np

from roadgis.imagery.grid import Window
from roadgis.train.data.labelled_scene import Bytes, LabelledScene, grid_blocks, known_gsd_m

__all__ = ["CACHE_BYTES", "HeldScene", "Memory"]

#: How much of decoded scenes is kept by default.
CACHE_BYTES = 512 * 2**20
# Scenes of up to this many pixels are kept in one piece.
_SMALL_PX = 4 * 2**20
_BLOCK_PX = 1024
# Image and label bytes of a pixel.
_PIXEL_BYTES = 4


class Memory:
    """A budget of bytes that scenes share; thread-safe.

    Random crops come back to every scene equally often, so what was kept first is as good as
    what was used last: nothing is ever thrown out, and a scene that found no room is read by
    windows, which costs less than decoding the whole of it for one crop.

    Parameters
    ----------
    limit : int
        Bytes.
    """

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._left = limit
        self._lock = threading.Lock()

    def claim(self, count: int) -> bool:
        """Take `count` bytes, or return False where they are not left."""
        with self._lock:
            if count > self._left:
                return False
            self._left -= count
            return True


class HeldScene:
    """A scene of which decoded parts are kept in memory.

    Parameters
    ----------
    scene : LabelledScene
        What is read.
    memory : Memory
        Shared by all scenes.
    """

    def __init__(self, scene: LabelledScene, memory: Memory) -> None:
        self.name = scene.name
        self.height, self.width = scene.height, scene.width
        self.fingerprint = scene.fingerprint
        self.gsd_m = known_gsd_m(scene)
        self._scene = scene
        self._memory = memory
        small = scene.height * scene.width <= _SMALL_PX
        self._side = max(scene.height, scene.width) if small else _BLOCK_PX
        self._kept: dict[tuple[int, int], tuple[Bytes, Bytes]] = {}
        self._full = False
        self._lock = threading.Lock()

    def read(self, row: int, col: int, height: int, width: int) -> tuple[Bytes, Bytes]:
        """Return image and labels; see :class:`roadgis.train.data.labelled_scene.LabelledScene`."""
        window = Window(row, col, height, width)
        if not self._holds(window):
            return self._scene.read(row, col, height, width)
        image = np.empty((height, width, 3), np.uint8)
        labels = np.empty((height, width), np.uint8)
        self._copy(window, image, 0)
        self._copy(window, labels, 1)
        return image, labels

    def read_labels(self, row: int, col: int, height: int, width: int) -> Bytes:
        """Return the labels alone."""
        window = Window(row, col, height, width)
        if not self._holds(window):
            return self._scene.read_labels(row, col, height, width)
        labels = np.empty((height, width), np.uint8)
        self._copy(window, labels, 1)
        return labels

    def _holds(self, window: Window) -> bool:
        """Return whether all of a window is kept; keeps it where there is room."""
        keys = list(grid_blocks(window, self._side))
        if self._full:
            return all(key in self._kept for key in keys)
        with self._lock:
            for key in keys:
                if key not in self._kept and not self._keep(key):
                    self._full = True
                    return False
        return True

    def _keep(self, key: tuple[int, int]) -> bool:
        row, col = key[0] * self._side, key[1] * self._side
        height, width = min(self._side, self.height - row), min(self._side, self.width - col)
        if not self._memory.claim(height * width * _PIXEL_BYTES):
            return False
        self._kept[key] = self._scene.read(row, col, height, width)
        return True

    def _copy(self, window: Window, out: Bytes, part: int) -> None:
        """Fill `out` with a window of the kept images (part 0) or labels (part 1)."""
        for i, j in grid_blocks(window, self._side):
            block = self._kept[i, j][part]
            kept = Window(i * self._side, j * self._side, *block.shape[:2])
            shared = kept.intersection(window)
            out[shared.slices_in(window)] = block[shared.slices_in(kept)]
