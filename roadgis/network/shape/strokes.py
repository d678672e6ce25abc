"""Roads that go on through a junction, and the curve they take."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from roadgis.arrays import Bools, Floats, Ints
from roadgis.network.edge_ends import EdgeEnds

__all__ = ["Passages", "passages"]

#: Steps in which a passage is looked at.
_STEPS = 32
#: Most that a passage may turn, radians (80 degrees).
_TURN = 1.4
#: How unlike an arc it may be: difference of the angles at its two feet, radians,
_SKEW = 0.4
#: and difference between its turn and the one that its arms' curvature leads to.
_SURPRISE = 0.35
#: Where that curvature may be this much off: by so many pixels between the ends of an arm, and at
#: most by this turn.
_UNSEEN_PX, _DOUBT = 0.35, 0.35
#: By how much less than any other pair two arms must turn when their curvature is not known.
_CLEARLY = 0.35


class Passages(NamedTuple):
    """Pairs of arms that are one road, M of them.

    Attributes
    ----------
    first, second : ndarray of int64, shape (M,)
        The arms.
    curve : ndarray of float64, shape (M, S, 2)
        (row, column) from the first arm's foot to the second's.
    """

    first: Ints
    second: Ints
    curve: Floats


def passages(arms: EdgeEnds, degree: Ints) -> Passages:
    """Find the arms that continue each other, straight or in a curve.

    A pair is one road when the two directions fit an arc between its feet, and its arms are
    curved as that arc is; where the arms are too short to be seen to curve, when no other pair
    at a junction of three comes near. Between the feet of a road that goes through the junction
    its place is better known than ahead of either arm.

    Parameters
    ----------
    arms : EdgeEnds
        Of all edges.
    degree : ndarray of int64, shape (N,)
        Of all nodes.
    """
    one, two = _pairs(arms, degree)
    chord_row, chord_col = arms.row[two] - arms.row[one], arms.col[two] - arms.col[one]
    chord = np.hypot(chord_row, chord_col)
    # From the first direction to the chord, and from the chord to the second one, outwards.
    enter = _angle(arms.d_row[one], arms.d_col[one], chord_row, chord_col)
    leave = _angle(chord_row, chord_col, -arms.d_row[two], -arms.d_col[two])
    turn, skew = enter + leave, np.abs(enter - leave)
    expected, doubt = _expected(arms, one, two, chord / np.sinc(turn / 2 / np.pi))
    unseen = arms.vague[one] | arms.vague[two]
    clear = _clearly_best(arms.node[one], np.abs(turn) + skew) & (degree[arms.node[one]] == 3)
    fits = np.where(unseen, clear, np.abs(turn - expected) < _SURPRISE + doubt)
    possible = fits & (np.abs(turn) < _TURN) & (skew < _SKEW) & (chord > 0.5)
    cost = np.where(possible, np.abs(turn - expected) + skew, np.inf)
    chosen = np.flatnonzero(_mutual(one, two, cost, len(arms)))
    one, two = one[chosen], two[chosen]
    return Passages(one, two, _curves(arms, one, two, chord[chosen], turn[chosen]))


def _expected(arms: EdgeEnds, one: Ints, two: Ints, length: Floats) -> tuple[Floats, Floats]:
    """Return the turn to which the curvature of two arms leads, and how little is known of it."""
    # Curvature is known the better the longer the stretch that it was taken over.
    first, second = arms.span[one] ** 4 + 1, arms.span[two] ** 4 + 1
    bend = (first * arms.bend[one] - second * arms.bend[two]) / (first + second)
    doubt = 8 * _UNSEEN_PX / np.sqrt(first + second) * length
    return bend * length, np.minimum(doubt, _DOUBT)


def _pairs(arms: EdgeEnds, degree: Ints) -> tuple[Ints, Ints]:
    """Return all pairs of arms at the same junction; the first is the lower arm."""
    at = np.flatnonzero((degree[arms.node] > 2) & arms.known)
    at = at[np.argsort(arms.node[at], kind="stable")]
    node = arms.node[at]
    one, two = [], []
    apart = 1
    while apart < len(at):
        same = np.flatnonzero(node[apart:] == node[:-apart])
        if not len(same):
            break
        one.append(at[same])
        two.append(at[same + apart])
        apart += 1
    none = np.empty(0, np.int64)
    first, second = np.concatenate([none, *one]), np.concatenate([none, *two])
    return np.minimum(first, second), np.maximum(first, second)


def _angle(a_row: Floats, a_col: Floats, b_row: Floats, b_col: Floats) -> Floats:
    """Return the angle from one vector to another, positive towards (-a_col, a_row)."""
    return np.asarray(
        np.arctan2(-b_row * a_col + b_col * a_row, a_row * b_row + a_col * b_col), np.float64
    )


def _clearly_best(node: Ints, cost: Floats) -> Bools:
    """Return which pairs cost less than all others of their node by a margin."""
    rank = np.lexsort([cost, node])
    sorted_node = node[rank]
    first = np.concatenate([[True], sorted_node[1:] != sorted_node[:-1]])[: len(node)]
    gap = np.full(len(node), np.inf)
    gap[:-1] = np.where(sorted_node[1:] == sorted_node[:-1], np.diff(cost[rank]), np.inf)
    out = np.zeros(len(node), bool)
    out[rank] = first & (gap > _CLEARLY)
    return out


def _mutual(one: Ints, two: Ints, cost: Floats, count: int) -> Bools:
    """Return which pairs are the cheapest for both of their arms."""
    best = np.full(count, np.inf)
    np.minimum.at(best, one, cost)
    np.minimum.at(best, two, cost)
    out = np.isfinite(cost) & (cost == best[one]) & (cost == best[two])
    # Equal costs: no arm in two pairs.
    often = np.bincount(np.concatenate([one[out], two[out]]), minlength=count)
    return np.asarray(out & (often[one] < 2) & (often[two] < 2), bool)


def _curves(arms: EdgeEnds, one: Ints, two: Ints, chord: Floats, turn: Floats) -> Floats:
    """Return Hermite curves between feet, as near to arcs as they come."""
    t = np.linspace(0, 1, _STEPS + 1)
    speed = chord / np.cos(turn / 4) ** 2
    weights = ((1 + 2 * t) * (1 - t) ** 2, t * (1 - t) ** 2, t**2 * (3 - 2 * t), -(t**2) * (t - 1))
    out = [
        place[one][:, None] * weights[0]
        + (speed * step[one])[:, None] * weights[1]
        + place[two][:, None] * weights[2]
        + (speed * step[two])[:, None] * weights[3]
        for place, step in ((arms.row, arms.d_row), (arms.col, arms.d_col))
    ]
    return np.stack(out, axis=-1)
