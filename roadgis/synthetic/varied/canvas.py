"""The rasters that a varied scene is painted on, and drawing boxes on them.

Coordinates are metres from the scene's top left corner: x to the east, y to the south. A canvas
is finer than the picture and reaches beyond it. R rows, C columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from rasterio.features import rasterize

__all__ = ["Box", "Canvas", "Floats", "Local", "Mask", "Points"]

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Points = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in metres: middle, direction of its length in radians, length and width."""

    x: float
    y: float
    angle: float
    length: float
    width: float

    def moved(self, u: float, v: float) -> tuple[float, float]:
        """Return the place at (u, v) along and across the box from its middle."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return self.x + u * cos - v * sin, self.y + u * sin + v * cos

    def part(self, u: float, v: float, length: float, width: float) -> Box:
        """Return a box of the same direction around (u, v)."""
        return Box(*self.moved(u, v), self.angle, length, width)


@dataclass(frozen=True, slots=True)
class Local:
    """The samples around a box: their place in the canvas and their coordinates in the box.

    Attributes
    ----------
    at : tuple of slice
        Rows and columns.
    u, v : ndarray of float32
        Metres along and across, from the middle.
    inside : ndarray of bool
        Whether a sample is in the box.
    """

    at: tuple[slice, slice]
    u: Floats
    v: Floats
    inside: Mask


class Canvas:
    """Rasters of a scene while it is painted.

    Parameters
    ----------
    size_px, gsd_m
        Of the picture.
    margin_px : int
        How far the canvas reaches beyond the picture.
    random : numpy.random.Generator
        The scene's.

    Attributes
    ----------
    colour : ndarray of float32, (R, C, 3)
        Reflected light, 0..255.
    height : ndarray of float32, (R, C)
        Of what casts a shadow, metres.
    ignore : ndarray of bool, (R, C)
        What counts neither as road nor as anything else.
    built : ndarray of bool, (R, C)
        Where nothing else may stand.
    """

    FINE = 2

    def __init__(
        self, size_px: int, gsd_m: float, margin_px: int, random: np.random.Generator
    ) -> None:
        self.step = gsd_m / self.FINE
        self.margin_px = margin_px
        self.start = -margin_px * gsd_m
        self.side = (size_px + 2 * margin_px) * self.FINE
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
        """The canvas' far edge, metres; its near one is `start`."""
        return self.start + self.side * self.step

    @cached_property
    def frame(self) -> shapely.Polygon:
        """The canvas as a polygon."""
        return shapely.box(self.start, self.start, self.stop, self.stop)

    def index(self, metres: float) -> int:
        """Return the row or column of a coordinate; it may lie outside."""
        return math.floor((metres - self.start) / self.step)

    def window(
        self, left: float, top: float, right: float, down: float
    ) -> tuple[slice, slice] | None:
        """Return the rows and columns that touch a rectangle, None if it lies outside."""
        r0, r1 = max(self.index(top), 0), min(self.index(down) + 1, self.side)
        c0, c1 = max(self.index(left), 0), min(self.index(right) + 1, self.side)
        return (slice(r0, r1), slice(c0, c1)) if r0 < r1 and c0 < c1 else None

    def local(self, box: Box, grow: float = 0.0) -> Local | None:
        """Return the samples in and around a box, None if it lies outside."""
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
        """Blend a colour into the samples of a window by the share given for each."""
        part = self.colour[local.at]
        part += (np.asarray(colour, np.float32) - part) * np.asarray(
            local.inside * share, np.float32
        )[..., None]

    def noise(self, scale_m: float) -> Floats:
        """Return noise with features of about `scale_m`, deviation about 1; another each call.

        Fields of one scale are parts of the same one, mirrored: that is quick, and nobody sees it.
        """
        scale = min(1 << max(0, round(math.log2(scale_m / self.step))), 256)
        if scale not in self._noise:
            self._noise[scale] = _noise(self.random, self.side + self.side // 4, scale)
        field = self._noise[scale]
        row, col = self.random.integers(0, len(field) - self.side + 1, 2)
        part = field[row : row + self.side, col : col + self.side]
        part = part.T if self.random.random() < 0.5 else part
        return np.ascontiguousarray(part[:: self.random.choice([-1, 1])])


def _noise(random: np.random.Generator, side: int, scale: int) -> Floats:
    """Return a quadratic B-spline over random values `scale` samples apart, by subdivision."""
    cells = -(-side // scale) + 3
    field = random.standard_normal((cells, cells), np.float32)
    while scale > 1:
        field = np.ascontiguousarray(_doubled(_doubled(field).T).T)
        scale //= 2
    field = field[:side, :side]
    return np.ascontiguousarray((field - field.mean()) / max(float(field.std()), 1e-6))


def _doubled(field: Floats) -> Floats:
    near, far = field[:-1] * np.float32(0.75), field[:-1] * np.float32(0.25)
    out = np.empty((2 * len(field) - 2, field.shape[1]), np.float32)
    out[0::2] = near + field[1:] * np.float32(0.25)
    out[1::2] = far + field[1:] * np.float32(0.75)
    return out
