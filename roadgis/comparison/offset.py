"""The displacement between two road networks: one vector for all, then a field over the area.

A line shows the displacement across itself and nothing about that along itself, so a place needs
roads of two directions. First every station of the base votes for all displacements that would
lay it on a parallel line of the extraction (a Hough transform over displacements); then the best
one is refined by least squares over the distances from stations to lines with Tukey's weights;
then the same is solved for the corners of a coarse grid, bilinear in between, regularized where
there is little evidence.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.sparse.linalg import spsolve

from roadgis.arrays import Floats, Ints
from roadgis.comparison.feet import Feet, feet
from roadgis.comparison.offset_grid import OffsetField, OffsetGrid, grid_over, holding
from roadgis.lines.linear_reference import LineAxis, stations
from roadgis.options.comparison import CompareOptions

_LOG = logging.getLogger(__name__)
#: Spacing of the base's stations that are used here, and how parallel a line must be.
_SPACING_M = 10.0
_ANGLE_DEG = 20.0
#: Stations that vote, and those that give the mean; more only take time.
_VOTERS = 200_000
_REFINERS = 50_000
_BIN_M = 0.5
_DIRECTIONS = 36
#: A second displacement with this share of the best one's votes makes the choice doubtful;
_RIVAL = 0.85
#: so does one that lays less than this share of the roads with parallel ones on these.
_AGREEING = 0.5
#: Ratio of the normal matrix's eigenvalues below which all roads have one direction.
_CONDITION = 0.02
#: As the offset settles: reach of the search, and least standard deviation that counts as
#: noise, metres. A direction of roads that fits already must not make the other an outlier.
_SETTLING = ((12.0, 2.0), (8.0, 1.2), (5.0, 0.7), (5.0, 0.4))
#: Fewer stations than this are ignored.
_FEWEST = 3


def estimate_offset(base: LineAxis, extraction: LineAxis, options: CompareOptions) -> OffsetField:
    """Estimate the displacement from the base to the extraction.

    Parameters
    ----------
    base, extraction : LineAxis
        In one metric CRS.
    options : CompareOptions
        `estimate_offset`, `max_offset_m` and `grid_m` are used.

    Returns
    -------
    OffsetField
        Zero where nothing is known, or where no estimate was requested.
    """
    grid = grid_over(base, options.grid_m)
    zero = _Evidence.nothing(grid.shape)
    if not options.estimate_offset or not len(base.lines) or not len(extraction.lines):
        return _field((0.0, 0.0), grid, zero, "nothing", False)
    places = stations(base, _SPACING_M)
    near = feet(places.xy, places.direction, extraction, options.max_offset_m, _ANGLE_DEG)
    beside = len(np.unique(near.station))
    if beside < _FEWEST:
        _LOG.warning(
            "The offset between the two networks is set to zero: hardly any road of the base has a "
            "parallel one of the extraction within %g m. If the two are further apart, raise "
            "max_offset_m (--max-offset).",
            options.max_offset_m,
        )
        return _field((0.0, 0.0), grid, zero, "nothing", False)
    guess, ambiguous = _vote(near, options.max_offset_m)
    mean, known = _refine(places.xy, places.direction, extraction, guess)
    if known == "across":
        _LOG.warning(
            "The two networks have roads in common of one direction only: their offset along "
            "these roads is unknown and set to zero."
        )
    evidence = _evidence(places.xy, places.direction, extraction, mean, grid)
    if known == "across":
        evidence = evidence.flattened(mean)
    # With little in common, many displacements lay some roads on others.
    ambiguous = ambiguous or evidence.stations < _AGREEING * beside
    if ambiguous:
        _LOG.warning(
            "The offset between the two networks is doubtful: %.1f m east and %.1f m north fits "
            "best, or nearly, but not much better than others. Look at the result, lower "
            "max_offset_m (--max-offset), or leave the offset out (--no-offset).",
            *mean,
        )
    return _field(mean, grid, evidence, known, ambiguous)


def _vote(near: Feet, reach_m: float) -> tuple[Floats, bool]:
    """Return the displacement that lays most stations on a line, and whether another rivals it."""
    if len(near.station) > 4 * _VOTERS:
        kept = near.station % (len(near.station) // (2 * _VOTERS)) == 0
        near = near.take(kept)
    turn = np.arctan2(near.normal[:, 1], near.normal[:, 0]) % np.pi
    across = near.shift[:, 0] * np.cos(turn) + near.shift[:, 1] * np.sin(turn)
    half = int(np.ceil(reach_m / _BIN_M))
    # The vote of a direction of roads: a profile over the displacement across them.
    direction = np.floor(turn / np.pi * _DIRECTIONS).astype(np.int64) % _DIRECTIONS
    bins = np.clip(np.rint(across / _BIN_M).astype(np.int64) + half, 0, 2 * half)
    profile = np.bincount(
        direction * (2 * half + 1) + bins, minlength=_DIRECTIONS * (2 * half + 1)
    ).reshape(_DIRECTIONS, -1)
    profile = gaussian_filter(profile.astype(np.float64), (0, 1.0 / _BIN_M), mode="constant")
    axis = np.arange(-half, half + 1) * _BIN_M
    x, y = np.meshgrid(axis, axis)
    votes = np.zeros(x.shape)
    for nth in range(_DIRECTIONS):
        angle = (nth + 0.5) * np.pi / _DIRECTIONS
        place = np.rint((x * np.cos(angle) + y * np.sin(angle)) / _BIN_M).astype(np.int64) + half
        inside = (place >= 0) & (place <= 2 * half)
        votes[inside] += profile[nth][place[inside]]
    distance = np.hypot(x, y)
    votes[distance > reach_m] = 0.0
    # Of equal ones the smallest displacement, also along a ridge without a peak.
    best = np.flatnonzero((votes >= 0.97 * votes.max()).ravel())
    chosen = int(best[np.lexsort([best, np.round(distance.ravel()[best], 6)])[0]])
    guess = np.array([x.ravel()[chosen], y.ravel()[chosen]])
    return guess, _has_rival(votes, divmod(chosen, len(axis)))


def _has_rival(votes: Floats, chosen: tuple[int, int]) -> bool:
    """Return whether another peak is nearly as high, measured from the dip in between.

    Displaced along one direction of roads all votes of these stay: the dip is decisive.
    """
    high = maximum_filter(votes, size=int(3 / _BIN_M)) == votes
    peaks = np.argwhere(high & (votes >= votes.max() / 3))
    peaks = peaks[np.hypot(*(peaks - chosen).T) * _BIN_M > 4.0]
    strongest = np.argsort(-votes[peaks[:, 0], peaks[:, 1]], kind="stable")[:200]
    share = np.linspace(0.0, 1.0, 41)[:, None]
    for peak in peaks[strongest]:
        way = np.rint(np.asarray(chosen) + share * (peak - chosen)).astype(np.int64)
        profile = votes[way[:, 0], way[:, 1]]
        dip = profile.min()
        best = max(profile[0], profile[-1])
        if best - dip > 0.1 * best and profile[-1] - dip > _RIVAL * (profile[0] - dip):
            return True
    return False


def _solve(normal: Floats, rest: Floats, weight: Floats) -> tuple[Floats, bool]:
    """Return the shift of least squares, and whether it is known in both directions."""
    matrix = (normal * weight[:, None]).T @ normal
    right = (normal * weight[:, None]).T @ rest
    values, vectors = np.linalg.eigh(matrix)
    used = values > _CONDITION * values[1]
    inverse = np.where(used, 1.0 / np.where(used, values, 1.0), 0.0)
    return np.asarray(vectors @ (inverse * (vectors.T @ right)), np.float64), bool(used.all())


def _tukey(rest: Floats, least: float) -> Floats:
    """Return Tukey's biweight of residuals, by their median absolute deviation."""
    scale = max(1.4826 * float(np.median(np.abs(rest))), least)
    return np.asarray(np.clip(1.0 - (rest / (4.685 * scale)) ** 2, 0.0, None) ** 2, np.float64)


