"""Give edges their final shape: smooth, crisp at the ends, simplified, without crossings.

Shapes: E edges, V vertices, N nodes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import shapely

from roadgis.arrays import Bools, Floats, Ints, Lines
from roadgis.heap import trim_heap
from roadgis.network.centerlines import Centerlines
from roadgis.network.edit import take_nodes
from roadgis.network.paths import components
from roadgis.network.shape.junction_placement import place_nodes
from roadgis.network.shape.smooth import smoothed, with_corners, with_middles, with_ring_nodes

#: Edges up to this many steps away from an edge influence its placement: its nodes lie where all
#: edges there meet; an edge end is fitted from farther away when the other end of its edge is,
#: which follows from the edges at that node, and from the degree of the nodes at their other ends.
_RINGS = 3
#: Levels of shapes, the best one first: simplified; smoothed; pixels away from junctions; all
#: pixels.
_SIMPLIFIED, _SMOOTH, _PIXELS = 0, 1, 3


def edge_shapes(
    lines: Centerlines,
    width_px: Floats,
    smooth_px: float,
    tolerance_m: float,
    *,
    vertices_at_once: int = 1 << 18,
) -> tuple[Lines, Floats]:
    """Give edges their final shape: smoothed, crisp at the ends, simplified.

    1. Nodes are placed, corners restored, and edges smoothed and simplified.
    2. Edges that then cross themselves or another one fall back to a shape nearer to the pixels.
    3. Edges that cross even as pixels do so because nodes were moved. These nodes are put back on
       the skeleton, and the edges there, and all that fell back with them, are shaped again.

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
    vertices_at_once : int
        Vertices that are placed together, to bound the memory; the result is the same.

    Returns
    -------
    ndarray of LineString, shape (E,)
        Edges in the grid's CRS.
    ndarray of float64, shape (N, 2)
        Nodes; the ends of the edges.
    """
    drawing = _Drawing(lines, width_px, smooth_px, tolerance_m, vertices_at_once)
    fixed = np.zeros(len(lines.node_key), bool)
    changed = np.arange(len(lines))
    while True:
        drawing.place(changed, fixed)
        crossing = drawing.redraw(changed)
        at_fault = np.zeros_like(fixed)
        at_fault[lines.start[crossing]], at_fault[lines.end[crossing]] = True, True
        at_fault &= ~fixed
        if not at_fault.any():
            placed = drawing.placed
            return drawing.shapes, lines.grid.xy(placed.node_row, placed.node_col)
        fixed |= at_fault
        changed = _edges_at(lines, at_fault)


def _edges_at(lines: Centerlines, nodes: Bools) -> Ints:
    """Return the edges with an end at any of some nodes, ascending."""
    return np.flatnonzero(nodes[lines.start] | nodes[lines.end])


class _Drawing:
    """Edges as placed, and their shapes: each the best one that nothing crosses.

    Attributes
    ----------
    placed : Centerlines
        With vertices and nodes placed; changed in place.
    shapes : ndarray of LineString, shape (E,)
        In the grid's CRS.
    """

    def __init__(
        self,
        lines: Centerlines,
        width_px: Floats,
        smooth_px: float,
        tolerance_m: float,
        vertices_at_once: int,
    ) -> None:
        count = len(lines)
        names = ("row", "col", "node_row", "node_col")
        self.placed = dataclasses.replace(
            lines, **{name: getattr(lines, name).copy() for name in names}
        )
        self.shapes = np.full(count, None, object)
        self._lines, self._width_px, self._smooth_px = lines, width_px, smooth_px
        self._tolerance_m, self._vertices_at_once = tolerance_m, vertices_at_once
        #: Vertices away from junctions and dead ends.
        self._undisturbed = np.ones(len(lines.row), bool)
        self._level = np.zeros(count, np.int8)
        self._crossing = np.zeros(count, bool)
        self._tree: shapely.STRtree | None = None
        #: Edges whose shape is not the one in the tree.
        self._redrawn = np.zeros(count, bool)
        #: Pairs of edges that crossed at any time, and that fall back together.
        self._met = np.empty((0, 2), np.int64)

    def _portions(self, edges: Ints) -> Iterator[Ints]:
        """Give edges in portions of few vertices, near each other: so few others are around."""
        lines = self._lines
        size = np.diff(lines.offsets)[edges]
        node = lines.start[edges]
        strips = max(1, round((int(size.sum()) / self._vertices_at_once) ** 0.5))
        strip = np.empty_like(node)
        strip[np.argsort(lines.node_row[node])] = np.arange(len(node)) * strips // len(node)
        order = np.lexsort([lines.node_col[node], strip])
        portion = np.cumsum(size[order]) // self._vertices_at_once
        for group in np.split(order, np.flatnonzero(np.diff(portion)) + 1):
            yield edges[np.sort(group)]

    def place(self, edges: Ints, fixed: Bools) -> None:
        """Place edges and the nodes at which they end; fixed nodes stay on the skeleton.

        They are placed together with the edges around them, so the result is that of placing all.
        """
        lines, placed = self._lines, self.placed
        portions = list(self._portions(edges))
        while portions:
            some = portions.pop()
            around = some
            for _ in range(_RINGS):
                near = np.zeros(len(fixed), bool)
                near[lines.start[around]], near[lines.end[around]] = True, True
                around = _edges_at(lines, near)
            # Few edges far from each other have many around them.
            size = int((lines.offsets[around + 1] - lines.offsets[around]).sum())
            if size > 1.5 * self._vertices_at_once and len(some) > 1:
                portions += np.array_split(some, 2)
                continue
            trim_heap()
            part, nodes = _part(lines, around)
            width = self._width_px[around]
            ends = place_nodes(with_middles(part), width, fixed[nodes])
            here = np.searchsorted(around, some)
            own = ends.lines.take(here).with_degree(part.degree)
            undisturbed = ends.undisturbed[part.vertices_of(here)]
            bent, corners = with_corners(own, width[here], undisturbed)
            new = with_ring_nodes(smoothed(bent, self._smooth_px, corners))
            at = lines.vertices_of(some)
            placed.row[at], placed.col[at] = new.row, new.col
            self._undisturbed[at] = undisturbed
            moved = np.unique(np.concatenate([new.start, new.end]))
            placed.node_row[nodes[moved]] = new.node_row[moved]
            placed.node_col[nodes[moved]] = new.node_col[moved]

    def redraw(self, changed: Ints) -> Bools:
        """Choose the shapes of edges that have been placed again.

        Edges that fell back with them choose again, too: what they crossed has changed.

        Returns
        -------
        ndarray of bool, shape (E,)
            Edges that cross something even in their last shape.
        """
        changed = self._with_companions(changed)
        self._level[changed] = _SIMPLIFIED
        self._crossing[changed] = False
        while len(changed):
            for level in np.unique(self._level[changed]).tolist():
                for some in self._portions(changed[self._level[changed] == level]):
                    self.shapes[some] = self._drawn(some, level)
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

    def _drawn(self, edges: Ints, level: int) -> Lines:
        """Return the shapes of edges at a level, from node to node."""
        placed = self.placed
        part = (placed if level <= _SMOOTH else self._lines).take(edges)
        row, col, edge = part.row, part.col, part.edge_of_vertex
        first, last = part.offsets[:-1], part.offsets[1:] - 1
        for at, node in ((first, part.start), (last, part.end)):
            row[at], col[at] = placed.node_row[node], placed.node_col[node]
        if _SMOOTH < level < _PIXELS:
            keep = self._undisturbed[placed.vertices_of(edges)]
            keep[first], keep[last] = True, True
            row, col, edge = row[keep], col[keep], edge[keep]
        shapes = shapely.linestrings(placed.grid.xy(row, col), indices=edge)
        if level == _SIMPLIFIED:
            shapes = shapely.simplify(shapes, self._tolerance_m, preserve_topology=False)
        return np.asarray(shapes, object)

    def _crossed_by(self, edges: Ints) -> Ints:
        """Return the pairs (K, 2) of edges that cross, the first of each one of some edges.

        One tree holds the first shapes of all edges; the few that changed get a tree each time.
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


def _part(lines: Centerlines, edges: Ints) -> tuple[Centerlines, Ints]:
    """Return some edges with their nodes only, in the same order, and the numbers of the nodes."""
    if len(edges) == len(lines):
        return lines, np.arange(len(lines.node_key))
    part = lines.take(edges)
    nodes = np.unique(np.concatenate([part.start, part.end]))
    return take_nodes(part, nodes), nodes
