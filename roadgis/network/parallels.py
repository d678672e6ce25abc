"""Carriageways: two parallel lines become one in the middle, on request."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import shapely

from roadgis.network.centerlines import (
    Centerlines,
    concatenated_ranges,
    lengths_along,
    merge_interstitial,
)
from roadgis.network.junctions import with_ends_at_nodes
from roadgis.network.options import ParallelOptions

__all__ = ["merge_parallels"]

#: Rounds of merging: pairs that share a node are merged in different rounds.
_ROUNDS = 12
#: Positions along a line, as shares of its length, at which its distance to another is taken.
_POSITIONS = (0.15, 0.3, 0.5, 0.7, 0.85)
#: At this many of the positions the other line must be near.
_NEAR = 4
#: Smallest cosine of the angle between parallel lines (20 degrees).
_ALIGNED = 0.94
#: Parallel lines are longer than this many times their distance; halves of a roundabout are not.
_LONG = 3.0
#: Largest ratio of the lengths of the parallel parts of two lines.
_STRETCH = 1.3
#: Tolerance of the shapes that are compared, pixels.
_TOLERANCE_PX = 0.75
#: Pairs of lines that are compared at once, to bound the memory.
_PAIRS = 1 << 17
_VERTEX_FIELDS = ("row", "col", "d_row", "d_col", "width_px", "probability")


class _Pair(NamedTuple):
    """Two parallel edges, and the vertices between which they are parallel."""

    a: int
    b: int
    #: Numbers of vertices, (first, last) along a, and those next to them on b.
    on_a: tuple[int, int]
    on_b: tuple[int, int]


def merge_parallels(lines: Centerlines, options: ParallelOptions) -> Centerlines:
    """Make one line, in the middle, of parallel lines that are nearer than a limit.

    Where only a part of a line is parallel to another one, that part is merged. What was joined
    to either line is joined to the one in the middle; links between the two vanish.
    The pairs are merged nearest first, in rounds in which no two share a node.

    Parameters
    ----------
    lines : Centerlines
        Noded, without interstitial nodes.
    options : ParallelOptions
        Whether carriageways are merged, and up to which distance.

    Returns
    -------
    Centerlines
        Noded, without interstitial nodes.
    """
    if not options.merge_carriageways:
        return lines
    limit = options.max_separation_m / lines.grid.gsd_m
    for _ in range(_ROUNDS):
        pairs = _disjoint(lines, *_parallel(lines, limit), limit)
        if not pairs:
            break
        lines = merge_interstitial(_merged(lines, pairs))
        lines = dataclasses.replace(
            lines,
            key=_unique(lines, lines.key, lines.row[lines.offsets[:-1]]),
            node_key=_unique(lines, lines.node_key, lines.node_row),
        )
    return lines


def _unique(
    lines: Centerlines, key: npt.NDArray[np.int64], row: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """Return keys of which no two are equal: those that occur again get one beyond the grid.

    Lines in the middle leave the lattice of pixels, so two may be named after one pixel.
    """
    rank = np.lexsort([row, key])
    ordered = key[rank]
    first = np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(key)]
    at = np.arange(len(key))
    again = at - np.maximum.accumulate(np.where(first, at, 0))
    out = np.empty(len(key), np.int64)
    out[rank] = ordered + again * (lines.grid.width * lines.grid.height)
    return out


def _parallel(
    lines: Centerlines, limit: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return pairs (K, 2) of a line and one it is parallel to, and their largest distances (K,)."""
    some = np.flatnonzero((lines.start != lines.end) & ~lines.bridged)
    if not len(some):
        return np.empty((0, 2), np.int64), np.empty(0)
    vertex = lines.vertices_of(some)
    drawn = shapely.linestrings(
        np.stack([lines.col[vertex], lines.row[vertex]], axis=1),
        indices=np.repeat(np.arange(len(some)), np.diff(lines.offsets)[some]),
    )
    shapes = np.asarray(shapely.simplify(drawn, _TOLERANCE_PX), object)
    a, b = shapely.STRtree(shapes).query(shapes, predicate="dwithin", distance=limit)
    a, b = a[a != b], b[a != b]
    distance, use = np.empty(len(a)), np.empty(len(a), bool)
    for begin in range(0, len(a), _PAIRS):
        part = slice(begin, begin + _PAIRS)
        distance[part], use[part] = _compared(shapes[a[part]], shapes[b[part]], limit)
    use &= lines.length_px[some[a]] > _LONG * distance
    return np.stack([some[a], some[b]], axis=1)[use], distance[use]


