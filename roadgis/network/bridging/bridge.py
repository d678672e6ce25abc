"""Bridge gaps: close them where shape and evidence say that the road continues.

A bridge is an edge of its own, flagged as `bridged`, whose probability is the evidence.
"""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass

import numpy as np
import shapely

from roadgis.arrays import Bools, Floats, Ints, Lines, take_rows
from roadgis.heap import trim_heap
from roadgis.network.bridging.candidates import Gaps, cut_pieces, find_gaps, find_tips
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
from roadgis.network.edge_ends import EdgeEnds
from roadgis.network.edit import add_edges, insert_vertices, split, take_nodes
from roadgis.network.paths import is_within
from roadgis.options.cleaning import BridgeOptions
from roadgis.probability.raster_sampling import sampled_levels
from roadgis.probability.source import NO_DATA, ProbabilitySource, holds_mask

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BridgeTuning:
    """Constants of the choice of bridges.

    `rounds` was measured in decision 0034 (two rounds: no difference); the others were not fitted.
    """

    #: In the first round dead ends are bridged to each other only, so that others can join these
    #: bridges; a dead end that lost its best gap to another one may get its next best later.
    rounds: int = 4
    #: A bridge that meets an edge nearer to a node than this many road widths ends at the node,
    #: and two that meet it nearer to each other end at one node,
    snap_widths: float = 0.75
    #: at least this many pixels.
    snap_px: float = 2.0
    #: Support of a gap of the largest length, relative to one without a length.
    longest: float = 0.5
    #: Support of a gap between a dead end and an edge, relative to one between two dead ends.
    one_sided: float = 0.5
    #: Evidence a gap needs, in units of `BridgeOptions.min_evidence`, is this less its support.
    needed: float = 1.5
    #: Of competing gaps the one with the highest score is bridged: its evidence, plus this,
    score_evidence: float = 0.1
    #: times its support, plus this.
    score_support: float = 0.25


TUNING = BridgeTuning()


@dataclass(frozen=True)
class _Chosen:
    """Gaps that are bridged, in the order of their dead ends' keys; B of them.

    Attributes
    ----------
    gaps, paths, arrive
        Rows of the tables of all gaps.
    node : ndarray of int64, shape (B,)
        Node at which the bridge ends; -1 where an edge is split.
    """

    gaps: Gaps
    paths: GapPaths
    arrive: Arrivals
    node: Ints

    def __len__(self) -> int:
        return len(self.gaps)


def bridge_gaps(
    lines: Centerlines, options: BridgeOptions, source: ProbabilitySource | None
) -> Centerlines:
    """Close gaps between dead ends that point to each other, or from one to an edge.

    1. Candidates come from geometry: :func:`roadgis.network.bridging.candidates.find_gaps`.
    2. The path of least cost through the probability is found across each of them. The gap is
       bridged if the probability along the path is as high as the shape of the gap demands.
    3. A path to an edge ends at the first road it meets, with a T junction. A path between two
       dead ends that meets a road is dropped: no crossing and no overpass is invented.
    4. A gap is not bridged if the network already has a short way around it.
    5. A dead end is bridged once at most; two dead ends if each is the other's best choice.

    Parameters
    ----------
    lines : Centerlines
        Noded, after weak components and spurious dangles were removed; keys of edges and nodes
        are unique and not negative.
    source : ProbabilitySource, optional
        Probability on the lines' grid. Without one, and where it is a mask, the shape alone
        decides, and only dead ends that point to each other are bridged.

    Returns
    -------
    Centerlines
        With the bridges as edges of their own (`bridged`). Vertices of a bridge carry the
        probability there; 0 at nodata.
    """
    if options.max_gap_m == 0:
        return lines
    before = int(lines.bridged.sum())
    tips, evident = _evident(lines, options, source)
    for number in range(TUNING.rounds):
        chosen = None if evident is None else _chosen(lines, tips, evident, number == 0)
        if chosen is not None:
            evident = None  # of large networks it takes much memory
            trim_heap()
            lines = _without_crossings(lines, tips, chosen)
            tips, evident = _evident(lines, options, source)
        elif number:
            break
    logger.info("Bridged %d gaps", int(lines.bridged.sum()) - before)
    return lines


