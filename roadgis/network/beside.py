"""Which lines run beside each other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import shapely

from roadgis.network.attributes import clear_of_junctions, grouped_quantiles
from roadgis.network.centerlines import Centerlines
from roadgis.network.options import ParallelOptions

__all__ = ["Neighbours", "beside", "neighbours", "pairs_beside"]

#: Places along the shorter line at which its distance to the other one is taken.
_PLACES = (0.15, 0.3, 0.5, 0.7, 0.85)
#: At so many of them it must be beside the other line.
_BESIDE = 4
#: Cosine of the largest angle (20 degrees) between the two.
_ALIGNED = 0.94
#: Pairs looked at together: points take far more room than coordinates.
_PAIRS = 1 << 17
#: Edges drawn together: with all their vertices they take more room than simplified.
_EDGES = 1 << 16
#: Rounding errors of coordinates stay below this, pixels.
_SLACK = 1e-6


class Neighbours(NamedTuple):
    """Lines that run beside each other as far as their shapes tell; E lines, K pairs.

    Kept from one round to the next, so that only what has changed is looked at again.
    """

    lines: Centerlines
    #: Of each line, in (col, row), simplified.
    shapes: npt.NDArray[np.object_]
    #: Width of each road, pixels.
    width: npt.NDArray[np.float64]
    #: A line and one it is beside, (K, 2); their distance, and the largest that is allowed.
    pairs: npt.NDArray[np.int64]
    distance: npt.NDArray[np.float64]
    limit: npt.NDArray[np.float64]


def neighbours(
    lines: Centerlines, options: ParallelOptions, before: Neighbours | None
) -> Neighbours:
    """Find the lines beside each other, most of them as they were found in the round before."""
    width, carriageways = _widths(lines), _carriageways_px(lines, options)
    shapes = np.full(len(lines), None, object)
    none = np.empty((0, 2), np.int64), np.empty(0), np.empty(0)
    if not len(lines) or (options.track_factor == 0 and carriageways == 0):
        return Neighbours(lines, shapes, width, *none)
    was = np.full(len(lines), -1) if before is None else _unchanged(lines, width, before)
    new = np.flatnonzero(was < 0)
    for begin in range(0, len(new), _EDGES):
        some = new[begin : begin + _EDGES]
        shapes[some] = shapely.simplify(_shapes(lines, some), 0.75)
    kept = none
    if before is not None:
        old = np.flatnonzero(was >= 0)
        shapes[old] = before.shapes[was[old]]
        now = np.full(len(before.shapes), -1)
        now[was[old]] = old
        pairs = now[before.pairs]
        stays = (pairs >= 0).all(axis=1)
        kept = pairs[stays], before.distance[stays], before.limit[stays]
    # The wider one of a pair finds the other.
    reach = np.maximum(options.track_factor * width, carriageways)
    low, high = _within(shapes, reach, new)
    a, b = np.concatenate([low, high]), np.concatenate([high, low])
    limit = np.maximum(options.track_factor * (width[a] + width[b]) / 2, carriageways)
    found = pairs_beside(lines, shapes, a, b, limit)
    joined = (np.concatenate(parts) for parts in zip(kept, found, strict=True))
    return Neighbours(lines, shapes, width, *joined)


def _carriageways_px(lines: Centerlines, options: ParallelOptions) -> float:
    """Return how near to each other carriageways are merged; 0 when they are not."""
    return options.max_separation_m / lines.grid.gsd_m * options.merge_carriageways


def _unchanged(
    lines: Centerlines, width: npt.NDArray[np.float64], before: Neighbours
) -> npt.NDArray[np.int64]:
    """Return the number that each line had before; -1 for those that are new or have changed."""
    old = before.lines
    rank = np.argsort(old.key)
    place = np.minimum(np.searchsorted(old.key[rank], lines.key), len(rank) - 1)
    was = rank[place]
    same = (old.key[was] == lines.key) & (before.width[was] == width)
    same &= np.diff(old.offsets)[was] == np.diff(lines.offsets)
    same &= (old.bridged[was] == lines.bridged) & (_is_loop(old)[was] == _is_loop(lines))
    edges = np.flatnonzero(same)
    if len(edges):
        vertex, old_vertex = lines.vertices_of(edges), old.vertices_of(was[edges])
        equal = lines.row[vertex] == old.row[old_vertex]
        equal &= lines.col[vertex] == old.col[old_vertex]
        size = np.diff(lines.offsets)[edges]
        same[edges] = np.logical_and.reduceat(equal, np.cumsum(size) - size)
    return np.where(same, was, -1)


def _is_loop(lines: Centerlines) -> npt.NDArray[np.bool_]:
    return np.asarray(lines.start == lines.end, bool)


def _within(
    shapes: npt.NDArray[np.object_], reach: npt.NDArray[np.float64], some: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the pairs (low, high) of shapes, at least one of them of some, within reach.

    Within the larger one of the reaches of both.
    """
    if not len(some):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    every = len(some) == len(shapes)
    far = reach if every else np.maximum(reach, reach[some].max())
    one, two = shapely.STRtree(shapes[some]).query(shapes, predicate="dwithin", distance=far)
    two = some[two]
    low, high = np.minimum(one, two), np.maximum(one, two)
    both = np.sort((low * len(shapes) + high)[low != high])
    first = np.concatenate([[True], both[1:] != both[:-1]])[: len(both)]
    low, high = np.divmod(both[first], len(shapes))
    if not every:
        near = shapely.distance(shapes[low], shapes[high]) <= np.maximum(reach[low], reach[high])
        low, high = low[near], high[near]
    return low, high