def _refine(
    xy: Floats, direction: Floats, extraction: LineAxis, guess: Floats
) -> tuple[Floats, str]:
    """Return the displacement of the whole after robust least squares, and whether it is known."""
    offset, known = guess, "both"
    thin = slice(None, None, 1 + len(xy) // _REFINERS)
    xy, direction = xy[thin], direction[thin]
    for reach, least in _SETTLING:
        found = feet(xy + offset, direction, extraction, reach, _ANGLE_DEG, keep="nearest")
        if len(found.station) < _FEWEST:
            break
        rest = (found.shift * found.normal).sum(axis=1)
        moved = np.zeros(2)
        for _ in range(10):
            weight = _tukey(rest - found.normal @ moved, least)
            moved, both = _solve(found.normal, rest, weight)
            known = "both" if both else "across"
        offset = offset + moved
    if known == "across":
        # The vote may also have moved along the roads, where there is no evidence.
        normal = found.normal
        _, vectors = np.linalg.eigh(normal.T @ normal)
        offset = vectors[:, 1] * (vectors[:, 1] @ offset)
    return _rounded(offset), known


def _rounded(values: Floats) -> Floats:
    """Return metres to a millimetre: of equal networks the offset is exactly zero."""
    return np.asarray(np.round(values, 3) + 0.0, np.float64)


class _Evidence(NamedTuple):
    """Equations of the stations for the corners of the grid, and their positions."""

    offset: Floats
    places: Floats
    number: Ints
    residual: Floats
    residual_m: float
    stations: int

    @classmethod
    def nothing(cls, shape: tuple[int, int]) -> _Evidence:
        none = np.empty(0)
        return cls(
            np.zeros((*shape, 2)), none.reshape(0, 2), none.astype(np.int64), none, float("nan"), 0
        )

    def flattened(self, mean: Floats) -> _Evidence:
        return self._replace(offset=np.broadcast_to(mean, self.offset.shape).copy())


def _evidence(
    xy: Floats, direction: Floats, extraction: LineAxis, mean: Floats, grid: OffsetGrid
) -> _Evidence:
    """Solve the field on the grid, the stations' feet found anew as it settles."""
    all_weights, shape = grid.weights(xy), grid.shape
    field = np.tile(mean, (shape[0] * shape[1], 1))
    hold = holding(grid)
    for reach, least in _SETTLING:
        here = all_weights @ field
        found = feet(xy + here, direction, extraction, reach, _ANGLE_DEG, keep="nearest")
        if len(found.station) < _FEWEST:
            return _Evidence.nothing(shape).flattened(mean)
        corner = all_weights[found.station]
        target = (found.shift * found.normal).sum(axis=1) + (
            found.normal * here[found.station]
        ).sum(axis=1)
        # Columns: the corners' dx, then their dy.
        matrix = sp.hstack(
            [corner.multiply(found.normal[:, [0]]), corner.multiply(found.normal[:, [1]])]
        ).tocsr()
        solved = field.T.ravel()
        start = np.repeat(mean, len(field))
        for _ in range(5):
            weight = _tukey(target - matrix @ solved, least)
            normal_matrix = (matrix.T @ matrix.multiply(weight[:, None]) + hold).tocsc()
            right = matrix.T @ (weight * (target - matrix @ start))
            solved = start + spsolve(normal_matrix, right)
        field = solved.reshape(2, -1).T
    rest = target - matrix @ solved
    used = _tukey(rest, least) > 0
    return _summed(_rounded(field).reshape(*shape, 2), xy[found.station[used]], rest[used], grid)


def _summed(offset: Floats, xy: Floats, rest: Floats, grid: OffsetGrid) -> _Evidence:
    """Sum up by cell of the grid what stations have left."""
    _, group = np.unique(grid.cell(xy), axis=0, return_inverse=True)
    group = group.ravel()
    count = np.bincount(group)
    middle = np.stack([np.bincount(group, weights=xy[:, axis]) / count for axis in (0, 1)], axis=1)
    return _Evidence(
        offset,
        middle,
        count.astype(np.int64),
        np.asarray(np.round(np.sqrt(np.bincount(group, weights=rest**2) / count), 3), np.float64),
        round(float(np.sqrt(np.mean(rest**2))), 3),
        len(rest),
    )


def _field(
    mean: Floats | tuple[float, float],
    grid: OffsetGrid,
    evidence: _Evidence,
    known: str,
    ambiguous: bool,
) -> OffsetField:
    return OffsetField(
        dx_m=float(mean[0]),
        dy_m=float(mean[1]),
        origin=grid.origin,
        spacing_m=grid.spacing_m,
        dx=evidence.offset[..., 0],
        dy=evidence.offset[..., 1],
        places=evidence.places,
        count=evidence.number,
        residual=evidence.residual,
        residual_m=evidence.residual_m,
        stations=evidence.stations,
        known=known,
        ambiguous=ambiguous,
    )
