"""Average path length similarity (APLS) of two road networks.

Definition: van Etten, Lindenbaum and Bacastow, "SpaceNet: A Remote Sensing Dataset and
Challenge Series", 2018 (arXiv:1807.01232).

As in the authors' program (CosmiQ/apls with its defaults), edges run from junction to
junction, an edge shorter than three quarters of `spacing_m` has no control point
between its ends, connected parts shorter than 5 m in all are left out, and a place
takes one control point, further ones are lost.

These differences are deliberate, as they concern the program and not the definition; without
them both agree to four digits:

- All lengths are measured in the CRS given. The program takes great circles on a
  sphere for uncut edges and UTM for cut ones, up to 0.3 % apart, which can also add or
  drop a control point on an edge close to a multiple of `spacing_m`. This moves scores
  by some thousandths, rarely more.
- A place that several control points come to is kept by the nearest, so the order
  of the lines does not matter. In the program it is kept by the last.
- A ring without a junction has control points each `spacing_m`, not at each vertex.
- Networks with 500 junctions and more keep the control points along their edges.
- A travel time uses the speed of each line itself, not of a parallel edge.
"""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass

import numpy as np

from roadgis.arrays import Floats, Ints, Objects
from roadgis.errors import InputError
from roadgis.evaluation.graph import RoadGraph
from roadgis.evaluation.graph_points import Places, control_points, nearest_places, ways

_log = logging.getLogger(__name__)


_SMALLEST_PART_M = 5.0  # connected parts shorter than this are left out


@dataclass(frozen=True)
class AplsScores:
    """APLS of a proposed network.

    Attributes
    ----------
    apls : float
        Harmonic mean of the two below, 0..1. NaN when the truth is empty.
    truth_onto_proposal : float
        How well routes of the truth are kept by the proposal: falls with missing roads
        or broken.
    proposal_onto_truth : float
        How well routes of the proposal exist in the truth: falls with false roads.
    """

    apls: float
    truth_onto_proposal: float
    proposal_onto_truth: float


def apls_score(
    truth: Objects,
    proposal: Objects,
    *,
    spacing_m: float = 50.0,
    snap_m: float = 4.0,
    speed: tuple[Floats, Floats] | None = None,
    seed: int = 0,
    max_controls: int = 500,
    published: bool = True,
) -> AplsScores:
    """Return the average path length similarity of a proposed network to the truth.

    Control points are the junctions and ends of one network and points at most
    `spacing_m` apart along its edges. Each goes to the nearest place of the other network
    within `snap_m`. For each two control points with a way between them, of length ``a``
    in their own and ``b`` in the other network, the route's difference is
    ``min(1, |a - b| / a)``, and 1 when the other network has no such way or no such place.
    The score of one direction is 1 less the mean difference; both directions are scored
    and their harmonic mean is APLS.

    Parameters
    ----------
    truth, proposal : ndarray of LineString
        In one metric CRS. See `RoadGraph` for how lines become a graph.
    spacing_m : float
        Greatest distance between control points along an edge, metres.
    snap_m : float
        Farthest a control point may lie from the other network, metres.
    speed : pair of ndarray of float64, optional
        Metres per second for each line of `truth` and of `proposal`; ways are then
        measured by travel time. Where they are not given, by length.
    seed : int
        For the choice of control points in large networks.
    max_controls : int
        When more control points than this have a place in the other network, that many of
        them are drawn at random and the routes from these to all others are measured;
        otherwise all routes are. Points and connections that are missing are always
        counted in full, so the draw adds an error of about 0.001 at most with 500.
    published : bool
        Score what the authors' program scores: it leaves out streets that are drawn twice
        (both copies) and closed loops that leave and reach one junction. False counts each once.

    Returns
    -------
    AplsScores
        1 exactly for a network and itself; 0 for an empty proposal; NaN for an empty truth.

    Raises
    ------
    InputError
        For geometries other than LineStrings, or options that are not positive.
    """
    _check(spacing_m, snap_m, max_controls)
    one, two = (
        RoadGraph.from_lines(
            lines, speed=known, min_component_m=_SMALLEST_PART_M, drop_repeated=published
        )
        for lines, known in zip((truth, proposal), speed or (None, None), strict=True)
    )
    if not len(one):
        return AplsScores(float("nan"), float("nan"), float("nan"))
    if not len(two):
        return AplsScores(0.0, 0.0, 0.0)
    onto_proposal = _one_way(one, two, spacing_m, snap_m, seed, max_controls)
    onto_truth = _one_way(two, one, spacing_m, snap_m, seed, max_controls)
    worst = min(onto_proposal, onto_truth)
    # scaled by the smaller one, so that 1 and 1 give 1 exactly
    both = worst * (2.0 / (1.0 + worst / max(onto_proposal, onto_truth))) if worst > 0 else 0.0
    return AplsScores(both, onto_proposal, onto_truth)


