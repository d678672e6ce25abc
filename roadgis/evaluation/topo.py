"""TOPO: what a driver reaches from the same place in two road networks.

Definition: Biagioni and Eriksson, "Inferring Road Maps from Global Positioning System
Traces: Survey and Comparative Evaluation", Transportation Research Record 2291, 2012.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from scipy.spatial import cKDTree

from roadgis.arrays import Floats, Ints, Objects
from roadgis.errors import InputError
from roadgis.evaluation.graph import RoadGraph
from roadgis.evaluation.graph_points import Places, nearest_places, node_ways, places_at

_ROUNDING_M = 1e-6
_SEED_COS = np.cos(np.deg2rad(45.0))


@dataclass(frozen=True)
class TopoScores:
    """TOPO of a proposed network.

    Attributes
    ----------
    precision : float
        Part of the marbles (on the proposal) that fall into a hole (on the truth), 0..1.
    recall : float
        Part of the holes that get a marble, 0..1.
    f1 : float
        Harmonic mean of the two. All are NaN when the truth is empty.
    """

    precision: float
    recall: float
    f1: float


def topo_scores(
    truth: Objects,
    proposal: Objects,
    *,
    radius_m: float = 300.0,
    hole_m: float = 5.0,
    interval_m: float = 5.0,
    seeds: int = 200,
    seed: int = 0,
) -> TopoScores:
    """Return how alike the surroundings of the same places are in two networks.

    From a seed on one network and the nearest place of about the same direction (45°) on
    the other, at most `hole_m` away, both networks are walked along every road up to
    `radius_m`. Each `interval_m` of way from the seed leaves a hole on the truth and a
    marble on the proposal. A marble may fall into one hole that is at most `hole_m` away,
    and a hole takes one marble; as many pairs are formed as can be (maximum matching).
    Precision is the part of all marbles that found a hole, recall the part of all holes
    that got a marble, both summed over the seeds.

    Parameters
    ----------
    truth, proposal : ndarray of LineString
        In one metric CRS. See `RoadGraph` for how lines become a graph.
    radius_m : float
        How far to walk from each seed, metres.
    hole_m : float
        Greatest distance between a marble and its hole, and between a seed and its
        counterpart, metres.
    interval_m : float
        Way between holes, and between marbles, metres.
    seeds : int
        Greatest number of seeds on each network, spread evenly along its roads.
    seed : int
        Seed of the random offset of that spread.

    Returns
    -------
    TopoScores
        1 exactly for a network and itself; 0 for an empty proposal; NaN for an empty truth.

    Raises
    ------
    InputError
        For geometries other than LineStrings, or options that are not positive.

    Notes
    -----
    The paper puts its seeds on the truth alone, and then never meets an invented road
    that is joined to no true one. Here both networks have seeds. One on the truth without
    a counterpart has all its holes missed and no marbles: it lowers recall alone. One on
    the proposal without a counterpart has no holes and all its marbles wrong: it lowers
    precision alone. Truth and proposal exchanged exchange precision and recall.
    """
    values = {"radius_m": radius_m, "hole_m": hole_m, "interval_m": interval_m, "seeds": seeds}
    if min(values.values()) <= 0:
        shown = ", ".join(f"{name}={value:g}" for name, value in values.items())
        raise InputError(f"TOPO was called with {shown}; all of them must be positive.")
    one, two = RoadGraph.from_lines(truth), RoadGraph.from_lines(proposal)
    if not len(one):
        return TopoScores(float("nan"), float("nan"), float("nan"))
    if not len(two):
        return TopoScores(0.0, 0.0, 0.0)
    walk = Walk(radius_m, interval_m, hole_m)
    holes_1, marbles_1, pairs_1 = _counts(one, two, _spread(one, seeds, interval_m, seed), walk)
    marbles_2, holes_2, pairs_2 = _counts(two, one, _spread(two, seeds, interval_m, seed), walk)
    pairs = pairs_1 + pairs_2
    precision, recall = pairs / (marbles_1 + marbles_2), pairs / (holes_1 + holes_2)
    f1 = 2.0 * pairs / (marbles_1 + marbles_2 + holes_1 + holes_2)
    return TopoScores(precision, recall, f1)


@dataclass(frozen=True)
class Walk:
    """Length of walks, interval of holes and marbles, and distance of matches; metres."""

    radius_m: float
    interval_m: float
    hole_m: float


def _spread(graph: RoadGraph, seeds: int, interval_m: float, seed: int) -> Places:
    """Return places evenly along all edges laid end to end, from a random offset on."""
    total = float(graph.length_m.sum())
    count = max(1, min(seeds, int(total / interval_m)))
    offset = np.random.default_rng(seed).uniform()
    along = (np.arange(count) + offset) * (total / count)
    start = np.cumsum(graph.length_m) - graph.length_m
    edge = np.clip(np.searchsorted(start, along, side="right") - 1, 0, len(graph) - 1)
    return places_at(graph, edge, np.minimum(along - start[edge], graph.length_m[edge]))


def _counts(own: RoadGraph, other: RoadGraph, seeds: Places, walk: Walk) -> tuple[int, int, int]:
    """Return the points on `own`, those on `other` and the pairs of them, over all seeds."""
    sizes = own.length_m[seeds.edge]
    other_seeds = nearest_places(other, seeds, walk.hole_m, size_m=sizes, cos=_SEED_COS)
    count_own = count_other = pairs = 0
    both = zip(walks(own, seeds, walk), walks(other, other_seeds, walk), strict=True)
    for points, other_points in both:
        count_own += len(points)
        count_other += len(other_points)
        pairs += matched_pairs(points, other_points, walk.hole_m)
    return count_own, count_other, pairs


def matched_pairs(one: Floats, two: Floats, distance_m: float) -> int:
    """Return how many pairs within a distance can be formed, each point in one pair."""
    if not len(one) or not len(two):
        return 0
    near = cKDTree(one).sparse_distance_matrix(
        cKDTree(two), distance_m + _ROUNDING_M, output_type="ndarray"
    )
    can = csr_array(
        (np.ones(len(near), np.int8), (near["i"], near["j"])), shape=(len(one), len(two))
    )
    return int((maximum_bipartite_matching(can, perm_type="column") >= 0).sum())


def walks(graph: RoadGraph, seeds: Places, walk: Walk) -> Iterator[Floats]:
    """Yield for each seed the points each interval of way from it, shape (K, 2)."""
    for rows, to_node in node_ways(graph, seeds, limit=walk.radius_m + _ROUNDING_M):
        for row, distance in zip(range(rows.start, rows.stop), to_node, strict=True):
            if seeds.edge[row] < 0:
                yield np.empty((0, 2))
                continue
            yield _points(graph, int(seeds.edge[row]), float(seeds.at_m[row]), distance, walk)


def _points(graph: RoadGraph, edge: int, at_m: float, to_node: Floats, walk: Walk) -> Floats:
    """Return the points of one walk; `to_node` are the ways from the seed to all nodes."""
    u, v, length = graph.start, graph.end, graph.length_m
    others = np.isfinite(to_node[u]) | np.isfinite(to_node[v])
    others[edge] = False
    whole = np.flatnonzero(others)
    # stretches: where each begins on its edge, which way it runs, its length and the ways
    # from the seed to its two ends; the seed's own edge is two of them
    own = np.array([edge, edge])
    edges = np.concatenate([own, whole])
    begin = np.concatenate([[at_m, at_m], np.zeros(len(whole))])
    sign = np.concatenate([[-1.0, 1.0], np.ones(len(whole))])
    size = np.concatenate([[at_m, length[edge] - at_m], length[whole]])
    near = np.concatenate([[0.0, 0.0], to_node[u[whole]]])
    far = np.concatenate([[to_node[u[edge]], to_node[v[edge]]], to_node[v[whole]]])
    # from both ends the walk comes to where the ways are equally long
    meet = np.full(len(size), np.nan)
    both = np.isfinite(near) & np.isfinite(far)
    meet[both] = np.clip((far[both] + size[both] - near[both]) / 2.0, 0.0, size[both])
    meet = np.where(both, meet, np.where(np.isfinite(near), size, 0.0))
    one, into_one = _stations(near, meet, walk, closed=True)
    two, into_two = _stations(far, size - meet, walk, closed=False)
    at = np.concatenate(
        [
            [at_m],
            begin[one] + sign[one] * into_one,
            begin[two] + sign[two] * (size[two] - into_two),
        ]
    )
    on = np.concatenate([[edge], edges[one], edges[two]])
    return places_at(graph, on, np.clip(at, 0.0, length[on])).xy


def _stations(way: Floats, reach: Floats, walk: Walk, *, closed: bool) -> tuple[Ints, Floats]:
    """Return stretches and the distances into them of the multiples of the interval.

    Only what is farther from the seed than `way`, the stretch's beginning, at most `reach`
    into it, and within the radius. `closed`: with a point where the reach ends.
    """
    reached = np.isfinite(way)
    way = np.where(reached, way, 0.0)
    step = walk.interval_m
    begin = np.floor((way + _ROUNDING_M) / step) + 1.0
    top = (way + reach + (_ROUNDING_M if closed else -_ROUNDING_M)) / step
    top = np.minimum(top, (walk.radius_m + _ROUNDING_M) / step)
    last = np.floor(top) if closed else np.minimum(np.ceil(top) - 1.0, np.floor(top))
    count = np.where(reached, np.maximum(last - begin + 1.0, 0.0), 0.0).astype(np.int64)
    which = np.repeat(np.arange(len(way)), count)
    ordinal = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
    return which, (begin[which] + ordinal) * step - way[which]