def _without_crossings(lines: Centerlines, tips: EdgeEnds, chosen: _Chosen) -> Centerlines:
    """Add bridges, leaving out those that cross anything once they end at their nodes."""
    while True:
        out = _bridged(lines, tips, chosen)
        drawn = _drawn_near(out, len(chosen))
        first = len(drawn) - len(chosen)
        a, b = shapely.STRtree(drawn).query(drawn[first:], predicate="crosses")
        bad = ~shapely.is_simple(drawn[first:])
        # Of two bridges that cross, the one with the higher key goes.
        bad[a[b < first + a]] = True
        if not bad.any():
            return out
        chosen = take_rows(chosen, ~bad)


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
    return lines.take(np.concatenate([near, np.arange(old, len(lines))])).pixel_lines()


def _snap(lines: Centerlines) -> Floats:
    return np.maximum(TUNING.snap_widths * lines.mean_width_px, TUNING.snap_px)


def _bridged(lines: Centerlines, tips: EdgeEnds, chosen: _Chosen) -> Centerlines:
    """Add bridges as the last edges, after splitting the edges at which they end.

    Keys stay unique and depend on no order: a dead end has one bridge at most, so its key names
    the bridge, and the piece of an edge that is split for it.
    """
    gaps, at_edge = chosen.gaps, np.flatnonzero(chosen.node < 0)
    key = lines.node_key[tips.node[gaps.tip]]
    edge, along = chosen.arrive.edge[at_edge], chosen.arrive.edge_along[at_edge]
    rank = np.lexsort([key[at_edge], along, edge])
    apart = _snap(lines)[edge[rank][1:]]
    far = (np.diff(edge[rank]) != 0) | (np.diff(along[rank]) >= apart)
    first = np.concatenate([[True], far])[: len(rank)]
    end = chosen.node.copy()
    end[at_edge[rank]] = len(lines.node_key) + np.cumsum(first) - 1
    joint = rank[first]
    ends = take_rows(tips, np.concatenate([gaps.tip, gaps.other[gaps.is_pair]]))
    # Only edges that change are edited: of large networks each copy takes much memory.
    changed = np.union1d(ends.edge, edge[joint])
    some = _straightened(
        lines.take(changed), dataclasses.replace(ends, edge=np.searchsorted(changed, ends.edge))
    )
    some, vertex = insert_vertices(some, np.searchsorted(changed, edge[joint]), along[joint])
    some = split(some, vertex, key=-2 - 2 * key[at_edge[joint]])
    some = add_edges(some, _as_edges(some, tips.node[gaps.tip], end, chosen))
    out = add_edges(lines, some, np.isin(np.arange(len(lines)), changed, invert=True))
    return take_nodes(out, np.lexsort([out.node_col, out.node_row, out.node_key]))


def _straightened(lines: Centerlines, tips: EdgeEnds) -> Centerlines:
    """Lead dead ends straight ahead where the skeleton turns into a corner of the road."""
    row, col = lines.row.copy(), lines.col.copy()
    d_row, d_col = lines.d_row.copy(), lines.d_col.copy()
    node_row, node_col = lines.node_row.copy(), lines.node_col.copy()
    node_row[tips.node], node_col[tips.node] = tips.row, tips.col
    for at_end, arc in zip((False, True), lines.distance_along, strict=True):
        tip = np.flatnonzero(tips.at_end == at_end)
        vertex = lines.vertices_of(tips.edge[tip])
        of = np.repeat(tip, np.diff(lines.offsets)[tips.edge[tip]])
        near = arc[vertex] <= tips.cut[of]
        vertex, of = vertex[near], of[near]
        row[vertex] = tips.row[of] - arc[vertex] * tips.d_row[of]
        col[vertex] = tips.col[of] - arc[vertex] * tips.d_col[of]
        d_row[vertex], d_col[vertex] = 0.0, 0.0
    return dataclasses.replace(
        lines, row=row, col=col, d_row=d_row, d_col=d_col, node_row=node_row, node_col=node_col
    )


