"""Painting along lines: samples near a line, and their position along it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from roadgis.synthetic.varied.canvas import Canvas, Floats, Mask, Points

_Value = TypeVar("_Value", bound=np.generic)

#: Longest piece of a line drawn at once, metres: bounds the rasters of diagonal lines.
_PIECE_M = 48.0


def _segments(points: Points) -> Iterator[tuple[float, float, float, float, float]]:
    """Yield the pieces of a line: (x, y, x, y, distance of the start along the line)."""
    along = 0.0
    for (ax, ay), (bx, by) in pairwise(points):
        length = math.hypot(bx - ax, by - ay)
        count = max(1, math.ceil(length / _PIECE_M))
        for k in range(count):
            a, b = k / count, (k + 1) / count
            yield (
                ax + a * (bx - ax),
                ay + a * (by - ay),
                ax + b * (bx - ax),
                ay + b * (by - ay),
                along + a * length,
            )
        along += length


class Band:
    """For each sample the line that it belongs to, and the position along it.

    Lines added first win where lines overlap.

    Attributes
    ----------
    line : ndarray of int16, (R, C)
        Number of the line, -1 for none.
    excess : ndarray of float32, (R, C)
        Distance from the line's edge, metres; negative inside.
    along, across : ndarray of float32, (R, C)
        Metres from the line's start, and to its right.
    """

    def __init__(self, canvas: Canvas) -> None:
        shape = (canvas.side, canvas.side)
        self._canvas = canvas
        self.line: npt.NDArray[np.int16] = np.full(shape, -1, np.int16)
        self.excess: Floats = np.full(shape, 1e6, np.float32)
        self.along: Floats = np.zeros(shape, np.float32)
        self.across: Floats = np.zeros(shape, np.float32)

    def add(self, number: int, points: Points, half: float, reach: float) -> None:
        """Add a line of a half width; it claims samples up to `reach` from its middle."""
        canvas = self._canvas
        for ax, ay, bx, by, start in _segments(points):
            length = math.hypot(bx - ax, by - ay)
            if length < 1e-6:
                continue
            at = canvas.window(
                min(ax, bx) - reach, min(ay, by) - reach, max(ax, bx) + reach, max(ay, by) + reach
            )
            if at is None:
                continue
            ex, ey = (bx - ax) / length, (by - ay) / length
            x = canvas.x[:, at[1]] - np.float32(ax)
            y = canvas.y[at[0]] - np.float32(ay)
            u = x * np.float32(ex) + y * np.float32(ey)
            v = y * np.float32(ex) - x * np.float32(ey)
            beyond = u - np.clip(u, 0, np.float32(length))
            excess = np.sqrt(beyond * beyond + v * v) - np.float32(half)
            old = self.excess[at]
            same = self.line[at] == number
            better = (excess <= reach - half) & (
                excess < np.where(same, old, np.maximum(old, np.float32(0)))
            )
            self.line[at][better] = number
            old[better] = excess[better]
            self.along[at][better] = u[better] + np.float32(start)
            self.across[at][better] = v[better]


class Brush:
    """Paints the samples near lines; :meth:`done` writes the colours to the canvas.

    Attributes
    ----------
    line : ndarray of int64, (N,)
        Number of the line of each sample.
    along, across, excess : ndarray of float32, (N,)
        See :class:`Band`.
    """

    def __init__(self, canvas: Canvas, band: Band) -> None:
        self._canvas = canvas
        self._at = np.flatnonzero((band.line >= 0).ravel())
        self._places = np.divmod(self._at, canvas.side)
        self._colour: Floats = canvas.colour.reshape(-1, 3)[self._at]
        self.line = self.values(band.line).astype(np.int64)
        self.along: Floats = self.values(band.along)
        self.across: Floats = self.values(band.across)
        self.excess: Floats = self.values(band.excess)

    def values(self, raster: npt.NDArray[_Value]) -> npt.NDArray[_Value]:
        """Return a raster's values at the samples."""
        return raster.ravel()[self._at]

    def noise(self, scale_m: float) -> Floats:
        """Return noise at the samples; see :meth:`Canvas.noise`."""
        return self._canvas.noise(scale_m, self._places)

    def paint(self, where: Mask, colour: npt.ArrayLike, share: Floats | float = 1.0) -> None:
        """Blend a colour, or one per sample, into the samples of a mask."""
        at = np.flatnonzero(where)
        colour, share = np.asarray(colour, np.float32), np.asarray(share, np.float32)
        colour = colour[at] if colour.ndim == 2 else colour
        share = share[at, None] if share.ndim else share
        part = self._colour[at]
        self._colour[at] = part + (colour - part) * share

    def mark(self, raster: npt.NDArray[_Value], where: Mask, value: float) -> None:
        """Set a raster's values at the samples of a mask."""
        raster.reshape(-1)[self._at[where]] = value

    def done(self) -> None:
        """Write the colours to the canvas."""
        self._canvas.colour.reshape(-1, 3)[self._at] = self._colour


def brush_along(canvas: Canvas, points: Points, half: float, reach: float) -> Brush:
    """Return a brush over the samples up to `reach` from the edges of one line."""
    band = Band(canvas)
    band.add(0, points, half, half + reach)
    return Brush(canvas, band)
