"""Where edges end: at junctions to which their roads lead, and where the road ends."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from roadgis.arrays import Bools, Floats, Ints
from roadgis.network.centerlines import Centerlines
from roadgis.network.edge_ends import EdgeEnds, fitted_ends
from roadgis.network.shape.dead_ends import with_seen_ends
from roadgis.network.shape.strokes import Passages, passages

__all__ = ["Ends", "placed_ends"]

#: Weight of a junction's place on the skeleton against each line that leads to it.
_HOLD = 0.01
#: How far a junction may be moved, road widths: where its lines meet in one point, and else.
_FAR, _NEAR = 3.5, 0.5
#: Lines meet in one point when they miss it by less than this many widths, and pixels.
_MISS, _MISS_PX = 0.12, 0.6
#: Rounds in which a junction is placed on the curves that go through it.
_ROUNDS = 3


@dataclass(frozen=True)
class Ends:
    """Nodes where roads lead, and how edges get there.

    Attributes
    ----------
    lines : Centerlines
        With nodes moved, and vertices near them led there.
    undisturbed : ndarray of bool, shape (V,)
        Vertices that stayed where they were.
    """

    lines: Centerlines
    undisturbed: Bools


def placed_ends(lines: Centerlines, edge_width_px: Floats, held: Bools | None = None) -> Ends:
    """Place nodes where roads lead, and lead the edges there.

    - A junction goes where the lines and curves through its arms meet. EdgeEnds begin where the
      skeleton no longer leans towards another road: at acute junctions several widths away.
    - EdgeEnds that continue each other in a curve, as on a roundabout, are joined by that curve.
    - A dead end goes where the mask shows that the road's middle line ends. Where that is not
      known, it is prolonged by what thinning took, straight ahead or on its curve; not
      beyond the raster, nor into no data.

    Parameters
    ----------
    lines : Centerlines
        Vertices in the middle of the road.
    edge_width_px : ndarray of float64, shape (E,)
        Width of each road.
    held : ndarray of bool, shape (N,), optional
        Nodes that stay where they are.
    """
    if not len(lines):
        return Ends(lines, np.ones(0, bool))
    degree = _degree_without_rings(lines)
    skeleton = lines
    lines, seen, moved = with_seen_ends(lines, edge_width_px, held)
    arms = fitted_ends(lines, edge_width_px, measured=seen)
    through = passages(arms, degree)
    placed = _junctions_placed(lines, arms, through, degree)
    # A junction that came to lie behind where an arm begins: that arm begins farther away.
    behind = _ahead(arms, placed) < np.minimum(0.25 * arms.width, arms.cut)
    behind &= (degree[arms.node] > 2) & arms.known & ~arms.vague
    if behind.any():
        more = np.where(behind, 0.5 * arms.width - _ahead(arms, placed), 0.0)
        arms = fitted_ends(lines, edge_width_px, more, seen)
        through = passages(arms, degree)
        placed = _junctions_placed(lines, arms, through, degree)
    placed = _tips_prolonged(placed, arms, (lines.degree == 1) & ~seen)
    if held is not None and held.any():
        placed = dataclasses.replace(
            placed,
            node_row=np.where(held, skeleton.node_row, placed.node_row),
            node_col=np.where(held, skeleton.node_col, placed.node_col),
        )
    led = _led(placed, arms, through)
    return Ends(led.lines, led.undisturbed & ~moved)


def _degree_without_rings(lines: Centerlines) -> Ints:
    """Return the degree of each node, 0 at those of rings without a junction."""
    degree: Ints = lines.degree.copy()
    ring = (lines.start == lines.end) & (degree[lines.start] == 2)
    degree[lines.start[ring]] = 0
    return degree


def _ahead(arms: EdgeEnds, lines: Centerlines) -> Floats:
    """Return how far ahead of each arm's foot its node is, (A,) pixels."""
    row, col = lines.node_row[arms.node] - arms.row, lines.node_col[arms.node] - arms.col
    return np.asarray(row * arms.d_row + col * arms.d_col, np.float64)