def _as_edges(lines: Centerlines, start: Ints, end: Ints, chosen: _Chosen) -> Centerlines:
    """Return the bridges as edges between nodes: their paths up to where they arrive."""
    paths = chosen.paths
    along, total = paths.along, chosen.arrive.along
    # The path's samples short of the arrival, then the arrival itself.
    beyond = (along >= total[:, None] - 1e-6) | (np.arange(along.shape[1]) >= paths.last[:, None])
    size = np.maximum(beyond.argmax(axis=1), 1) + 1
    bridge = np.repeat(np.arange(len(size)), size)
    sample = concatenated_ranges(np.zeros_like(size), size)
    share = np.minimum(along[bridge, sample] / np.maximum(total[bridge], 1e-9), 1.0)
    width = chosen.gaps.width[bridge]
    level = paths.level[bridge, sample]
    row, col = paths.row[bridge, sample], paths.col[bridge, sample]
    offsets = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
    for vertex, node in ((offsets[:-1], start), (offsets[1:] - 1, end)):
        row[vertex], col[vertex] = lines.node_row[node], lines.node_col[node]
    # The path is taken as the middle of the road.
    known = np.zeros(len(row), np.float32)
    return dataclasses.replace(
        lines,
        start=start,
        end=end,
        key=-1 - 2 * lines.node_key[start],
        bridged=np.ones(len(size), bool),
        offsets=offsets,
        row=row,
        col=col,
        d_row=known,
        d_col=known,
        width_px=(width[:, 0] * (1 - share) + width[:, 1] * share).astype(np.float32),
        probability=np.where(level == NO_DATA, np.uint8(0), level).astype(np.uint8),
    )


@dataclass(frozen=True)
class _Evident:
    """Gaps with enough evidence, and what decides which of them are bridged; G of them.

    Attributes
    ----------
    all : _Chosen
        The gaps.
    drawn : ndarray of LineString, shape (G,)
        Their paths.
    score : ndarray of float64, shape (G,)
        Of competing gaps the one with the highest score is bridged.
    allowed : ndarray of int64
        Numbers of those that meet no road on the way and have no way around.
    """

    all: _Chosen
    drawn: Lines
    score: Floats
    allowed: Ints


def _evident(
    lines: Centerlines, options: BridgeOptions, source: ProbabilitySource | None
) -> tuple[EdgeEnds, _Evident | None]:
    """Return the dead ends and the gaps with enough evidence; None when there are none."""
    tips = find_tips(lines)
    if not len(tips):
        return tips, None
    max_gap_px = options.max_gap_m / lines.grid.gsd_m
    pieces = cut_pieces(lines, tips, max_gap_px)
    gaps = find_gaps(lines, tips, pieces, max_gap_px, options.max_turn_deg)
    by_shape = source is None or holds_mask(source)
    if by_shape:
        gaps = take_rows(gaps, gaps.is_pair)
    paths = least_cost_paths(gaps, None if by_shape else source)
    support = _support(gaps, max_gap_px, options.max_turn_deg)
    evidence = measure_evidence(gaps, paths, lines.strong_level)
    leaves = _leave_raster(lines, tips, gaps)
    ok = _is_evident(gaps, leaves, support, evidence, options)
    if by_shape and source is not None:
        ok &= ~leaves | _is_across_nodata(gaps, leaves, paths, source, lines.strong_level)
    gaps, paths = take_rows(gaps, ok), take_rows(paths, ok)
    if not len(gaps):
        return tips, None
    # Rounded, so that what is equal but for rounding errors is decided by keys.
    low = np.nan_to_num(evidence.low[ok]) + TUNING.score_evidence
    score = np.round(low * (TUNING.score_support + support[ok]), 9)
    drawn = path_lines(paths)
    arrive = arrivals(lines, tips, pieces, gaps, drawn)
    node = _nodes_met(lines, tips, gaps, arrive)
    ok = ~arrive.blocked & (node != tips.node[gaps.tip])
    ok &= ~_have_detour(lines, tips, gaps, arrive, options.detour_factor * arrive.along)
    return tips, _Evident(_Chosen(gaps, paths, arrive, node), drawn, score, np.flatnonzero(ok))


def _chosen(
    lines: Centerlines, tips: EdgeEnds, evident: _Evident, pairs_only: bool
) -> _Chosen | None:
    """Return the bridges of one round; None when there are none."""
    every = evident.all
    best = _mutually_best(
        lines, tips, every.gaps, every.arrive, every.node, evident.score, evident.allowed
    )
    if pairs_only:
        best = best[every.gaps.is_pair[best]]
    best = _not_crossing(evident.drawn, best)
    if not len(best):
        return None
    rank = np.argsort(lines.node_key[tips.node[every.gaps.tip[best]]], kind="stable")
    return take_rows(every, best[rank])


def _support(gaps: Gaps, max_gap_px: float, max_turn_deg: float) -> Floats:
    """Return how much the shape of each gap supports a road, (G,) 0..1.

    1 is two dead ends of equally wide roads that touch and lie in one line. Each turn lowers it by
    its square, the length by up to half, and so does arriving at an edge.
    """
    straight = 1 - (gaps.turn / max(max_turn_deg, 1e-9)) ** 2
    alike = gaps.width.min(axis=1) / np.maximum(gaps.width.max(axis=1), 1e-9)
    near = 1 - (1 - TUNING.longest) * np.minimum(gaps.clear / max_gap_px, 1.0)
    side = np.where(gaps.is_pair, np.sqrt(alike), TUNING.one_sided)
    return np.asarray(straight.clip(0, 1).prod(axis=1) * near * side, np.float64)


