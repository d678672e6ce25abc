"""Put new edges into a network: from dead ends to nodes, or to edges, which are split there."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from roadgis.arrays import Bools, Bytes, Floats, Ints
from roadgis.network.bridging.candidates import Tips
from roadgis.network.centerlines import Centerlines, concatenated_ranges

__all__ = ["NewEdges", "spliced"]

#: A split this near to a vertex is made at the vertex, pixels.
_AT_VERTEX = 0.75
#: Distances that differ by less are equal: their last digits depend on the order of edges.
_TIE = 1e-6


@dataclass(frozen=True)
class NewEdges:
    """Edges to add; B edges. Each starts at a dead end.

    Attributes
    ----------
    tip : ndarray of int64, shape (B,)
        Dead end at which each starts.
    node : ndarray of int64, shape (B,)
        Node at which it ends; -1 where that is an edge.
    other : ndarray of int64, shape (B,)
        Dead end that this node is, and that is straightened as the first one; else -1.
    edge, arc : ndarray, shape (B,)
        Edge at which it ends, and how far along it, pixels.
    size : ndarray of int64, shape (B,)
        Vertices of each, both ends included.
    row, col, width_px : ndarray of float64, shape (sum of size,)
        Vertices, edge after edge.
    probability : ndarray of uint8, shape (sum of size,)
        Stored probability there, 0..254.
    """

    tip: Ints
    node: Ints
    other: Ints
    edge: Ints
    arc: Floats
    size: Ints
    row: Floats
    col: Floats
    width_px: Floats
    probability: Bytes

    def __len__(self) -> int:
        return len(self.tip)

    def take(self, keep: Bools) -> NewEdges:
        """Return some of the edges."""
        vertex = np.repeat(keep, self.size)
        return NewEdges(
            tip=self.tip[keep],
            node=self.node[keep],
            other=self.other[keep],
            edge=self.edge[keep],
            arc=self.arc[keep],
            size=self.size[keep],
            row=self.row[vertex],
            col=self.col[vertex],
            width_px=self.width_px[vertex],
            probability=self.probability[vertex],
        )


def spliced(lines: Centerlines, tips: Tips, new: NewEdges, apart_px: Floats) -> Centerlines:
    """Add edges, marked as bridged, to a network.

    Keys stay unique and depend on no order: a dead end gets one edge at most, so its key
    names the edge that starts there, and the piece of an edge that is split for it.

    Parameters
    ----------
    lines : Centerlines
        The network.
    tips : Tips
        Its dead ends.
    new : NewEdges
        What to add; no dead end occurs twice.
    apart_px : ndarray of float64, shape (E,)
        Places on an edge nearer to each other than this become one node.
    """
    bent = np.concatenate([new.tip, new.other[new.other >= 0]])
    joint, group = _joints(new, tips.key, apart_px)
    lines, node = _split(_straightened(lines, tips, bent), joint)
    stop = new.node.copy()
    at_edge = np.flatnonzero(new.node < 0)
    stop[at_edge] = node[group]
    return _numbered(_appended(lines, tips, new, stop))


@dataclass(frozen=True)
class _Joints:
    """Where edges are split, in the order of edges and along them; J places."""

    edge: Ints
    arc: Floats
    #: Key of the dead end for which.
    key: Ints


def _joints(new: NewEdges, tip_key: Ints, apart_px: Floats) -> tuple[_Joints, Ints]:
    """Return the places at which edges are split, and which of them each new edge needs."""
    at = np.flatnonzero(new.node < 0)
    edge, arc, key = new.edge[at], new.arc[at], tip_key[new.tip[at]]
    rank = np.lexsort([key, arc, edge])
    far = (np.diff(edge[rank]) != 0) | (np.diff(arc[rank]) >= apart_px[edge[rank][1:]])
    first = np.concatenate([[True], far])[: len(rank)]
    group = np.empty(len(rank), np.int64)
    group[rank] = np.cumsum(first) - 1
    some = rank[first]
    return _Joints(edge[some], arc[some], key[some]), group


def _straightened(lines: Centerlines, tips: Tips, some: Ints) -> Centerlines:
    """Lead dead ends straight ahead, where the skeleton turns into a corner of the road."""
    row, col = lines.row.copy(), lines.col.copy()
    d_row, d_col = lines.d_row.copy(), lines.d_col.copy()
    node_row, node_col = lines.node_row.copy(), lines.node_col.copy()
    for at_end, arc in zip((False, True), lines.arcs, strict=True):
        tip = some[tips.at_end[some] == at_end]
        edge = tips.edge[tip]
        vertex = lines.vertices_of(edge)
        owner = np.repeat(tip, np.diff(lines.offsets)[edge])
        near = arc[vertex] <= tips.bend[owner]
        vertex, owner = vertex[near], owner[near]
        row[vertex] = tips.row[owner] - arc[vertex] * tips.d_row[owner]
        col[vertex] = tips.col[owner] - arc[vertex] * tips.d_col[owner]
        d_row[vertex], d_col[vertex] = 0.0, 0.0
        node_row[tips.node[tip]], node_col[tips.node[tip]] = tips.row[tip], tips.col[tip]
    return dataclasses.replace(
        lines, row=row, col=col, d_row=d_row, d_col=d_col, node_row=node_row, node_col=node_col
    )


def _split(lines: Centerlines, joints: _Joints) -> tuple[Centerlines, Ints]:
    """Split edges; returns the network and the new node of each joint, (J,)."""
    lines, vertex = _with_vertices_at(lines, joints)
    count, many = len(lines.node_key), len(joints.edge)
    node = count + np.arange(many)
    # The pieces of all edges, in order: each begins at its edge's first vertex or at a joint.
    begin = np.concatenate([lines.offsets[:-1], vertex])
    first_node = np.concatenate([lines.start, node])
    edge = np.concatenate([np.arange(len(lines)), joints.edge])
    made = np.concatenate([np.full(len(lines), -1), np.arange(many)])
    rank = np.argsort(begin, kind="stable")
    begin, first_node, edge, made = begin[rank], first_node[rank], edge[rank], made[rank]
    last = np.concatenate([edge[1:] != edge[:-1], [True]])[: len(edge)]
    following = np.concatenate([begin[1:], begin[:1]])
    stop = np.where(last, lines.offsets[edge + 1], following + 1)
    next_node = np.concatenate([first_node[1:], first_node[:1]])
    key = np.where(made < 0, lines.key[edge], 0)
    key[made >= 0] = -2 - 2 * joints.key[made[made >= 0]]
    vertices = concatenated_ranges(begin, stop)
    # At a joint the middle of the road is not known, as at any junction.
    d_row, d_col = lines.d_row.copy(), lines.d_col.copy()
    d_row[vertex], d_col[vertex] = np.nan, np.nan
    width = lines.width_px[vertex]
    away = np.full(many, np.inf, np.float32)
    pixel = np.rint(lines.row[vertex]) * lines.grid.width + np.rint(lines.col[vertex])
    return dataclasses.replace(
        lines,
        start=first_node,
        end=np.where(last, lines.end[edge], next_node),
        key=key,
        bridged=lines.bridged[edge],
        offsets=np.concatenate([[0], np.cumsum(stop - begin)]).astype(np.int64),
        row=lines.row[vertices],
        col=lines.col[vertices],
        d_row=d_row[vertices],
        d_col=d_col[vertices],
        width_px=lines.width_px[vertices],
        probability=lines.probability[vertices],
        node_key=np.concatenate([lines.node_key, pixel.astype(np.int64)]),
        node_row=np.concatenate([lines.node_row, lines.row[vertex]]),
        node_col=np.concatenate([lines.node_col, lines.col[vertex]]),
        node_width_px=np.concatenate([lines.node_width_px, width]),
        node_reach_px=np.concatenate([lines.node_reach_px, np.zeros(many, np.float32)]),
        node_exit=np.concatenate([lines.node_exit, np.zeros(many, bool)]),
        node_blank_px=np.concatenate([lines.node_blank_px, away]),
    ), node


def _with_vertices_at(lines: Centerlines, joints: _Joints) -> tuple[Centerlines, Ints]:
    """Give edges a vertex at each joint where they have none; returns these, (J,)."""
    arc, _ = lines.arcs
    # Arcs rise along an edge; with the edge in front they rise over all vertices.
    longest = float(arc.max()) + 1 if len(arc) else 1.0
    along = lines.edge_of_vertex * longest + arc
    after = np.searchsorted(along, joints.edge * longest + joints.arc)
    after = np.clip(after, lines.offsets[joints.edge] + 1, lines.offsets[joints.edge + 1] - 1)
    before = after - 1
    # Neither end of an edge is a joint.
    low, high = joints.arc - arc[before], arc[after] - joints.arc
    inner_low = before > lines.offsets[joints.edge]
    inner_high = after < lines.offsets[joints.edge + 1] - 1
    take_low = inner_low & (low < _AT_VERTEX) & ((low <= high + _TIE) | ~inner_high)
    take_high = ~take_low & inner_high & (high < _AT_VERTEX)
    insert = ~take_low & ~take_high
    share = np.clip(low / np.maximum(low + high, 1e-9), 0.0, 1.0)[insert]
    at, a, b = after[insert], before[insert], after[insert]

    def between(value: Floats) -> Floats:
        return (1 - share) * value[a] + share * value[b]

    vertex = np.where(take_low, before, after)
    # An inserted vertex comes before the one that was there, and after those inserted earlier.
    vertex += np.searchsorted(np.sort(at), vertex, side="right")
    vertex[insert] = at + np.arange(len(at))
    return dataclasses.replace(
        lines,
        offsets=lines.offsets + np.searchsorted(np.sort(at), lines.offsets, side="left"),
        row=np.insert(lines.row, at, between(lines.row)),
        col=np.insert(lines.col, at, between(lines.col)),
        d_row=np.insert(lines.d_row, at, np.float32(np.nan)),
        d_col=np.insert(lines.d_col, at, np.float32(np.nan)),
        width_px=np.insert(
            lines.width_px, at, between(lines.width_px.astype(np.float64)).astype(np.float32)
        ),
        probability=np.insert(
            lines.probability, at, np.minimum(lines.probability[a], lines.probability[b])
        ),
    ), vertex


def _appended(lines: Centerlines, tips: Tips, new: NewEdges, stop: Ints) -> Centerlines:
    """Add the new edges after the others, with their ends at their nodes."""
    start = tips.node[new.tip]
    offsets = np.concatenate([[0], np.cumsum(new.size)]).astype(np.int64)
    row, col = new.row.copy(), new.col.copy()
    row[offsets[:-1]], col[offsets[:-1]] = lines.node_row[start], lines.node_col[start]
    row[offsets[1:] - 1], col[offsets[1:] - 1] = lines.node_row[stop], lines.node_col[stop]
    # The path is where the middle of the road is taken to be.
    known = np.zeros(len(row), np.float32)
    return dataclasses.replace(
        lines,
        start=np.concatenate([lines.start, start]),
        end=np.concatenate([lines.end, stop]),
        key=np.concatenate([lines.key, -1 - 2 * tips.key[new.tip]]),
        bridged=np.concatenate([lines.bridged, np.ones(len(new.size), bool)]),
        offsets=np.concatenate([lines.offsets, lines.offsets[-1] + offsets[1:]]),
        row=np.concatenate([lines.row, row]),
        col=np.concatenate([lines.col, col]),
        d_row=np.concatenate([lines.d_row, known]),
        d_col=np.concatenate([lines.d_col, known]),
        width_px=np.concatenate([lines.width_px, new.width_px.astype(np.float32)]),
        probability=np.concatenate([lines.probability, new.probability]),
    )


def _numbered(lines: Centerlines) -> Centerlines:
    """Renumber the nodes in the order of their pixels."""
    rank = np.lexsort([lines.node_col, lines.node_row, lines.node_key])
    number = np.empty(len(rank), np.int64)
    number[rank] = np.arange(len(rank))
    return dataclasses.replace(
        lines,
        start=number[lines.start],
        end=number[lines.end],
        **{
            name: getattr(lines, name)[rank]
            for name in (
                "node_key",
                "node_row",
                "node_col",
                "node_width_px",
                "node_reach_px",
                "node_exit",
                "node_blank_px",
            )
        },
    )
