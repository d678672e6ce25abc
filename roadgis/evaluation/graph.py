"""A line layer as a routable graph in arrays.

Lines are joined wherever two of them share a vertex, at their ends or between; vertices
where the road neither forks nor ends are then passed through, so that the edges run from
junction to junction, however the features were divided. Parallel edges, closed loops and
rings without a junction stay. Lines that cross without a shared vertex (overpasses) stay
apart, and a segment that two lines share counts once.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from roadgis.arrays import Bools, Floats, Ints, Objects
from roadgis.errors import InputError
from roadgis.lines.linear_reference import LineAxis


@dataclass(frozen=True)
class RoadGraph:
    """A road network as a multigraph with N nodes, E edges and M straight segments.

    Nodes are sorted by x, then y, and edges by their nodes, so that the graph does not
    depend on the order, the direction or the cutting of the lines it was made from.

    Attributes
    ----------
    nodes : ndarray of float64, shape (N, 2)
        Junctions, dead ends and, for a ring without either, its first vertex by x, then y.
    start, end : ndarray of int64, shape (E,)
        Node index; equal for loops. ``start <= end``.
    ring : ndarray of bool, shape (E,)
        Closed edges that no other edge touches.
    first : ndarray of int64, shape (E + 1,)
        Edge ``e`` has the segments ``first[e]:first[e + 1]``, from its start to its end.
    xy : ndarray of float64, shape (M, 2)
        Start of each segment.
    vector : ndarray of float64, shape (M, 2)
        From the start of each segment to its end.
    edge : ndarray of int64, shape (M,)
        Edge of each segment.
    segment_m, segment_cost : ndarray of float64, shape (M,)
        Length in metres, and the same or, where speeds were given, the travel time in
        seconds.
    """

    nodes: Floats
    start: Ints
    end: Ints
    ring: Bools
    first: Ints
    xy: Floats
    vector: Floats
    edge: Ints
    segment_m: Floats
    segment_cost: Floats

    @classmethod
    def from_lines(
        cls,
        lines: Objects,
        *,
        speed: Floats | None = None,
        join_m: float = 1e-3,
        min_component_m: float = 0.0,
        drop_repeated: bool = False,
    ) -> RoadGraph:
        """Return the graph of lines.

        Parameters
        ----------
        lines : ndarray of LineString, shape (L,)
            In a metric CRS.
        speed : ndarray of float64, shape (L,), optional
            Metres per second, above 0. Where lines share a segment the fastest counts.
        join_m : float
            Vertices that are this close are one, metres.
        min_component_m : float
            Connected parts whose edges are shorter than this in all are left out, unless
            nothing would stay.
        drop_repeated : bool
            Leave out lines drawn more than once, and closed loops that leave and reach one
            junction, unless nothing would stay; what they touched stays a node. Otherwise each
            counts once.

        Raises
        ------
        InputError
            For anything but LineStrings with finite coordinates, or a speed that is not
            above 0.
        """
        lines = np.asarray(lines, dtype=object)
        _check(lines, speed)
        vertices, tail, head, cost, copies = _segments(lines, speed, join_m)
        forced = np.empty(0, np.int64)
        if drop_repeated and (copies == 1).any():
            forced = np.concatenate([tail[copies > 1], head[copies > 1]])
            tail, head, cost = (part[copies == 1] for part in (tail, head, cost))
        length = np.hypot(*(vertices[head] - vertices[tail]).T)
        part = _parts(len(vertices), tail, head)
        if min_component_m > 0.0 and len(tail):
            total = np.bincount(part[tail], weights=length, minlength=part.max() + 1)
            keep = total[part[tail]] >= min_component_m
            if keep.any():
                tail, head, cost, length = tail[keep], head[keep], cost[keep], length[keep]
        graph = _contracted(vertices, part, (tail, head), length, cost, forced)
        return graph.without_loops() if drop_repeated else graph

    def without_loops(self) -> RoadGraph:
        """Return the graph without loops at a junction, all nodes kept; itself if all are loops."""
        keep = (self.start != self.end) | self.ring
        if keep.all() or not keep.any():
            return self
        size = np.diff(self.first)[keep]
        of = keep[self.edge]
        return dataclasses.replace(
            self,
            start=self.start[keep],
            end=self.end[keep],
            ring=self.ring[keep],
            first=np.concatenate([[0], np.cumsum(size)]).astype(np.int64),
            xy=self.xy[of],
            vector=self.vector[of],
            edge=np.repeat(np.arange(int(keep.sum())), size),
            segment_m=self.segment_m[of],
            segment_cost=self.segment_cost[of],
        )

    def __len__(self) -> int:
        return len(self.start)

    @cached_property
    def length_m(self) -> Floats:
        """Length of each edge, metres; shape (E,)."""
        return _sums(self.segment_m, self.first)

    @cached_property
    def cost(self) -> Floats:
        """Metres or seconds along each edge; shape (E,)."""
        return _sums(self.segment_cost, self.first)

    @cached_property
    def axis(self) -> LineAxis:
        """The edges laid end to end; its segments are those of the graph."""
        return LineAxis(self.edge_lines())

    @cached_property
    def segment_at_m(self) -> Floats:
        """Distance of each segment's start from its edge's start, metres; shape (M,)."""
        return _running(self.segment_m, self.first, self.edge)

    @cached_property
    def segment_at_cost(self) -> Floats:
        """As `segment_at_m`, in the unit of `cost`; shape (M,)."""
        return _running(self.segment_cost, self.first, self.edge)

    @cached_property
    def degree(self) -> Ints:
        """Ends of edges at each node, a loop counting twice; shape (N,)."""
        ends = np.concatenate([self.start, self.end])
        return np.bincount(ends, minlength=len(self.nodes)).astype(np.int64)

    @cached_property
    def component(self) -> Ints:
        """Connected part of each node, numbered from 0 in the order of nodes; shape (N,)."""
        return _parts(len(self.nodes), self.start, self.end)

    @cached_property
    def matrix(self) -> csr_array:
        """Cost between neighbouring nodes, both ways, the cheapest of parallel edges."""
        count = len(self.nodes)
        straight = self.start != self.end
        row = np.concatenate([self.start[straight], self.end[straight]])
        column = np.concatenate([self.end[straight], self.start[straight]])
        cost = np.tile(self.cost[straight], 2)
        order = np.lexsort((cost, column, row))
        row, column, cost = row[order], column[order], cost[order]
        # coo_array would add up parallel edges
        best = np.ones(len(row), bool)
        best[1:] = (row[1:] != row[:-1]) | (column[1:] != column[:-1])
        entries = (cost[best], (row[best], column[best]))
        return csr_array(coo_array(entries, shape=(count, count)))

    def edge_lines(self) -> Objects:
        """Return the edges as LineStrings, shape (E,)."""
        last = self.first[1:] - 1
        sizes = np.diff(self.first) + 1
        total = int(sizes.sum())
        xy = np.empty((total, 2))
        ends = np.cumsum(sizes) - 1
        inner = np.ones(total, bool)
        inner[ends] = False
        xy[inner] = self.xy
        xy[ends] = self.xy[last] + self.vector[last]
        edges = shapely.linestrings(xy, indices=np.repeat(np.arange(len(self)), sizes))
        return np.asarray(edges, dtype=object)


def _check(lines: Objects, speed: Floats | None) -> None:
    kinds = np.unique(shapely.get_type_id(lines))
    if lines.ndim != 1 or not np.isin(kinds, [1]).all():
        raise InputError(
            f"A road graph was given geometries of the types {kinds.tolist()}; it needs a "
            "one-dimensional array of LineStrings. Take multi-parts apart first."
        )
    if not np.isfinite(shapely.get_coordinates(lines)).all():
        raise InputError(
            "A line has a coordinate that is infinite or not a number; a road graph needs "
            "finite coordinates. Remove the line or transform it into a CRS that covers it."
        )
    if speed is not None and (len(speed) != len(lines) or not (np.asarray(speed) > 0).all()):
        raise InputError(
            f"{len(speed)} speeds were given for {len(lines)} lines; each line needs one, "
            "in metres per second and above 0."
        )


def _segments(
    lines: Objects, speed: Floats | None, join_m: float
) -> tuple[Floats, Ints, Ints, Floats, Ints]:
    """Return vertices (V, 2) by x, then y, and segments: two vertices, cost, how often drawn."""
    xy, line = shapely.get_coordinates(lines, return_index=True)
    vertices, of = _joined(xy, join_m)
    within = (line[1:] == line[:-1]) & (of[1:] != of[:-1])
    one, two = of[:-1][within], of[1:][within]
    tail, head = np.minimum(one, two), np.maximum(one, two)
    cost = np.hypot(*(vertices[head] - vertices[tail]).T)
    if speed is not None:
        cost = cost / np.asarray(speed, float)[line[:-1][within]]
    order = np.lexsort((cost, head, tail))
    tail, head, cost = tail[order], head[order], cost[order]
    new = np.ones(len(tail), bool)
    new[1:] = (tail[1:] != tail[:-1]) | (head[1:] != head[:-1])
    copies = np.diff(np.append(np.flatnonzero(new), len(tail))).astype(np.int64)
    return vertices, tail[new], head[new], cost[new], copies


def _joined(xy: Floats, join_m: float) -> tuple[Floats, Ints]:
    """Return the distinct points and the index of each given one among them."""
    order = np.lexsort((xy[:, 1], xy[:, 0]))
    new = np.ones(len(xy), bool)
    new[1:] = (xy[order[1:]] != xy[order[:-1]]).any(axis=1)
    of = np.empty(len(xy), np.int64)
    of[order] = np.cumsum(new) - 1
    points = xy[order[new]]
    pairs = (
        cKDTree(points).query_pairs(join_m, output_type="ndarray")
        if join_m > 0.0 and len(points)
        else np.empty((0, 2), np.int64)
    )
    if len(pairs):
        group = _parts(len(points), pairs[:, 0], pairs[:, 1])
        # the first by x, then y represents its group: no new coordinates are made
        _, chosen = np.unique(group, return_index=True)
        points, of = points[chosen], group[of]
    return points, of


def _parts(count: int, one: Ints, two: Ints) -> Ints:
    """Return the connected part of each of `count` nodes, numbered in their order."""
    links = coo_array((np.ones(len(one)), (one, two)), shape=(count, count))
    label = connected_components(csr_array(links), directed=False)[1]
    _, first, inverse = np.unique(label, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[inverse], dtype=np.int64)


def _contracted(
    vertices: Floats,
    part: Ints,
    segments: tuple[Ints, Ints],
    length: Floats,
    cost: Floats,
    forced: Ints,
) -> RoadGraph:
    """Return the graph whose edges pass through the vertices of degree two but the `forced`."""
    tail, head = segments
    count = len(tail)
    degree = np.bincount(np.concatenate([tail, head]), minlength=len(vertices))
    is_node = (degree > 0) & (degree != 2)
    is_node[forced] |= degree[forced] > 0
    seam = _seams(part, degree, is_node)
    is_node[seam] = True
    # each segment in both directions: h and h + count
    from_, to = np.concatenate([tail, head]), np.concatenate([head, tail])
    last, steps = _ends(from_, to, is_node)
    starts = np.flatnonzero(is_node[from_])
    u, v, final = from_[starts], to[last[starts]], last[starts]
    kept = (u < v) | ((u == v) & (to[starts] < from_[final]))
    starts, u, v, final = starts[kept], u[kept], v[kept], final[kept]
    order = np.lexsort((to[starts], v, u))
    u, v, final = u[order], v[order], final[order]
    edge_of = np.full(2 * count, -1, np.int64)
    edge_of[final] = np.arange(len(final))
    edge = edge_of[last]
    run = np.flatnonzero(edge >= 0)
    run = run[np.lexsort((-steps[run], edge[run]))]
    edge = edge[run]
    node_of = np.cumsum(is_node) - 1
    return RoadGraph(
        nodes=vertices[is_node],
        start=node_of[u].astype(np.int64),
        end=node_of[v].astype(np.int64),
        ring=np.isin(u, seam),
        first=np.searchsorted(edge, np.arange(len(u) + 1)).astype(np.int64),
        xy=vertices[from_[run]],
        vector=vertices[to[run]] - vertices[from_[run]],
        edge=edge,
        segment_m=length[run % max(count, 1)],
        segment_cost=cost[run % max(count, 1)],
    )


def _seams(part: Ints, degree: Ints, is_node: Bools) -> Ints:
    """Return the first vertex of each connected part that has no node: a plain ring."""
    used = np.flatnonzero(degree > 0)
    has_node = np.zeros(int(part.max(initial=-1)) + 1, bool)
    has_node[part[is_node]] = True
    _, first = np.unique(part[used], return_index=True)
    seam = used[first]
    return np.asarray(seam[~has_node[part[seam]]], dtype=np.int64)


def _ends(from_: Ints, to: Ints, is_node: Bools) -> tuple[Ints, Ints]:
    """Return for each directed segment the last one of its edge and the steps to it.

    Pointer doubling: as many rounds as the logarithm of the longest edge's vertices.
    """
    count = len(from_) // 2
    here = np.arange(2 * count)
    twin = (here + count) % max(2 * count, 1)
    # the two segments that leave a vertex of degree two add up to a known number, so that
    # the one which is not the way back is a subtraction
    leaving = np.zeros(len(is_node), np.int64)
    np.add.at(leaving, from_, here)
    ends = is_node[to]
    jump = np.where(ends, here, leaving[to] - twin)
    steps = np.where(ends, 0, 1)
    while not ends[jump].all():
        steps = steps + steps[jump]
        jump = jump[jump]
    return jump.astype(np.int64), steps.astype(np.int64)


def _sums(values: Floats, first: Ints) -> Floats:
    if len(first) < 2:
        return np.empty(0)
    return np.asarray(np.add.reduceat(values, first[:-1]))


def _running(values: Floats, first: Ints, edge: Ints) -> Floats:
    """Return the sum of the values before each one within its edge."""
    before = np.cumsum(values) - values
    return np.asarray(before - before[first[edge]])
