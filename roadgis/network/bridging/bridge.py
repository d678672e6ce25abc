"""Bridging: gaps in roads are closed where shape and evidence say that the road goes on.

What is bridged is an edge of its own, marked as such, whose probability is the evidence.
"""

from __future__ import annotations

import heapq
import logging

import numpy as np
import shapely

from roadgis.arrays import Bools, Floats, Ints, Lines
from roadgis.network.bridging.candidates import (
    Gaps,
    Tips,
    cut_pieces,
    find_gaps,
    find_tips,
    mean_width,
)
from roadgis.network.bridging.path import (
    Arrivals,
    Evidence,
    GapPaths,
    arrivals,
    least_cost_paths,
    measure_evidence,
    path_lines,
)
from roadgis.network.centerlines import Centerlines, concatenated_ranges
from roadgis.network.options import BridgeOptions
from roadgis.network.raster_sampling import sampled_levels
from roadgis.network.splice import NewEdges, spliced
from roadgis.probability.source import NO_DATA, ProbabilitySource, holds_mask

__all__ = ["bridge_gaps"]

logger = logging.getLogger(__name__)

#: In the first round dead ends are bridged to each other only, so that others may join these
#: bridges; one that lost its best gap to another one may get its next best in a later round.
_ROUNDS = 4
#: A bridge that arrives nearer to a node than this part of the road's width ends at the
#: node; two that arrive nearer to each other end at one node. At least so many pixels.
_SNAP_WIDTHS, _SNAP_PX = 0.75, 2.0
#: What the shape of a gap of the largest length is worth, compared with one of no length.
_LONGEST = 0.5
#: What a dead end at an edge is worth, compared with two dead ends that point to each other.
_ONE_SIDED = 0.5


def bridge_gaps(
    lines: Centerlines, options: BridgeOptions, source: ProbabilitySource | None
) -> Centerlines:
    """Close gaps between dead ends that point to each other, or from one to an edge.

    For each gap the path of least cost through the probability is found. It is bridged when
    the probability along it exceeds what the shape of the gap demands, when it crosses no
    road, and when no other way is near. A dead end is bridged once at most: two dead ends
    when each is the other's best choice. At an edge a T junction is made.

    No junction or overpass is invented: where a road lies between two dead ends, each of
    them may join it, on its own evidence; they are never bridged across it.

    Parameters
    ----------
    lines : Centerlines
        Noded, without weak components and dangles that are none; keys of edges and nodes
        are unique and not negative.
    options : BridgeOptions
        Limits.
    source : ProbabilitySource, optional
        Probability on the lines' grid. Without one, and where it is a mask, the shape alone
        decides, and only dead ends that point to each other are bridged.

    Returns
    -------
    Centerlines
        With the bridges as edges of their own (`bridged`); edges at which one arrives are
        split. Vertices of a bridge carry the probability there; 0 where there is no data.
    """
    if options.max_gap_m == 0:
        return lines
    before = int(lines.bridged.sum())
    for number in range(_ROUNDS):
        tips = find_tips(lines)
        chosen = _chosen(lines, tips, options, source, pairs_only=number == 0)
        if chosen is None:
            if number == 0:
                continue
            break
        lines = _without_crossings(lines, tips, chosen)
    logger.info("Bridged %d gaps", int(lines.bridged.sum()) - before)
    return lines


def _without_crossings(lines: Centerlines, tips: Tips, new: NewEdges) -> Centerlines:
    """Add bridges, but none that crosses anything once its end lies at its node."""
    while True:
        out = spliced(lines, tips, new, _snap(lines))
        drawn = _drawn_near(out, len(new))
        first = len(drawn) - len(new)
        a, b = shapely.STRtree(drawn).query(drawn[first:], predicate="crosses")
        bad = ~shapely.is_simple(drawn[first:])
        # Of two bridges that cross, the one with the higher key goes.
        bad[a[b < first + a]] = True
        if not bad.any():
            return out
        new = new.take(~bad)