def pairs_beside(
    lines: Centerlines,
    shapes: npt.NDArray[np.object_],
    a: npt.NDArray[np.int64],
    b: npt.NDArray[np.int64],
    limit: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the pairs (K, 2) of a line and one it is beside, their distances, and the limits."""
    possible = ~_is_loop(lines) & ~lines.bridged
    use = possible[a] & possible[b]
    a, b, limit = a[use], b[use], limit[use]
    distance, aligned = beside(shapes, a, b, limit)
    return np.stack([a, b], axis=1)[aligned], distance[aligned], limit[aligned]


def _widths(lines: Centerlines) -> npt.NDArray[np.float64]:
    use = clear_of_junctions(lines)
    (median,) = grouped_quantiles(
        lines.edge_of_vertex[use], lines.width_px[use], len(lines), (0.5,)
    )
    return np.nan_to_num(median)


def _shapes(lines: Centerlines, edges: npt.NDArray[np.int64]) -> npt.NDArray[np.object_]:
    vertex = lines.vertices_of(edges)
    edge = np.repeat(np.arange(len(edges)), np.diff(lines.offsets)[edges])
    xy = np.stack([lines.col[vertex], lines.row[vertex]], axis=1)
    return np.asarray(shapely.linestrings(xy, indices=edge), object)


def beside(
    shapes: npt.NDArray[np.object_],
    a: npt.NDArray[np.int64],
    b: npt.NDArray[np.int64],
    limit: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Tell which lines go beside others, and how far from them.

    Parameters
    ----------
    shapes : ndarray of LineString, shape (E,)
        All lines.
    a, b : ndarray of int64, shape (K,)
        A line, and the one that it may be beside.
    limit : ndarray of float64, shape (K,)
        Largest distance.

    Returns
    -------
    ndarray of float64, shape (K,)
        Largest distance where beside; of no meaning for lines that do not go beside.
    ndarray of bool, shape (K,)
        Whether the first line goes beside the second one.
    """
    distance, aligned = np.zeros(len(a)), np.zeros(len(a), bool)
    for begin in range(0, len(a), _PAIRS):
        some = np.arange(begin, min(begin + _PAIRS, len(a)))
        some = some[_may_be_beside(shapes, a[some], b[some], limit[some])]
        line, at = np.unique(a[some], return_inverse=True)
        points = shapely.line_interpolate_point(shapes[line][:, None], [_PLACES], normalized=True)
        # Most lines near each other merely meet: at both ends of the stretch they are apart.
        off = shapely.distance(points[at][:, [0, -1]], shapes[b[some]][:, None])
        near = (off <= limit[some][:, None]).sum(axis=1) >= _BESIDE - (len(_PLACES) - 2)
        some, at = some[near], at[near]
        away, along = _along(points[at], shapes[b[some]], limit[some])
        distance[some], aligned[some] = away, along
    return distance, aligned


def _may_be_beside(
    shapes: npt.NDArray[np.object_],
    a: npt.NDArray[np.int64],
    b: npt.NDArray[np.int64],
    limit: npt.NDArray[np.float64],
) -> npt.NDArray[np.bool_]:
    """Return which lines come near enough to the box around the other one, (K,).

    Most lines near each other merely meet: this tells so for a fraction of what it takes
    to measure how far they are from each other.
    """
    line, at = np.unique(a, return_inverse=True)
    places = _places(shapes[line])
    other, at_other = np.unique(b, return_inverse=True)
    low, high = np.split(shapely.bounds(shapes[other]), 2, axis=1)
    near = np.zeros(len(a), np.int64)
    for number in range(len(_PLACES)):
        point = places[at, number]
        off = np.maximum(np.maximum(low[at_other] - point, point - high[at_other]), 0.0)
        near += np.hypot(off[:, 0], off[:, 1]) <= limit + _SLACK
    return near >= _BESIDE


def _places(lines: npt.NDArray[np.object_]) -> npt.NDArray[np.float64]:
    """Return the places along lines, (L, P, 2), but for rounding errors."""
    xy, line = shapely.get_coordinates(lines, return_index=True)
    step = np.hypot(*np.diff(xy, axis=0).T)
    step[np.diff(line) != 0] = 0.0
    along = np.concatenate([[0.0], np.cumsum(step)])
    offsets = np.searchsorted(line, np.arange(len(lines) + 1))
    begin, stop = along[offsets[:-1]], along[offsets[1:] - 1]
    want = begin[:, None] + (stop - begin)[:, None] * np.array(_PLACES)
    after = np.searchsorted(along, want.ravel()).reshape(want.shape)
    after = np.clip(after, offsets[:-1, None] + 1, offsets[1:, None] - 1)
    length = along[after] - along[after - 1]
    share = np.clip((want - along[after - 1]) / np.where(length > 0, length, 1.0), 0.0, 1.0)
    return np.asarray(xy[after - 1] + share[..., None] * (xy[after] - xy[after - 1]), np.float64)


def _along(
    points: npt.NDArray[np.object_],
    others: npt.NDArray[np.object_],
    limit: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return the same, of points (K, P) along lines, and the other lines (K,)."""
    if not len(points):
        return np.empty(0), np.empty(0, bool)
    distance = shapely.distance(points, others[:, None])
    near = (distance <= limit[:, None]).sum(axis=1) >= _BESIDE
    along = shapely.line_locate_point(others[:, None], points[:, [0, -1]])
    there = shapely.line_interpolate_point(others[:, None], along)
    ends = shapely.get_coordinates(points[:, [0, -1]]).reshape(-1, 2, 2)
    opposite = shapely.get_coordinates(there).reshape(-1, 2, 2)
    step, other = ends[:, 1] - ends[:, 0], opposite[:, 1] - opposite[:, 0]
    size, other_size = np.hypot(*step.T), np.hypot(*other.T)
    cosine = np.abs((step * other).sum(axis=1)) / np.maximum(size * other_size, 1e-9)
    aligned = near & (cosine > _ALIGNED) & (other_size > 0.6 * size)
    return np.where(distance <= limit[:, None], distance, 0.0).max(axis=1), aligned
