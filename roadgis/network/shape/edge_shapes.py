"""The shape of edges: without staircases, crisp at the ends, with as few vertices as needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely

from roadgis.arrays import Bools, Floats, Ints, Lines
from roadgis.network.centerlines import Centerlines
from roadgis.network.edit import take_nodes
from roadgis.network.paths import components
from roadgis.network.shape.junction_placement import place_nodes
from roadgis.network.shape.smooth import smoothed, with_corners, with_middles, with_ring_nodes

__all__ = ["edge_shapes"]

#: Edges that are placed together, with those around them: what is large is bounded by this.
_TOGETHER = 1 << 14
#: How far around an edge others have a say in where it is placed: its nodes lie where the arms
#: of all edges there meet; an arm begins farther away when the other arm of its edge does, which
#: follows from where the edges at that one's node meet; and their arms from the degree of the
#: nodes at their other ends.
_RINGS = 3
#: Shapes to choose from, the best one first: simplified; smoothed; the pixels away from
#: junctions; all pixels.
_SIMPLIFIED, _SMOOTH, _PIXELS = 0, 1, 3


def edge_shapes(
    lines: Centerlines, width_px: Floats, smooth_px: float, tolerance_m: float
) -> tuple[Lines, Floats]:
    """Give edges their final shape: smoothed, crisp at the ends, simplified.

    Where that would make an edge cross itself or another one, the edges concerned fall
    back to a shape nearer to the pixels, of which no two cross. What crosses even then does
    so because nodes were moved: these stay on the skeleton, and the edges there take their
    shapes again, with those that fell back because of them.

    Parameters
    ----------
    lines : Centerlines
        Noded; ends at the nodes.
    width_px : ndarray of float64, shape (E,)
        Width of each road.
    smooth_px : float
        Standard deviation of the smoothing, pixels.
    tolerance_m : float
        Largest distance between a smoothed line and the simplified one, metres.

    Returns
    -------
    ndarray of LineString, shape (E,)
        In the grid's CRS.
    ndarray of float64, shape (N, 2)
        Nodes; the ends of the lines.
    """
    placed = _Placed(
        lines.row.copy(),
        lines.col.copy(),
        np.ones(len(lines.row), bool),
        lines.node_row.copy(),
        lines.node_col.copy(),
    )
    held = np.zeros(len(lines.node_key), bool)
    drawing = _Drawing(lines, placed, tolerance_m)
    changed = np.arange(len(lines))
    while True:
        for some in _portions(changed):
            _place(placed, lines, width_px, smooth_px, held, some)
        crossing = drawing.redraw(changed)
        at_fault = np.zeros_like(held)
        at_fault[lines.start[crossing]], at_fault[lines.end[crossing]] = True, True
        at_fault &= ~held
        if not at_fault.any():
            return drawing.shapes, lines.grid.xy(placed.node_row, placed.node_col)
        held |= at_fault
        changed = _edges_at(lines, at_fault)


@dataclass(frozen=True)
class _Placed:
    """Where the vertices of some lines, and their nodes, come to lie; changed in place.

    Attributes
    ----------
    row, col : ndarray of float64, shape (V,)
        Vertices.
    undisturbed : ndarray of bool, shape (V,)
        Vertices away from junctions and ends.
    node_row, node_col : ndarray of float64, shape (N,)
        Nodes.
    """

    row: Floats
    col: Floats
    undisturbed: Bools
    node_row: Floats
    node_col: Floats


def _portions(edges: Ints) -> Iterator[Ints]:
    for begin in range(0, len(edges), _TOGETHER):
        yield edges[begin : begin + _TOGETHER]


def _edges_at(lines: Centerlines, nodes: Bools) -> Ints:
    """Return the edges with an end at any of some nodes, ascending."""
    return np.flatnonzero(nodes[lines.start] | nodes[lines.end])


def _place(
    placed: _Placed, lines: Centerlines, width_px: Floats, smooth_px: float, held: Bools, some: Ints
) -> None:
    """Place some edges and the nodes at which they end.

    So that they come to lie where they would if all edges were placed at once, the edges
    around them are looked at too.
    """
    around = some
    for _ in range(_RINGS):
        near = np.zeros(len(held), bool)
        near[lines.start[around]], near[lines.end[around]] = True, True
        around = _edges_at(lines, near)
    part, nodes = _part(lines, around)
    ends = place_nodes(with_middles(part), width_px[around], held[nodes])
    bent, corners = with_corners(ends.lines, width_px[around], ends.undisturbed)
    new = with_ring_nodes(smoothed(bent, smooth_px, corners))
    here = np.searchsorted(around, some)
    vertices, vertices_here = lines.vertices_of(some), new.vertices_of(here)
    placed.row[vertices], placed.col[vertices] = new.row[vertices_here], new.col[vertices_here]
    placed.undisturbed[vertices] = ends.undisturbed[vertices_here]
    moved = np.unique(np.concatenate([new.start[here], new.end[here]]))
    placed.node_row[nodes[moved]] = new.node_row[moved]
    placed.node_col[nodes[moved]] = new.node_col[moved]


def _part(lines: Centerlines, edges: Ints) -> tuple[Centerlines, Ints]:
    """Return some edges with their nodes only, in the same order, and which nodes these are."""
    if len(edges) == len(lines):
        return lines, np.arange(len(lines.node_key))
    part = lines.take(edges)
    nodes = np.unique(np.concatenate([part.start, part.end]))
    return take_nodes(part, nodes), nodes


class _Drawing:
    """The shapes of all edges, each the best one that nothing crosses.

    Attributes
    ----------
    shapes : ndarray of LineString, shape (E,)
        In the grid's CRS.
    """

    def __init__(self, lines: Centerlines, placed: _Placed, tolerance_m: float) -> None:
        count = len(lines)
        self.shapes = np.full(count, None, object)
        self._lines, self._placed, self._tolerance_m = lines, placed, tolerance_m
        self._level = np.zeros(count, np.int8)
        self._crossing = np.zeros(count, bool)
        self._tree: shapely.STRtree | None = None
        #: Edges that have another shape than in the tree.
        self._redrawn = np.zeros(count, bool)
        #: Pairs of edges that crossed at any time, and that fall back together.
        self._met = np.empty((0, 2), np.int64)

    def redraw(self, changed: Ints) -> Bools:
        """Choose shapes again for edges whose vertices have been placed anew.

        Those that fell back with them choose again, too: what they crossed has changed.

        Returns
        -------
        ndarray of bool, shape (E,)
            Edges that cross something in their last shape too.
        """
        changed = self._with_companions(changed)
        self._level[changed] = _SIMPLIFIED
        self._crossing[changed] = False
        while len(changed):
            self._draw(changed)
            pairs = self._crossed_by(changed)
            bad = np.zeros(len(self.shapes), bool)
            bad[changed] = ~shapely.is_simple(self.shapes[changed])
            bad[pairs] = True
            self._crossing |= bad & (self._level == _PIXELS)
            self._met = np.concatenate([self._met, pairs])
            changed = np.flatnonzero(bad & (self._level < _PIXELS))
            self._level[changed] += 1
        return self._crossing

    def _with_companions(self, edges: Ints) -> Ints:
        """Return edges with all that are linked to them by pairs that crossed, ascending."""
        members, links = np.unique(self._met, return_inverse=True)
        if not len(members):
            return edges
        group = components(len(members), links.reshape(-1, 2))
        linked = np.isin(group, group[np.isin(members, edges)])
        return np.union1d(edges, members[linked])

    def _draw(self, edges: Ints) -> None:
        """Give edges the shape of their level."""
        for level in np.unique(self._level[edges]).tolist():
            for some in _portions(edges[self._level[edges] == level]):
                self.shapes[some] = self._drawn(some, level)

    def _drawn(self, edges: Ints, level: int) -> Lines:
        """Return the edges of a level, from node to node."""
        lines, placed = self._lines, self._placed
        vertex = lines.vertices_of(edges)
        size = np.diff(lines.offsets)[edges]
        first, last = np.cumsum(size) - size, np.cumsum(size) - 1
        source = placed if level <= _SMOOTH else lines
        row, col = source.row[vertex], source.col[vertex]
        for at, node in ((first, lines.start[edges]), (last, lines.end[edges])):
            row[at], col[at] = placed.node_row[node], placed.node_col[node]
        edge = np.repeat(np.arange(len(edges)), size)
        if _SMOOTH < level < _PIXELS:
            keep = placed.undisturbed[vertex]
            keep[first], keep[last] = True, True
            row, col, edge = row[keep], col[keep], edge[keep]
        shapes = shapely.linestrings(lines.grid.xy(row, col), indices=edge)
        if level == _SIMPLIFIED:
            shapes = shapely.simplify(shapes, self._tolerance_m, preserve_topology=False)
        return np.asarray(shapes, object)

    def _crossed_by(self, edges: Ints) -> Ints:
        """Return the pairs (K, 2) of edges that cross, the first of them one of some edges.

        One tree holds all lines as they were at first; the few that changed get one of
        their own each time.
        """
        if self._tree is None:
            self._tree = shapely.STRtree(self.shapes)
            others = np.empty(0, np.int64)
        else:
            self._redrawn[edges] = True
            others = np.flatnonzero(self._redrawn)
        lines = self.shapes[edges]
        a, b = self._tree.query(lines, predicate="crosses")
        as_drawn = ~self._redrawn[b]
        c, d = shapely.STRtree(self.shapes[others]).query(lines, predicate="crosses")
        first = edges[np.concatenate([a[as_drawn], c])]
        second = np.concatenate([b[as_drawn], others[d]])
        return np.stack([first, second], axis=1)