def _drawn_near(lines: Centerlines, new: int) -> Lines:
    """Return the last edges, the new ones, as LineStrings, after all whose boxes touch theirs."""
    first = lines.offsets[:-1]
    west, south, east, north = (
        one.reduceat(value, first)
        for one in (np.minimum, np.maximum)
        for value in (lines.col, lines.row)
    )
    boxes = np.asarray(shapely.box(west, south, east, north), object)
    old = len(lines) - new
    near = np.unique(shapely.STRtree(boxes[:old]).query(boxes[old:])[1])
    some = lines.take(np.concatenate([near, np.arange(old, len(lines))]))
    shapes = shapely.linestrings(
        np.stack([some.col, some.row], axis=1), indices=some.edge_of_vertex
    )
    return np.asarray(shapes, object)


def _snap(lines: Centerlines) -> Floats:
    return np.maximum(_SNAP_WIDTHS * mean_width(lines), _SNAP_PX)


def _chosen(
    lines: Centerlines,
    tips: Tips,
    options: BridgeOptions,
    source: ProbabilitySource | None,
    *,
    pairs_only: bool,
) -> NewEdges | None:
    """Return the bridges of one round; None when there are none."""
    if not len(tips.node):
        return None
    max_gap_px = options.max_gap_m / lines.grid.gsd_m
    pieces = cut_pieces(lines)
    gaps = find_gaps(lines, tips, pieces, max_gap_px, options.max_turn_deg)
    by_shape = source is None or holds_mask(source)
    if by_shape:
        gaps = gaps.take(gaps.other >= 0)
    paths = least_cost_paths(gaps, None if by_shape else source)
    shape = _support(gaps, max_gap_px, options.max_turn_deg)
    evidence = measure_evidence(gaps, paths, lines.strong_level)
    ok = _is_evident(gaps, tips, shape, evidence, options)
    if by_shape and source is not None:
        ok &= _led_on(gaps, tips, paths, source, lines.strong_level)
    gaps, paths, shape = gaps.take(ok), paths.take(ok), shape[ok]
    if not len(gaps):
        return None
    # Rounded, so that what is equal but for rounding errors is decided by keys.
    score = np.round((np.nan_to_num(evidence.low[ok]) + 0.1) * (0.25 + shape), 9)
    drawn = path_lines(paths)
    arrive = arrivals(lines, tips, pieces, gaps, drawn)
    node = _nodes_met(lines, gaps, tips, arrive)
    ok = ~arrive.blocked & (node != tips.node[gaps.tip])
    ok &= ~_have_detour(lines, tips, gaps, arrive, options.detour_factor * arrive.along)
    best = _mutually_best(lines, tips, gaps, arrive, node, score, np.flatnonzero(ok))
    if pairs_only:
        best = best[gaps.other[best] >= 0]
    best = _not_crossing(drawn, best)
    if not len(best):
        return None
    return _new_edges(gaps, paths, arrive, tips, node, best)


def _support(gaps: Gaps, max_gap_px: float, max_turn_deg: float) -> Floats:
    """Return how much the shape of each gap speaks for a road, (G,) 0..1.

    1 is two dead ends of equally wide roads that touch and lie in one line. Each turn takes
    away by its square, the length up to half, and so does arriving at an edge.
    """
    straight = 1 - (gaps.turn / max(max_turn_deg, 1e-9)) ** 2
    alike = gaps.width.min(axis=1) / np.maximum(gaps.width.max(axis=1), 1e-9)
    near = 1 - (1 - _LONGEST) * np.minimum(gaps.clear / max_gap_px, 1.0)
    two_sided = np.sqrt(alike)
    side = np.where(gaps.other >= 0, two_sided, _ONE_SIDED)
    return np.asarray(straight.clip(0, 1).prod(axis=1) * near * side, np.float64)


