"""Random numbers that depend on the position only, so that neighbouring tiles agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from roadgis.arrays import Ints

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Frame:
    """The samples that a tile is painted on; R rows, C columns.

    Attributes
    ----------
    row, col : int
        First sample, from the town's corner.
    rows, cols : int
        Size, samples.
    step_m : float
        Size of a sample, metres.
    wrap_m : float
        Period of all noise, metres; 0 for none.
    """

    row: int
    col: int
    rows: int
    cols: int
    step_m: float
    seed: int
    wrap_m: float = 0.0

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(left, top, right, bottom) in town metres, y down."""
        step = self.step_m
        return (
            self.col * step,
            self.row * step,
            (self.col + self.cols) * step,
            (self.row + self.rows) * step,
        )

    @property
    def y(self) -> npt.NDArray[np.float64]:
        """Rows' centres, (R, 1) metres."""
        rows = np.arange(self.row, self.row + self.rows) + 0.5
        return np.asarray(rows * self.step_m, np.float64)[:, None]

    @property
    def x(self) -> npt.NDArray[np.float64]:
        """Columns' centres, (1, C) metres."""
        cols = np.arange(self.col, self.col + self.cols) + 0.5
        return np.asarray(cols * self.step_m, np.float64)[None, :]


def generator(seed: int, *key: int) -> np.random.Generator:
    """Return the random generator of one object of a town; keys may be negative."""
    return np.random.default_rng([seed, *(k + (1 << 31) for k in key)])


def hashed(seed: int, salt: int, rows: Ints, cols: Ints) -> npt.NDArray[np.uint32]:
    """Mix integers into 32 random bits each; broadcasts `rows` against `cols`."""
    low = (seed * 0x9E3779B1 + salt * 0x85EBCA77 + (seed >> 32) * 0x27D4EB2F) & 0xFFFFFFFF
    value: npt.NDArray[np.uint32] = np.bitwise_and(cols, 0xFFFFFFFF).astype(np.uint32) * np.uint32(
        0x9E3779B1
    )
    value = value ^ (value >> np.uint32(15))
    value = value + np.bitwise_and(rows, 0xFFFFFFFF).astype(np.uint32) * np.uint32(0xC2B2AE3D)
    value ^= np.uint32(low)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        value ^= value >> np.uint32(shift)
        value *= np.uint32(factor)
    value ^= value >> np.uint32(16)
    return value


def white_noise(frame: Frame, salt: int) -> Floats:
    """Return independent, nearly normal noise of standard deviation 1, (R, C)."""
    wrap = round(frame.wrap_m / frame.step_m)
    rows, cols = _indices(frame.row, frame.rows, wrap), _indices(frame.col, frame.cols, wrap)
    bits = hashed(frame.seed, salt, rows[:, None], cols[None, :])
    total = np.zeros(bits.shape, np.float32)
    for shift in (0, 8, 16, 24):
        total += ((bits >> np.uint32(shift)) & np.uint32(255)).astype(np.float32)
    total -= np.float32(510.0)
    total *= np.float32(1 / 147.8)
    return total


def smooth_noise(frame: Frame, scale_m: float, salt: int) -> Floats:
    """Return smooth noise with features of about `scale_m`, standard deviation about 1, (R, C).

    Cubic B-splines over random lattice values. The lattice spacing is a power of two of samples,
    which fits any period.
    """
    scale = 1 << max(0, round(float(np.log2(scale_m / frame.step_m))))
    if scale == 1:
        return white_noise(frame, salt)
    wrap = round(frame.wrap_m / frame.step_m) // scale
    row_weights, row_base = _spline(frame.row, frame.rows, scale)
    col_weights, col_base = _spline(frame.col, frame.cols, scale)
    first_row, first_col = int(row_base[0]), int(col_base[0])
    rows = _indices(first_row, int(row_base[-1]) + 4 - first_row, wrap)
    cols = _indices(first_col, int(col_base[-1]) + 4 - first_col, wrap)
    bits = hashed(frame.seed, salt, rows[:, None], cols[None, :])
    lattice = bits.astype(np.float32) * np.float32(2**-31) - np.float32(1.0)
    # Sum the taps in order, not as a matrix product, for the same result on any machine.
    tall = sum(row_weights[k][:, None] * lattice[row_base - first_row + k] for k in range(4))
    wide = np.asarray(tall, np.float32).T
    noise = sum(col_weights[k][:, None] * wide[col_base - first_col + k] for k in range(4))
    # 0.577 is the deviation of the lattice, 0.48 the factor of a cubic B-spline.
    result: Floats = np.ascontiguousarray(np.asarray(noise, np.float32).T)
    result *= np.float32(1 / (0.577 * 0.48))
    return result


def _indices(first: int, count: int, wrap: int) -> Ints:
    indices = first + np.arange(count, dtype=np.int64)
    return np.mod(indices, wrap) if wrap else indices


def _spline(first: int, count: int, scale: int) -> tuple[Floats, Ints]:
    """Weights (4, count) of cubic B-splines, and the first lattice index of each place."""
    position = (first + np.arange(count) + 0.5) / scale
    base = np.floor(position).astype(np.int64)
    t = position - base
    weights = np.stack(
        [
            (1 - t) ** 3 / 6,
            (3 * t**3 - 6 * t**2 + 4) / 6,
            (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
            t**3 / 6,
        ]
    )
    return weights.astype(np.float32), base - 1
