"""The rasters of a varied scene, and drawing boxes on them.

Coordinates are metres from the scene's top left corner: x to the east, y to the south. A canvas is
finer than the picture and extends beyond it. R rows, C columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from rasterio.features import rasterize

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Points = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


_Value = TypeVar("_Value", bound=np.generic)

#: Period of the noise in samples, a power of two.
_PERIOD = 512


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in metres: centre, direction in radians, length and width."""

    x: float
    y: float
    angle: float
    length: float
    width: float

    def moved(self, u: float, v: float) -> tuple[float, float]:
        """Return the point at (u, v) along and across the box from its centre."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return self.x + u * cos - v * sin, self.y + u * sin + v * cos

    def part(self, u: float, v: float, length: float, width: float) -> Box:
        """Return a box of the same direction around (u, v)."""
        return Box(*self.moved(u, v), self.angle, length, width)


@dataclass(frozen=True, slots=True)
class Local:
    """The samples around a box, and their coordinates in the box.

    Attributes
    ----------
    at : tuple of slice
        Rows and columns.
    u, v : ndarray of float32
        Metres along and across, from the centre.
    inside : ndarray of bool
        Whether a sample is in the box.
    """

    at: tuple[slice, slice]
    u: Floats
    v: Floats
    inside: Mask


class Canvas:
    """Rasters of a scene during painting.

    Parameters
    ----------
    size_px, gsd_m
        Size of the picture.
    margin_px : int
        Extent beyond the picture.
    fine : int
        Samples per pixel, along each axis.

    Attributes
    ----------
    colour : ndarray of float32, (R, C, 3)
        Reflected light, 0..255.
    height : ndarray of float32, (R, C)
        Height of shadow-casting objects, metres.
    ignore : ndarray of bool, (R, C)
        Pixels labelled as ignored.
    built : ndarray of bool, (R, C)
        Occupied ground.
    """

    def __init__(
        self, size_px: int, gsd_m: float, margin_px: int, random: np.random.Generator, fine: int = 2
    ) -> None:
        self.size_px, self.gsd_m, self.fine = size_px, gsd_m, fine
        self.step = gsd_m / fine
        self.margin_px = margin_px
        self.start = -margin_px * gsd_m
        self.side = (size_px + 2 * margin_px) * fine
        self.random = random
        shape = (self.side, self.side)
        self.colour: Floats = np.zeros((*shape, 3), np.float32)
        self.height: Floats = np.zeros(shape, np.float32)
        self.ignore: Mask = np.zeros(shape, np.bool_)
        self.built: Mask = np.zeros(shape, np.bool_)
        centres = (np.arange(self.side) + 0.5) * self.step + self.start
        self._axis: Floats = centres.astype(np.float32)
        self._noise: dict[int, Floats] = {}

    @property
    def x(self) -> Floats:
        """Columns' centres, (1, C)."""
        return self._axis[None, :]

    @property
    def y(self) -> Floats:
        """Rows' centres, (R, 1)."""
        return self._axis[:, None]

    @property
    def stop(self) -> float:
        """Far edge of the canvas, metres; `start` is the near one."""
        return self.start + self.side * self.step

    @cached_property
    def frame(self) -> shapely.Polygon:
        """The canvas as a polygon."""
        return shapely.box(self.start, self.start, self.stop, self.stop)

    def index(self, metres: float) -> int:
        """Return the row or column of a coordinate; it may be outside."""
        return math.floor((metres - self.start) / self.step)

    def window(
        self, left: float, top: float, right: float, down: float
    ) -> tuple[slice, slice] | None:
        """Return the rows and columns that touch a rectangle, None if it is outside."""
        r0, r1 = max(self.index(top), 0), min(self.index(down) + 1, self.side)
        c0, c1 = max(self.index(left), 0), min(self.index(right) + 1, self.side)
        return (slice(r0, r1), slice(c0, c1)) if r0 < r1 and c0 < c1 else None

    def local(self, box: Box, grow: float = 0.0) -> Local | None:
        """Return the samples in and around a box, None if it is outside."""
        cos, sin = math.cos(box.angle), math.sin(box.angle)
        half_u, half_v = box.length / 2, box.width / 2
        dx = abs(half_u * cos) + abs(half_v * sin) + grow
        dy = abs(half_u * sin) + abs(half_v * cos) + grow
        at = self.window(box.x - dx, box.y - dy, box.x + dx, box.y + dy)
        if at is None:
            return None
        x = self._axis[at[1]][None, :] - np.float32(box.x)
        y = self._axis[at[0]][:, None] - np.float32(box.y)
        u, v = x * np.float32(cos) + y * np.float32(sin), y * np.float32(cos) - x * np.float32(sin)
        return Local(at, u, v, (np.abs(u) <= half_u) & (np.abs(v) <= half_v))

    def burn(self, shapes: list[shapely.Geometry]) -> npt.NDArray[np.int32]:
        """Return (R, C): 1 + the index of the last shape over each sample, 0 for none."""
        size = (self.side, self.side)
        near = [(s, k + 1) for k, s in enumerate(shapes) if shapely.intersects(self.frame, s)]
        if not near:
            return np.zeros(size, np.int32)
        transform = Affine(self.step, 0, self.start, 0, self.step, self.start)
        return np.asarray(rasterize(near, size, transform=transform, dtype="int32"), np.int32)

    def fill(self, local: Local, colour: npt.ArrayLike, share: Floats | Mask | float) -> None:
        """Blend a colour into the samples of a window, by a share per sample."""
        part = self.colour[local.at]
        part += (np.asarray(colour, np.float32) - part) * np.asarray(
            local.inside * share, np.float32
        )[..., None]

    def noise(
        self, scale_m: float, at: tuple[slice, slice] | tuple[Indices, Indices] | None = None
    ) -> Floats:
        """Return noise with features of about `scale_m`, deviation about 1; new at each call.

        For speed, fields of one scale are one field, shifted and mirrored, with a period of _PERIOD
        samples or twice that.

        Parameters
        ----------
        at : tuple, optional
            A window, or rows and columns one by one. Default: the canvas.
        """
        scale = min(1 << max(0, round(math.log2(scale_m / self.step))), 256)
        if scale not in self._noise:
            period = _PERIOD if scale <= 16 else 2 * _PERIOD
            self._noise[scale] = _noise(self.random, period, scale)
        field = self._noise[scale]
        field = field.T if self.random.random() < 0.5 else field
        last = len(field) - 1
        down, right = self.random.integers(0, len(field), 2)
        rows, cols = at if at is not None else (slice(None), slice(None))
        if isinstance(rows, slice) and isinstance(cols, slice):
            numbers = np.arange(self.side)
            return field[np.ix_((numbers[rows] + down) & last, (numbers[cols] + right) & last)]
        return np.asarray(field[(rows + down) & last, (cols + right) & last])


def spread(raster: npt.NDArray[_Value], fine: int) -> npt.NDArray[_Value]:
    """Repeat each value on `fine` by `fine` samples."""
    rows, cols = raster.shape[:2]
    out = np.empty((rows * fine, cols * fine, *raster.shape[2:]), raster.dtype)
    for row in range(fine):
        for col in range(fine):
            out[row::fine, col::fine] = raster
    return out


def _noise(random: np.random.Generator, period: int, scale: int) -> Floats:
    """Return a quadratic B-spline over random values `scale` samples apart, by subdivision."""
    field = random.standard_normal((period // scale, period // scale), np.float32)
    while scale > 1:
        field = _doubled(np.ascontiguousarray(_doubled(field).T)).T
        scale //= 2
    return np.asarray((field - field.mean()) / field.std(), np.float32)


def _doubled(field: Floats) -> Floats:
    """Return a periodic field with twice as many rows."""
    after = np.concatenate([field[1:], field[:1]])
    out = np.empty((2 * len(field), field.shape[1]), np.float32)
    out[0::2] = np.float32(0.75) * field + np.float32(0.25) * after
    out[1::2] = np.float32(0.25) * field + np.float32(0.75) * after
    return out
