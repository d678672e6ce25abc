"""Labelled scenes: the protocol that training reads from, and label values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from roadgis.arrays import Bytes, Singles
from roadgis.imagery.grid import Window
from roadgis.imagery.scene import INVALID_FILL

__all__ = [
    "FILL",
    "IGNORE",
    "SOFT_ONE",
    "SOFT_ZERO",
    "Bytes",
    "LabelledScene",
    "grid_blocks",
    "known_gsd_m",
    "label_names",
    "read_windows",
    "road_target",
]

#: Label of pixels without image or class: left out of loss and metrics.
IGNORE = 255
#: Binary labels may be probabilities, SOFT_ZERO for 0 to SOFT_ONE for 1.
SOFT_ZERO, SOFT_ONE = 100, 200
#: Value of invalid image pixels, as in prediction.
FILL = INVALID_FILL

_BLOCK_COLS = 8192
_BLOCK_ROWS = 512
_BLOCK_AREA_PX = 4 * 2**20


class LabelledScene(Protocol):
    """An image with a class per pixel, read by windows inside the scene; thread-safe."""

    @property
    def name(self) -> str:
        """Name in messages and reports."""

    @property
    def height(self) -> int:
        """Rows."""

    @property
    def width(self) -> int:
        """Columns."""

    @property
    def fingerprint(self) -> str:
        """Differs if the files or the way of reading them differ."""

    def read(self, row: int, col: int, height: int, width: int) -> tuple[Bytes, Bytes]:
        """Return image uint8 (height, width, 3) and labels uint8 (height, width).

        The image is :data:`FILL` where invalid; labels are class indices, or :data:`IGNORE` where
        the image is invalid or the class unknown. The caller owns both arrays.
        """

    def read_labels(self, row: int, col: int, height: int, width: int) -> Bytes:
        """Return the labels of :meth:`read`, without reading the image if possible."""


def known_gsd_m(scene: LabelledScene) -> float | None:
    """Return the pixel size of a georeferenced scene in metres, else None."""
    size: float | None = getattr(scene, "gsd_m", None)
    return size


def label_names(classes: Sequence[str]) -> tuple[str, ...]:
    """Return a name for each class index; ("other", "road") for binary labels.

    Parameters
    ----------
    classes : sequence of str
        A single name for binary labels, else all names by index.
    """
    return ("other", classes[0]) if len(classes) == 1 else tuple(classes)


def road_target(labels: Bytes) -> Singles:
    """Return the road probability of binary labels; 0 if unknown.

    Parameters
    ----------
    labels : ndarray of uint8
        0, 1, :data:`SOFT_ZERO` to :data:`SOFT_ONE`, or :data:`IGNORE`.
    """
    return _ROAD_TARGET[labels]


_ROAD_TARGET = np.zeros(256, np.float32)
_ROAD_TARGET[1] = 1
_ROAD_TARGET[SOFT_ZERO : SOFT_ONE + 1] = np.linspace(0, 1, SOFT_ONE - SOFT_ZERO + 1)


def read_windows(height: int, width: int) -> Iterator[Window]:
    """Yield windows of bounded size that cover a raster once, row by row.

    Wide windows, as files are often stored by rows; their rows are multiples of the usual tile
    sizes.
    """
    cols = min(width, _BLOCK_COLS)
    rows = max(_BLOCK_AREA_PX // cols // _BLOCK_ROWS, 1) * _BLOCK_ROWS
    for row in range(0, height, rows):
        for col in range(0, width, cols):
            yield Window(row, col, min(rows, height - row), min(cols, width - col))


def grid_blocks(window: Window, side: int) -> Iterator[tuple[int, int]]:
    """Yield row and column index of the grid squares that a window touches."""
    for i in range(window.row // side, -(-window.end_row // side)):
        for j in range(window.col // side, -(-window.end_col // side)):
            yield i, j
