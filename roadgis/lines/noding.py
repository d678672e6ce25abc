"""Node lines: attach ends to lines that they nearly touch, and split lines where they meet."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import shapely
from scipy.spatial import cKDTree

from roadgis.arrays import Bools, Floats, Ints, Lines

#: A line is not snapped to itself within this many snapping distances of its end.
_OWN_REACH = 4.0
#: Lines touch within this distance, metres.
_TOUCHING = 1e-6
_ROUNDING = 1 + 1e-9


def noded(lines: Lines, snap_m: float, *, node_crossings: bool = False) -> tuple[Lines, Ints]:
    """Split lines where they share vertices, and snap ends that nearly touch a line.

    1. An end is snapped to the nearest junction within `snap_m`.
    2. Other ends near each other become one. It is snapped to the nearest line within `snap_m`
       that does not end there: to a vertex if one is near enough, or onto the line.
    3. An end that overshoots is moved back to where its line crosses the other one.

    Only ends are moved, and none farther than `snap_m`. The result depends neither on the order of
    the lines nor on their directions.

    Parameters
    ----------
    lines : ndarray of LineString, shape (L,)
        Lines in metres.
    snap_m : float
        Snapping distance of ends; 0 attaches ends that touch.
    node_crossings : bool
        Make junctions where lines cross without a shared vertex; otherwise one passes over the
        other.

    Returns
    -------
    pieces : ndarray of LineString, shape (P,)
        Lines between nodes, each once, in the order of their coordinates.
    line : ndarray of int64, shape (P,)
        The line that each is part of.
    """
    # Of two identical lines one would be attached to, and the other one not.
    _, once = np.unique(shapely.to_wkb(shapely.normalize(lines)), return_index=True)
    once = np.sort(once)
    chains = _Chains.of(lines[once]).with_length()
    if node_crossings:
        chains = _inserted(chains, *_crossings(chains)).with_length()
    pieces, line = _split_at_nodes(
        _with_ends_attached(chains, max(snap_m, _TOUCHING)).with_length()
    )
    return pieces, once[line]


class _Chains(NamedTuple):
    """Vertices of lines, line after line; V vertices.

    Attributes
    ----------
    xy : ndarray of float64, shape (V, 2)
        Coordinates.
    line : ndarray of int64, shape (V,)
        Number of the line, ascending. Lines may be missing.
    """

    xy: Floats
    line: Ints

    @classmethod
    def of(cls, lines: Lines) -> _Chains:
        """Return the vertices of an array of LineString."""
        xy, line = shapely.get_coordinates(lines, return_index=True)
        return cls(xy, line.astype(np.int64))

    @property
    def ends(self) -> tuple[Bools, Bools]:
        """Which vertices are the first, and which the last, of their line."""
        border = self.line[1:] != self.line[:-1]
        some = [True] if len(self.line) else []
        return np.concatenate([some, border]).astype(bool), np.concatenate([border, some]).astype(
            bool
        )

    def with_length(self) -> _Chains:
        """Return the chains without repeated vertices, and without those that are one point."""
        new = np.ones(len(self.line), bool)
        new[1:] = (self.line[1:] != self.line[:-1]) | (self.xy[1:] != self.xy[:-1]).any(axis=1)
        size = np.bincount(self.line[new])
        use = new & (size > 1)[self.line] if len(self.line) else new
        return _Chains(self.xy[use], self.line[use])


def _numbered_places(xy: Floats) -> tuple[Ints, Ints]:
    """Give places numbers in the order of x, y.

    Returns
    -------
    place : ndarray of int64, shape (V,)
        Of each vertex.
    use : ndarray of int64, shape (P,)
        Vertices at each place.
    """
    rank = np.lexsort([xy[:, 1], xy[:, 0]])
    ordered = xy[rank]
    new = np.ones(len(rank), bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    place = np.empty(len(rank), np.int64)
    place[rank] = np.cumsum(new) - 1
    return place, np.bincount(place).astype(np.int64)


def _inserted(chains: _Chains, after: Ints, xy: Floats) -> _Chains:
    """Put vertices into lines, in the order in which they come along the line.

    Parameters
    ----------
    chains : _Chains
        The lines.
    after : ndarray of int64, shape (K,)
        The vertex behind which each new one comes; not the last of its line.
    xy : ndarray of float64, shape (K, 2)
        Where each is: on or near the segment to the next vertex.
    """
    begin = chains.xy[after]
    along = chains.xy[after + 1] - begin
    share = np.concatenate([np.full(len(chains.line), -np.inf), ((xy - begin) * along).sum(axis=1)])
    rank = np.lexsort([share, np.concatenate([np.arange(len(chains.line)), after])])
    return _Chains(
        np.concatenate([chains.xy, xy])[rank],
        np.concatenate([chains.line, chains.line[after]])[rank],
    )


def _split_at_nodes(chains: _Chains) -> tuple[Lines, Ints]:
    """Split lines at their ends and at places where there is more than one vertex.

    Parameters
    ----------
    chains : _Chains
        Without repeated vertices.

    Returns
    -------
    pieces : ndarray of LineString, shape (P,)
        In an order and with directions that depend on their coordinates alone; each once.
    line : ndarray of int64, shape (P,)
        The line that each is part of.
    """
    if not len(chains.line):
        return np.empty(0, object), np.empty(0, np.int64)
    place, use = _numbered_places(chains.xy)
    first, last = chains.ends
    node = use > 1
    node[place[first | last]] = True
    inner = node[place] & ~first & ~last
    # A node in the middle is the end of one piece and the beginning of the next.
    repeat = 1 + inner.astype(np.int64)
    source = np.repeat(np.arange(len(chains.line)), repeat)
    begins = np.zeros(len(source), bool)
    position = np.cumsum(repeat) - 1
    begins[position[inner | first]] = True
    pieces = shapely.linestrings(chains.xy[source], indices=np.cumsum(begins) - 1)
    return _once(_directed(np.asarray(pieces, object)), chains.line[source[begins]])


def _directed(pieces: Lines) -> Lines:
    """Return pieces that run from their lower end to their higher one, in the order of x, y."""
    begin, end = (shapely.get_coordinates(shapely.get_point(pieces, i)) for i in (0, -1))
    ring = (begin == end).all(axis=1)
    # Rings must keep the place at which they start: others may meet them there.
    inner = [shapely.get_coordinates(shapely.get_point(pieces, i)) for i in (1, -2)]
    begin, end = (np.where(ring[:, None], b, a) for a, b in zip((begin, end), inner, strict=True))
    back = (begin[:, 0] > end[:, 0]) | ((begin[:, 0] == end[:, 0]) & (begin[:, 1] > end[:, 1]))
    out: Lines = pieces.copy()
    out[back] = shapely.reverse(pieces[back])
    return out


def _once(pieces: Lines, line: Ints) -> tuple[Lines, Ints]:
    keys = shapely.to_wkb(pieces)
    # Of the same piece in two lines, the first line's.
    rank = np.array(sorted(range(len(keys)), key=keys.tolist().__getitem__), np.int64)
    new = np.ones(len(rank), bool)
    new[1:] = keys[rank][1:] != keys[rank][:-1]
    return pieces[rank[new]], line[rank[new]]


class _Segments(NamedTuple):
    """The straight parts of lines, each from vertex `first` to the next one; S segments."""

    shape: Lines
    first: Ints


def _segments(chains: _Chains) -> _Segments:
    first = np.flatnonzero(chains.line[1:] == chains.line[:-1])
    ends = np.stack(_ordered(chains.xy[first], chains.xy[first + 1]), axis=1)
    return _Segments(np.asarray(shapely.linestrings(ends), object), first)


def _ordered(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Return pairs of points, the lower one first, so that rounding ignores directions."""
    swap = ((a[:, 0] > b[:, 0]) | ((a[:, 0] == b[:, 0]) & (a[:, 1] > b[:, 1])))[:, None]
    return np.where(swap, b, a), np.where(swap, a, b)


