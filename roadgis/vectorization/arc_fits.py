"""Fit arcs of circles to points, many fits at once."""

from __future__ import annotations

import numpy as np

from roadgis.arrays import Floats
from roadgis.network.shape.dead_ends import Arcs

#: An arc bends where the middle of its points leaves the chord by more than this, pixels, and
_SAGITTA_PX = 0.7
#: where it leaves less than this share of the squares that the straight line leaves.
_BENT_SHARE = 0.35


def arcs_through(places: Floats) -> Arcs:
    """Fit arcs to places (S, K, 2), straight ones unless the places clearly bend.

    The arcs begin next to the first place, in the direction from the last one.
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
        use = squares < _BENT_SHARE * left
        if count == 3:
            use &= np.abs(fit[:, 2]) > _SAGITTA_PX
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
