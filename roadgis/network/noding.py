"""Lines made to meet: ends attached to what they nearly touch, lines split where they meet."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import shapely

from roadgis.network.chains import Chains, inserted, numbered_places, split_at_nodes

__all__ = ["noded"]

#: Within this many snapping distances of its end a line is not attached to itself.
_OWN_REACH = 4.0
#: Metres. What touches does so but for the last digits.
_TOUCHING = 1e-6
_ROUNDING = 1 + 1e-9

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Lines = npt.NDArray[np.object_]


def noded(lines: Lines, snap_m: float, *, node_crossings: bool = False) -> tuple[Lines, Ints]:
    """Join lines where they share vertices, and attach ends that nearly touch something.

    An end is attached to the nearest junction within `snap_m`; else ends near to each other
    become one, and go together to the nearest line within `snap_m` that does not end there: to
    its vertex if one is near enough, or onto it. An end that overshoots goes back to where its
    line crosses the other one. No point moves farther than `snap_m`, and none but ends move at
    all. The result depends neither on the order of the lines nor on their directions.

    Parameters
    ----------
    lines : ndarray of LineString, shape (L,)
        In metres.
    snap_m : float
        How far ends are moved to meet something; 0 attaches what touches.
    node_crossings : bool
        Make junctions where lines cross without a shared vertex; otherwise one passes over
        the other.

    Returns
    -------
    pieces : ndarray of LineString, shape (P,)
        Lines between nodes, each once, in the order of their coordinates.
    line : ndarray of int64, shape (P,)
        The line that each is part of.
    """
    # Of lines that are drawn twice one would be attached to and the other one not.
    _, once = np.unique(shapely.to_wkb(shapely.normalize(lines)), return_index=True)
    once = np.sort(once)
    chains = Chains.of(lines[once]).with_length()
    if node_crossings:
        chains = inserted(chains, *_crossings(chains)).with_length()
    pieces, line = split_at_nodes(_with_ends_attached(chains, max(snap_m, _TOUCHING)).with_length())
    return pieces, once[line]


class _Segments(NamedTuple):
    """The straight parts of lines, each from vertex `first` to the next one; S segments."""

    shape: Lines
    first: Ints


def _segments(chains: Chains) -> _Segments:
    first = np.flatnonzero(chains.line[1:] == chains.line[:-1])
    ends = np.stack(_ordered(chains.xy[first], chains.xy[first + 1]), axis=1)
    return _Segments(np.asarray(shapely.linestrings(ends), object), first)


def _ordered(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Return pairs of points, the lower one first: so a line's direction rounds nothing."""
    swap = ((a[:, 0] > b[:, 0]) | ((a[:, 0] == b[:, 0]) & (a[:, 1] > b[:, 1])))[:, None]
    return np.where(swap, b, a), np.where(swap, a, b)


def _distance(a: Floats, b: Floats) -> Floats:
    return np.asarray(np.hypot(*(a - b).T), np.float64)


def _crossings(chains: Chains) -> tuple[Ints, Floats]:
    """Return the vertices to insert where segments meet: behind which one, and where."""
    parts = _segments(chains)
    a, b = shapely.STRtree(parts.shape).query(parts.shape, predicate="intersects")
    once = a < b
    a, b = a[once], b[once]
    meet = shapely.intersection(parts.shape[a], parts.shape[b])
    point = shapely.get_type_id(meet) == 0
    into = np.concatenate([parts.first[a[point]], parts.first[b[point]]])
    at = np.tile(np.round(shapely.get_coordinates(meet[point]), 6), (2, 1))
    begin, end = chains.xy[into], chains.xy[into + 1]
    nearer = np.where((_distance(at, begin) <= _distance(at, end))[:, None], begin, end)
    at_vertex = _distance(at, nearer) <= 2 * _TOUCHING
    # What one line has a vertex for already is there for the other one, too.
    half = len(into) // 2
    other = np.roll(np.arange(len(into)), half)
    at = np.where(at_vertex[other][:, None], nearer[other], at)
    return into[~at_vertex], at[~at_vertex]


def _with_ends_attached(chains: Chains, snap_m: float) -> Chains:
    place, use = numbered_places(chains.xy)
    first, last = chains.ends
    loose = np.flatnonzero((first | last) & (use[place] == 1))
    # Places are numbered by their coordinates, so this order is not that of the lines.
    loose = loose[np.argsort(place[loose])]
    moved = chains.xy.copy()
    firm = np.flatnonzero(use[place] > 1)
    if len(firm) and len(loose):
        from scipy.spatial import cKDTree

        distance, nearest = cKDTree(chains.xy[firm]).query(
            chains.xy[loose], distance_upper_bound=snap_m * _ROUNDING
        )
        found = np.isfinite(distance)
        moved[loose[found]] = chains.xy[firm[np.asarray(nearest)[found]]]
        loose = loose[~found]
    if not len(loose):
        return Chains(moved, chains.line)
    cluster = _stars(chains.xy[loose], snap_m)
    moved[loose] = chains.xy[loose[cluster]]
    after, at = _attach(chains, loose, cluster, moved, snap_m)
    return inserted(Chains(moved, chains.line), after, at)


