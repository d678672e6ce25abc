"""Where edges end: at crisp junctions, and where the road ends."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from roadgis.network.centerlines import Centerlines

__all__ = ["with_crisp_ends"]

#: Within this many widths of a junction the skeleton leans towards the road that joins.
_LEAN = 0.75
#: Within this many widths of a dead end the skeleton turns into a corner of the road.
_TURN = 1.0
#: How far the direction of a line is taken, road widths.
_AHEAD = 1.5
#: Weight of a junction's place on the skeleton against each line that leads to it.
_HOLD = 0.1


def with_crisp_ends(
    lines: Centerlines, edge_width_px: npt.NDArray[np.float64]
) -> tuple[Centerlines, npt.NDArray[np.bool_]]:
    """Place nodes where lines lead, and say which vertices remain between the nodes.

    - A junction goes where the lines that meet there would, did they go on straight from
      before they lean towards each other; it moves by half a road's width at most, and not
      at all where a line is too short or too curved to say where it leads.
    - A dead end is prolonged by what thinning took, straight ahead; not beyond the raster,
      nor into no data. The skeleton's last width, which may turn into a corner of the road, goes.

    Parameters
    ----------
    lines : Centerlines
        Smoothed.
    edge_width_px : ndarray of float64, shape (E,)
        Width of each road.

    Returns
    -------
    Centerlines
        With nodes moved; vertices as they were.
    ndarray of bool, shape (V,)
        Vertices that remain.
    """
    keep = np.ones(len(lines.row), bool)
    if not len(lines):
        return lines, keep
    degree = lines.degree
    from_start, from_end = lines.arcs
    length = from_start[lines.offsets[1:] - 1]
    width = lines.node_width_px.astype(np.float64)
    # At the very end of a road the distance to its border says little about its width.
    for node in (lines.start, lines.end):
        tip = degree[node] == 1
        width[node[tip]] = edge_width_px[tip]
    cut = np.where(degree > 2, _LEAN * width, np.where(degree == 1, _TURN * width, 0.0))
    room = length - cut[lines.start] - cut[lines.end]
    arms = []
    for node, arc, at_end in ((lines.start, from_start, False), (lines.end, from_end, True)):
        # However short an edge, its middle remains.
        back = np.minimum(cut[node], 0.4 * length)
        far = np.minimum(back + _AHEAD * width[node] + 1, 0.9 * length)
        keep &= arc >= back[lines.edge_of_vertex]
        near = lines.first_beyond(arc, back, at_end)
        ahead, half = (lines.first_beyond(arc, d, at_end) for d in (far, (back + far) / 2))
        vague = (room < width[node] / 2) | (
            _off_chord(lines, near, half, ahead) > np.maximum(0.4, 0.05 * width[node])
        )
        arms.append((node, near, ahead, arc[near], vague))
    node, near, far, arc_near, vague = (np.concatenate(parts) for parts in zip(*arms, strict=True))
    on_vague = node[vague]
    d_row, d_col = lines.row[near] - lines.row[far], lines.col[near] - lines.col[far]
    norm = np.hypot(d_row, d_col)
    ok = (norm > 0) & (degree[node] != 2)
    node, near, arc_near = node[ok], near[ok], arc_near[ok]
    d_row, d_col = d_row[ok] / norm[ok], d_col[ok] / norm[ok]
    lines = _with_ring_nodes(lines)
    is_tip = degree[node] == 1
    arm = (node, lines.row[near], lines.col[near], d_row, d_col)
    fixed = lines.node_exit | (np.bincount(on_vague, minlength=len(degree)) > 0)
    lines = _junctions_placed(lines, fixed, *(part[~is_tip] for part in arm))
    return _tips_prolonged(lines, *(part[is_tip] for part in (*arm, arc_near))), keep


def _off_chord(
    lines: Centerlines,
    near: npt.NDArray[np.int64],
    half: npt.NDArray[np.int64],
    far: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:
    """Return how far vertices lie from the straight line between two others, pixels."""
    row, col = lines.row[far] - lines.row[near], lines.col[far] - lines.col[near]
    across = row * (lines.col[half] - lines.col[near]) - col * (lines.row[half] - lines.row[near])
    norm = np.hypot(row, col)
    return np.abs(across) / np.where(norm > 0, norm, 1.0)


def _with_ring_nodes(lines: Centerlines) -> Centerlines:
    """Put the nodes of rings without a junction on their smoothed ring."""
    free = (lines.start == lines.end) & (lines.degree[lines.start] == 2)
    node_row, node_col = lines.node_row.copy(), lines.node_col.copy()
    node_row[lines.start[free]] = lines.row[lines.offsets[:-1][free]]
    node_col[lines.start[free]] = lines.col[lines.offsets[:-1][free]]
    return dataclasses.replace(lines, node_row=node_row, node_col=node_col)


def _junctions_placed(
    lines: Centerlines,
    fixed: npt.NDArray[np.bool_],
    node: npt.NDArray[np.int64],
    row: npt.NDArray[np.float64],
    col: npt.NDArray[np.float64],
    d_row: npt.NDArray[np.float64],
    d_col: npt.NDArray[np.float64],
) -> Centerlines:
    """Move junctions to the point that is nearest to the lines through their arms.

    Least squares over the arms' distances, one system of two equations a node.
    """
    count = len(lines.node_key)

    def total(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.bincount(node, weights=weights, minlength=count).astype(np.float64, copy=False)

    # Relative to the node, so that no digits are lost to large coordinates.
    row, col = row - lines.node_row[node], col - lines.node_col[node]
    across = d_col * row - d_row * col
    a, b, c = total(d_col * d_col) + _HOLD, total(-d_row * d_col), total(d_row * d_row) + _HOLD
    f, g = total(d_col * across), total(-d_row * across)
    determinant = a * c - b * b
    move_row, move_col = (f * c - b * g) / determinant, (a * g - b * f) / determinant
    distance = np.hypot(move_row, move_col)
    limit = lines.node_width_px.astype(np.float64) / 2
    scale = np.where(distance > limit, limit / np.where(distance > 0, distance, 1.0), 1.0)
    scale = np.where((lines.degree > 2) & ~fixed, scale, 0.0)
    return dataclasses.replace(
        lines,
        node_row=lines.node_row + scale * move_row,
        node_col=lines.node_col + scale * move_col,
    )


def _tips_prolonged(
    lines: Centerlines,
    node: npt.NDArray[np.int64],
    row: npt.NDArray[np.float64],
    col: npt.NDArray[np.float64],
    d_row: npt.NDArray[np.float64],
    d_col: npt.NDArray[np.float64],
    arc: npt.NDArray[np.float64],
) -> Centerlines:
    """Put dead ends as far ahead of (row, col) as they were along the skeleton, and the reach."""
    ahead = arc + lines.node_reach_px[node]
    # No data begins half a pixel before the middle of its first pixel.
    to_blank = arc + np.maximum(lines.node_blank_px[node] - 0.5, 0)
    border = np.minimum(_to_border(lines, row, col, d_row, d_col), to_blank)
    # A road that goes on beyond the raster, or into no data, is led up to the edge.
    exits = lines.node_exit[node] & (border < ahead + 3)
    ahead = np.where(exits, border, np.minimum(ahead, border))
    node_row, node_col = lines.node_row.copy(), lines.node_col.copy()
    node_row[node] = row + ahead * d_row
    node_col[node] = col + ahead * d_col
    return dataclasses.replace(lines, node_row=node_row, node_col=node_col)


def _to_border(
    lines: Centerlines,
    row: npt.NDArray[np.float64],
    col: npt.NDArray[np.float64],
    d_row: npt.NDArray[np.float64],
    d_col: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Return how far ahead the raster's outer edge is, pixels; inf when it is not."""
    out = np.full(len(row), np.inf)
    for value, step, size in ((row, d_row, lines.grid.height), (col, d_col, lines.grid.width)):
        border = np.where(step > 0, size - 0.5, -0.5)
        moving = step != 0
        out[moving] = np.minimum(out[moving], (border[moving] - value[moving]) / step[moving])
    return np.asarray(np.maximum(out, 0), np.float64)