def _check(spacing_m: float, snap_m: float, max_controls: int) -> None:
    if spacing_m <= 0 or snap_m < 0 or max_controls < 1:
        raise InputError(
            f"APLS was called with spacing_m={spacing_m:g}, snap_m={snap_m:g} and "
            f"max_controls={max_controls}; the spacing and the number must be positive and "
            "the snapping distance not negative."
        )


def _one_way(
    own: RoadGraph, other: RoadGraph, spacing_m: float, snap_m: float, seed: int, max_controls: int
) -> float:
    """Return how well routes of one network are kept by the other, 0..1."""
    controls = control_points(own, spacing_m)
    snapped = nearest_places(other, controls, snap_m, size_m=own.length_m[controls.edge])
    snapped = _one_each(other, controls, snapped)
    part = own.component[own.start[controls.edge]]
    routes = _pairs(part)
    on = np.flatnonzero(snapped.edge >= 0)
    if not routes or not len(on):
        return 0.0
    controls, snapped, part = controls.take(on), snapped.take(on), part[on]
    # only routes that exist in both networks need to be computed: their number, and their share
    # of all routes, follow from the connected components
    other_part = other.component[other.start[snapped.edge]]
    kept_routes = _pairs(part * (int(other_part.max()) + 1) + other_part)
    chosen = np.arange(len(on))
    if len(on) > max_controls:
        # sorted by place, so that the draw does not depend on the order of the lines
        draw = np.random.default_rng(seed).choice(len(on), max_controls, replace=False)
        chosen = np.sort(draw)
        _log.info("APLS: routes from %d of %d control points", max_controls, len(on))
    difference = _difference(own, other, controls, snapped, chosen)
    return kept_routes / routes * (1.0 - difference)


def _pairs(group: Ints) -> int:
    """Return the number of ordered pairs of two in the same group."""
    size = np.unique(group, return_counts=True)[1].astype(np.int64)
    return int((size * (size - 1)).sum())


def _one_each(other: RoadGraph, controls: Places, snapped: Places) -> Places:
    """Leave each place to the nearest of the control points that came to it."""
    ends = np.where(snapped.at_m > 0.0, other.end[snapped.edge], other.start[snapped.edge])
    # a node is one place, whichever edge it was reached on
    edge = np.where(snapped.at_node, -1 - ends, snapped.edge)
    at = np.where(snapped.at_node, 0.0, np.round(snapped.at_m, 6))
    distance = np.round(np.hypot(*(snapped.xy - controls.xy).T), 6)
    order = np.lexsort((distance, at, edge))
    again = np.zeros(len(order), bool)
    again[1:] = (edge[order[1:]] == edge[order[:-1]]) & (at[order[1:]] == at[order[:-1]])
    taken = np.zeros(len(order), bool)
    taken[order] = again
    return dataclasses.replace(snapped, edge=np.where(taken, -1, snapped.edge))


def _difference(
    own: RoadGraph, other: RoadGraph, controls: Places, snapped: Places, chosen: Ints
) -> float:
    """Return the mean difference of the routes from the chosen places that both networks have."""
    difference, routes = 0.0, 0
    own_ways = ways(own, controls.take(chosen), controls, rows_of=other)
    other_ways = ways(other, snapped.take(chosen), snapped, rows_of=own)
    for (_, a), (_, b) in zip(own_ways, other_ways, strict=True):
        route = np.isfinite(a) & np.isfinite(b) & (a > 0.0)
        a, b = a[route], b[route]
        apart = np.abs(a - b)
        # differences from rounding of coordinates and sums are ignored
        apart[apart <= 1e-6 + 1e-9 * a] = 0.0
        difference += float(np.minimum(1.0, apart / a).sum())
        routes += len(a)
    return difference / routes if routes else 0.0