def _stars(points: Floats, radius: float) -> Ints:
    """Return for each point the one that it joins: within the radius, and joined to itself.

    Of points near to each other one is chosen as if by chance, but by its coordinates alone;
    those within its radius join it, and the rest choose again.
    """
    from scipy.spatial import cKDTree

    count = len(points)
    centre = np.arange(count)
    pairs = cKDTree(points).query_pairs(radius * _ROUNDING, output_type="ndarray")
    bits = np.ascontiguousarray(points).view(np.uint64)
    mixed = (bits[:, 0] * np.uint64(0x9E3779B97F4A7C15)) ^ (bits[:, 1] >> np.uint64(7))
    mixed = (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
    order = np.empty(count, np.int64)
    order[np.lexsort([centre, mixed])] = centre
    both = np.concatenate([pairs, pairs[:, ::-1]])
    free = np.ones(count, bool)
    while len(both):
        lowest = np.full(count, count)
        np.minimum.at(lowest, both[:, 0], order[both[:, 1]])
        chosen = free & (order < lowest)
        joins = both[chosen[both[:, 1]]]
        # A point between two that were chosen joins the nearer one, which is written last.
        gap = _distance(points[joins[:, 0]], points[joins[:, 1]])
        joins = joins[np.lexsort([order[joins[:, 1]], gap])[::-1]]
        centre[joins[:, 0]] = joins[:, 1]
        free[chosen] = False
        free[joins[:, 0]] = False
        both = both[free[both].all(axis=1)]
    return centre


def _attach(
    chains: Chains, loose: Ints, cluster: Ints, moved: Floats, snap_m: float
) -> tuple[Ints, Floats]:
    """Attach joined ends to lines that they nearly touch; writes to `moved`.

    Returns
    -------
    The vertices to insert there: behind which one, and where.
    """
    parts = _segments(chains)
    end, segment = shapely.STRtree(parts.shape).query(
        shapely.points(chains.xy[loose]), predicate="dwithin", distance=snap_m
    )
    other = ~_own(chains, loose, cluster, end, parts.first[segment], snap_m)
    end, segment = end[other], segment[other]
    at, open_end = _meeting(chains, loose, end, parts, segment, snap_m)
    gap = _distance(at, chains.xy[loose[end]])
    # Where an end could go to an end that itself goes elsewhere, it stays.
    use = np.flatnonzero(~open_end & (gap <= snap_m * _ROUNDING))
    # Of all that the ends of a cluster nearly touch, the nearest; of lines on top of each other
    # the one whose coordinates come first.
    begin = parts.first[segment[use]]
    low, high = _ordered(chains.xy[begin], chains.xy[begin + 1])
    rank = use[np.lexsort([*high.T, *low.T, at[use, 1], at[use, 0], gap[use], cluster[end[use]]])]
    group = cluster[end[rank]]
    best = rank[np.concatenate([[True], group[1:] != group[:-1]])] if len(rank) else rank
    goal = np.full((len(loose), 2), np.nan)
    goal[cluster[end[best]]] = at[best]
    goal = goal[cluster]
    touching = np.isfinite(goal[:, 0])
    reached = touching & (_distance(goal, chains.xy[loose]) <= snap_m * _ROUNDING)
    moved[loose[touching]] = chains.xy[loose[touching]]
    moved[loose[reached]] = goal[reached]
    return parts.first[segment[best]], at[best]


def _own(
    chains: Chains, loose: Ints, cluster: Ints, end: Ints, begin: Ints, snap_m: float
) -> Bools:
    """Return which pairs of an end and a segment are of a line that ends in the same cluster.

    `begin` is the segment's first vertex. Farther along the line it may well be touched.
    """
    step = _distance(chains.xy[1:], chains.xy[:-1])
    arc = np.concatenate([[0.0], np.cumsum(step)])
    of_vertex = np.full(len(chains.line), -1)
    of_vertex[loose] = cluster
    own = np.zeros(len(end), bool)
    for is_tip in chains.ends:
        tips = np.flatnonzero(is_tip)
        tip = tips[np.searchsorted(chains.line[tips], chains.line[begin])]
        away = np.minimum(np.abs(arc[begin] - arc[tip]), np.abs(arc[begin + 1] - arc[tip]))
        own |= (of_vertex[tip] == cluster[end]) & (away <= _OWN_REACH * snap_m)
    return own


def _meeting(
    chains: Chains, loose: Ints, end: Ints, parts: _Segments, segment: Ints, snap_m: float
) -> tuple[Floats, Bools]:
    """Return where ends meet segments, and whether that is a loose end of theirs."""
    begin, tip = parts.first[segment], loose[end]
    a, b, point = chains.xy[begin], chains.xy[begin + 1], chains.xy[tip]
    low, high = _ordered(a, b)
    along = high - low
    share = ((point - low) * along).sum(axis=1) / (along * along).sum(axis=1)
    at = low + np.clip(share, 0.0, 1.0)[:, None] * along
    before = chains.xy[np.where(chains.ends[0][tip], tip + 1, tip - 1)]
    tail = np.asarray(shapely.linestrings(np.stack([before, point], axis=1)), object)
    cross = shapely.intersection(tail, parts.shape[segment])
    crossing = np.flatnonzero((shapely.get_type_id(cross) == 0) & ~shapely.is_empty(cross))
    where = shapely.get_coordinates(cross[crossing])
    close = _distance(where, point[crossing]) <= snap_m
    at[crossing[close]] = where[close]
    # A vertex that is near enough is a better place than one close beside it.
    gaps = np.stack([_distance(vertex, point) for vertex in (a, b)])
    vertex = np.where(gaps[0] <= gaps[1], begin, begin + 1)
    near = gaps.min(axis=0) <= snap_m
    at = np.where(near[:, None], chains.xy[vertex], at)
    is_loose = np.zeros(len(chains.line), bool)
    is_loose[loose] = True
    return at, near & is_loose[vertex]
