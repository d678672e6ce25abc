"""Dead ends where the mask shows that the road ends."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from roadgis.arrays import Bools, Floats, Ints
from roadgis.network.arcs import Arcs
from roadgis.network.centerlines import Centerlines

__all__ = ["SeenEnds", "with_seen_ends"]

#: Within this many widths of a dead end, and pixels more, the skeleton may turn into a corner.
_TURN, _TURN_PX = 1.0, 1.0
#: at most this share of an edge.
_MOST = 0.6
#: No arc is followed over a larger angle, radians.
_ANGLE = 1.5


class SeenEnds(NamedTuple):
    """Lines of which the dead ends are where the road's middle line ends.

    Attributes
    ----------
    lines : Centerlines
        With nodes moved, and the vertices near them.
    node : ndarray of bool, shape (N,)
        Dead ends that are placed.
    vertex : ndarray of bool, shape (V,)
        Vertices that were moved.
    """

    lines: Centerlines
    node: Bools
    vertex: Bools


def with_seen_ends(
    lines: Centerlines, edge_width_px: Floats, held: Bools | None = None
) -> SeenEnds:
    """Put dead ends where the mask shows the road to end, and lead the lines there.

    Not where the road leaves the raster or runs into no data, and not where the line has been
    cut since it was traced.

    Parameters
    ----------
    lines : Centerlines
        Vertices in the middle of the road.
    edge_width_px : ndarray of float64, shape (E,)
        Width of each road.
    held : ndarray of bool, shape (N,), optional
        Nodes that stay where they are.
    """
    number = _of_nodes(lines)
    if held is not None:
        number[held] = -1
    node = number >= 0
    vertex = np.zeros(len(lines.row), bool)
    ends = lines.road_ends
    node_row, node_col = lines.node_row.copy(), lines.node_col.copy()
    node_row[node] += ends.row[number[node]]
    node_col[node] += ends.col[number[node]]
    row, col = lines.row.copy(), lines.col.copy()
    for arc, at, at_end in zip(
        lines.distance_along, (lines.start, lines.end), (False, True), strict=True
    ):
        turn = np.minimum(_TURN * edge_width_px + _TURN_PX, _MOST * lines.length_px)
        foot = lines.first_vertex_beyond(arc, turn, at_end)
        some = np.flatnonzero(node[at] & (arc[foot] > 0))
        of, foot = number[at[some]], foot[some]
        axis = Arcs(
            np.stack([node_row[at[some]], node_col[at[some]]], axis=1),
            np.stack([ends.d_row[of], ends.d_col[of]], axis=1),
            ends.bend[of],
        )
        axis, along, gap = _joined(axis, lines.row[foot], lines.col[foot])
        rank = np.full(len(lines), -1)
        rank[some] = np.arange(len(some))
        which = rank[lines.edge_of_vertex]
        near = np.flatnonzero((which >= 0) & (arc < turn[lines.edge_of_vertex]))
        which = which[near]
        share = arc[near] / arc[foot][which]
        ease = share**2 * (3 - 2 * share)
        chosen = Arcs._make(array[which] for array in axis)
        place = _points(chosen, along[which] * share) + ease[:, None] * gap[which]
        row[near], col[near] = place.T
        vertex[near] = True
    return SeenEnds(
        dataclasses.replace(lines, row=row, col=col, node_row=node_row, node_col=node_col),
        node,
        vertex,
    )


def _joined(axis: Arcs, row: Floats, col: Floats) -> tuple[Arcs, Floats, Floats]:
    """Return arcs from dead ends, how far along them points are, and how far beside, (K, 2)."""
    along = np.minimum(axis.along_of(row, col), 0.0)
    axis = axis._replace(bend=np.where(np.abs(along * axis.bend) < _ANGLE, axis.bend, 0.0))
    return axis, along, np.stack([row, col], axis=1) - _points(axis, along)


def _points(axis: Arcs, along: Floats) -> Floats:
    """Return a point (K, 2) on each arc."""
    row, col = axis.points(along[:, None], np.zeros((len(along), 1)))
    return np.stack([row[:, 0, 0], col[:, 0, 0]], axis=1)


def _of_nodes(lines: Centerlines) -> Ints:
    """Return which of the seen ends each node has, -1 for none, (N,)."""
    ends, grid = lines.road_ends, lines.grid
    out = np.full(len(lines.node_key), -1)
    if not len(ends.id):
        return out
    number = np.minimum(np.searchsorted(ends.id, lines.node_key), len(ends.id) - 1)
    pixel_row, pixel_col = np.divmod(lines.node_key, grid.width)
    # A line that was cut or moved since ends elsewhere.
    same = (ends.id[number] == lines.node_key) & (lines.degree == 1) & ~lines.node_leaves_raster
    same &= (lines.node_row == pixel_row) & (lines.node_col == pixel_col)
    row, col = lines.node_row + ends.row[number], lines.node_col + ends.col[number]
    same &= (row > -0.5) & (row < grid.height - 0.5) & (col > -0.5) & (col < grid.width - 0.5)
    # No data begins half a pixel before the middle of its first pixel.
    same &= np.hypot(ends.row[number], ends.col[number]) < lines.node_nodata_distance_px - 0.5
    return np.where(same, number, out)
