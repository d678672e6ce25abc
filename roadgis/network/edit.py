"""Edit a network: split edges, join them, add edges, merge and move nodes.

Each function takes centrelines and returns new ones; none changes its input. Values per edge,
vertex and node are carried along by their field lists in :mod:`roadgis.network.centerlines`, so a
field without a rule below is an error, not a value that is silently lost.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from roadgis.arrays import Bools, Floats, Ints
from roadgis.network.centerlines import (
    EDGE_FIELDS,
    NODE_FIELDS,
    VERTEX_FIELDS,
    Centerlines,
)
from roadgis.network.paths import order_paths

#: `insert_vertices` takes an existing vertex that is nearer than this, pixels.
_AT_VERTEX_PX = 0.75
#: Distances that differ by less are equal: their last digits depend on the order of edges.
_TIE_PX = 1e-6

_Rule = Callable[[Any, Any], Any]


def _mean(a: Any, b: Any) -> Any:
    return (a + b) / 2


def _unknown(a: Any, b: Any) -> Any:
    return np.full_like(a, np.nan)


#: Value of a vertex that is inserted between two others; None: interpolated along the edge.
_BETWEEN: dict[str, _Rule | None] = {
    "row": None,
    "col": None,
    "d_row": _unknown,
    "d_col": _unknown,
    "width_px": None,
    "probability": np.minimum,
}
#: Value of a node that two nodes are merged into.
_MERGED: dict[str, _Rule] = {
    "node_key": np.minimum,
    "node_row": _mean,
    "node_col": _mean,
    "node_width_px": np.maximum,
    "node_shortening_px": np.maximum,
    "node_leaves_raster": np.logical_or,
    "node_nodata_distance_px": np.minimum,
}


def split(lines: Centerlines, vertices: Ints, key: Ints | None = None) -> Centerlines:
    """Split edges at vertices.

    Parameters
    ----------
    vertices : ndarray of int64, shape (K,)
        Vertices that become nodes: ascending, each once, none at the end of an edge.
    key : ndarray of int64, shape (K,), optional
        Key of the piece that begins at each vertex; the piece before it keeps the edge's key. By
        default each piece takes the lowest pixel of its inner vertices.

    Returns
    -------
    Centerlines
        Pieces in the order of the edges. The new nodes come last, in the order of `vertices`; like
        at any junction, the middle of the road is unknown there.
    """
    begins = np.sort(np.concatenate([lines.offsets[:-1], vertices]))
    is_cut = np.isin(begins, vertices, assume_unique=True)
    before_cut = np.append(is_cut[1:], False)
    # The vertex of a cut belongs to the piece before it, too.
    stops = np.append(begins[1:], len(lines.row)) + before_cut
    edge = np.searchsorted(lines.offsets, begins, side="right") - 1
    node = len(lines.node_key) + np.cumsum(is_cut) - 1
    pixel = (np.rint(lines.row) * lines.grid.width + np.rint(lines.col)).astype(np.int64)
    new_key = lines.key[edge]
    if key is None:
        ends = np.stack([np.minimum(begins + 1, stops - 1), stops - 1]).T.ravel()
        inner = np.minimum.reduceat(np.append(pixel, np.iinfo(np.int64).max), ends)[::2]
        new_key = np.where(is_cut | before_cut, inner, new_key)
    else:
        new_key[is_cut] = key
    d_row, d_col = lines.d_row.copy(), lines.d_col.copy()
    d_row[vertices], d_col[vertices] = np.nan, np.nan
    pieces = dataclasses.replace(lines, d_row=d_row, d_col=d_col).with_edges(edge, begins, stops)
    added = {
        "node_key": pixel[vertices],
        "node_row": lines.row[vertices],
        "node_col": lines.col[vertices],
        "node_width_px": lines.width_px[vertices],
        "node_shortening_px": np.zeros(len(vertices), np.float32),
        "node_leaves_raster": np.zeros(len(vertices), bool),
        "node_nodata_distance_px": np.full(len(vertices), np.inf, np.float32),
    }
    nodes: dict[str, Any] = {
        name: np.concatenate([getattr(lines, name), added[name]]) for name in NODE_FIELDS
    }
    return dataclasses.replace(
        pieces,
        start=np.where(is_cut, node, lines.start[edge]),
        end=np.where(before_cut, node + 1, lines.end[edge]),
        key=new_key,
        **nodes,
    )


def insert_vertices(lines: Centerlines, edge: Ints, along: Floats) -> tuple[Centerlines, Ints]:
    """Make sure that edges have a vertex at some places; a near one will do.

    Parameters
    ----------
    edge : ndarray of int64, shape (K,)
        Edge of each place; ascending.
    along : ndarray of float64, shape (K,)
        Distance of each place from the edge's start, pixels; ascending on each edge.

    Returns
    -------
    Centerlines
        With more vertices.
    ndarray of int64, shape (K,)
        The vertex at each place; never the end of an edge.
    """
    arc, _ = lines.distance_along
    # Distances rise along an edge; with the edge in front they rise over all vertices.
    longest = float(arc.max()) + 1 if len(arc) else 1.0
    after = np.searchsorted(lines.edge_of_vertex * longest + arc, edge * longest + along)
    after = np.clip(after, lines.offsets[edge] + 1, lines.offsets[edge + 1] - 1)
    before = after - 1
    low, high = along - arc[before], arc[after] - along
    inner_low, inner_high = before > lines.offsets[edge], after < lines.offsets[edge + 1] - 1
    take_low = inner_low & (low < _AT_VERTEX_PX) & ((low <= high + _TIE_PX) | ~inner_high)
    take_high = ~take_low & inner_high & (high < _AT_VERTEX_PX)
    new = ~take_low & ~take_high
    share = np.clip(low / np.maximum(low + high, 1e-9), 0.0, 1.0)[new]
    at, a, b = after[new], before[new], after[new]
    vertex = np.where(take_low, before, after)
    # An inserted vertex comes before the one that was there, and after those inserted earlier.
    vertex += np.searchsorted(np.sort(at), vertex, side="right")
    vertex[new] = at + np.arange(len(at))
    values: dict[str, Any] = {}
    for name in VERTEX_FIELDS:
        old, rule = getattr(lines, name), _BETWEEN[name]
        between = rule(old[a], old[b]) if rule else (1 - share) * old[a] + share * old[b]
        values[name] = np.insert(old, at, between.astype(old.dtype))
    offsets = lines.offsets + np.searchsorted(np.sort(at), lines.offsets, side="left")
    return dataclasses.replace(lines, offsets=offsets, **values), vertex


def add_edges(lines: Centerlines, more: Centerlines, keep: Bools | None = None) -> Centerlines:
    """Return the lines followed by the edges of `more`, which has their nodes, and more of them.

    Edges for which `keep`, (E,) bool, is False are left out.
    """
    keep = np.ones(len(lines), bool) if keep is None else keep
    size = np.diff(lines.offsets)
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(lines, name)[kept], getattr(more, name)])
        for names, kept in ((EDGE_FIELDS, keep), (VERTEX_FIELDS, np.repeat(keep, size)))
        for name in names
    }
    offsets = np.concatenate([[0], np.cumsum(np.concatenate([size[keep], np.diff(more.offsets)]))])
    return dataclasses.replace(more, offsets=offsets.astype(np.int64), **joined)


def merge_nodes(
    lines: Centerlines,
    first: Ints,
    second: Ints,
    width_px: Floats | None = None,
    keep: Bools | None = None,
) -> Centerlines:
    """Merge disjoint pairs of nodes; each merged node lies in the middle of its pair.

    Parameters
    ----------
    lines : Centerlines
        An edge between the nodes of a pair becomes a loop, unless it is dropped.
    first, second : ndarray of int64, shape (K,)
        The pairs. The lower node of each stays; no edge uses the other one any more.
    width_px : ndarray, shape (K,), optional
        Width at each merged node; by default the larger one of the two.
    keep : ndarray of bool, shape (E,), optional
        Edges that are not dropped.
    """
    low, high = np.minimum(first, second), np.maximum(first, second)
    target = np.arange(len(lines.node_key))
    target[high] = low
    values: dict[str, Any] = {name: getattr(lines, name).copy() for name in NODE_FIELDS}
    for name, value in values.items():
        value[low] = _MERGED[name](value[low], value[high])
    if width_px is not None:
        values["node_width_px"][low] = width_px
    # Keys stay unique: the node that is no longer used has the other one.
    values["node_key"][high] = np.maximum(lines.node_key[low], lines.node_key[high])
    lines = lines.take(np.arange(len(lines)) if keep is None else np.flatnonzero(keep))
    merged = dataclasses.replace(lines, start=target[lines.start], end=target[lines.end], **values)
    _lead_to_nodes(merged)
    return merged


def move_nodes(lines: Centerlines, node_row: Floats, node_col: Floats) -> Centerlines:
    """Return the lines with their nodes elsewhere, and the ends of all edges at their nodes.

    At junctions the middle of the road is unknown then.
    """
    own = {name: getattr(lines, name).copy() for name in ("row", "col", "d_row", "d_col")}
    out = dataclasses.replace(lines, node_row=node_row, node_col=node_col, **own)
    _lead_to_nodes(out)
    return out


def _lead_to_nodes(lines: Centerlines) -> None:
    """Move the ends of all edges to their nodes, in place."""
    for vertex, node in ((lines.offsets[:-1], lines.start), (lines.offsets[1:] - 1, lines.end)):
        lines.row[vertex], lines.col[vertex] = lines.node_row[node], lines.node_col[node]
        junction = vertex[lines.degree[node] != 1]
        lines.d_row[junction], lines.d_col[junction] = np.nan, np.nan


def take_nodes(lines: Centerlines, nodes: Ints) -> Centerlines:
    """Return the lines with some nodes by number, in that order; all that edges use are needed."""
    number = np.full(len(lines.node_key), -1)
    number[nodes] = np.arange(len(nodes))
    return dataclasses.replace(
        lines,
        start=number[lines.start],
        end=number[lines.end],
        **{name: getattr(lines, name)[nodes] for name in NODE_FIELDS},
    )


def merge_interstitial(lines: Centerlines) -> Centerlines:
    """Join edges that meet at a node of degree 2.

    The node of a ring stays, and one between a bridge and a traced line.
    """
    interstitial = lines.degree == 2
    ends = np.concatenate([lines.start[lines.bridged], lines.end[lines.bridged]])
    inferred = np.bincount(ends, minlength=len(interstitial))
    interstitial &= inferred != 1
    loop = lines.start == lines.end
    interstitial[lines.start[loop]] = False
    if not interstitial.any():
        return lines
    count = len(lines)
    edge, _, node = lines.edge_ends
    inner = interstitial[node]
    rank = np.argsort(node[inner], kind="stable")
    links = edge[inner][rank].reshape(-1, 2)
    link_node = node[inner][rank][::2]
    paths = order_paths(count, links, lines.key)
    first, last = paths.order[paths.offsets[:-1]], paths.order[paths.offsets[1:] - 1]
    flip = _against_path(lines, paths.order, paths.offsets, links, link_node)
    # The shared vertex of a piece and the next occurs once.
    again = np.ones(count, bool)
    again[paths.offsets[:-1]] = False
    back = flip[paths.order]
    begin = lines.offsets[paths.order] + (again & ~back)
    stop = lines.offsets[paths.order + 1] - (again & back)
    joined = lines.with_edges(first, begin, stop, back, paths.offsets[:-1])
    return dataclasses.replace(
        joined,
        start=np.where(flip[first], lines.end[first], lines.start[first]),
        end=np.where(flip[last], lines.start[last], lines.end[last]),
        key=np.minimum.reduceat(lines.key[paths.order], paths.offsets[:-1]),
    )


def _against_path(
    lines: Centerlines, order: Ints, offsets: Ints, links: Ints, link_node: Ints
) -> Bools:
    """Return which edges run against their path, (E,)."""
    count = len(order)
    same = np.ones(count - 1, bool)
    same[offsets[1:-1] - 1] = False
    here, there = order[:-1][same], order[1:][same]
    # Two edges that form a ring meet at two nodes; either will do, if it is the same for both.
    pair = np.sort(links, axis=1) @ np.array([count, 1])
    rank = np.lexsort([link_node, pair])
    wanted = np.minimum(here, there) * count + np.maximum(here, there)
    shared = link_node[rank[np.searchsorted(pair[rank], wanted)]]
    flip = np.zeros(count, bool)
    flip[there] = lines.start[there] != shared
    flip[here] = lines.end[here] != shared
    return flip
