"""Smoothing of edges along themselves."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from roadgis.network.centerlines import Centerlines, concatenated_ranges

__all__ = ["smoothed"]


def smoothed(
    lines: Centerlines, sigma_px: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Smooth all edges along themselves; ends stay, rings without a junction have none.

    Beyond its ends a line is continued by its reflection in the end point, which keeps
    the end where it is, and straight lines straight.
    """
    reach = int(np.ceil(2.5 * sigma_px))
    middle_row, middle_col = _middles(lines)
    if reach < 1 or not len(lines):
        return middle_row, middle_col
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma_px) ** 2)
    taps /= taps.sum()
    first, last = lines.offsets[:-1], lines.offsets[1:] - 1
    size = last - first + 1
    padded = size + 2 * reach
    at = np.repeat(first - reach, padded) + (concatenated_ranges(np.zeros_like(padded), padded))
    low, high = np.repeat(first, padded), np.repeat(last, padded)
    free = (lines.start == lines.end) & (lines.degree[lines.start] == 2)
    ring = np.repeat(free, padded)
    before, after = ~ring & (at < low), ~ring & (at > high)
    source = np.where(before, np.minimum(2 * low - at, high), at)
    source = np.where(after, np.maximum(2 * high - at, low), source)
    source = np.where(ring, low + (at - low) % np.maximum(high - low, 1), source)
    middle = concatenated_ranges(np.cumsum(padded) - padded + reach, np.cumsum(padded) - reach)
    out = []
    for value in (middle_row, middle_col):
        line = value[source]
        line[before] = 2 * value[low[before]] - line[before]
        line[after] = 2 * value[high[after]] - line[after]
        out.append(ndimage.convolve1d(line, taps, mode="nearest")[middle])
    row, col = out
    return row, col


def _middles(
    lines: Centerlines,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the middle of the road at each vertex, (V,) twice.

    Where it is not known, it is as far from the pixel as at the next vertices that know it.
    """
    known = np.isfinite(lines.d_row)
    if not known.any():
        return lines.row, lines.col
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
    return row, col
