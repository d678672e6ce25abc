"""Junctions of two layers, matched one to one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, maximum_bipartite_matching
from scipy.spatial import cKDTree
from shapely.geometry.base import BaseGeometry

from roadgis.arrays import Bools, Floats, Ints, Lines
from roadgis.evaluation.area import harmonic_mean, measurable
from roadgis.lines.linear_reference import LineAxis

#: Vertices, and ends on lines, closer than this are one place.
_TOUCH_M = 0.05
_ROUNDING_M = 1e-6
_LEAST_DEGREE = 3
#: Larger groups of candidates are matched for number only, not for least distance.
_LARGE = 2_000


@dataclass(frozen=True)
class JunctionScores:
    """Junctions that have a partner in the other layer; None where the truth has no junction.

    Attributes
    ----------
    precision, recall, f1 : float or None
        Shares of the proposal's and of the truth's junctions that are matched; F1.
    truth, proposal : ndarray of float64, shapes (J, 2) and (K, 2)
        The junctions that count, by x, then y.
    truth_matched, proposal_matched : ndarray of bool, shapes (J,) and (K,)
    """

    precision: float | None
    recall: float | None
    f1: float | None
    truth: Floats
    proposal: Floats
    truth_matched: Bools
    proposal_matched: Bools
    radius_m: float


def junction_scores(
    truth: Lines, proposal: Lines, *, radius_m: float = 10.0, aoi: BaseGeometry | None = None
) -> JunctionScores:
    """Compare where roads meet.

    The junctions of both layers are found in the same way (:func:`junctions`). Each is matched
    with at most one of the other layer within a radius, so that as many as possible are, and
    the nearest.

    Parameters
    ----------
    truth, proposal : ndarray of LineString, shapes (L,) and (M,)
        In one metric CRS, noded in any way.
    aoi : shapely polygon, optional
        Only junctions inside count; partners may lie outside.

    Returns
    -------
    JunctionScores
    """
    ours, theirs = junctions(truth), junctions(proposal)
    hit, found = np.zeros(len(ours), bool), np.zeros(len(theirs), bool)
    first, second = _matched(ours, theirs, radius_m)
    hit[first], found[second] = True, True
    if aoi is not None:
        inside = np.asarray(shapely.intersects_xy(aoi, ours[:, 0], ours[:, 1]), bool)
        ours, hit = ours[inside], hit[inside]
        inside = np.asarray(shapely.intersects_xy(aoi, theirs[:, 0], theirs[:, 1]), bool)
        theirs, found = theirs[inside], found[inside]
    precision = recall = None
    if len(ours):
        recall = float(hit.mean())
        precision = float(found.mean()) if len(found) else 0.0
    return JunctionScores(
        precision, recall, harmonic_mean(precision, recall), ours, theirs, hit, found, radius_m
    )


def junctions(lines: Lines) -> Floats:
    """Return the places where three or more roads meet.

    Lines meet at shared vertices, and where a line ends on another; within 5 cm. Lines that
    cross with no vertex in common do not: one passes over the other. Where two lines only
    join end to end there is no junction, and lines drawn twice count once.

    Parameters
    ----------
    lines : ndarray of LineString, shape (L,)
        In a metric CRS.

    Returns
    -------
    ndarray of float64, shape (J, 2)
        By x, then y; the same for any order of the lines.
    """
    axis = LineAxis(measurable(lines)[0])
    if not len(axis.first):
        return np.empty((0, 2))
    places, node = _nodes(axis.vertices)
    connections = _connections(axis, places, node)
    degree = np.bincount(connections.ravel(), minlength=len(places))
    return np.asarray(places[degree >= _LEAST_DEGREE])


def _nodes(vertices: Floats) -> tuple[Floats, Ints]:
    """Return the distinct places of vertices, by x then y, and which one each vertex is at."""
    distinct, at = np.unique(vertices, axis=0, return_inverse=True)
    at = at.reshape(-1)
    close = cKDTree(distinct).query_pairs(_TOUCH_M, output_type="ndarray")
    shape = (len(distinct), len(distinct))
    links = coo_array((np.ones(len(close), bool), (close[:, 0], close[:, 1])), shape=shape)
    _, label = connected_components(links, directed=False)
    # The first of several equal places represents them.
    _, first, group = np.unique(label, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return distinct[first[order]], rank[group.reshape(-1)[at]]


def _connections(axis: LineAxis, places: Floats, node: Ints) -> Ints:
    """Return the straight connections between places, (A, 2), each once."""
    first, last = node[axis.first], node[axis.first + 1]
    turn = np.flatnonzero(np.diff(axis.line, prepend=-1, append=-1))
    ends = np.unique(np.concatenate([first[turn[:-1]], last[turn[1:] - 1]]))
    end, segment = axis.near(places[ends], _TOUCH_M)
    end = ends[end]
    between = (end != first[segment]) & (end != last[segment])
    end, segment = end[between], segment[between]
    along = axis.along_m(places[end], segment)
    every = np.arange(len(axis.first))
    stops = np.concatenate([first, end, last])
    owner = np.concatenate([every, segment, every])
    begin = np.full(len(every), -np.inf)
    along = np.concatenate([begin, along, -begin])
    order = np.lexsort((stops, along, owner))
    stops, owner = stops[order], owner[order]
    pairs = np.stack([stops[:-1], stops[1:]], axis=1)[owner[:-1] == owner[1:]]
    pairs = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
    return np.asarray(np.unique(pairs, axis=0))


def _matched(ours: Floats, theirs: Floats, radius_m: float) -> tuple[Ints, Ints]:
    """Return the indices of partners: as many as possible within the radius, nearest first."""
    none = np.empty(0, np.int64)
    if not len(ours) or not len(theirs):
        return none, none
    near = cKDTree(ours).sparse_distance_matrix(
        cKDTree(theirs), radius_m + _ROUNDING_M, output_type="ndarray"
    )
    first = near["i"].astype(np.int64)
    second, distance = near["j"].astype(np.int64) + len(ours), near["v"]
    if not len(first):
        return none, none
    size = len(ours) + len(theirs)
    links = coo_array((np.ones(len(first), bool), (first, second)), shape=(size, size))
    _, group = connected_components(links, directed=False)
    order = np.lexsort((second, first, group[first]))
    first, second, distance = first[order], second[order] - len(ours), distance[order]
    starts = np.flatnonzero(np.diff(group[first], prepend=-1))
    parts = [(none, none)]
    for low, high in zip(starts, [*starts[1:], len(first)], strict=True):
        parts.append(_group_matched(first[low:high], second[low:high], distance[low:high]))
    return np.concatenate([a for a, _ in parts]), np.concatenate([b for _, b in parts])


def _group_matched(first: Ints, second: Ints, distance: Floats) -> tuple[Ints, Ints]:
    """Match candidates of one connected component."""
    if len(first) == 1:
        return first, second
    ours, row = np.unique(first, return_inverse=True)
    theirs, col = np.unique(second, return_inverse=True)
    shape = (len(ours), len(theirs))
    if max(shape) > _LARGE:
        graph = coo_array((np.ones(len(row), bool), (row, col)), shape=shape).tocsr()
        partner = maximum_bipartite_matching(graph, perm_type="column")
        return ours[partner >= 0], theirs[partner[partner >= 0]]
    # One more match outweighs any distance.
    gain = np.zeros(shape)
    gain[row, col] = 2.0 * min(shape) * max(float(distance.max()), 1.0) - distance
    rows, cols = linear_sum_assignment(gain, maximize=True)
    taken = gain[rows, cols] > 0
    return ours[rows[taken]], theirs[cols[taken]]