def _leave_raster(lines: Centerlines, tips: EdgeEnds, gaps: Gaps) -> Bools:
    """Return at which gaps a road leaves the raster or runs into nodata, (G,)."""
    leaves = lines.node_leaves_raster[tips.node]
    return np.asarray(leaves[gaps.tip] | (gaps.is_pair & leaves[gaps.other]), bool)


def _is_evident(
    gaps: Gaps, leaves: Bools, support: Floats, evidence: Evidence, options: BridgeOptions
) -> Bools:
    """Return which gaps have enough evidence, (G,)."""
    by_shape = gaps.is_pair & (support >= options.min_support)
    # A road that leaves the data is continued through nodata only.
    unknown = ~(evidence.known > 0)
    seen = ~unknown & (evidence.low >= options.min_evidence * (TUNING.needed - support))
    over_nodata = evidence.known < 1
    return np.where(unknown, by_shape, seen & np.where(over_nodata, by_shape, ~leaves)).astype(bool)


def _is_across_nodata(
    gaps: Gaps, leaves: Bools, paths: GapPaths, source: ProbabilitySource, strong_level: int
) -> Bools:
    """Return which gaps of a mask, of those where a road leaves it, hold nodata, (G,)."""
    out = np.zeros(len(gaps), bool)
    at = np.flatnonzero(leaves)
    if len(at):
        gaps, paths = take_rows(gaps, at), take_rows(paths, at)
        level = sampled_levels(source, paths.row.reshape(-1), paths.col.reshape(-1))
        level = level.reshape(paths.row.shape)
        row, col = np.rint(paths.row), np.rint(paths.col)
        # Beyond the raster is not nodata within it.
        beyond = (row < 0) | (row >= source.grid.height) | (col < 0) | (col >= source.grid.width)
        level[beyond] = 0
        paths = dataclasses.replace(paths, level=level)
        out[at] = measure_evidence(gaps, paths, strong_level).known < 1
    return out


def _nodes_met(lines: Centerlines, tips: EdgeEnds, gaps: Gaps, arrive: Arrivals) -> Ints:
    """Return the node at which each path ends; -1 where an edge is to be split."""
    node = np.full(len(gaps), -1)
    pair = gaps.is_pair
    node[pair] = tips.node[gaps.other[pair]]
    edge, along = arrive.edge[~pair], arrive.edge_along[~pair]
    snap = np.minimum(_snap(lines)[edge], lines.length_px[edge] / 2)
    rest = lines.length_px[edge] - along
    at = np.where(along <= snap, lines.start[edge], np.where(rest <= snap, lines.end[edge], -1))
    node[~pair] = at
    return node


def _have_detour(
    lines: Centerlines, tips: EdgeEnds, gaps: Gaps, arrive: Arrivals, within_px: Floats
) -> Bools:
    """Return around which gaps the network has a way shorter than a limit, (G,).

    Each search ends at its limit, so its time does not depend on the network's size.
    """
    length = lines.length_px
    pair = gaps.is_pair
    edge_a = tips.edge[gaps.tip]
    edge_b = np.where(pair, tips.edge[gaps.other], arrive.edge)
    at_tip = np.where(tips.at_end, length[tips.edge], 0.0)
    arc_a, arc_b = at_tip[gaps.tip], np.where(pair, at_tip[gaps.other], arrive.edge_along)
    out = np.asarray((edge_a == edge_b) & (np.abs(arc_a - arc_b) < within_px), bool)
    _, _, node = lines.edge_ends
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
        out[gap] = is_within(float(within_px[gap]), seeds, left, begin, other, step)
    return out


def _mutually_best(
    lines: Centerlines,
    tips: EdgeEnds,
    gaps: Gaps,
    arrive: Arrivals,
    node: Ints,
    score: Floats,
    some: Ints,
) -> Ints:
    """Return the gaps that no better one competes with at a dead end, best first."""
    target = np.where(node >= 0, lines.node_key[node], lines.key[arrive.edge])
    rank = np.lexsort(
        [
            arrive.edge_along[some],
            target[some],
            node[some] >= 0,
            lines.node_key[tips.node[gaps.tip[some]]],
            -score[some],
        ]
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