def _junctions_placed(
    lines: Centerlines, arms: EdgeEnds, through: Passages, degree: Ints
) -> Centerlines:
    """Move junctions to the point that is nearest to the lines through their arms.

    Least squares over the arms' distances, one system of two equations a node. On a
    passage, the line is the curve's tangent where it is nearest to the point.
    """
    use = np.flatnonzero((degree[arms.node] > 1) & arms.known)
    point = np.stack([arms.row, arms.col], axis=1)
    unit = np.stack([arms.d_row, arms.d_col], axis=1)
    begin = np.stack([lines.node_row, lines.node_col], axis=1)
    at = begin
    joined = np.concatenate([through.first, through.second])
    for number in range(_ROUNDS if len(joined) else 1):
        if len(joined):
            foot, tangent = _nearest_on(through, at[arms.node[through.first]], number == 0)
            point[joined], unit[joined] = np.tile(foot, (2, 1)), np.tile(tangent, (2, 1))
        at, miss = _meeting_point(begin, arms.node[use], point[use], unit[use])
    move = at - begin
    distance = np.hypot(move[:, 0], move[:, 1])
    width = np.zeros(len(degree))
    np.maximum.at(width, arms.node, arms.width)
    curved = np.zeros(len(degree), bool)
    curved[arms.node[joined]] = True
    vague = np.zeros(len(degree), bool)
    vague[arms.node[arms.vague & ~np.isin(np.arange(len(arms)), joined)]] = True
    agreed = (miss < _MISS * width + _MISS_PX) & ~vague
    limit = np.where(agreed, _FAR, _NEAR) * width
    scale = np.where(distance > limit, limit / np.where(distance > 0, distance, 1.0), 1.0)
    scale = np.where(lines.node_leaves_raster | (vague & ~curved), 0.0, scale)
    at = begin + scale[:, None] * move
    return dataclasses.replace(lines, node_row=at[:, 0], node_col=at[:, 1])


def _nearest_on(through: Passages, at: Floats, first: bool) -> tuple[Floats, Floats]:
    """Return the nearest point of each passage to a point, and its direction there, (M, 2).

    At first the middle, where the curve is surest.
    """
    curve = through.curve
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
    """Return where lines meet, (N, 2), and by how much the worst of them misses it, (N,)."""
    count = len(begin)

    def total(weights: Floats) -> Floats:
        return np.bincount(node, weights=weights, minlength=count).astype(np.float64, copy=False)

    # Relative to the node, so that no digits are lost to large coordinates.
    (row, col), (d_row, d_col) = (point - begin[node]).T, unit.T
    across = d_col * row - d_row * col
    a, b, c = total(d_col * d_col) + _HOLD, total(-d_row * d_col), total(d_row * d_row) + _HOLD
    f, g = total(d_col * across), total(-d_row * across)
    determinant = a * c - b * b
    move = np.stack([(f * c - b * g) / determinant, (a * g - b * f) / determinant], axis=1)
    miss = np.zeros(count)
    off = np.abs(across - d_col * move[node, 0] + d_row * move[node, 1])
    np.maximum.at(miss, node, off)
    return begin + move, miss


def _tips_prolonged(lines: Centerlines, arms: EdgeEnds, unseen: Bools) -> Centerlines:
    """Put some dead ends as far ahead of their arm's foot as the skeleton, and its reach."""
    tip = np.flatnonzero(unseen[arms.node] & arms.known)
    node = arms.node[tip]
    d_row, d_col, bend = arms.d_row[tip], arms.d_col[tip], arms.bend[tip]
    straight = np.maximum(_ahead(arms, lines)[tip], 0.0)
    row, col = lines.node_row[node] - arms.row[tip], lines.node_col[node] - arms.col[tip]
    side = col * d_row - row * d_col
    # On an arc the way is longer than straight ahead.
    curve = np.where(bend == 0, 1.0, bend)
    arc = np.arctan2(curve * straight, 1 - curve * side) / curve
    arc = np.where(bend == 0, straight, arc)
    ahead = np.maximum(arc + lines.node_shortening_px[node], 0.0)
    # No data begins half a pixel before the middle of its first pixel.
    to_blank = straight + np.maximum(lines.node_nodata_distance_px[node] - 0.5, 0)
    border = np.minimum(_to_border(lines, arms.row[tip], arms.col[tip], d_row, d_col), to_blank)
    # A road that goes on beyond the raster, or into no data, is led up to the edge.
    exits = lines.node_leaves_raster[node] & (border < ahead + 3)
    ahead = np.where(exits, border, np.minimum(ahead, border))
    # No arc goes on for more than a third of its circle beyond what is seen of it.
    bend = np.where(exits, 0.0, bend)
    angle = np.clip(bend * ahead, -2.0, 2.0)
    forth = np.where(angle == 0, ahead, ahead * np.sinc(angle / np.pi))
    side = ahead * np.sinc(angle / 2 / np.pi) * np.sin(angle / 2)
    node_row, node_col = lines.node_row.copy(), lines.node_col.copy()
    node_row[node] = arms.row[tip] + forth * d_row - side * d_col
    node_col[node] = arms.col[tip] + forth * d_col + side * d_row
    return dataclasses.replace(lines, node_row=node_row, node_col=node_col)


