"""Cache of decoded scenes in memory, up to a limit."""

from __future__ import annotations

import threading

import numpy as np

from roadgis.imagery.grid import Window
from roadgis.train.data.labelled_scene import Bytes, LabelledScene, grid_blocks, known_gsd_m

#: Default cache size.
CACHE_BYTES = 512 * 2**20
# Scenes up to this size are cached in one piece.
_SMALL_PX = 4 * 2**20
_BLOCK_PX = 1024
# Image and label bytes per pixel.
_PIXEL_BYTES = 4


class CacheBudget:
    """Memory budget shared by scenes; thread-safe.

    Random crops use all scenes equally often, so nothing is ever evicted: blocks that found no room
    are read by windows, which costs less than decoding whole blocks for one crop.
    """

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._left = limit
        self._lock = threading.Lock()

    def claim(self, count: int) -> bool:
        """Reserve `count` bytes; return False if fewer are left."""
        with self._lock:
            if count > self._left:
                return False
            self._left -= count
            return True


class CachedScene:
    """A scene with decoded blocks in memory.

    Parameters
    ----------
    budget : CacheBudget
        Budget shared by all scenes.
    """

    def __init__(self, scene: LabelledScene, budget: CacheBudget) -> None:
        self.name = scene.name
        self.height, self.width = scene.height, scene.width
        self.fingerprint = scene.fingerprint
        self.gsd_m = known_gsd_m(scene)
        self._scene = scene
        self._budget = budget
        small = scene.height * scene.width <= _SMALL_PX
        self._side = max(scene.height, scene.width) if small else _BLOCK_PX
        self._blocks: dict[tuple[int, int], tuple[Bytes, Bytes]] = {}
        self._full = False
        self._lock = threading.Lock()

    def read(self, row: int, col: int, height: int, width: int) -> tuple[Bytes, Bytes]:
        """Return image and labels."""
        window = Window(row, col, height, width)
        if not self._is_cached(window):
            return self._scene.read(row, col, height, width)
        image = np.empty((height, width, 3), np.uint8)
        labels = np.empty((height, width), np.uint8)
        self._copy(window, image, 0)
        self._copy(window, labels, 1)
        return image, labels

    def read_labels(self, row: int, col: int, height: int, width: int) -> Bytes:
        """Return the labels alone."""
        window = Window(row, col, height, width)
        if not self._is_cached(window):
            return self._scene.read_labels(row, col, height, width)
        labels = np.empty((height, width), np.uint8)
        self._copy(window, labels, 1)
        return labels

    def _is_cached(self, window: Window) -> bool:
        """Return whether a window is cached; caches it if there is room."""
        keys = list(grid_blocks(window, self._side))
        if self._full:
            return all(key in self._blocks for key in keys)
        with self._lock:
            for key in keys:
                if key not in self._blocks and not self._load(key):
                    self._full = True
                    return False
        return True

    def _load(self, key: tuple[int, int]) -> bool:
        row, col = key[0] * self._side, key[1] * self._side
        height, width = min(self._side, self.height - row), min(self._side, self.width - col)
        if not self._budget.claim(height * width * _PIXEL_BYTES):
            return False
        self._blocks[key] = self._scene.read(row, col, height, width)
        return True

    def _copy(self, window: Window, out: Bytes, part: int) -> None:
        """Fill `out` with a window of the cached images (part 0) or labels (part 1)."""
        for i, j in grid_blocks(window, self._side):
            block = self._blocks[i, j][part]
            kept = Window(i * self._side, j * self._side, *block.shape[:2])
            shared = kept.intersection(window)
            out[shared.slices_in(window)] = block[shared.slices_in(kept)]