def _is_evident(
    gaps: Gaps, tips: Tips, shape: Floats, evidence: Evidence, options: BridgeOptions
) -> Bools:
    """Return which gaps are bridged on what is known of them, (G,)."""
    pair = gaps.other >= 0
    leaves = tips.leaves[gaps.tip]
    leaves[pair] |= tips.leaves[gaps.other[pair]]
    by_shape = pair & (shape >= options.min_support)
    # A road that leaves the data is led on through what is not known alone.
    unknown = ~(evidence.known > 0)
    seen = ~unknown & (evidence.low >= options.min_evidence * (1.5 - shape))
    with_blank = evidence.known < 1
    return np.where(unknown, by_shape, seen & np.where(with_blank, by_shape, ~leaves)).astype(bool)


def _led_on(
    gaps: Gaps, tips: Tips, paths: GapPaths, source: ProbabilitySource, strong_level: int
) -> Bools:
    """Return which gaps of a mask may be bridged by shape, (G,).

    All but those of roads that leave the raster; roads are led on across no data within it.
    """
    led = ~(tips.leaves[gaps.tip] | tips.leaves[gaps.other])
    at = np.flatnonzero(~led)
    if len(at):
        gaps, paths = gaps.take(at), paths.take(at)
        level = sampled_levels(source, paths.row.reshape(-1), paths.col.reshape(-1))
        level = level.reshape(paths.row.shape)
        row, col = np.rint(paths.row), np.rint(paths.col)
        beyond = (row < 0) | (row >= source.grid.height) | (col < 0) | (col >= source.grid.width)
        level[beyond] = 0
        led[at] = measure_evidence(gaps, paths._replace(level=level), strong_level).known < 1
    return led


def _nodes_met(lines: Centerlines, gaps: Gaps, tips: Tips, arrive: Arrivals) -> Ints:
    """Return the node at which each path ends; -1 where an edge is to be split."""
    node = np.full(len(gaps), -1)
    pair = gaps.other >= 0
    node[pair] = tips.node[gaps.other[pair]]
    edge, arc = arrive.edge[~pair], arrive.arc[~pair]
    snap = np.minimum(_snap(lines)[edge], lines.length_px[edge] / 2)
    rest = lines.length_px[edge] - arc
    at = np.where(arc <= snap, lines.start[edge], np.where(rest <= snap, lines.end[edge], -1))
    node[~pair] = at
    return node


def _have_detour(
    lines: Centerlines, tips: Tips, gaps: Gaps, arrive: Arrivals, within_px: Floats
) -> Bools:
    """Return around which gaps the network leads by a way shorter than a limit, (G,).

    Each search ends at its limit, so its time does not depend on the network's size.
    """
    length = lines.length_px
    pair = gaps.other >= 0
    edge_a = tips.edge[gaps.tip]
    edge_b = np.where(pair, tips.edge[gaps.other], arrive.edge)
    at_tip = np.where(tips.at_end, length[tips.edge], 0.0)
    arc_a, arc_b = at_tip[gaps.tip], np.where(pair, at_tip[gaps.other], arrive.arc)
    out = np.asarray((edge_a == edge_b) & (np.abs(arc_a - arc_b) < within_px), bool)
    node = np.concatenate([lines.start, lines.end])
    rank = np.argsort(node, kind="stable")
    begin = np.searchsorted(node[rank], np.arange(len(lines.node_key) + 1))
    other = np.concatenate([lines.end, lines.start])[rank]
    step = np.concatenate([length, length])[rank]
    for gap in np.flatnonzero(~out).tolist():
        e, f = int(edge_a[gap]), int(edge_b[gap])
        seeds = [
            (float(arc_a[gap]), int(lines.start[e])),
            (float(length[e] - arc_a[gap]), int(lines.end[e])),
        ]
        left = {int(lines.start[f]): float(arc_b[gap])}
        stop, rest = int(lines.end[f]), float(length[f] - arc_b[gap])
        left[stop] = min(rest, left.get(stop, rest))
        out[gap] = _reaches(seeds, left, float(within_px[gap]), begin, other, step)
    return out