def _compared(
    lines: npt.NDArray[np.object_], others: npt.NDArray[np.object_], limit: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return how far apart lines and others are where near, and whether they are parallel, (K,)."""
    points = shapely.line_interpolate_point(lines[:, None], [_POSITIONS], normalized=True)
    distance = shapely.distance(points, others[:, None])
    near = distance <= limit
    along = shapely.line_locate_point(others[:, None], points[:, [0, -1]])
    opposite = shapely.line_interpolate_point(others[:, None], along)
    step, other = (
        np.diff(shapely.get_coordinates(ends).reshape(-1, 2, 2), axis=1)[:, 0]
        for ends in (points[:, [0, -1]], opposite)
    )
    size, other_size = np.hypot(*step.T), np.hypot(*other.T)
    cosine = np.abs((step * other).sum(axis=1)) / np.maximum(size * other_size, 1e-9)
    parallel = (near.sum(axis=1) >= _NEAR) & (cosine > _ALIGNED) & (other_size > 0.6 * size)
    return np.where(near, distance, 0.0).max(axis=1), parallel


def _disjoint(
    lines: Centerlines,
    pairs: npt.NDArray[np.int64],
    distance: npt.NDArray[np.float64],
    limit: float,
) -> list[_Pair]:
    """Choose pairs, the nearest first, of which no two touch a common node."""
    rank = np.lexsort([lines.key[pairs[:, 1]], lines.key[pairs[:, 0]], distance])
    taken: set[int] = set()
    chosen = []
    for number in rank.tolist():
        a, b = pairs[number].tolist()
        nodes = {int(node) for node in (*_ends(lines, a), *_ends(lines, b))}
        if nodes & taken:
            continue
        pair = _anchored(lines, a, b, limit)
        if pair is not None:
            chosen.append(pair)
            taken |= nodes
    return chosen


def _ends(lines: Centerlines, edge: int) -> tuple[int, int]:
    return int(lines.start[edge]), int(lines.end[edge])


def _anchored(lines: Centerlines, a: int, b: int, limit: float) -> _Pair | None:
    """Return from where to where a line is beside another, None when that comes to nothing."""
    from scipy.spatial import cKDTree

    (a0, a1), (b0, b1) = (lines.offsets[edge : edge + 2].tolist() for edge in (a, b))
    on, other = (
        np.stack([lines.col[low:high], lines.row[low:high]], axis=1)
        for low, high in ((a0, a1), (b0, b1))
    )
    distance, nearest = (np.asarray(x) for x in cKDTree(other).query(on))
    beside = np.flatnonzero(distance <= limit)
    from_start, from_end = lines.arcs

    def snapped(vertex: int, low: int, high: int) -> int:
        """Return the end of the line when it is near, else the vertex."""
        if min(from_start[vertex], from_end[vertex]) >= limit:
            return vertex
        return low if from_start[vertex] < from_end[vertex] else high - 1

    on_a = tuple(snapped(a0 + int(at), a0, a1) for at in (beside[0], beside[-1]))
    on_b = tuple(snapped(b0 + int(nearest[at - a0]), b0, b1) for at in on_a)
    along_a, along_b = (abs(from_start[at[1]] - from_start[at[0]]) for at in (on_a, on_b))
    # A long way round that comes back beside the line is not a track of it.
    if min(along_a, along_b) < limit or max(along_a, along_b) > _STRETCH * min(along_a, along_b):
        return None
    # An end of both lines must not be beside the other end of both.
    node = {a0: lines.start[a], a1 - 1: lines.end[a], b0: lines.start[b], b1 - 1: lines.end[b]}
    first, last = (
        {node.get(vertex, -1 - vertex) for vertex in at} for at in zip(on_a, on_b, strict=True)
    )
    if first & last:
        return None
    return _Pair(a, b, on_a, on_b)  # type: ignore[arg-type]


def _merged(lines: Centerlines, pairs: list[_Pair]) -> Centerlines:
    """Merge pairs of which no two touch a common node."""
    cuts = np.array([v for pair in pairs for v in (*pair.on_a, *pair.on_b)], np.int64)
    begin_a = np.array([min(pair.on_a) for pair in pairs], np.int64)
    begin_b = np.array([min(pair.on_b) for pair in pairs], np.int64)
    against = np.array([pair.on_b[0] > pair.on_b[1] for pair in pairs], bool)
    lines, begins = _split(lines, cuts)
    a, b = np.searchsorted(begins, begin_a), np.searchsorted(begins, begin_b)
    flip = np.zeros(len(lines), bool)
    flip[b[against]] = True
    lines = lines.reversed_where(flip)
    along = lengths_along(lines.row, lines.col)
    # Splitting has made arrays of their own for these lines, so they can be changed in place.
    for edge, other in zip(a.tolist(), b.tolist(), strict=True):
        _lead_in_the_middle(lines, along, edge, other)
    keep = np.ones(len(lines), bool)
    keep[b] = False
    first = np.concatenate([lines.start[a], lines.end[a]])
    second = np.concatenate([lines.start[b], lines.end[b]])
    apart = first != second
    return _with_nodes_merged(lines.select(keep), first[apart], second[apart])


def _split(
    lines: Centerlines, cuts: npt.NDArray[np.int64]
) -> tuple[Centerlines, npt.NDArray[np.int64]]:
    """Split edges at vertices, at which they get nodes; cuts at the ends of edges are none.

    Returns
    -------
    Centerlines
        Pieces in the order of the edges.
    ndarray of int64, shape (E + cuts,)
        The vertex, of the lines given, at which each piece begins.
    """
    at_end = np.zeros(len(lines.row), bool)
    at_end[lines.offsets[:-1]], at_end[lines.offsets[1:] - 1] = True, True
    cuts = np.unique(cuts[~at_end[cuts]])
    begins = np.sort(np.concatenate([lines.offsets[:-1], cuts]))
    stops = np.append(begins[1:], len(lines.row))
    is_cut = ~at_end[begins]
    edge = np.searchsorted(lines.offsets, begins, side="right") - 1
    # A piece before a cut has the cut's vertex, too.
    before_cut = np.append(is_cut[1:], False)
    stops = stops + before_cut
    count = len(lines.node_key)
    node = count + np.cumsum(is_cut) - 1
    start = np.where(is_cut, node, lines.start[edge])
    end = np.where(before_cut, node + 1, lines.end[edge])
    pixel = np.rint(lines.row) * lines.grid.width + np.rint(lines.col)
    vertices = concatenated_ranges(begins, stops)
    # Within pieces the ends belong to nodes.
    inner = np.minimum.reduceat(
        np.append(pixel, np.inf), np.stack([np.minimum(begins + 1, stops - 1), stops - 1]).T.ravel()
    )[::2]
    key = np.where(is_cut | before_cut, inner, lines.key[edge]).astype(np.int64)

    def appended(name: str, values: npt.ArrayLike) -> Any:
        old = getattr(lines, name)
        return np.concatenate([old, np.broadcast_to(values, cuts.shape).astype(old.dtype)])

    return (
        dataclasses.replace(
            lines,
            start=start.astype(np.int64),
            end=end.astype(np.int64),
            key=key,
            bridged=lines.bridged[edge],
            offsets=np.concatenate([[0], np.cumsum(stops - begins)]).astype(np.int64),
            **{name: getattr(lines, name)[vertices] for name in _VERTEX_FIELDS},
            node_key=appended("node_key", pixel[cuts]),
            node_row=appended("node_row", lines.row[cuts]),
            node_col=appended("node_col", lines.col[cuts]),
            node_width_px=appended("node_width_px", lines.width_px[cuts]),
            node_reach_px=appended("node_reach_px", 0.0),
            node_exit=appended("node_exit", False),
            node_blank_px=appended("node_blank_px", np.inf),
        ),
        begins,
    )


def _lead_in_the_middle(lines: Centerlines, along: npt.NDArray[np.float64], a: int, b: int) -> None:
    """Move an edge into the middle between it and another one of the same direction, in place.

    `along` is how far along all lines, one after another, each vertex was at first.
    """
    on_a, on_b = (slice(*lines.offsets[edge : edge + 2].tolist()) for edge in (a, b))
    # Points as far along the one as along the other, in proportion: nearest points would jump
    # where a line bends.
    arc_a, arc_b = along[on_a] - along[on_a][0], along[on_b] - along[on_b][0]
    place = arc_a / arc_a[-1] * arc_b[-1]
    width_b = np.nan_to_num(lines.width_px[on_b].astype(np.float64))
    row, col, width, probability = (
        np.interp(place, arc_b, value)
        for value in (lines.row[on_b], lines.col[on_b], width_b, lines.probability[on_b])
    )
    distance = np.hypot(row - lines.row[on_a], col - lines.col[on_a])
    # Nearer to the one that is wider and surer.
    own, other = (
        float(np.nanmean(lines.width_px[on].astype(np.float64) * lines.probability[on])) + 1e-6
        for on in (on_a, on_b)
    )
    share = other / (own + other)
    lines.row[on_a] += share * (row - lines.row[on_a])
    lines.col[on_a] += share * (col - lines.col[on_a])
    lines.width_px[on_a] = (lines.width_px[on_a] + width) / 2 + distance
    # Between the two the road's middle is where the line now is.
    lines.d_row[on_a], lines.d_col[on_a] = 0, 0
    lines.probability[on_a] = np.maximum(lines.probability[on_a], probability).astype(np.uint8)


def _with_nodes_merged(
    lines: Centerlines, first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]
) -> Centerlines:
    """Make one node, in the middle, of each pair of nodes; links between the two go."""
    low, high = np.minimum(first, second), np.maximum(first, second)
    distance = np.hypot(
        lines.node_row[low] - lines.node_row[high], lines.node_col[low] - lines.node_col[high]
    )
    target = np.arange(len(lines.node_key))
    target[high] = low
    start, end = target[lines.start], target[lines.end]
    reach = np.zeros(len(target))
    reach[low] = _LONG * distance
    link = (lines.start != lines.end) & (start == end) & (lines.length_px < reach[start])
    changed = {
        name: getattr(lines, name).copy()
        for name in (
            "node_row", "node_col", "node_key", "node_width_px", "node_reach_px", "node_exit",
            "node_blank_px",
        )
    }  # fmt: skip
    for name, merge in (
        ("node_row", lambda x, y: (x + y) / 2),
        ("node_col", lambda x, y: (x + y) / 2),
        ("node_key", np.minimum),
        ("node_width_px", lambda x, y: (x + y) / 2 + distance.astype(np.float32)),
        ("node_reach_px", np.maximum),
        ("node_exit", np.logical_or),
        ("node_blank_px", np.minimum),
    ):
        changed[name][low] = merge(changed[name][low], changed[name][high])
    # The node that is no longer used keeps the other key, so that keys stay unique.
    changed["node_key"][high] = np.maximum(lines.node_key[low], lines.node_key[high])
    lines = dataclasses.replace(lines, start=start, end=end, **changed)
    return with_ends_at_nodes(lines.select(~link))
