"""Labelled scenes with normalized bands, as models see them that ask for that in their card."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from roadgis.imagery.values.normalization import Normalization, measure
from roadgis.train.data.labelled_scene import FILL, IGNORE, Bytes, LabelledScene, blocks

__all__ = ["normalized"]


def normalized(
    scenes: Sequence[LabelledScene], target: tuple[float, float] | None
) -> Sequence[LabelledScene]:
    """Return scenes whose bands are normalized by the statistics of the whole scene.

    Parameters
    ----------
    scenes : sequence of LabelledScene
        They are looked through when they are first read.
    target : tuple of two floats, or None
        Mean and standard deviation, 0..255; None returns the scenes as they are.
    """
    if target is None:
        return scenes
    return [_NormalizedScene(scene, target) for scene in scenes]


class _NormalizedScene:
    def __init__(self, scene: LabelledScene, target: tuple[float, float]) -> None:
        self.name, self.height, self.width = scene.name, scene.height, scene.width
        self.fingerprint = f"{scene.fingerprint}, normalized to {target}"
        self._scene, self._target = scene, target
        self._found: Normalization | None = None
        self._lock = threading.Lock()

    def read(self, row: int, col: int, height: int, width: int) -> tuple[Bytes, Bytes]:
        """Return image and labels; see :class:`roadgis.train.data.labelled_scene.LabelledScene`."""
        with self._lock:
            if self._found is None:
                self._found = measure(self._samples(), 3, self._target)
        image, labels = self._scene.read(row, col, height, width)
        blank = (image == FILL).all(axis=2) & (labels == IGNORE)
        image = self._found.apply(image)
        image[blank] = FILL
        return image, labels

    def read_labels(self, row: int, col: int, height: int, width: int) -> Bytes:
        """Return the labels alone."""
        return self._scene.read_labels(row, col, height, width)

    def _samples(self) -> Iterator[Bytes]:
        """Yield the pixels with image."""
        for block in blocks(self.height, self.width):
            image, labels = self._scene.read(block.row, block.col, block.height, block.width)
            yield image[~((image == FILL).all(axis=2) & (labels == IGNORE))]
