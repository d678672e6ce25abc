"""Smooth edges along themselves, up to the corners of roads.

Where two straight stretches of a road meet at an angle, thinning cuts the corner; it is restored.
Shapes: E edges, V vertices, C corners.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from roadgis.arrays import Bools, Floats, Ints
from roadgis.network.centerlines import Centerlines, concatenated_ranges, lengths_along
from roadgis.network.edge_ends import fit_lines


@dataclass(frozen=True)
class CornerTuning:
    """Constants of :func:`with_corners`.

    Not fitted to imagery; checked on drawn networks (perfect masks).
    """

    #: Smallest turn of a corner, radians (30 degrees),
    least_turn: float = 0.52
    #: and largest; more is the end of a road (130 degrees).
    most_turn: float = 2.27
    #: Within this many widths of a corner the skeleton is bent.
    lean_widths: float = 0.8
    #: Length of the straight stretches at a corner, widths
    span_widths: float = 0.8
    #: and pixels added.
    span_px: float = 5.0
    #: A stretch must have this part of that length.
    span_part: float = 0.5
    #: A turn is measured over this many widths to both sides
    turn_widths: float = 1.1
    #: and pixels added.
    turn_px: float = 2.0
    #: Stretches must meet at an angle whose sine is larger than this.
    least_sine: float = 0.1
    #: A stretch is straight where its vertices leave the line by less than this (RMS), pixels.
    straight_rms_px: float = 0.36
    #: Largest radius of the arc by which the skeleton cuts a corner, widths
    cut_widths: float = 1.0
    #: and pixels added; a wider arc is that of the road.
    cut_px: float = 1.0


TUNING = CornerTuning()


def smoothed(lines: Centerlines, sigma_px: float, corners: Ints) -> Centerlines:
    """Smooth edges along themselves, without moving their ends.

    The shrinkage of a Gaussian is compensated by smoothing the difference once more: a circle
    shrinks by the fourth power of sigma over radius, not by the second. Beyond its ends a line is
    continued by its reflection in the end point, which keeps the end in place, and straight lines
    straight. Rings without a junction have no end.

    Parameters
    ----------
    sigma_px : float
        Standard deviation, pixels.
    corners : ndarray of int64, shape (C,)
        Vertices that are not moved; lines are smoothed up to them from both sides.
    """
    reach = int(np.ceil(5 * sigma_px))
    if sigma_px <= 0 or not len(lines):
        return lines
    once = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma_px) ** 2)
    once /= once.sum()
    taps = 2 * once - np.convolve(once, once)[reach:-reach]
    taps /= taps.sum()
    first = np.sort(np.concatenate([lines.offsets[:-1], corners]))
    last = np.sort(np.concatenate([lines.offsets[1:] - 1, corners]))
    size = last - first + 1
    padded = size + 2 * reach
    at = np.repeat(first - reach, padded) + (concatenated_ranges(np.zeros_like(padded), padded))
    low, high = np.repeat(first, padded), np.repeat(last, padded)
    ring = np.repeat(_is_ring_piece(lines, first, last), padded)
    before, after = ~ring & (at < low), ~ring & (at > high)
    source = np.where(before, np.minimum(2 * low - at, high), at)
    source = np.where(after, np.maximum(2 * high - at, low), source)
    source = np.where(ring, low + (at - low) % np.maximum(high - low, 1), source)
    middle = concatenated_ranges(np.cumsum(padded) - padded + reach, np.cumsum(padded) - reach)
    vertex = concatenated_ranges(first, last + 1)
    out = []
    for value in (lines.row, lines.col):
        line = value[source]
        line[before] = 2 * value[low[before]] - line[before]
        line[after] = 2 * value[high[after]] - line[after]
        result = value.copy()
        result[vertex] = convolved(line, taps)[middle - reach]
        result[corners] = value[corners]
        out.append(result)
    row, col = out
    return dataclasses.replace(lines, row=row, col=col)


def convolved(line: Floats, taps: Floats) -> Floats:
    """Return the convolution with symmetric taps, where all of them lie on the line.

    The same, bit by bit, as `scipy.ndimage.convolve1d`, which takes 0.1 s to load.
    """
    reach = len(taps) // 2
    size = len(line) - 2 * reach
    out: Floats = line[reach : reach + size] * taps[reach]
    for step in range(reach, 0, -1):
        before, after = line[reach - step :][:size], line[reach + step :][:size]
        out += (before + after) * taps[reach + step]
    return out


def _is_ring_piece(lines: Centerlines, first: Ints, last: Ints) -> Bools:
    """Return which stretches first..last are whole rings without a junction or a corner."""
    edge = lines.edge_of_vertex[np.minimum(first, last)]
    free = (lines.start == lines.end) & (lines.degree[lines.start] == 2)
    whole = (first == lines.offsets[:-1][edge]) & (last == lines.offsets[1:][edge] - 1)
    return np.asarray(free[edge] & whole, bool)


def with_ring_nodes(lines: Centerlines) -> Centerlines:
    """Put the nodes of rings without a junction on their ring."""
    free = (lines.start == lines.end) & (lines.degree[lines.start] == 2)
    node_row, node_col = lines.node_row.copy(), lines.node_col.copy()
    node_row[lines.start[free]] = lines.row[lines.offsets[:-1][free]]
    node_col[lines.start[free]] = lines.col[lines.offsets[:-1][free]]
    return dataclasses.replace(lines, node_row=node_row, node_col=node_col)


def with_middles(lines: Centerlines) -> Centerlines:
    """Move each vertex to the middle of the road.

    Where that is unknown, the offset is interpolated between the nearest vertices with one.
    """
    known = np.isfinite(lines.d_row)
    if not known.any():
        return lines
    at = np.arange(len(known))
    edge = lines.edge_of_vertex
    before = np.maximum.accumulate(np.where(known, at, -1))
    after = np.minimum.accumulate(np.where(known, at, len(known))[::-1])[::-1]
    has_before, has_after = before >= lines.offsets[edge], after < lines.offsets[edge + 1]
    # Junctions are not moved: several edges end there.
    junction = lines.degree > 2
    node = np.zeros(len(known), bool)
    node[lines.offsets[:-1]], node[lines.offsets[1:] - 1] = (
        junction[lines.start],
        junction[lines.end],
    )
    before, after = np.maximum(before, 0), np.minimum(after, len(known) - 1)
    share = np.where(
        has_before & has_after, (at - before) / np.maximum(after - before, 1), ~has_before
    )
    free = ~node & (has_before | has_after)
    out = []
    for centre, shift in ((lines.row, lines.d_row), (lines.col, lines.d_col)):
        low, high = (np.nan_to_num(shift[index]).astype(np.float64) for index in (before, after))
        out.append(np.where(free, centre + low + share * (high - low), centre))
    row, col = out
    return dataclasses.replace(lines, row=row, col=col)


def with_corners(
    lines: Centerlines, edge_width_px: Floats, undisturbed: Bools
) -> tuple[Centerlines, Ints]:
    """Restore the corners of roads that turn between two straight stretches.

    A road that turns in an arc wider than its own width has no corner, and is not changed.

    Parameters
    ----------
    lines, edge_width_px
        See :func:`roadgis.network.shape.dead_ends.place_measured_ends`.
    undisturbed : ndarray of bool, shape (V,)
        Vertices outside junctions and dead ends.

    Returns
    -------
    Centerlines
        With vertices moved.
    ndarray of int64, shape (C,)
        Vertices at corners, ascending.
    """
    if not len(lines):
        return lines, np.empty(0, np.int64)
    found, corners = _cornered(lines, edge_width_px, undisturbed)
    rings = np.flatnonzero((lines.start == lines.end) & (lines.degree[lines.start] == 2))
    if not len(rings):
        return found, corners
    # Rings begin at their topmost pixel, often a corner: they are searched from another start.
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
    """Return the order of rings' vertices from three eighths on, and its inverse."""
    first, edge = rings.offsets[:-1][rings.edge_of_vertex], rings.edge_of_vertex
    steps = np.maximum(np.diff(rings.offsets) - 1, 1)[edge]
    at, shift = np.arange(len(edge)) - first, 3 * steps // 8
    return first + (at + shift) % steps, first + (at - shift) % steps


