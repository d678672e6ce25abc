"""Attributes of edges: the road's width, and the confidence."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from roadgis.arrays import Bools, Floats, Ints
from roadgis.network.centerlines import Centerlines

_FULL = 254.0


class EdgeAttributes(NamedTuple):
    """Attributes of E edges, all float64, shape (E,); NaN where unknown.

    Attributes
    ----------
    width_m, width_p10_m, width_p90_m : ndarray
        Median, 10th and 90th percentile of the road's width, metres.
    confidence, confidence_min : ndarray
        Mean and lowest probability along the centreline, 0..1.
    """

    width_m: Floats
    width_p10_m: Floats
    width_p90_m: Floats
    confidence: Floats
    confidence_min: Floats


def edge_attributes(lines: Centerlines) -> EdgeAttributes:
    """Measure each edge along its pixels.

    The width is taken away from junctions, where it would be that of the junction.
    """
    if not len(lines):
        return EdgeAttributes(*(np.empty(0) for _ in EdgeAttributes._fields))
    size = np.diff(lines.offsets)
    total = np.add.reduceat(lines.probability, lines.offsets[:-1], dtype=np.int64)
    mean = total / size / _FULL
    lowest = np.minimum.reduceat(lines.probability, lines.offsets[:-1]) / _FULL
    median, low, high = width_quantiles(lines, (0.5, 0.1, 0.9))
    gsd = lines.grid.gsd_m
    return EdgeAttributes(median * gsd, low * gsd, high * gsd, mean, lowest)


def width_quantiles(lines: Centerlines, shares: tuple[float, ...]) -> list[Floats]:
    """Return quantiles of the width of each edge, (E,) pixels each; NaN where unknown.

    Only vertices count at which the width is that of the road: see :func:`clear_of_junctions`.
    """
    found: list[list[Floats]] = []
    for _, part in lines.portions():
        use = clear_of_junctions(part)
        found.append(
            grouped_quantiles(part.edge_of_vertex[use], part.width_px[use], len(part), shares)
        )
    return [np.concatenate(values) for values in zip(*found, strict=True)]


def clear_of_junctions(lines: Centerlines) -> Bools:
    """Return the vertices whose width is that of their road, not of a junction, (V,) bool.

    Vertices within half a road's width of a junction are left out, unless the edge has no others.
    """
    edge = lines.edge_of_vertex
    from_start, from_end = lines.distance_along
    radius = np.where(lines.degree > 2, lines.node_width_px / 2, np.float32(0))
    radius = np.nan_to_num(radius)
    clear = (from_start > radius[lines.start][edge]) & (from_end > radius[lines.end][edge])
    some = np.bincount(edge[clear], minlength=len(lines)) > 0
    return np.asarray((clear | ~some[edge]) & np.isfinite(lines.width_px), bool)


def grouped_quantiles(
    group: Ints, value: npt.NDArray[np.floating[Any]], count: int, shares: tuple[float, ...]
) -> list[Floats]:
    """Return quantiles of the values of each group, interpolated linearly.

    Parameters
    ----------
    group : ndarray of int64, shape (K,)
        Group of each value, 0..count - 1.
    value : ndarray of float, shape (K,)
        Finite values.
    count : int
        Number of groups.
    shares : tuple of float
        Quantiles, 0..1.

    Returns
    -------
    list of ndarray of float64, shape (count,)
        One for each share; NaN for groups without values.
    """
    rank = np.lexsort([value, group])
    ordered = np.append(value[rank].astype(np.float64), np.nan)
    size = np.bincount(group, minlength=count)
    begin = np.cumsum(size) - size
    out = []
    for share in shares:
        place = share * np.maximum(size - 1, 0)
        low = np.floor(place).astype(np.int64)
        below = ordered[begin + low]
        above = ordered[begin + np.minimum(low + 1, np.maximum(size - 1, 0))]
        out.append(np.where(size > 0, below + (place - low) * (above - below), np.nan))
    return out