def _distance(a: Floats, b: Floats) -> Floats:
    return np.asarray(np.hypot(*(a - b).T), np.float64)


def _crossings(chains: _Chains) -> tuple[Ints, Floats]:
    """Return the vertices to insert where segments meet: the vertex before, and the place."""
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
    # A vertex that one line already has is used for the other one, too.
    half = len(into) // 2
    other = np.roll(np.arange(len(into)), half)
    at = np.where(at_vertex[other][:, None], nearer[other], at)
    return into[~at_vertex], at[~at_vertex]


def _with_ends_attached(chains: _Chains, snap_m: float) -> _Chains:
    place, use = _numbered_places(chains.xy)
    first, last = chains.ends
    loose = np.flatnonzero((first | last) & (use[place] == 1))
    # Places are numbered by their coordinates, so this order is not that of the lines.
    loose = loose[np.argsort(place[loose])]
    moved = chains.xy.copy()
    firm = np.flatnonzero(use[place] > 1)
    if len(firm) and len(loose):
        distance, nearest = cKDTree(chains.xy[firm]).query(
            chains.xy[loose], distance_upper_bound=snap_m * _ROUNDING
        )
        found = np.isfinite(distance)
        moved[loose[found]] = chains.xy[firm[np.asarray(nearest)[found]]]
        loose = loose[~found]
    if not len(loose):
        return _Chains(moved, chains.line)
    cluster = _stars(chains.xy[loose], snap_m)
    moved[loose] = chains.xy[loose[cluster]]
    after, at = _attach(chains, loose, cluster, moved, snap_m)
    return _inserted(_Chains(moved, chains.line), after, at)


