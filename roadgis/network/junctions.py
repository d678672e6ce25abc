"""Contract junctions: short edges between junctions become one node."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from roadgis.arrays import Bools, Ints
from roadgis.network.centerlines import Centerlines
from roadgis.network.edge_ends import EdgeEnds, chord_ends
from roadgis.network.edit import merge_nodes


@dataclass(frozen=True)
class JunctionTuning:
    """Constants of :func:`contract_junctions`.

    Not fitted to imagery, where contraction changes no score (decision 0034); checked on drawn
    networks with crossings of wide roads.
    """

    #: Rounds; each merges pairs of nodes at most, so this bounds how far a node moves.
    rounds: int = 4
    #: An edge that two roads cross straight on is contracted up to this many times the length.
    crossing_factor: float = 4.5
    #: Cosine of the largest turn (25 degrees) of a road that goes straight on.
    straight_cosine: float = 0.9
    #: Largest sideways offset of such a road, widths; more is a staggered crossing.
    offset_widths: float = 0.4
    #: The direction of a road is taken from this many node widths before the junction,
    near_widths: float = 1.0
    #: at most this part of the edge,
    near_part: float = 0.4
    #: to this many, and a pixel,
    far_widths: float = 2.5
    #: at most this part of the edge.
    far_part: float = 0.9


TUNING = JunctionTuning()


def contract_junctions(lines: Centerlines, factor: float) -> Centerlines:
    """Merge junctions that are nearer to each other than a multiple of the road's width.

    1. Thinning turns a crossing into two T junctions with a short edge between them. Edges
       shorter than `factor` widths are contracted.
    2. The more acute the crossing, the longer that edge. When two roads go straight on across
       it, it may be longer (`JunctionTuning.crossing_factor`).
    3. In each round an edge is contracted if it is the shortest at both of its nodes, so a ladder
       of short edges does not collapse into a point.

    Parameters
    ----------
    lines : Centerlines
        Noded, without interstitial nodes.
    factor : float
        Multiple of the road's width.
    """
    for _ in range(TUNING.rounds):
        chosen = _mutually_shortest(lines, factor)
        if not len(chosen):
            break
        keep = np.ones(len(lines), bool)
        keep[chosen] = False
        lines = merge_nodes(lines, lines.start[chosen], lines.end[chosen], keep=keep)
    return lines


def _mutually_shortest(lines: Centerlines, factor: float) -> Ints:
    if not len(lines):
        return np.empty(0, np.int64)
    degree = lines.degree
    start, end = lines.start, lines.end
    length = lines.length_px
    width = np.maximum(lines.node_width_px[start], lines.node_width_px[end])
    inner = (degree[start] > 2) & (degree[end] > 2) & (start != end)
    contract = inner & (length < factor * width)
    limit = TUNING.crossing_factor * factor * width
    oblique = np.flatnonzero(inner & ~contract & (length < limit))
    contract[oblique[_is_crossing(lines, oblique)]] = True
    short = np.flatnonzero(contract)
    rank = np.lexsort([lines.key[short], length[short]])
    short = short[rank]
    best = np.full(len(degree), len(short))
    place = np.arange(len(short))
    np.minimum.at(best, start[short], place)
    np.minimum.at(best, end[short], place)
    mutual = (best[start[short]] == place) & (best[end[short]] == place)
    return np.asarray(short[mutual], np.int64)


def _is_crossing(lines: Centerlines, edges: Ints) -> Bools:
    """Return for which edges between T junctions two roads go straight on across them, (K,)."""
    degree = lines.degree
    out: Bools = np.logical_and(degree[lines.start[edges]] == 3, degree[lines.end[edges]] == 3)
    if not out.any():
        return out
    at_junction = np.zeros(len(degree), bool)
    at_junction[lines.start[edges[out]]], at_junction[lines.end[edges[out]]] = True, True
    ends = _ends_at(lines, at_junction)
    begin = np.searchsorted(ends.node, np.arange(len(degree)))
    for number in np.flatnonzero(out).tolist():
        edge = edges[number]
        (a, b), (c, d) = (
            [i for i in range(begin[node], begin[node] + 3) if ends.edge[i] != edge]
            for node in (lines.start[edge], lines.end[edge])
        )
        out[number] = (_is_straight(ends, a, c) and _is_straight(ends, b, d)) or (
            _is_straight(ends, a, d) and _is_straight(ends, b, c)
        )
    return out


def _ends_at(lines: Centerlines, nodes: Bools) -> EdgeEnds:
    """Return the edge ends at some nodes, ordered by node."""
    edge, at_end, node = lines.edge_ends
    at = np.flatnonzero(nodes[node])
    at = at[np.argsort(node[at], kind="stable")]
    edge, at_end, width = edge[at], at_end[at], lines.node_width_px[node[at]].astype(np.float64)
    length = lines.length_px[edge]
    near = np.minimum(TUNING.near_widths * width, TUNING.near_part * length)
    far = np.minimum(TUNING.far_widths * width + 1, TUNING.far_part * length)
    return chord_ends(lines, edge, at_end, near, far, width, on_skeleton=True)


def _is_straight(ends: EdgeEnds, a: int, b: int) -> bool:
    """Return whether one edge end continues the other one straight on."""
    if ends.d_row[a] * ends.d_row[b] + ends.d_col[a] * ends.d_col[b] > -TUNING.straight_cosine:
        return False
    d_row, d_col = ends.d_row[a] - ends.d_row[b], ends.d_col[a] - ends.d_col[b]
    row, col = ends.row[b] - ends.row[a], ends.col[b] - ends.col[a]
    offset = abs(row * d_col - col * d_row) / float(np.hypot(d_row, d_col))
    return bool(offset < TUNING.offset_widths * max(ends.width[a], ends.width[b]))
