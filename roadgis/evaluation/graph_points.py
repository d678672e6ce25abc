"""Places on a road graph: points along edges, nearest places, and shortest paths."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from roadgis.arrays import Bools, Floats, Ints
from roadgis.evaluation.graph import RoadGraph

_SAME_M = 1e-6  # below any coordinate's worth; rounding stays far below it
_CELLS = 4_000_000  # numbers in one block of a table of ways


@dataclass(frozen=True)
class Places:
    """K places on the edges of one graph.

    Attributes
    ----------
    edge : ndarray of int64, shape (K,)
        Edge of the graph, -1 for no place at all.
    at_m, at_cost : ndarray of float64, shape (K,)
        From the edge's start, in metres and in the unit of the graph's cost.
    xy : ndarray of float64, shape (K, 2)
        Coordinates.
    along : ndarray of float64, shape (K, 2)
        Unit vector of the edge there; of either sign.
    at_node : ndarray of bool, shape (K,)
        Whether the place is an end of its edge.
    """

    edge: Ints
    at_m: Floats
    at_cost: Floats
    xy: Floats
    along: Floats
    at_node: Bools

    def __len__(self) -> int:
        return len(self.edge)

    def take(self, index: Ints | Bools) -> Places:
        """Return some of the places."""
        return Places(
            self.edge[index],
            self.at_m[index],
            self.at_cost[index],
            self.xy[index],
            self.along[index],
            self.at_node[index],
        )


def places_at(graph: RoadGraph, edge: Ints, at_m: Floats) -> Places:
    """Return the places at distances along edges.

    Parameters
    ----------
    edge : ndarray of int64, shape (K,)
    at_m : ndarray of float64, shape (K,)
        Metres from the edge's start, 0 to its length.
    """
    segment = graph.axis.segment_at(graph.axis.line_start[edge] + at_m)
    segment = np.clip(segment, graph.first[edge], graph.first[edge + 1] - 1)
    return _placed(graph, segment, at_m - graph.segment_at_m[segment])


def _placed(graph: RoadGraph, segment: Ints, into_m: Floats) -> Places:
    """Return the places at distances into segments."""
    size = graph.segment_m[segment]
    into_m = np.clip(into_m, 0.0, size)
    share = into_m / size
    edge = graph.edge[segment]
    at_m = graph.segment_at_m[segment] + into_m
    length = graph.length_m[edge]
    # an end is the end exactly, so that a node is the same place from each of its edges
    at_start, at_end = at_m <= _SAME_M, at_m >= length - _SAME_M
    cost = graph.segment_at_cost[segment] + share * graph.segment_cost[segment]
    return Places(
        edge=edge,
        at_m=np.where(at_start, 0.0, np.where(at_end, length, at_m)),
        at_cost=np.where(at_start, 0.0, np.where(at_end, graph.cost[edge], cost)),
        xy=graph.xy[segment] + share[:, None] * graph.vector[segment],
        along=graph.vector[segment] / size[:, None],
        at_node=at_start | at_end,
    )


def control_points(graph: RoadGraph, spacing_m: float) -> Places:
    """Return the nodes, and points that part each edge evenly.

    Edges from three quarters of the spacing up to the spacing get one point in the middle,
    longer ones as many as leave no two further apart than the spacing, shorter ones none
    (a ring without a junction always gets one, since its node alone has no way to anywhere).

    Returns
    -------
    Places
        Sorted by x, then y.
    """
    length = graph.length_m
    parts = np.where(length > spacing_m, np.ceil(length / spacing_m), 2.0)
    parts = np.where((length < 0.75 * spacing_m) & ~graph.ring, 1.0, parts).astype(np.int64)
    edge = np.repeat(np.arange(len(graph)), parts - 1)
    step = np.arange(len(edge)) - np.repeat(np.cumsum(parts - 1) - (parts - 1), parts - 1) + 1
    at_m = length[edge] * step / parts[edge]
    ends = np.concatenate([graph.start, graph.end])
    _, incident = np.unique(ends, return_index=True)
    node_edge = incident % max(len(graph), 1)
    node_at = np.where(incident < len(graph), 0.0, length[node_edge])
    points = places_at(graph, np.concatenate([node_edge, edge]), np.concatenate([node_at, at_m]))
    return points.take(np.lexsort((points.edge, points.xy[:, 1], points.xy[:, 0])))


def nearest_places(
    graph: RoadGraph, points: Places, max_m: float, *, size_m: Floats, cos: float = 0.0
) -> Places:
    """Return the nearest place of a graph to each of the places of another.

    Where several are equally near (two roads that cross without a junction), a node goes
    to a node and a place on a road to the road of the same direction and of about the same
    length, so that a network always falls onto itself.

    Parameters
    ----------
    max_m : float
        Greatest distance, metres; without a place that near the answer has the edge -1.
    size_m : ndarray of float64, shape (K,)
        Length of the edge of each of `points`, metres.
    cos : float
        Least cosine between the two directions, the sign aside, to be taken at all.
    """
    count = len(points)
    # a little more, for the distance is measured again and decides
    which, segment = graph.axis.near(points.xy, max_m + _SAME_M)
    near = _placed(graph, segment, graph.axis.along_m(points.xy[which], segment))
    distance = np.hypot(*(near.xy - points.xy[which]).T)
    agree = np.abs(np.einsum("ij,ij->i", near.along, points.along[which]))
    use = (distance <= max_m) & (agree >= cos - 1e-12)
    which, distance, agree = which[use], distance[use], agree[use]
    near = near.take(use)
    best = np.full(count, np.inf)
    np.minimum.at(best, which, distance)
    tie = distance <= best[which] + _SAME_M
    which, agree, near = which[tie], agree[tie], near.take(tie)
    unlike = np.where(points.at_node[which], ~near.at_node, np.round(1.0 - agree, 6))
    resize = np.round(np.abs(graph.length_m[near.edge] - size_m[which]), 6)
    order = np.lexsort((near.at_m, near.edge, resize, unlike, which))
    found, first = np.unique(which[order], return_index=True)
    answer = near.take(order[first])
    edge = np.full(count, -1, np.int64)
    edge[found] = answer.edge
    return Places(
        edge=edge,
        at_m=_filled(count, found, answer.at_m),
        at_cost=_filled(count, found, answer.at_cost),
        xy=_filled(count, found, answer.xy),
        along=_filled(count, found, answer.along),
        at_node=_filled(count, found, answer.at_node.astype(float)) == 1.0,
    )


def _filled(count: int, found: Ints, values: Floats) -> Floats:
    all_ = np.full((count, *values.shape[1:]), np.nan)
    all_[found] = values
    return all_


def ways(
    graph: RoadGraph, sources: Places, targets: Places, *, rows_of: RoadGraph | None = None
) -> Iterator[tuple[slice, Floats]]:
    """Yield blocks of the table of shortest ways between places.

    Parameters
    ----------
    rows_of : RoadGraph, optional
        Another graph whose table is traversed in step with this one: the blocks of both
        then have the same rows.

    Yields
    ------
    rows : slice
        Of `sources`.
    cost : ndarray of float64, shape (rows, len(targets))
        Metres or seconds; infinite where no way exists or one of the two is not a place.
    """
    is_place = targets.edge >= 0
    edge = np.where(is_place, targets.edge, 0)
    rest = graph.cost[edge] - targets.at_cost
    width = max(len(targets), len(rows_of.nodes) if rows_of is not None else 0)
    for rows, to_node in node_ways(graph, sources, width=width):
        cost = np.minimum(
            to_node[:, graph.start[edge]] + targets.at_cost, to_node[:, graph.end[edge]] + rest
        )
        row, column = np.nonzero(sources.edge[rows][:, None] == targets.edge[None, :])
        along = np.abs(sources.at_cost[rows][row] - targets.at_cost[column])
        cost[row, column] = np.minimum(cost[row, column], along)
        cost[:, ~is_place] = np.inf
        cost[sources.edge[rows] < 0] = np.inf
        yield rows, cost


def node_ways(
    graph: RoadGraph, sources: Places, *, limit: float = np.inf, width: int = 0
) -> Iterator[tuple[slice, Floats]]:
    """Yield blocks of the table of shortest ways from places to all nodes.

    Yields
    ------
    rows : slice
        Of `sources`.
    cost : ndarray of float64, shape (rows, N)
        Infinite where no way exists, none up to `limit`, or the source is not a place.
    """
    nodes = len(graph.nodes)
    height = max(1, _CELLS // max(nodes, width, 1))
    for begin in range(0, len(sources), height):
        rows = slice(begin, min(begin + height, len(sources)))
        some = sources.take(np.arange(rows.start, rows.stop))
        matrix = _with_sources(graph, some)
        cost = dijkstra(matrix, directed=True, indices=nodes + np.arange(len(some)), limit=limit)
        yield rows, cost[:, :nodes]


def _with_sources(graph: RoadGraph, sources: Places) -> csr_array:
    """Return the graph's matrix with one node more for each source, left to its edge's ends."""
    base, nodes = graph.matrix, len(graph.nodes)
    is_place = sources.edge >= 0
    edge = np.where(is_place, sources.edge, 0)
    back, on = sources.at_cost, graph.cost[edge] - sources.at_cost
    loop = graph.start[edge] == graph.end[edge]
    cost = np.stack([np.where(loop, np.minimum(back, on), back), on], axis=1)
    column = np.stack([graph.start[edge], graph.end[edge]], axis=1)
    used = np.stack([is_place, is_place & ~loop], axis=1)
    size = nodes + len(sources)
    indptr = base.indptr[-1] + np.cumsum(used.sum(axis=1))
    return csr_array(
        (
            np.concatenate([base.data, cost[used]]),
            np.concatenate([base.indices, column[used]]),
            np.concatenate([base.indptr, indptr]),
        ),
        shape=(size, size),
    )
