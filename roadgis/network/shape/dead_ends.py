"""Place dead ends: where the mask shows that the road ends, or straight ahead.

Shapes: E edges, V vertices, N nodes, A edge ends, K arcs.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from roadgis.arrays import Bools, Floats, Ints
from roadgis.network.centerlines import Centerlines
from roadgis.network.edge_ends import EdgeEnds


@dataclass(frozen=True)
class DeadEndTuning:
    """Constants of the placement of dead ends.

    Not fitted to imagery; checked on drawn networks (perfect masks; decision 0019).
    """

    #: Within this many widths of a dead end the skeleton may turn into a corner of the road,
    turn_widths: float = 1.0
    #: and this many pixels more,
    turn_px: float = 1.0
    #: at most this share of the edge.
    most_of_edge: float = 0.6
    #: Largest angle of an arc that is followed, radians.
    arc_angle: float = 1.5
    #: Largest angle by which a dead end is prolonged beyond what is seen of its arc, radians.
    prolonged_angle: float = 2.0
    #: A road that leaves the raster is extended to the edge if its end is nearer than this, pixels.
    border_px: float = 3.0


TUNING = DeadEndTuning()


class Arcs(NamedTuple):
    """Arcs of circles; straight lines where the curvature is 0.

    Attributes
    ----------
    origin : ndarray of float64, shape (K, 2)
        Start of each arc, row and column.
    unit : ndarray of float64, shape (K, 2)
        Direction at the start.
    bend : ndarray of float64, shape (K,)
        Curvature, 1/pixels, positive towards (-unit column, unit row).
    """

    origin: Floats
    unit: Floats
    bend: Floats

    def along_of(self, row: float | Floats = 0.0, col: float | Floats = 0.0) -> Floats:
        """Return the distance along each arc at which it is nearest to a point, (K,)."""
        row, col = row - self.origin[:, 0], col - self.origin[:, 1]
        forth = row * self.unit[:, 0] + col * self.unit[:, 1]
        side = col * self.unit[:, 0] - row * self.unit[:, 1]
        bend = np.where(self.bend == 0, 1.0, self.bend)
        arc = np.arctan2(bend * forth, 1 - bend * side) / bend
        return np.asarray(np.where(self.bend == 0, forth, arc), np.float64)

    def points(self, along: Floats, across: Floats) -> tuple[Floats, Floats]:
        """Return rows and columns, (K, S, C), of places along (K, S) and across (K, C) arcs."""
        angle = self.bend[:, None] * along
        chord = along * np.sinc(angle / 2 / np.pi)
        forth, side = chord * np.cos(angle / 2), chord * np.sin(angle / 2)
        forth = forth[..., None] - np.sin(angle)[..., None] * across[:, None]
        side = side[..., None] + np.cos(angle)[..., None] * across[:, None]
        d_row, d_col = self.unit[:, 0, None, None], self.unit[:, 1, None, None]
        row, col = forth * d_row, forth * d_col
        row += self.origin[:, 0, None, None]
        col += self.origin[:, 1, None, None]
        row -= side * d_col
        col += side * d_row
        return row, col

    def moved(self, along: Floats, across: Floats, tilt: Floats, bend: Floats) -> Arcs:
        """Return the arcs that begin at distances along and across these, (K,) each.

        They are turned there by the tangent `tilt`, and their curvature is larger by `bend`.
        """
        row, col = self.points(along[:, None], across[:, None])
        angle = self.bend * along + np.arctan(tilt)
        turned, side = np.cos(angle)[:, None], np.sin(angle)[:, None]
        normal = np.stack([-self.unit[:, 1], self.unit[:, 0]], axis=1)
        return Arcs(
            origin=np.stack([row[:, 0, 0], col[:, 0, 0]], axis=1),
            unit=turned * self.unit + side * normal,
            bend=self.bend + bend,
        )


class MeasuredEnds(NamedTuple):
    """Result of :func:`place_measured_ends`.

    Attributes
    ----------
    lines : Centerlines
        With nodes moved, and the vertices near them.
    node : ndarray of bool, shape (N,)
        Dead ends that were placed.
    vertex : ndarray of bool, shape (V,)
        Vertices that were moved.
    """

    lines: Centerlines
    node: Bools
    vertex: Bools


def place_measured_ends(
    lines: Centerlines, edge_width_px: Floats, fixed: Bools | None = None
) -> MeasuredEnds:
    """Move dead ends to where the mask shows that the road ends, and bend the lines there.

    Dead ends stay where the road leaves the raster or runs into nodata, and where the line has been
    cut since it was traced.

    Parameters
    ----------
    lines : Centerlines
        Vertices in the middle of the road.
    edge_width_px : ndarray of float64, shape (E,)
        Width of each road.
    fixed : ndarray of bool, shape (N,), optional
        Nodes that are not moved.
    """
    number = _of_nodes(lines)
    if fixed is not None:
        number[fixed] = -1
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
        turn = np.minimum(
            TUNING.turn_widths * edge_width_px + TUNING.turn_px,
            TUNING.most_of_edge * lines.length_px,
        )
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
    return MeasuredEnds(
        dataclasses.replace(lines, row=row, col=col, node_row=node_row, node_col=node_col),
        node,
        vertex,
    )


def _joined(axis: Arcs, row: Floats, col: Floats) -> tuple[Arcs, Floats, Floats]:
    """Return arcs from dead ends, points' distances along them, and offsets from them, (K, 2)."""
    along = np.minimum(axis.along_of(row, col), 0.0)
    axis = axis._replace(
        bend=np.where(np.abs(along * axis.bend) < TUNING.arc_angle, axis.bend, 0.0)
    )
    return axis, along, np.stack([row, col], axis=1) - _points(axis, along)


