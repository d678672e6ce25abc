"""Place junctions: where the roads that end there, or go through them, meet.

A *stroke* is a road that continues through a junction: two edge ends that continue each other.
Shapes: E edges, V vertices, N nodes, A edge ends, M strokes, S steps along a stroke.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from roadgis.arrays import Bools, Floats, Ints, first_of_each
from roadgis.network.centerlines import Centerlines
from roadgis.network.edge_ends import EdgeEnds, fitted_ends
from roadgis.network.edit import move_nodes
from roadgis.network.shape.dead_ends import place_measured_ends, prolong_dead_ends


@dataclass(frozen=True)
class PlacementTuning:
    """Constants of :func:`place_nodes`.

    Not fitted to imagery; checked on drawn networks (perfect masks).
    """

    #: Weight of a junction's place on the skeleton against each line that leads to it.
    skeleton_weight: float = 0.01
    #: How far a junction may be moved where its lines meet in one point, widths,
    far_widths: float = 3.5
    #: and how far elsewhere.
    near_widths: float = 0.5
    #: Lines meet in one point when they miss it by less than this many widths
    miss_widths: float = 0.12
    #: and this many pixels more.
    miss_px: float = 0.6
    #: Rounds in which a junction is placed on the strokes through it.
    rounds: int = 3
    #: An end is fitted again when its junction is ahead by less than this many widths,
    behind_widths: float = 0.25
    #: from so far away that it would be ahead by this many.
    ahead_widths: float = 0.5


@dataclass(frozen=True)
class StrokeTuning:
    """Constants of the search for strokes; angles in radians.

    Not fitted to imagery; checked on drawn networks (perfect masks).
    """

    #: Steps in which the curve of a stroke is drawn.
    steps: int = 32
    #: Largest turn of a stroke (80 degrees).
    turn: float = 1.4
    #: Largest difference of the angles at its two feet; 0 on an arc.
    skew: float = 0.4
    #: Largest difference of its turn from the one that its ends' curvature leads to.
    surprise: float = 0.35
    #: Curvature is uncertain by this offset in the middle of a fitted end, pixels,
    unseen_px: float = 0.35
    #: and adds this much at most to that difference.
    doubt: float = 0.35
    #: Where curvature is unknown, the pair must turn less than any other by this.
    clearly: float = 0.35


TUNING, STROKES = PlacementTuning(), StrokeTuning()


@dataclass(frozen=True)
class PlacedLines:
    """Result of :func:`place_nodes`.

    Attributes
    ----------
    lines : Centerlines
        With nodes moved, and the vertices near them.
    undisturbed : ndarray of bool, shape (V,)
        Vertices that were not moved.
    """

    lines: Centerlines
    undisturbed: Bools


def place_nodes(
    lines: Centerlines, edge_width_px: Floats, fixed: Bools | None = None
) -> PlacedLines:
    """Move junctions to where their roads meet, dead ends to where roads end, and edges with them.

    1. A dead end is placed where the mask shows that the road ends. Where that is unknown, it is
       prolonged by the length that thinning removed, straight ahead or on its curve, but not
       beyond the raster or into nodata.
    2. A junction is placed where the lines and strokes of its edge ends meet.
    3. Edge ends that continue each other in a curve, as on a roundabout, are joined by that curve.

    Parameters
    ----------
    lines, edge_width_px, fixed
        See :func:`roadgis.network.shape.dead_ends.place_measured_ends`.
    """
    if not len(lines):
        return PlacedLines(lines, np.ones(0, bool))
    degree = _degree_without_rings(lines)
    skeleton = lines
    lines, measured, moved = place_measured_ends(lines, edge_width_px, fixed)
    ends = fitted_ends(lines, edge_width_px, measured=measured)
    strokes = find_strokes(ends, degree)
    placed = _junctions_placed(lines, ends, strokes, degree)
    # If a junction comes to lie behind a foot, that end is fitted from farther away.
    ahead = ends.node_ahead(placed)
    behind = ahead < np.minimum(TUNING.behind_widths * ends.width, ends.cut)
    behind &= (degree[ends.node] > 2) & ends.known & ~ends.vague
    if behind.any():
        more = np.where(behind, TUNING.ahead_widths * ends.width - ahead, 0.0)
        ends = fitted_ends(lines, edge_width_px, more, measured)
        strokes = find_strokes(ends, degree)
        placed = _junctions_placed(lines, ends, strokes, degree)
    placed = prolong_dead_ends(placed, ends, (lines.degree == 1) & ~measured)
    if fixed is not None and fixed.any():
        placed = dataclasses.replace(
            placed,
            node_row=np.where(fixed, skeleton.node_row, placed.node_row),
            node_col=np.where(fixed, skeleton.node_col, placed.node_col),
        )
    out = _with_ends_redrawn(placed, ends, strokes)
    return PlacedLines(out.lines, out.undisturbed & ~moved)


def _degree_without_rings(lines: Centerlines) -> Ints:
    """Return the degree of each node, 0 at those of rings without a junction."""
    degree: Ints = lines.degree.copy()
    ring = (lines.start == lines.end) & (degree[lines.start] == 2)
    degree[lines.start[ring]] = 0
    return degree


def _junctions_placed(
    lines: Centerlines, ends: EdgeEnds, strokes: Strokes, degree: Ints
) -> Centerlines:
    """Move junctions to the point nearest to the lines of their edge ends.

    Least squares over the distances, one system of two equations for each node. On a stroke, the
    line is the tangent of its curve where that is nearest to the point.
    """
    use = np.flatnonzero((degree[ends.node] > 1) & ends.known)
    point, unit = ends.foot, ends.direction
    begin = np.stack([lines.node_row, lines.node_col], axis=1)
    at = begin
    joined = np.concatenate([strokes.first, strokes.second])
    for number in range(TUNING.rounds if len(joined) else 1):
        if len(joined):
            foot, tangent = _nearest_on(strokes, at[ends.node[strokes.first]], number == 0)
            point[joined], unit[joined] = np.tile(foot, (2, 1)), np.tile(tangent, (2, 1))
        at, miss = _meeting_point(begin, ends.node[use], point[use], unit[use])
    move = at - begin
    distance = np.hypot(move[:, 0], move[:, 1])
    width = np.zeros(len(degree))
    np.maximum.at(width, ends.node, ends.width)
    curved = np.zeros(len(degree), bool)
    curved[ends.node[joined]] = True
    vague = np.zeros(len(degree), bool)
    vague[ends.node[ends.vague & ~np.isin(np.arange(len(ends)), joined)]] = True
    agreed = (miss < TUNING.miss_widths * width + TUNING.miss_px) & ~vague
    limit = np.where(agreed, TUNING.far_widths, TUNING.near_widths) * width
    scale = np.where(distance > limit, limit / np.where(distance > 0, distance, 1.0), 1.0)
    scale = np.where(lines.node_leaves_raster | (vague & ~curved), 0.0, scale)
    at = begin + scale[:, None] * move
    return dataclasses.replace(lines, node_row=at[:, 0], node_col=at[:, 1])


def _nearest_on(strokes: Strokes, at: Floats, first: bool) -> tuple[Floats, Floats]:
    """Return the nearest point of each stroke to a point, and its direction there, (M, 2).

    In the first round the middle, where the curve is most certain.
    """
    curve = strokes.curve
    steps = curve.shape[1]
    index = np.full(len(curve), steps // 2)
    if not first:
        index = ((curve - at[:, None]) ** 2).sum(axis=2).argmin(axis=1)
    pick = np.arange(len(curve))
    low, high = np.maximum(index - 1, 0), np.minimum(index + 1, steps - 1)
    direction = curve[pick, high] - curve[pick, low]
    norm = np.hypot(direction[:, 0], direction[:, 1])
    return curve[pick, index], direction / np.where(norm > 0, norm, 1.0)[:, None]


def _meeting_point(begin: Floats, node: Ints, point: Floats, unit: Floats) -> tuple[Floats, Floats]:
    """Return where lines meet, (N, 2), and the distance of the farthest of them, (N,)."""
    count = len(begin)

    def total(weights: Floats) -> Floats:
        return np.bincount(node, weights=weights, minlength=count).astype(np.float64, copy=False)

    # Relative to the node, so that no digits are lost to large coordinates.
    (row, col), (d_row, d_col) = (point - begin[node]).T, unit.T
    across = d_col * row - d_row * col
    a, c = (
        total(d_col * d_col) + TUNING.skeleton_weight,
        total(d_row * d_row) + TUNING.skeleton_weight,
    )
    b = total(-d_row * d_col)
    f, g = total(d_col * across), total(-d_row * across)
    determinant = a * c - b * b
    move = np.stack([(f * c - b * g) / determinant, (a * g - b * f) / determinant], axis=1)
    miss = np.zeros(count)
    off = np.abs(across - d_col * move[node, 0] + d_row * move[node, 1])
    np.maximum.at(miss, node, off)
    return begin + move, miss


def _with_ends_redrawn(lines: Centerlines, ends: EdgeEnds, strokes: Strokes) -> PlacedLines:
    """Move the vertices between each foot and its node onto a way between the two."""
    row, col = lines.row.copy(), lines.col.copy()
    stays = np.ones(len(row), bool)
    share_at_node, offset = _node_on_stroke(lines, ends, strokes)
    curve_of = np.full(len(ends), -1)
    curve_of[strokes.first], curve_of[strokes.second] = (np.arange(len(strokes.first)),) * 2
    for arc, first in zip(lines.distance_along, (0, len(lines)), strict=True):
        end = lines.edge_of_vertex + first
        near = np.flatnonzero((arc < ends.cut[end]) & ends.known[end])
        end = end[near]
        stays[near] = False
        share = 1 - arc[near] / ends.cut[end]
        place = _from_foot_to_node(lines, ends, end, share)
        on = np.flatnonzero(curve_of[end] >= 0)
        if len(on):
            some = end[on]
            place[on] = _on_curve(
                strokes.curve,
                curve_of[some],
                share_at_node[some] * share[on],
                strokes.second[curve_of[some]] == some,
            )
            ease = share[on] ** 2 * (3 - 2 * share[on])
            place[on] += ease[:, None] * offset[some]
        row[near], col[near] = place.T
    lines = dataclasses.replace(lines, row=row, col=col)
    return PlacedLines(move_nodes(lines, lines.node_row, lines.node_col), stays)


def _from_foot_to_node(lines: Centerlines, ends: EdgeEnds, end: Ints, share: Floats) -> Floats:
    """Return points (K, 2) at shares of the way from feet to their nodes.

    Straight; for curved ends on the parabola that leaves the foot in the end's direction.
    """
    foot, unit = ends.foot[end], ends.direction[end]
    node = np.stack([lines.node_row, lines.node_col], axis=1)[ends.node[end]]
    half = np.hypot(*(node - foot).T) / 2
    control = np.where(
        (ends.bend[end] != 0)[:, None], foot + unit * half[:, None], (foot + node) / 2
    )
    t = share[:, None]
    return np.asarray((1 - t) ** 2 * foot + 2 * t * (1 - t) * control + t**2 * node, np.float64)


def _node_on_stroke(lines: Centerlines, ends: EdgeEnds, strokes: Strokes) -> tuple[Floats, Floats]:
    """Return where on its stroke each end meets its node, and the offset of the node from there.

    Shares (A,) of the stroke from the end's own foot, and offsets (A, 2).
    """
    share, offset = np.zeros(len(ends)), np.zeros((len(ends), 2))
    if len(strokes.first):
        at = np.stack([lines.node_row, lines.node_col], axis=1)[ends.node[strokes.first]]
        index = ((strokes.curve - at[:, None]) ** 2).sum(axis=2).argmin(axis=1)
        steps = strokes.curve.shape[1] - 1
        share[strokes.first], share[strokes.second] = index / steps, 1 - index / steps
        gap = at - strokes.curve[np.arange(len(index)), index]
        offset[strokes.first], offset[strokes.second] = gap, gap
    return share, offset


def _on_curve(curve: Floats, number: Ints, share: Floats, from_end: Bools) -> Floats:
    """Return points (K, 2) on curves, at shares of the way from one of their ends."""
    steps = curve.shape[1] - 1
    position = np.where(from_end, 1 - share, share) * steps
    low = np.clip(position.astype(np.int64), 0, steps - 1)
    part = (position - low)[:, None]
    return np.asarray((1 - part) * curve[number, low] + part * curve[number, low + 1], np.float64)


class Strokes(NamedTuple):
    """Pairs of edge ends that are one road.

    Attributes
    ----------
    first, second : ndarray of int64, shape (M,)
        Numbers of the edge ends.
    curve : ndarray of float64, shape (M, S, 2)
        Curve from the first foot to the second, rows and columns.
    """

    first: Ints
    second: Ints
    curve: Floats


def find_strokes(ends: EdgeEnds, degree: Ints) -> Strokes:
    """Find the edge ends that continue each other at a junction, straight or in a curve.

    1. The two directions fit an arc between the feet.
    2. The ends are curved as that arc is. Where they are too short to decide, no other pair at a
       junction of three comes near instead.
    3. Each of the two is the other's best partner.

    Parameters
    ----------
    ends : EdgeEnds
        All edge ends (:func:`fitted_ends`).
    degree : ndarray of int64, shape (N,)
        Degree of each node; 0 leaves a node out.
    """
    one, two = _pairs(ends, degree)
    chord_row, chord_col = ends.row[two] - ends.row[one], ends.col[two] - ends.col[one]
    chord = np.hypot(chord_row, chord_col)
    # Angles from the first direction to the chord, and from the chord to the second, outwards.
    enter = _angle(ends.d_row[one], ends.d_col[one], chord_row, chord_col)
    leave = _angle(chord_row, chord_col, -ends.d_row[two], -ends.d_col[two])
    turn, skew = enter + leave, np.abs(enter - leave)
    expected, doubt = _expected(ends, one, two, chord / np.sinc(turn / 2 / np.pi))
    unseen = ends.vague[one] | ends.vague[two]
    clear = _clearly_best(ends.node[one], np.abs(turn) + skew) & (degree[ends.node[one]] == 3)
    fits = np.where(unseen, clear, np.abs(turn - expected) < STROKES.surprise + doubt)
    possible = fits & (np.abs(turn) < STROKES.turn) & (skew < STROKES.skew) & (chord > 0.5)
    cost = np.where(possible, np.abs(turn - expected) + skew, np.inf)
    chosen = np.flatnonzero(_mutual(one, two, cost, len(ends)))
    one, two = one[chosen], two[chosen]
    return Strokes(one, two, _curves(ends, one, two, chord[chosen], turn[chosen]))


def _expected(ends: EdgeEnds, one: Ints, two: Ints, length: Floats) -> tuple[Floats, Floats]:
    """Return the turn that the curvature of two ends leads to, and its uncertainty."""
    # The longer the fitted stretch, the more certain its curvature.
    first, second = ends.span[one] ** 4 + 1, ends.span[two] ** 4 + 1
    bend = (first * ends.bend[one] - second * ends.bend[two]) / (first + second)
    doubt = 8 * STROKES.unseen_px / np.sqrt(first + second) * length
    return bend * length, np.minimum(doubt, STROKES.doubt)


def _pairs(ends: EdgeEnds, degree: Ints) -> tuple[Ints, Ints]:
    """Return all pairs of ends at the same junction, the lower number first."""
    at = np.flatnonzero((degree[ends.node] > 2) & ends.known)
    at = at[np.argsort(ends.node[at], kind="stable")]
    node = ends.node[at]
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
    """Return which pairs are cheaper than all others at their node by a margin."""
    rank = np.lexsort([cost, node])
    sorted_node = node[rank]
    first = first_of_each(sorted_node)
    gap = np.full(len(node), np.inf)
    gap[:-1] = np.where(sorted_node[1:] == sorted_node[:-1], np.diff(cost[rank]), np.inf)
    out = np.zeros(len(node), bool)
    out[rank] = first & (gap > STROKES.clearly)
    return out


def _mutual(one: Ints, two: Ints, cost: Floats, count: int) -> Bools:
    """Return which pairs are the cheapest for both of their ends."""
    best = np.full(count, np.inf)
    np.minimum.at(best, one, cost)
    np.minimum.at(best, two, cost)
    out = np.isfinite(cost) & (cost == best[one]) & (cost == best[two])
    # With equal costs an end could be in two pairs.
    often = np.bincount(np.concatenate([one[out], two[out]]), minlength=count)
    return np.asarray(out & (often[one] < 2) & (often[two] < 2), bool)


def _curves(ends: EdgeEnds, one: Ints, two: Ints, chord: Floats, turn: Floats) -> Floats:
    """Return the Hermite curves between feet that are nearest to arcs."""
    t = np.linspace(0, 1, STROKES.steps + 1)
    speed = chord / np.cos(turn / 4) ** 2
    weights = ((1 + 2 * t) * (1 - t) ** 2, t * (1 - t) ** 2, t**2 * (3 - 2 * t), -(t**2) * (t - 1))
    out = [
        place[one][:, None] * weights[0]
        + (speed * step[one])[:, None] * weights[1]
        + place[two][:, None] * weights[2]
        + (speed * step[two])[:, None] * weights[3]
        for place, step in ((ends.row, ends.d_row), (ends.col, ends.d_col))
    ]
    return np.stack(out, axis=-1)