def _reaches(
    seeds: list[tuple[float, int]],
    left: dict[int, float],
    within: float,
    begin: Ints,
    other: Ints,
    step: Floats,
) -> bool:
    """Return whether a node of `left` is near enough (Dijkstra's search from the seeds)."""
    queue, done = list(seeds), set()
    heapq.heapify(queue)
    while queue:
        distance, node = heapq.heappop(queue)
        if distance >= within:
            return False
        if node in done:
            continue
        done.add(node)
        if distance + left.get(node, within) < within:
            return True
        links = slice(begin[node], begin[node + 1])
        for neighbour, more in zip(other[links].tolist(), step[links].tolist(), strict=True):
            if neighbour not in done:
                heapq.heappush(queue, (distance + more, neighbour))
    return False


def _mutually_best(
    lines: Centerlines,
    tips: Tips,
    gaps: Gaps,
    arrive: Arrivals,
    node: Ints,
    score: Floats,
    some: Ints,
) -> Ints:
    """Return the gaps that no better one competes with at a dead end, best first."""
    target = np.where(node >= 0, lines.node_key[node], lines.key[arrive.edge])
    rank = np.lexsort(
        [arrive.arc[some], target[some], node[some] >= 0, tips.key[gaps.tip[some]], -score[some]]
    )
    some = some[rank]
    place = np.arange(len(some))
    best = np.full(len(lines.node_key), len(some))
    np.minimum.at(best, tips.node[gaps.tip[some]], place)
    at_node = node[some] >= 0
    np.minimum.at(best, node[some[at_node]], place[at_node])
    dead = np.zeros(len(lines.node_key), bool)
    dead[lines.degree == 1] = True
    first = best[tips.node[gaps.tip[some]]] == place
    other = node[some]
    first &= (other < 0) | ~dead[other] | (best[other] == place)
    return np.asarray(some[first], np.int64)


def _not_crossing(drawn: Lines, best: Ints) -> Ints:
    """Leave out bridges that cross a better one, or themselves; `best` is best first."""
    best = best[shapely.is_simple(drawn[best])]
    tree = shapely.STRtree(drawn[best])
    pairs = [tree.query(drawn[best], predicate=how) for how in ("crosses", "overlaps")]
    a, b = np.concatenate(pairs, axis=1)
    keep = np.ones(len(best), bool)
    keep[b[a < b]] = False
    return best[keep]


def _new_edges(
    gaps: Gaps, paths: GapPaths, arrive: Arrivals, tips: Tips, node: Ints, best: Ints
) -> NewEdges:
    """Return the bridges as edges: their paths, cut where they arrive."""
    best = best[np.argsort(tips.key[gaps.tip[best]], kind="stable")]
    gaps, paths, node = gaps.take(best), paths.take(best), node[best]
    along = paths.along
    total = arrive.along[best]
    # The path's samples short of the arrival, then the arrival itself.
    beyond = (along >= total[:, None] - 1e-6) | (np.arange(along.shape[1]) >= paths.last[:, None])
    size = np.maximum(beyond.argmax(axis=1), 1) + 1
    bridge = np.repeat(np.arange(len(size)), size)
    sample = concatenated_ranges(np.zeros_like(size), size)
    share = np.minimum(along[bridge, sample] / np.maximum(total[bridge], 1e-9), 1.0)
    width = gaps.width[bridge, 0] * (1 - share) + gaps.width[bridge, 1] * share
    level = paths.level[bridge, sample]
    return NewEdges(
        tip=gaps.tip,
        node=node,
        other=gaps.other,
        edge=arrive.edge[best],
        arc=arrive.arc[best],
        size=size,
        row=paths.row[bridge, sample],
        col=paths.col[bridge, sample],
        width_px=width,
        probability=np.where(level == NO_DATA, np.uint8(0), level).astype(np.uint8),
    )
