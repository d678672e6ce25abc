"""Lines in the middle of the road, smoothed along themselves."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from roadgis.network.centerlines import Centerlines, concatenated_ranges

__all__ = ["smoothed", "with_middles", "with_ring_nodes"]


def smoothed(lines: Centerlines, sigma_px: float, corners: npt.NDArray[np.int64]) -> Centerlines:
    """Smooth all edges along themselves; ends stay, rings without a junction have none.

    What a Gaussian takes from curves is put back, by smoothing what it took: a circle
    shrinks by the fourth power of sigma over radius, not by the second. Beyond its ends a
    line is continued by its reflection in the end point, which keeps the end where it is,
    and straight lines straight.

    Parameters
    ----------
    lines : Centerlines
        Edges whose first and last vertices are where they shall stay.
    sigma_px : float
        Standard deviation, pixels.
    corners : ndarray of int64
        Vertices that stay too; lines are smoothed up to them from both sides.
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
    from scipy import ndimage

    out = []
    for value in (lines.row, lines.col):
        line = value[source]
        line[before] = 2 * value[low[before]] - line[before]
        line[after] = 2 * value[high[after]] - line[after]
        result = value.copy()
        result[vertex] = ndimage.convolve1d(line, taps, mode="nearest")[middle]
        result[corners] = value[corners]
        out.append(result)
    row, col = out
    return dataclasses.replace(lines, row=row, col=col)


def _is_ring_piece(
    lines: Centerlines, first: npt.NDArray[np.int64], last: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
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

    Where it is not known, it is as far from the pixel as at the next vertices that know it.
    """
    known = np.isfinite(lines.d_row)
    if not known.any():
        return lines
    at = np.arange(len(known))
    edge = lines.edge_of_vertex
    before = np.maximum.accumulate(np.where(known, at, -1))
    after = np.minimum.accumulate(np.where(known, at, len(known))[::-1])[::-1]
    has_before, has_after = before >= lines.offsets[edge], after < lines.offsets[edge + 1]
    # Junctions stay: several edges end there.
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
