"""What training reads from: a scene with labels, by windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from roadgis.imagery.grid import Window
from roadgis.imagery.scene import INVALID_FILL

__all__ = [
    "FILL",
    "IGNORE",
    "SOFT_ONE",
    "SOFT_ZERO",
    "Bytes",
    "LabelledScene",
    "blocks",
    "class_names",
    "grid_blocks",
    "known_gsd_m",
    "road_target",
]

#: Label of pixels without image or without a known class: out of loss and every metric.
IGNORE = 255
#: Binary labels may also be probabilities: SOFT_ZERO stands for 0, SOFT_ONE for 1.
SOFT_ZERO, SOFT_ONE = 100, 200
#: Value of image pixels that are not valid, the same that prediction fills in.
FILL = INVALID_FILL

_BLOCK_COLS = 8192
_BLOCK_ROWS = 512
_BLOCK_AREA_PX = 4 * 2**20

Bytes = npt.NDArray[np.uint8]


class LabelledScene(Protocol):
    """An image with a class for each pixel; any window of it, from any thread.

    Windows lie inside the scene; the same pixels come back through any window.
    """

    @property
    def name(self) -> str:
        """What the scene is called in messages and reports."""

    @property
    def height(self) -> int:
        """Rows."""

    @property
    def width(self) -> int:
        """Columns."""

    @property
    def fingerprint(self) -> str:
        """Differs where the files or the way of reading them differ."""

    def read(self, row: int, col: int, height: int, width: int) -> tuple[Bytes, Bytes]:
        """Return image uint8 (height, width, 3) and labels uint8 (height, width).

        The image is :data:`FILL` where invalid; labels are class indices, :data:`IGNORE` where
        the image is invalid or the class unknown. Both arrays are the caller's own.
        """

    def read_labels(self, row: int, col: int, height: int, width: int) -> Bytes:
        """Return the labels of :meth:`read` alone, where that is cheaper without the image."""


def known_gsd_m(scene: LabelledScene) -> float | None:
    """Return the pixel size of a scene in metres where it is georeferenced, else None."""
    size: float | None = getattr(scene, "gsd_m", None)
    return size


def class_names(classes: Sequence[str]) -> tuple[str, ...]:
    """Return a name for each class index; of binary labels ("other", "road").

    Parameters
    ----------
    classes : sequence of str
        A single name for binary labels, else all names, that of index 0 first.
    """
    return ("other", classes[0]) if len(classes) == 1 else tuple(classes)


def road_target(labels: Bytes) -> npt.NDArray[np.float32]:
    """Return the probability of road that binary labels stand for; 0 where unknown.

    Parameters
    ----------
    labels : ndarray of uint8
        0, 1, :data:`SOFT_ZERO` to :data:`SOFT_ONE`, or :data:`IGNORE`.
    """
    return _ROAD_TARGET[labels]


_ROAD_TARGET = np.zeros(256, np.float32)
_ROAD_TARGET[1] = 1
_ROAD_TARGET[SOFT_ZERO : SOFT_ONE + 1] = np.linspace(0, 1, SOFT_ONE - SOFT_ZERO + 1)


def blocks(height: int, width: int) -> Iterator[Window]:
    """Yield windows of bounded size that cover a raster once, row by row.

    They are wide, so that files stored in rows are not read over and over, and their rows are
    multiples of the usual tile sizes.
    """
    cols = min(width, _BLOCK_COLS)
    rows = max(_BLOCK_AREA_PX // cols // _BLOCK_ROWS, 1) * _BLOCK_ROWS
    for row in range(0, height, rows):
        for col in range(0, width, cols):
            yield Window(row, col, min(rows, height - row), min(cols, width - col))


def grid_blocks(window: Window, side: int) -> Iterator[tuple[int, int]]:
    """Yield row and column of the squares of a fixed grid that a window touches."""
    for i in range(window.row // side, -(-window.end_row // side)):
        for j in range(window.col // side, -(-window.end_col // side)):
            yield i, j
