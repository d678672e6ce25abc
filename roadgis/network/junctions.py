"""Junctions at one node: short edges between junctions are contracted."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from roadgis.arrays import Bools, Floats, Ints, Singles
from roadgis.network.centerlines import Centerlines

__all__ = ["contract_junctions"]

#: Each round at most pairs nodes up, so this bounds how far a node can be moved.
_ROUNDS = 4
#: An edge across which two roads go straight on may be this much longer.
_CROSSING = 4.5
#: Cosine of the largest angle (25 degrees) by which a road that goes straight on turns,
_STRAIGHT = 0.9
#: and by how many widths it may go on beside itself: more is a staggered crossing.
_BESIDE = 0.4


def contract_junctions(lines: Centerlines, factor: float) -> Centerlines:
    """Make one node of junctions that are nearer than a multiple of the road's width.

    Thinning turns a crossing into two T junctions with a short edge between them: the more
    acute the angle, the longer. So an edge is also contracted, up to `_CROSSING` times that
    length, when two roads go straight on across it. In each round an edge is contracted
    when it is the shortest at both of its nodes; so a ladder of short edges does not fall
    into a point.

    Parameters
    ----------
    lines : Centerlines
        Noded, without interstitial nodes.
    factor : float
        Edges shorter than this times the width of the road are contracted.
    """
    for _ in range(_ROUNDS):
        chosen = _mutually_shortest(lines, factor)
        if not len(chosen):
            break
        lines = _contracted(lines, chosen)
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
    oblique = np.flatnonzero(inner & ~contract & (length < _CROSSING * factor * width))
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
    at_ends = np.zeros(len(degree), bool)
    at_ends[lines.start[edges[out]]], at_ends[lines.end[edges[out]]] = True, True
    arms = _arms(lines, np.flatnonzero(at_ends[lines.start] | at_ends[lines.end]))
    begin = np.searchsorted(arms.node, np.arange(len(degree)))
    for number in np.flatnonzero(out).tolist():
        edge = edges[number]
        ends = [
            [i for i in range(begin[node], begin[node] + 3) if arms.edge[i] != edge]
            for node in (lines.start[edge], lines.end[edge])
        ]
        out[number] = all(len(end) == 2 for end in ends) and any(
            arms.go_straight_on(ends[0][0], ends[1][first])
            and arms.go_straight_on(ends[0][1], ends[1][1 - first])
            for first in (0, 1)
        )
    return out


class _Arms(NamedTuple):
    """The first stretch of each edge from each of its nodes, ordered by node."""

    node: Ints
    edge: Ints
    row: Floats
    col: Floats
    #: Unit vector towards the node.
    d_row: Floats
    d_col: Floats
    width: Singles

    def go_straight_on(self, a: int, b: int) -> bool:
        """Return whether one arm is the other's straight continuation."""
        if self.d_row[a] * self.d_row[b] + self.d_col[a] * self.d_col[b] > -_STRAIGHT:
            return False
        d_row, d_col = self.d_row[a] - self.d_row[b], self.d_col[a] - self.d_col[b]
        row, col = self.row[b] - self.row[a], self.col[b] - self.col[a]
        offset = abs(row * d_col - col * d_row) / float(np.hypot(d_row, d_col))
        return bool(offset < _BESIDE * max(self.width[a], self.width[b]))


def _arms(lines: Centerlines, edges: Ints) -> _Arms:
    lines = lines.take(edges)
    from_start, from_end = lines.arcs
    length = lines.length_px
    width = lines.node_width_px
    parts = []
    for node, arc, at_end in ((lines.start, from_start, False), (lines.end, from_end, True)):
        near = lines.first_beyond(arc, np.minimum(width[node], 0.4 * length), at_end)
        far = lines.first_beyond(arc, np.minimum(2.5 * width[node] + 1, 0.9 * length), at_end)
        d_row, d_col = lines.row[near] - lines.row[far], lines.col[near] - lines.col[far]
        norm = np.maximum(np.hypot(d_row, d_col), 1e-9)
        parts.append(
            (node, edges, lines.row[near], lines.col[near], d_row / norm, d_col / norm, width[node])
        )
    joined = [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
    rank = np.argsort(joined[0], kind="stable")
    return _Arms(*(array[rank] for array in joined))


def _contracted(lines: Centerlines, chosen: Ints) -> Centerlines:
    """Merge the nodes of some edges, no two of which share a node, in their middle."""
    low = np.minimum(lines.start[chosen], lines.end[chosen])
    high = np.maximum(lines.start[chosen], lines.end[chosen])
    node_row, node_col = lines.node_row.copy(), lines.node_col.copy()
    node_row[low] = (node_row[low] + node_row[high]) / 2
    node_col[low] = (node_col[low] + node_col[high]) / 2
    width = lines.node_width_px.copy()
    width[low] = np.maximum(width[low], width[high])
    exit_ = lines.node_exit.copy()
    exit_[low] |= exit_[high]
    blank = lines.node_blank_px.copy()
    blank[low] = np.minimum(blank[low], blank[high])
    target = np.arange(len(node_row))
    target[high] = low
    keep = np.ones(len(lines), bool)
    keep[chosen] = False
    lines = dataclasses.replace(
        lines.select(keep),
        node_row=node_row,
        node_col=node_col,
        node_width_px=width,
        node_exit=exit_,
        node_blank_px=blank,
    )
    return with_ends_at_nodes(
        dataclasses.replace(lines, start=target[lines.start], end=target[lines.end])
    )


def with_ends_at_nodes(lines: Centerlines) -> Centerlines:
    """Move the first and last vertex of every edge to its nodes."""
    row, col = lines.row.copy(), lines.col.copy()
    d_row, d_col = lines.d_row.copy(), lines.d_col.copy()
    for vertex, node in ((lines.offsets[:-1], lines.start), (lines.offsets[1:] - 1, lines.end)):
        row[vertex], col[vertex] = lines.node_row[node], lines.node_col[node]
        moved = lines.degree[node] != 1
        d_row[vertex[moved]], d_col[vertex[moved]] = np.nan, np.nan
    return dataclasses.replace(lines, row=row, col=col, d_row=d_row, d_col=d_col)
