"""Corners: where two straight stretches of one road meet at an angle, thinning cuts across."""

from __future__ import annotations

import dataclasses

import numpy as np

from roadgis.arrays import Bools, Floats, Ints
from roadgis.network.centerlines import Centerlines, lengths_along
from roadgis.network.edge_ends import fit_lines

__all__ = ["with_corners"]

#: The direction of a road changes by more than this within a corner, radians (30 degrees),
_TURN = 0.52
#: and by less than this, or it is no corner but an end (130 degrees).
_BACK = 2.27
#: Within this many widths of a corner the skeleton is bent.
_LEAN = 0.8
#: The stretches beside it, widths and pixels,
_SPAN, _SPAN_PX = 0.8, 5.0
#: that are straight: vertices leave the line by a root mean square of less than this, pixels.
_STRAIGHT = 0.36
#: Radius of the arc by which the skeleton cuts a corner, widths and pixels: a wider one is
#: that of the road.
_CUT, _CUT_PX = 1.0, 1.0


def with_corners(
    lines: Centerlines, edge_width_px: Floats, undisturbed: Bools
) -> tuple[Centerlines, Ints]:
    """Give roads that turn between two straight stretches the corner in which these meet.

    A road that turns in an arc wider than its own width has no such stretches, and stays.

    Parameters
    ----------
    lines : Centerlines
        Vertices in the middle of the road.
    edge_width_px : ndarray of float64, shape (E,)
        Width of each road.
    undisturbed : ndarray of bool, shape (V,)
        Vertices that do not belong to a junction or an end.

    Returns
    -------
    Centerlines
        With vertices moved.
    ndarray of int64, shape (C,)
        The vertices that are corners, ascending.
    """
    if not len(lines):
        return lines, np.empty(0, np.int64)
    found, corners = _cornered(lines, edge_width_px, undisturbed)
    rings = np.flatnonzero((lines.start == lines.end) & (lines.degree[lines.start] == 2))
    if not len(rings):
        return found, corners
    # Rings begin at their topmost pixel, often a corner: they are looked at from another start.
    vertices = lines.vertices_of(rings)
    sub = found.take(rings)
    order, back = _other_start(sub)
    turned = dataclasses.replace(sub, row=sub.row[order], col=sub.col[order])
    turned, more = _cornered(turned, edge_width_px[rings], undisturbed[vertices][order])
    row, col = found.row.copy(), found.col.copy()
    row[vertices], col[vertices] = turned.row[back], turned.col[back]
    corners = np.unique(np.concatenate([corners, vertices[order[more]]]))
    return dataclasses.replace(found, row=row, col=col), corners


def _other_start(rings: Centerlines) -> tuple[Ints, Ints]:
    """Return the vertices of rings from three eighths of the way on, and the way back."""
    first, edge = rings.offsets[:-1][rings.edge_of_vertex], rings.edge_of_vertex
    steps = np.maximum(np.diff(rings.offsets) - 1, 1)[edge]
    at, shift = np.arange(len(edge)) - first, 3 * steps // 8
    return first + (at + shift) % steps, first + (at - shift) % steps


def _cornered(
    lines: Centerlines, edge_width_px: Floats, undisturbed: Bools
) -> tuple[Centerlines, Ints]:
    """Return the lines with corners, and these."""
    along = lengths_along(lines.row, lines.col)
    low, high = _undisturbed_ranges(lines, undisturbed)
    at = _sharpest(lines, along, edge_width_px, low, high)
    if not len(at):
        return lines, at
    edge = lines.edge_of_vertex[at]
    good, corner, legs = _meetings(lines, along, at, edge_width_px[edge], low[edge], high[edge])
    legs = tuple((vertex[good], foot[good]) for vertex, foot in legs)
    return _moved(lines, at[good], corner[good], legs), at[good]


_Legs = tuple[tuple[Ints, Floats], ...]