def _to_border(
    lines: Centerlines, row: Floats, col: Floats, d_row: Floats, d_col: Floats
) -> Floats:
    """Return how far ahead the raster's outer edge is, pixels; inf when it is not."""
    out = np.full(len(row), np.inf)
    for value, step, size in ((row, d_row, lines.grid.height), (col, d_col, lines.grid.width)):
        border = np.where(step > 0, size - 0.5, -0.5)
        moving = step != 0
        out[moving] = np.minimum(out[moving], (border[moving] - value[moving]) / step[moving])
    return np.asarray(np.maximum(out, 0), np.float64)


def _led(lines: Centerlines, arms: EdgeEnds, through: Passages) -> Ends:
    """Lead the vertices before each arm's foot from there to the node."""
    row, col = lines.row.copy(), lines.col.copy()
    stays = np.ones(len(row), bool)
    share_at_node, offset = _joining(lines, arms, through)
    curve_of = np.full(len(arms), -1)
    curve_of[through.first], curve_of[through.second] = (np.arange(len(through.first)),) * 2
    count = len(lines)
    for arc, first in zip(lines.distance_along, (0, count), strict=True):
        arm = lines.edge_of_vertex + first
        near = np.flatnonzero((arc < arms.cut[arm]) & arms.known[arm])
        arm = arm[near]
        stays[near] = False
        share = 1 - arc[near] / arms.cut[arm]
        place = _free_way(lines, arms, arm, share)
        on = np.flatnonzero(curve_of[arm] >= 0)
        if len(on):
            some = arm[on]
            place[on] = _on_curve(
                through.curve,
                curve_of[some],
                share_at_node[some] * share[on],
                through.second[curve_of[some]] == some,
            )
            ease = share[on] ** 2 * (3 - 2 * share[on])
            place[on] += ease[:, None] * offset[some]
        row[near], col[near] = place.T
    for vertex, node in ((lines.offsets[:-1], lines.start), (lines.offsets[1:] - 1, lines.end)):
        row[vertex], col[vertex] = lines.node_row[node], lines.node_col[node]
    return Ends(dataclasses.replace(lines, row=row, col=col), stays)


def _free_way(lines: Centerlines, arms: EdgeEnds, arm: Ints, share: Floats) -> Floats:
    """Return points (K, 2) some share of the way from arms' feet to their nodes.

    Straight; for curved arms on the parabola that leaves the foot in the arm's direction.
    """
    foot = np.stack([arms.row, arms.col], axis=1)[arm]
    node = np.stack([lines.node_row, lines.node_col], axis=1)[arms.node[arm]]
    unit = np.stack([arms.d_row, arms.d_col], axis=1)[arm]
    half = np.hypot(*(node - foot).T) / 2
    control = np.where(
        (arms.bend[arm] != 0)[:, None], foot + unit * half[:, None], (foot + node) / 2
    )
    t = share[:, None]
    return np.asarray((1 - t) ** 2 * foot + 2 * t * (1 - t) * control + t**2 * node, np.float64)


def _joining(lines: Centerlines, arms: EdgeEnds, through: Passages) -> tuple[Floats, Floats]:
    """Return where on its passage each arm meets its node, and how far that is off the node.

    Shares (A,) of the passage from the arm's own foot, and offsets (A, 2).
    """
    share, offset = np.zeros(len(arms)), np.zeros((len(arms), 2))
    if len(through.first):
        at = np.stack([lines.node_row, lines.node_col], axis=1)[arms.node[through.first]]
        index = ((through.curve - at[:, None]) ** 2).sum(axis=2).argmin(axis=1)
        steps = through.curve.shape[1] - 1
        share[through.first], share[through.second] = index / steps, 1 - index / steps
        gap = at - through.curve[np.arange(len(index)), index]
        offset[through.first], offset[through.second] = gap, gap
    return share, offset


def _on_curve(curve: Floats, number: Ints, share: Floats, from_end: Bools) -> Floats:
    """Return points (K, 2) on curves, some share of the way from one of their ends."""
    steps = curve.shape[1] - 1
    position = np.where(from_end, 1 - share, share) * steps
    low = np.clip(position.astype(np.int64), 0, steps - 1)
    part = (position - low)[:, None]
    return np.asarray((1 - part) * curve[number, low] + part * curve[number, low + 1], np.float64)
