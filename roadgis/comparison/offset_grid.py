"""A displacement that varies over an area: vectors at the corners of a coarse grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from roadgis.arrays import Floats, Ints
from roadgis.lines.linear_reference import LineAxis

#: Regularization of the field, in stations: towards its mean, against slope, against bending.
#: The last two are for corners 1 km apart.
_PRIOR, _SLOPE, _BEND = 0.3, 6.0, 30.0


class OffsetGrid(NamedTuple):
    """A grid of corners over the base: its lowest corner, spacing, rows and columns."""

    origin: tuple[float, float]
    spacing_m: tuple[float, float]
    shape: tuple[int, int]

    def cell(self, xy: Floats) -> Ints:
        """Return the cell (n, 2), column and row, of positions; beyond the grid, the nearest."""
        rows, cols = self.shape
        place = (xy - np.asarray(self.origin)) / self.spacing_m
        return np.asarray(np.clip(np.floor(place), 0, (cols - 2, rows - 2)), np.int64)

    def weights(self, xy: Floats) -> sp.csr_matrix:
        """Return the bilinear weights (n, R * C) of the corners at positions."""
        rows, cols = self.shape
        cell = self.cell(xy)
        share = np.clip((xy - np.asarray(self.origin)) / self.spacing_m - cell, 0.0, 1.0)
        index, weight = [], []
        for right in (0, 1):
            for up in (0, 1):
                index.append((cell[:, 1] + up) * cols + cell[:, 0] + right)
                weight.append(np.abs(1 - right - share[:, 0]) * np.abs(1 - up - share[:, 1]))
        return sp.csr_matrix(
            (np.concatenate(weight), (np.tile(np.arange(len(xy)), 4), np.concatenate(index))),
            shape=(len(xy), rows * cols),
        )


def grid_over(base: LineAxis, grid_m: float) -> OffsetGrid:
    """Return a grid that ends where the base ends, with cells of at most a size."""
    if not len(base.lines):
        return OffsetGrid((0.0, 0.0), (grid_m, grid_m), (2, 2))
    low, high = np.floor(base.vertices.min(axis=0)), np.ceil(base.vertices.max(axis=0))
    extent = np.maximum(high - low, grid_m / 10)
    cells = np.ceil(extent / grid_m)
    cols, rows = (cells + 1).astype(int)
    east, north = extent / cells
    return OffsetGrid(
        (float(low[0]), float(low[1])), (float(east), float(north)), (int(rows), int(cols))
    )


def holding(grid: OffsetGrid) -> sp.csc_matrix:
    """Return what keeps the field smooth and near its mean, for dx and dy.

    Stiff against bending, so that one displaced road does not bend it; less so against a slope,
    which imagery has.
    """
    rows, cols = grid.shape
    east, north = ((1000.0 / spacing) ** 2 for spacing in grid.spacing_m)
    one = _PRIOR * sp.identity(rows * cols)
    for strength, order in ((_SLOPE, 1), (_BEND, 2)):
        across = sp.kron(sp.identity(rows), _differences(cols, order))
        along = sp.kron(_differences(rows, order), sp.identity(cols))
        one = one + strength * (east * across.T @ across + north * along.T @ along)
    twist = sp.kron(_differences(rows, 1), _differences(cols, 1))
    one = one + _BEND * (east + north) * twist.T @ twist
    return sp.csc_matrix(sp.block_diag([one, one]))


def _differences(size: int, order: int) -> sp.csr_matrix:
    """Return the matrix of the differences between neighbours of a row, or of their differences."""
    out = sp.csr_matrix(np.diff(np.eye(size), axis=0))
    if order == 2:
        out = _differences(size - 1, 1) @ out if size > 2 else sp.csr_matrix((0, size))
    return out


@dataclass(frozen=True)
class OffsetField:
    """Displacement from the base to the extraction, which moves the base onto it.

    Attributes
    ----------
    dx_m, dy_m : float
        East and north, of the network as a whole.
    origin : tuple of float
        Lowest corner of the grid, in the metric CRS.
    spacing_m : tuple of float
        Spacing of its corners, east and north.
    dx, dy : ndarray of float64, shape (R, C)
        The displacement at each corner, metres.
    places : ndarray of float64, shape (Q, 2)
        For each cell of the grid that holds stations, the middle of these.
    count : ndarray of int64, shape (Q,)
        How many there are.
    residual : ndarray of float64, shape (Q,)
        Their root mean square distance that is left, metres.
    residual_m : float
        The same for all of them; NaN without any.
    stations : int
        How many there were.
    known : {"both", "across", "nothing"}
        Whether roads of two directions were found; with one direction the displacement across
        it is known, and used for the whole.
    ambiguous : bool
        Another displacement fits nearly as well.
    """

    dx_m: float
    dy_m: float
    origin: tuple[float, float]
    spacing_m: tuple[float, float]
    dx: Floats
    dy: Floats
    places: Floats
    count: Ints
    residual: Floats
    residual_m: float
    stations: int
    known: str
    ambiguous: bool

    def at(self, xy: Floats) -> Floats:
        """Return the displacement (n, 2) at positions of the base (n, 2), metres."""
        values = np.stack([self.dx, self.dy], axis=-1).reshape(-1, 2)
        rows, cols = self.dx.shape
        weights = OffsetGrid(self.origin, self.spacing_m, (rows, cols)).weights(xy)
        return np.asarray(weights @ values, np.float64)
