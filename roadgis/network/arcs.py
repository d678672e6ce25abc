"""Arcs of circles along roads, many at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from roadgis.arrays import Floats

__all__ = ["Arcs", "arcs_through", "least_squares"]

#: Places of which the middle leaves the chord by more than this, pixels, lie on a curve,
_SAGITTA = 0.7
#: when the arc leaves less than this share of the squares that the chord leaves.
_BENT = 0.35


class Arcs(NamedTuple):
    """Arcs of circles, K of them; straight lines where they do not bend.

    Attributes
    ----------
    origin : ndarray of float64, shape (K, 2)
        (row, column) from which lengths along them count.
    unit : ndarray of float64, shape (K, 2)
        Direction there.
    bend : ndarray of float64, shape (K,)
        Curvature, 1/pixels, positive towards (-unit column, unit row).
    """

    origin: Floats
    unit: Floats
    bend: Floats

    def along_of(self, row: float | Floats = 0.0, col: float | Floats = 0.0) -> Floats:
        """Return how far along the arcs they are nearest to a point each, (K,)."""
        row, col = row - self.origin[:, 0], col - self.origin[:, 1]
        forth = row * self.unit[:, 0] + col * self.unit[:, 1]
        side = col * self.unit[:, 0] - row * self.unit[:, 1]
        bend = np.where(self.bend == 0, 1.0, self.bend)
        arc = np.arctan2(bend * forth, 1 - bend * side) / bend
        return np.asarray(np.where(self.bend == 0, forth, arc), np.float64)

    def points(self, along: Floats, across: Floats) -> tuple[Floats, Floats]:
        """Return rows and columns, (K, S, C), of places along (K, S) and beside (K, C) arcs."""
        angle = self.bend[:, None] * along
        chord = along * np.sinc(angle / 2 / np.pi)
        forth, side = chord * np.cos(angle / 2), chord * np.sin(angle / 2)
        forth = forth[..., None] - np.sin(angle)[..., None] * across[:, None]
        side = side[..., None] + np.cos(angle)[..., None] * across[:, None]
        d_row, d_col = self.unit[:, 0, None, None], self.unit[:, 1, None, None]
        return (
            self.origin[:, 0, None, None] + forth * d_row - side * d_col,
            self.origin[:, 1, None, None] + forth * d_col + side * d_row,
        )

    def moved(self, along: Floats, across: Floats, tilt: Floats, bend: Floats) -> Arcs:
        """Return the arcs that begin at places along and beside these, (K,) each.

        They are turned there by `tilt`, a tangent, and bent by `bend` more.
        """
        row, col = self.points(along[:, None], across[:, None])
        angle = self.bend * along + np.arctan(tilt)
        turned, side = np.cos(angle)[:, None], np.sin(angle)[:, None]
        normal = np.stack([-self.unit[:, 1], self.unit[:, 0]], axis=1)
        return Arcs(
            origin=np.stack([row[:, 0, 0], col[:, 0, 0]], axis=1),
            unit=turned * self.unit + side * normal,
            bend=self.bend + bend,
        )


def arcs_through(places: Floats) -> Arcs:
    """Fit arcs to places (S, K, 2), straight ones unless the places clearly bend.

    The arcs begin beside the first place, and lead there from the last one.
    """
    d = places[0] - places[-1]
    chord = np.maximum(np.hypot(d[:, 0], d[:, 1]), 1e-9)
    unit = d / chord[:, None]
    away = places - (places[0] + places[-1]) / 2
    x = (away * unit).sum(axis=2).T / (chord / 2)[:, None]
    y = (away[..., 1] * unit[:, 0] - away[..., 0] * unit[:, 1]).T
    terms = np.stack([np.ones_like(x), x, x * x], axis=1)
    out, left = np.zeros((len(x), 3)), np.full(len(x), np.inf)
    for count in (2, 3):
        some = terms[:, :count]
        fit = least_squares(some, y, np.full(count, 1e-6))
        squares = ((y - (fit[:, :, None] * some).sum(axis=1)) ** 2).sum(axis=1)
        use = squares < _BENT * left
        if count == 3:
            use &= np.abs(fit[:, 2]) > _SAGITTA
        out[use, :count], left = fit[use], squares
    off, tilt = out.sum(axis=1), (out[:, 1] + 2 * out[:, 2]) / (chord / 2)
    norm = np.sqrt(1 + tilt * tilt)
    normal = np.stack([-unit[:, 1], unit[:, 0]], axis=1)
    foot = (places[0] + places[-1]) / 2 + (chord / 2)[:, None] * unit
    return Arcs(
        origin=foot + off[:, None] * normal,
        unit=(unit + tilt[:, None] * normal) / norm[:, None],
        bend=2 * out[:, 2] / (chord / 2) ** 2 / norm**3,
    )


def least_squares(terms: Floats, y: Floats, ridge: Floats, weight: Floats | None = None) -> Floats:
    """Fit terms (K, T, S) to values (K, S), by weights (K, S); returns the coefficients, (K, T).

    The sums are numpy's, not BLAS's: the same whatever the number of fits.
    """
    weighted = terms if weight is None else terms * weight[:, None]
    normal = (weighted[:, :, None] * terms[:, None]).sum(axis=3) + np.diag(ridge)
    return np.asarray(
        np.linalg.solve(normal, (weighted * y[:, None]).sum(axis=2)[..., None])[..., 0], np.float64
    )