def _cornered(
    lines: Centerlines, edge_width_px: Floats, undisturbed: Bools
) -> tuple[Centerlines, Ints]:
    """Return the lines with corners, and the vertices at these."""
    along = lengths_along(lines.row, lines.col)
    low, high = _undisturbed_ranges(lines, undisturbed)
    at = _sharpest(lines, along, edge_width_px, low, high)
    if not len(at):
        return lines, at
    edge = lines.edge_of_vertex[at]
    good, corner, legs = _intersected_legs(
        lines, along, at, edge_width_px[edge], low[edge], high[edge]
    )
    legs = tuple((vertex[good], foot[good]) for vertex, foot in legs)
    return _moved(lines, at[good], corner[good], legs), at[good]


_Legs = tuple[tuple[Ints, Floats], ...]


def _intersected_legs(
    lines: Centerlines, along: Floats, at: Ints, width: Floats, low: Ints, high: Ints
) -> tuple[Bools, Floats, _Legs]:
    """Return which turns are corners, their positions, and the feet of the two legs to each."""
    lean, span = TUNING.lean_widths * width, TUNING.span_widths * width + TUNING.span_px
    # Straight stretches after and before each corner, within its edge.
    after = _clipped(along, along[at] + lean, low, high)
    after_stop = _clipped(along, along[at] + (lean + span), low, high) + 1
    before = _clipped(along, along[at] - (lean + span), low, high)
    before_stop = _clipped(along, along[at] - lean, low, high) + 1
    begin, stop = np.concatenate([after, before]), np.concatenate([after_stop, before_stop])
    legs_px = (along[stop - 1] - along[begin]).reshape(2, -1)
    fitted = fit_lines(lines, begin, np.maximum(stop, begin + 1), np.ones(len(begin), bool))
    straight = (fitted.rms < TUNING.straight_rms_px) & fitted.known
    foot_out, foot_in = fitted.foot.reshape(2, -1, 2)
    unit_out, unit_in = fitted.direction.reshape(2, -1, 2)
    cross = unit_out[:, 0] * unit_in[:, 1] - unit_out[:, 1] * unit_in[:, 0]
    turn = np.pi - np.abs(np.arctan2(cross, (unit_out * unit_in).sum(axis=1)))
    gap = foot_in - foot_out
    angled = np.abs(cross) > TUNING.least_sine
    reach = (gap[:, 0] * unit_in[:, 1] - gap[:, 1] * unit_in[:, 0]) / np.where(angled, cross, 1.0)
    corner = foot_out + reach[:, None] * unit_out
    away = np.hypot(corner[:, 0] - lines.row[at], corner[:, 1] - lines.col[at])
    radius = away / np.maximum(1 / np.cos(np.minimum(turn, TUNING.most_turn) / 2) - 1, 1e-6)
    back = ((corner - foot_in) * unit_in).sum(axis=1)
    good = (legs_px > TUNING.span_part * span).all(axis=0) & straight.reshape(2, -1).all(axis=0)
    good &= (turn > TUNING.least_turn) & (turn < TUNING.most_turn) & angled
    good &= (reach > 0) & (back > 0) & (radius < TUNING.cut_widths * width + TUNING.cut_px)
    return np.asarray(good, bool), corner, ((before_stop - 1, foot_in), (after, foot_out))


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
    reach = TUNING.turn_widths * width[edge] + TUNING.turn_px
    ahead = _clipped(along, along + reach, low[edge], high[edge])
    back = _clipped(along, along - reach, low[edge], high[edge])
    use = np.flatnonzero((back < at) & (at < ahead))
    a, b, c = back[use], use, ahead[use]
    row_in, col_in = lines.row[b] - lines.row[a], lines.col[b] - lines.col[a]
    row_out, col_out = lines.row[c] - lines.row[b], lines.col[c] - lines.col[b]
    turn = np.abs(
        np.arctan2(row_in * col_out - col_in * row_out, row_in * row_out + col_in * col_out)
    )
    sharp = np.flatnonzero(turn > TUNING.least_turn)
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
    """Distribute the vertices between each leg's foot and the corner evenly on the leg."""
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
