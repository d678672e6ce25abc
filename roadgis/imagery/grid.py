"""The analysis grid: which CRS and which pixels a run works on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from affine import Affine
from pyproj import CRS

__all__ = [
    "Grid",
    "Window",
]


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

    def buffered(self, px: int) -> Window:
        """Return the window grown by `px` on every side."""
        return Window(self.row - px, self.col - px, self.height + 2 * px, self.width + 2 * px)


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

    def xy(
        self, rows: npt.NDArray[np.float64], cols: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Return coordinates (N, 2) of pixel positions; integers are pixel centres."""
        return np.stack(
            [self.x0 + (cols + 0.5) * self.gsd_m, self.y0 - (rows + 0.5) * self.gsd_m], axis=-1
        )
