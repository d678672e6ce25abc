"""Graphs as arrays: connected components, the order of paths and cycles, and short ways."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from scipy import sparse

from roadgis.arrays import Bools, Floats, Ints


class Paths(NamedTuple):
    """Paths of a graph without branches; K vertices, P paths.

    Attributes
    ----------
    order : ndarray of int64, shape (K,)
        The vertices, path after path, from each path's start to its stop.
    offsets : ndarray of int64, shape (P + 1,)
        Path p is ``order[offsets[p]:offsets[p + 1]]``.
    closed : ndarray of bool, shape (P,)
        Whether the stop is linked to the start (a cycle).
    """

    order: Ints
    offsets: Ints
    closed: Bools


def components(count: int, links: npt.NDArray[np.integer[Any]]) -> Ints:
    """Return the connected component of each of `count` vertices, (count,).

    `links`, (L, 2), are the pairs of linked vertices.
    """
    from scipy.sparse import csgraph  # slow to load

    _, label = csgraph.connected_components(_matrix(count, links), directed=False)
    return np.asarray(label, np.int64)


def _matrix(count: int, links: npt.NDArray[np.integer[Any]]) -> sparse.csr_array:
    from scipy import sparse

    ones = np.ones(len(links), np.int8)
    return sparse.coo_array((ones, (links[:, 0], links[:, 1])), shape=(count, count)).tocsr()


def order_paths(count: int, links: npt.NDArray[np.integer[Any]], key: Ints) -> Paths:
    """Order a graph whose vertices have at most two links.

    A path starts at the end with the lower key; a cycle at its lowest key, towards the
    neighbour with the lower key. Paths are ordered by their start's key. So the result
    depends on the keys alone.

    Parameters
    ----------
    count : int
        Number of vertices.
    links : ndarray of int, shape (L, 2)
        Pairs of linked vertices; no vertex is linked to itself.
    key : ndarray of int64, shape (count,)
        Unique keys.
    """
    if count == 0:
        none = np.empty(0, np.int64)
        return Paths(none, np.zeros(1, np.int64), np.empty(0, bool))
    label = components(count, links)
    number = int(label.max()) + 1
    links, closed = _cut_cycles(number, label, links, key)
    degree = np.bincount(links.reshape(-1), minlength=count)
    ends = np.flatnonzero(degree < 2)
    ends = ends[np.argsort(key[ends])]
    # The lower end of each path is the first that occurs, the other one the last.
    start, stop = np.full(number, -1), np.empty(number, np.int64)
    stop[label[ends]] = ends
    start[label[ends[::-1]]] = ends[::-1]
    rank = np.argsort(key[start])
    start, stop, closed = start[rank], stop[rank], closed[rank]
    from scipy.sparse import csgraph

    # Joined end to end, all paths are one, and one search walks it.
    joints = np.stack([stop[:-1], start[1:]], axis=1).astype(links.dtype)
    both = np.concatenate([links, joints, links[:, ::-1], joints[:, ::-1]])
    del links, degree, ends
    order = csgraph.breadth_first_order(
        _matrix(count, both), int(start[0]), directed=True, return_predecessors=False
    )
    size = np.bincount(label, minlength=number)[rank]
    offsets = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
    return Paths(np.asarray(order, np.int64), offsets, closed)


def _cut_cycles(
    number: int, label: Ints, links: npt.NDArray[np.integer[Any]], key: Ints
) -> tuple[npt.NDArray[np.integer[Any]], Bools]:
    """Remove one link of each cycle; returns the links left, and which components were cut."""
    degree = np.bincount(links.reshape(-1), minlength=len(label))
    closed = np.ones(number, bool)
    closed[label[degree < 2]] = False
    if not closed.any():
        return links, closed
    members = np.flatnonzero(closed[label])
    members = members[np.argsort(key[members])[::-1]]
    anchor = np.full(number, -1)
    anchor[label[members]] = members
    lead = anchor[label[links[:, 0]]]
    touching = np.flatnonzero((links == lead[:, None]).any(axis=1))
    other = links[touching].sum(axis=1) - lead[touching]
    # Of the anchor's two links, the one to the higher key goes; a cycle of two vertices
    # has two equal links; the later one goes.
    rank = np.lexsort([touching, key[other]])
    doomed = np.full(number, -1)
    doomed[label[lead[touching[rank]]]] = touching[rank]
    keep = np.ones(len(links), bool)
    keep[doomed[doomed >= 0]] = False
    return links[keep], closed


def is_within(
    limit: float,
    seeds: list[tuple[float, int]],
    goals: dict[int, float],
    begin: Ints,
    other: Ints,
    step: Floats,
) -> bool:
    """Return whether the shortest way from any seed to any goal is shorter than a limit.

    Dijkstra's search, which ends at the limit: its time does not depend on the graph's size.

    Parameters
    ----------
    limit : float
        Largest length.
    seeds : list of (float, int)
        Lengths already covered, and vertices to start from.
    goals : dict of int to float
        Vertices to reach, and the lengths left from there.
    begin, other, step : ndarray
        Links of vertex v: ``other[begin[v]:begin[v + 1]]`` at lengths ``step[...]``.
    """
    queue, done = list(seeds), set()
    heapq.heapify(queue)
    while queue:
        distance, vertex = heapq.heappop(queue)
        if distance >= limit:
            return False
        if vertex in done:
            continue
        done.add(vertex)
        if distance + goals.get(vertex, limit) < limit:
            return True
        links = slice(begin[vertex], begin[vertex + 1])
        for neighbour, more in zip(other[links].tolist(), step[links].tolist(), strict=True):
            if neighbour not in done:
                heapq.heappush(queue, (distance + more, neighbour))
    return False