def _meetings(
    lines: Centerlines, along: Floats, at: Ints, width: Floats, low: Ints, high: Ints
) -> tuple[Bools, Floats, _Legs]:
    """Return which turns are corners, where these are, and the feet of the legs to them."""
    lean, far = _LEAN * width, (_LEAN + _SPAN) * width + _SPAN_PX
    # Windows after and before each corner, within its edge.
    after = _clipped(along, along[at] + lean, low, high)
    after_stop = _clipped(along, along[at] + far, low, high) + 1
    before = _clipped(along, along[at] - far, low, high)
    before_stop = _clipped(along, along[at] - lean, low, high) + 1
    enough = (along[after_stop - 1] - along[after] > 0.5 * _SPAN * width + _SPAN_PX / 2) & (
        along[before_stop - 1] - along[before] > 0.5 * _SPAN * width + _SPAN_PX / 2
    )
    begin, stop = np.concatenate([after, before]), np.concatenate([after_stop, before_stop])
    arms = fit_lines(lines, begin, np.maximum(stop, begin + 1), np.ones(len(begin), bool))
    count = len(at)
    unit = np.stack([arms.d_row, arms.d_col], axis=1)
    foot = np.stack([arms.row, arms.col], axis=1)
    cross = unit[:count, 0] * unit[count:, 1] - unit[:count, 1] * unit[count:, 0]
    turn = np.pi - np.abs(np.arctan2(cross, (unit[:count] * unit[count:]).sum(axis=1)))
    gap = foot[count:] - foot[:count]
    safe = np.where(np.abs(cross) > 0.1, cross, 1.0)
    reach = (gap[:, 0] * unit[count:, 1] - gap[:, 1] * unit[count:, 0]) / safe
    corner = foot[:count] + reach[:, None] * unit[:count]
    away = np.hypot(corner[:, 0] - lines.row[at], corner[:, 1] - lines.col[at])
    radius = away / np.maximum(1 / np.cos(np.minimum(turn, _BACK) / 2) - 1, 1e-6)
    back = ((corner - foot[count:]) * unit[count:]).sum(axis=1)
    straight = arms.rms < _STRAIGHT
    good = enough & straight[:count] & straight[count:] & arms.known[:count]
    good &= arms.known[count:] & (turn > _TURN) & (turn < _BACK) & (np.abs(cross) > 0.1)
    good &= (reach > 0) & (back > 0) & (radius < _CUT * width + _CUT_PX)
    legs = ((before_stop - 1, foot[count:]), (after, foot[:count]))
    return np.asarray(good, bool), corner, legs


def _undisturbed_ranges(lines: Centerlines, undisturbed: Bools) -> tuple[Ints, Ints]:
    """Return the first and the last undisturbed vertex of each edge; its middle if none."""
    at = np.flatnonzero(undisturbed)
    middle = (lines.offsets[:-1] + lines.offsets[1:]) // 2
    low, high = np.full(len(lines), len(undisturbed)), np.full(len(lines), -1)
    np.minimum.at(low, lines.edge_of_vertex[at], at)
    np.maximum.at(high, lines.edge_of_vertex[at], at)
    none = high < 0
    return np.where(none, middle, low), np.where(none, middle, high)


def _clipped(along: Floats, value: Floats, low: Ints, high: Ints) -> Ints:
    return np.clip(np.searchsorted(along, value), low, high)


def _sharpest(lines: Centerlines, along: Floats, width: Floats, low: Ints, high: Ints) -> Ints:
    """Return the vertex of the sharpest turn in each run of vertices at which lines turn."""
    edge = lines.edge_of_vertex
    at = np.arange(len(edge))
    reach = 1.1 * width[edge] + 2
    ahead = _clipped(along, along + reach, low[edge], high[edge])
    back = _clipped(along, along - reach, low[edge], high[edge])
    use = np.flatnonzero((back < at) & (at < ahead))
    a, b, c = back[use], use, ahead[use]
    row_in, col_in = lines.row[b] - lines.row[a], lines.col[b] - lines.col[a]
    row_out, col_out = lines.row[c] - lines.row[b], lines.col[c] - lines.col[b]
    turn = np.abs(
        np.arctan2(row_in * col_out - col_in * row_out, row_in * row_out + col_in * col_out)
    )
    sharp = np.flatnonzero(turn > _TURN)
    if not len(sharp):
        return np.empty(0, np.int64)
    vertex, turn = use[sharp], turn[sharp]
    new = np.concatenate([[True], (np.diff(vertex) > 1) | (np.diff(edge[vertex]) != 0)])
    run = np.cumsum(new) - 1
    # The sharpest of each run, the middle one of equally sharp ones.
    best = np.maximum.reduceat(turn, np.flatnonzero(new))
    top = np.flatnonzero(turn >= best[run] - 1e-9)
    first = np.full(run[-1] + 1, len(turn))
    last = np.zeros(run[-1] + 1, np.int64)
    np.minimum.at(first, run[top], top)
    np.maximum.at(last, run[top], top)
    return np.asarray(vertex[(first + last) // 2], np.int64)


def _moved(lines: Centerlines, at: Ints, corner: Floats, legs: _Legs) -> Centerlines:
    """Put the vertices between each leg's foot and the corner evenly on the leg."""
    row, col = lines.row.copy(), lines.col.copy()
    for vertex, foot in legs:
        first, last = np.minimum(vertex, at), np.maximum(vertex, at)
        size = last - first + 1
        of = np.repeat(np.arange(len(at)), size)
        index = np.arange(len(of)) - np.repeat(np.cumsum(size) - size, size) + first[of]
        share = np.abs(index - vertex[of]) / np.maximum(np.abs(at - vertex), 1)[of]
        row[index] = foot[of, 0] + share * (corner[of, 0] - foot[of, 0])
        col[index] = foot[of, 1] + share * (corner[of, 1] - foot[of, 1])
    return dataclasses.replace(lines, row=row, col=col)