def _points(axis: Arcs, along: Floats) -> Floats:
    """Return a point (K, 2) on each arc."""
    row, col = axis.points(along[:, None], np.zeros((len(along), 1)))
    return np.stack([row[:, 0, 0], col[:, 0, 0]], axis=1)


def _of_nodes(lines: Centerlines) -> Ints:
    """Return the number of each node's entry in `road_ends`, -1 for none, (N,)."""
    ends, grid = lines.road_ends, lines.grid
    out = np.full(len(lines.node_key), -1)
    if not len(ends.id):
        return out
    number = np.minimum(np.searchsorted(ends.id, lines.node_key), len(ends.id) - 1)
    pixel_row, pixel_col = np.divmod(lines.node_key, grid.width)
    # A line that was cut or moved since has another end.
    same = (ends.id[number] == lines.node_key) & (lines.degree == 1) & ~lines.node_leaves_raster
    same &= (lines.node_row == pixel_row) & (lines.node_col == pixel_col)
    row, col = lines.node_row + ends.row[number], lines.node_col + ends.col[number]
    same &= (row > -0.5) & (row < grid.height - 0.5) & (col > -0.5) & (col < grid.width - 0.5)
    # Nodata begins half a pixel before the centre of its first pixel.
    same &= np.hypot(ends.row[number], ends.col[number]) < lines.node_nodata_distance_px - 0.5
    return np.where(same, number, out)


def prolong_dead_ends(lines: Centerlines, ends: EdgeEnds, unseen: Bools) -> Centerlines:
    """Move some dead ends ahead of their feet by the skeleton and what thinning removed from it."""
    tip = np.flatnonzero(unseen[ends.node] & ends.known)
    node = ends.node[tip]
    d_row, d_col, bend = ends.d_row[tip], ends.d_col[tip], ends.bend[tip]
    straight = np.maximum(ends.node_ahead(lines)[tip], 0.0)
    row, col = lines.node_row[node] - ends.row[tip], lines.node_col[node] - ends.col[tip]
    side = col * d_row - row * d_col
    # On an arc the way is longer than straight ahead.
    curve = np.where(bend == 0, 1.0, bend)
    arc = np.arctan2(curve * straight, 1 - curve * side) / curve
    arc = np.where(bend == 0, straight, arc)
    ahead = np.maximum(arc + lines.node_shortening_px[node], 0.0)
    # Nodata begins half a pixel before the centre of its first pixel.
    to_nodata = straight + np.maximum(lines.node_nodata_distance_px[node] - 0.5, 0)
    border = np.minimum(_to_border(lines, ends.row[tip], ends.col[tip], d_row, d_col), to_nodata)
    # A road that continues beyond the raster, or into nodata, is extended to the edge.
    exits = lines.node_leaves_raster[node] & (border < ahead + TUNING.border_px)
    ahead = np.where(exits, border, np.minimum(ahead, border))
    # No arc is prolonged by more than a third of its circle.
    bend = np.where(exits, 0.0, bend)
    angle = np.clip(bend * ahead, -TUNING.prolonged_angle, TUNING.prolonged_angle)
    forth = np.where(angle == 0, ahead, ahead * np.sinc(angle / np.pi))
    side = ahead * np.sinc(angle / 2 / np.pi) * np.sin(angle / 2)
    node_row, node_col = lines.node_row.copy(), lines.node_col.copy()
    node_row[node] = ends.row[tip] + forth * d_row - side * d_col
    node_col[node] = ends.col[tip] + forth * d_col + side * d_row
    return dataclasses.replace(lines, node_row=node_row, node_col=node_col)


def _to_border(
    lines: Centerlines, row: Floats, col: Floats, d_row: Floats, d_col: Floats
) -> Floats:
    """Return the distance ahead to the raster's outer edge, pixels; inf if there is none."""
    out = np.full(len(row), np.inf)
    for value, step, size in ((row, d_row, lines.grid.height), (col, d_col, lines.grid.width)):
        border = np.where(step > 0, size - 0.5, -0.5)
        moving = step != 0
        out[moving] = np.minimum(out[moving], (border[moving] - value[moving]) / step[moving])
    return np.asarray(np.maximum(out, 0), np.float64)
