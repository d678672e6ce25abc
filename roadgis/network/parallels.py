"""Merge carriageways: two parallel lines become one in the middle."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import shapely

from roadgis.arrays import Bools, Floats, Ints, Lines, first_of_each
from roadgis.network.centerlines import Centerlines, lengths_along
from roadgis.network.edit import merge_interstitial, merge_nodes, split
from roadgis.options.cleaning import ParallelOptions


@dataclass(frozen=True)
class ParallelTuning:
    """Constants of :func:`merge_parallels`; lengths relative to the distance of the pair.

    Not fitted: merging carriageways is off by default.
    """

    #: Rounds of merging: pairs that share a node are merged in different rounds.
    rounds: int = 12
    #: Positions along a line, as shares of its length, at which the distance is taken.
    positions: tuple[float, ...] = (0.15, 0.3, 0.5, 0.7, 0.85)
    #: Number of positions at which the other line must be near.
    near_positions: int = 4
    #: Smallest cosine of the angle between parallel lines (20 degrees).
    aligned_cosine: float = 0.94
    #: Parallel lines are at least this many times as long as their distance; the halves of a
    #: roundabout are not. Links between the two that are shorter go.
    least_length: float = 3.0
    #: Largest ratio of the lengths of the parallel parts of two lines.
    stretch: float = 1.3
    #: Shortest part of the other line, as a share of the first line's part next to it.
    least_share: float = 0.6
    #: Simplification of the shapes that are compared, pixels.
    tolerance_px: float = 0.75


TUNING = ParallelTuning()
#: Pairs of lines that are compared at once, to bound the memory.
_PAIRS = 1 << 17


class _Pair(NamedTuple):
    """Two edges, and the vertices between which they are parallel."""

    a: int
    b: int
    #: First and last vertex along a, and those next to them on b.
    on_a: tuple[int, int]
    on_b: tuple[int, int]


def merge_parallels(lines: Centerlines, options: ParallelOptions) -> Centerlines:
    """Merge parallel lines nearer to each other than a limit into one line in their middle.

    Where only part of a line is parallel to another one, that part is merged. Edges joined to
    either line are joined to the one in the middle; links between the two are dropped. Pairs are
    merged nearest first, in rounds in which no two share a node.

    Parameters
    ----------
    lines : Centerlines
        Noded, without interstitial nodes; so is the result.
    options : ParallelOptions
        Whether carriageways are merged, and up to which distance.
    """
    if not options.merge_carriageways:
        return lines
    limit = options.max_separation_m / lines.grid.gsd_m
    for _ in range(TUNING.rounds):
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


def _unique(lines: Centerlines, key: Ints, row: Floats) -> Ints:
    """Return unique keys: repeated ones are moved beyond the grid's pixel ids.

    Merged lines are off the pixel lattice, so two may be named after the same pixel.
    """
    rank = np.lexsort([row, key])
    ordered = key[rank]
    first = first_of_each(ordered)
    at = np.arange(len(key))
    again = at - np.maximum.accumulate(np.where(first, at, 0))
    out = np.empty(len(key), np.int64)
    out[rank] = ordered + again * (lines.grid.width * lines.grid.height)
    return out


def _parallel(lines: Centerlines, limit: float) -> tuple[Ints, Floats]:
    """Return pairs (K, 2) of parallel lines, and their largest distances (K,)."""
    some = np.flatnonzero((lines.start != lines.end) & ~lines.bridged)
    if not len(some):
        return np.empty((0, 2), np.int64), np.empty(0)
    drawn = lines.take(some).pixel_lines()
    shapes = np.asarray(shapely.simplify(drawn, TUNING.tolerance_px), object)
    a, b = shapely.STRtree(shapes).query(shapes, predicate="dwithin", distance=limit)
    a, b = a[a != b], b[a != b]
    distance, use = np.empty(len(a)), np.empty(len(a), bool)
    for begin in range(0, len(a), _PAIRS):
        part = slice(begin, begin + _PAIRS)
        distance[part], use[part] = _compared(shapes[a[part]], shapes[b[part]], limit)
    use &= lines.length_px[some[a]] > TUNING.least_length * distance
    return np.stack([some[a], some[b]], axis=1)[use], distance[use]


def _compared(lines: Lines, others: Lines, limit: float) -> tuple[Floats, Bools]:
    """Return the largest distance of lines to others, and whether they are parallel, (K,)."""
    points = shapely.line_interpolate_point(lines[:, None], [TUNING.positions], normalized=True)
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
    parallel = (
        (near.sum(axis=1) >= TUNING.near_positions)
        & (cosine > TUNING.aligned_cosine)
        & (other_size > TUNING.least_share * size)
    )
    return np.where(near, distance, 0.0).max(axis=1), parallel


def _disjoint(lines: Centerlines, pairs: Ints, distance: Floats, limit: float) -> list[_Pair]:
    """Choose pairs without common nodes, the nearest first."""
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
    """Return the parts of two lines that are parallel; None if there are none."""
    from scipy.spatial import cKDTree

    (a0, a1), (b0, b1) = (lines.offsets[edge : edge + 2].tolist() for edge in (a, b))
    on, other = (
        np.stack([lines.col[low:high], lines.row[low:high]], axis=1)
        for low, high in ((a0, a1), (b0, b1))
    )
    distance, nearest = (np.asarray(x) for x in cKDTree(other).query(on))
    close = np.flatnonzero(distance <= limit)
    from_start, from_end = lines.distance_along

    def snapped(vertex: int, low: int, high: int) -> int:
        """Return the end of the line when it is near, else the vertex."""
        if min(from_start[vertex], from_end[vertex]) >= limit:
            return vertex
        return low if from_start[vertex] < from_end[vertex] else high - 1

    on_a = tuple(snapped(a0 + int(at), a0, a1) for at in (close[0], close[-1]))
    on_b = tuple(snapped(b0 + int(nearest[at - a0]), b0, b1) for at in on_a)
    along_a, along_b = (abs(from_start[at[1]] - from_start[at[0]]) for at in (on_a, on_b))
    # A detour that returns to the line is not parallel to it.
    if min(along_a, along_b) < limit or max(along_a, along_b) > TUNING.stretch * min(
        along_a, along_b
    ):
        return None
    # A common end of both lines must not be next to another common end.
    node = {a0: lines.start[a], a1 - 1: lines.end[a], b0: lines.start[b], b1 - 1: lines.end[b]}
    first, last = (
        {node.get(vertex, -1 - vertex) for vertex in at} for at in zip(on_a, on_b, strict=True)
    )
    if first & last:
        return None
    return _Pair(a, b, on_a, on_b)  # type: ignore[arg-type]


def _merged(lines: Centerlines, pairs: list[_Pair]) -> Centerlines:
    """Merge pairs without common nodes."""
    cuts = np.unique(np.array([v for pair in pairs for v in (*pair.on_a, *pair.on_b)], np.int64))
    cuts = cuts[~np.isin(cuts, np.concatenate([lines.offsets[:-1], lines.offsets[1:] - 1]))]
    begins = np.sort(np.concatenate([lines.offsets[:-1], cuts]))
    a, b = (
        np.searchsorted(begins, np.array([min(on) for on in side], np.int64))
        for side in ([pair.on_a for pair in pairs], [pair.on_b for pair in pairs])
    )
    lines = split(lines, cuts)
    flip = np.zeros(len(lines), bool)
    flip[b[[pair.on_b[0] > pair.on_b[1] for pair in pairs]]] = True
    lines = _with_middles(lines.reversed_where(flip), a, b)
    keep = np.ones(len(lines), bool)
    keep[b] = False
    first = np.concatenate([lines.start[a], lines.end[a]])
    second = np.concatenate([lines.start[b], lines.end[b]])
    first, second = first[first != second], second[first != second]
    distance = np.hypot(
        lines.node_row[first] - lines.node_row[second],
        lines.node_col[first] - lines.node_col[second],
    )
    width = (lines.node_width_px[first] + lines.node_width_px[second]) / 2
    lines = _without_links(lines.select(keep), first, second, distance)
    return merge_nodes(lines, first, second, width + distance.astype(np.float32))


def _with_middles(lines: Centerlines, edges: Ints, others: Ints) -> Centerlines:
    """Move edges into the middle between them and others, which run in the same direction."""
    names = ("row", "col", "d_row", "d_col", "width_px", "probability")
    lines = dataclasses.replace(lines, **{name: getattr(lines, name).copy() for name in names})
    along = lengths_along(lines.row, lines.col)
    for edge, other in zip(edges.tolist(), others.tolist(), strict=True):
        _lead_in_the_middle(lines, along, edge, other)
    return lines


def _lead_in_the_middle(lines: Centerlines, along: Floats, a: int, b: int) -> None:
    """Move an edge into the middle between it and another one of the same direction, in place.

    `along` is the distance of each vertex along all lines, as it was before.
    """
    on_a, on_b = (slice(*lines.offsets[edge : edge + 2].tolist()) for edge in (a, b))
    # Points at the same share of both lengths: nearest points would jump where a line bends.
    arc_a, arc_b = along[on_a] - along[on_a][0], along[on_b] - along[on_b][0]
    place = arc_a / arc_a[-1] * arc_b[-1]
    width_b = np.nan_to_num(lines.width_px[on_b].astype(np.float64))
    row, col, width, probability = (
        np.interp(place, arc_b, value)
        for value in (lines.row[on_b], lines.col[on_b], width_b, lines.probability[on_b])
    )
    distance = np.hypot(row - lines.row[on_a], col - lines.col[on_a])
    # The middle is nearer to the line that is wider and more certain.
    own, other = (
        float(np.nanmean(lines.width_px[on].astype(np.float64) * lines.probability[on])) + 1e-6
        for on in (on_a, on_b)
    )
    share = other / (own + other)
    lines.row[on_a] += share * (row - lines.row[on_a])
    lines.col[on_a] += share * (col - lines.col[on_a])
    lines.width_px[on_a] = (lines.width_px[on_a] + width) / 2 + distance
    # The new line is the middle of the road.
    lines.d_row[on_a], lines.d_col[on_a] = 0, 0
    lines.probability[on_a] = np.maximum(lines.probability[on_a], probability).astype(np.uint8)


def _without_links(lines: Centerlines, first: Ints, second: Ints, distance: Floats) -> Centerlines:
    """Drop the short edges between the nodes of disjoint pairs."""
    pair = np.full(len(lines.node_key), -1)
    pair[first], pair[second] = np.arange(len(first)), np.arange(len(first))
    at = pair[lines.start]
    link = (lines.start != lines.end) & (at >= 0) & (at == pair[lines.end])
    limit = TUNING.least_length * distance[at[link]]
    link[link] = lines.length_px[link] < limit
    return lines.select(~link)
