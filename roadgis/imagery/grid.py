"""The analysis grid: which CRS and which pixels a run works on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from affine import Affine
from pyproj import CRS

from roadgis.arrays import Floats


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of pixels; may reach beyond the grid.

    Attributes
    ----------
    row, col : int
        Top left pixel, relative to the grid's.
    height, width : int
        Size in pixels.
    """

    row: int
    col: int
    height: int
    width: int

    @classmethod
    def between(cls, row: int, col: int, end_row: int, end_col: int) -> Window:
        """Return the window from a first row and column to the ones after its last."""
        return cls(row, col, max(end_row - row, 0), max(end_col - col, 0))

    @property
    def end_row(self) -> int:
        """The row after the last."""
        return self.row + self.height

    @property
    def end_col(self) -> int:
        """The column after the last."""
        return self.col + self.width

    @property
    def is_empty(self) -> bool:
        """Whether the window holds no pixel."""
        return self.height <= 0 or self.width <= 0

    def buffered(self, px: int) -> Window:
        """Return the window grown by `px` on every side."""
        return Window(self.row - px, self.col - px, self.height + 2 * px, self.width + 2 * px)

    def shifted(self, rows: int, cols: int) -> Window:
        """Return the window moved down and to the right."""
        return Window(self.row + rows, self.col + cols, self.height, self.width)

    def intersection(self, other: Window) -> Window:
        """Return what two windows share; empty where they share nothing."""
        return Window.between(
            max(self.row, other.row),
            max(self.col, other.col),
            min(self.end_row, other.end_row),
            min(self.end_col, other.end_col),
        )

    def contains(self, other: Window) -> bool:
        """Return whether all of another window lies in this one."""
        return self.intersection(other) == other

    def slices_in(self, other: Window) -> tuple[slice, slice]:
        """Return the rows and columns of this window in an array of another that contains it."""
        top, left = self.row - other.row, self.col - other.col
        return slice(top, top + self.height), slice(left, left + self.width)


@dataclass(frozen=True, slots=True)
class Grid:
    """North-up square pixels in a metric CRS.

    Attributes
    ----------
    crs : pyproj.CRS
        Projected, in metres.
    x0, y0 : float
        Outer corner of the top left pixel, metres.
    gsd_m : float
        Pixel size, metres.
    width, height : int
        Size in pixels.
    """

    crs: CRS
    x0: float
    y0: float
    gsd_m: float
    width: int
    height: int

    @property
    def transform(self) -> Affine:
        """Affine from (col, row) of pixel corners to (x, y)."""
        return Affine(self.gsd_m, 0.0, self.x0, 0.0, -self.gsd_m, self.y0)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(west, south, east, north) in metres."""
        return (
            self.x0,
            self.y0 - self.height * self.gsd_m,
            self.x0 + self.width * self.gsd_m,
            self.y0,
        )

    @property
    def window(self) -> Window:
        """The whole grid."""
        return Window(0, 0, self.height, self.width)

    def part(self, window: Window) -> Grid:
        """Return the grid of a window, with the same pixels."""
        # 12 digits, so that a pixel's corner is the same in whichever window it lies.
        x0 = float(f"{self.x0 + window.col * self.gsd_m:.12g}")
        y0 = float(f"{self.y0 - window.row * self.gsd_m:.12g}")
        return Grid(self.crs, x0, y0, self.gsd_m, window.width, window.height)

    def xy(self, rows: Floats, cols: Floats) -> Floats:
        """Return coordinates (N, 2) of pixel positions; integers are pixel centres."""
        return np.stack(
            [self.x0 + (cols + 0.5) * self.gsd_m, self.y0 - (rows + 0.5) * self.gsd_m], axis=-1
        )