def _stars(points: Floats, radius: float) -> Ints:
    """Return for each point the one that it joins, within the radius; a joined one joins itself.

    Among points near each other one is chosen pseudo-randomly from its coordinates; those within
    its radius join it, and the rest choose again.
    """
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
    chains: _Chains, loose: Ints, cluster: Ints, moved: Floats, snap_m: float
) -> tuple[Ints, Floats]:
    """Attach joined ends to lines that they nearly touch; writes to `moved`.

    Returns the vertices to insert there: the vertex before, and the place.
    """
    parts = _segments(chains)
    end, segment = shapely.STRtree(parts.shape).query(
        shapely.points(chains.xy[loose]), predicate="dwithin", distance=snap_m
    )
    other = ~_own(chains, loose, cluster, end, parts.first[segment], snap_m)
    end, segment = end[other], segment[other]
    at, open_end = _meeting(chains, loose, end, parts, segment, snap_m)
    gap = _distance(at, chains.xy[loose[end]])
    # An end near another loose end, which itself moves elsewhere, is not moved.
    use = np.flatnonzero(~open_end & (gap <= snap_m * _ROUNDING))
    # The nearest of all lines that the ends of a cluster nearly touch; of lines on top of each
    # other the one with the lowest coordinates.
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
    chains: _Chains, loose: Ints, cluster: Ints, end: Ints, begin: Ints, snap_m: float
) -> Bools:
    """Return which segments belong to a line that ends in the cluster of the end they are near.

    `begin` is the segment's first vertex. Farther along, the line may be snapped to.
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
    chains: _Chains, loose: Ints, end: Ints, parts: _Segments, segment: Ints, snap_m: float
) -> tuple[Floats, Bools]:
    """Return where ends meet segments, and whether that is a loose end."""
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
    # A vertex that is near enough is a better place than one next to it.
    gaps = np.stack([_distance(vertex, point) for vertex in (a, b)])
    vertex = np.where(gaps[0] <= gaps[1], begin, begin + 1)
    near = gaps.min(axis=0) <= snap_m
    at = np.where(near[:, None], chains.xy[vertex], at)
    is_loose = np.zeros(len(chains.line), bool)
    is_loose[loose] = True
    return at, near & is_loose[vertex]
