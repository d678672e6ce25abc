"""What is known about each edge: the road's width and how sure the network is of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from roadgis.network.centerlines import Centerlines

__all__ = ["EdgeAttributes", "edge_attributes"]

_FULL = 254.0


class EdgeAttributes(NamedTuple):
    """Attributes of E edges, all float64, shape (E,).

    Attributes
    ----------
    width_m : ndarray
        Median width of the road, metres.
    confidence, confidence_min : ndarray
        Mean and lowest probability along the centreline, 0..1.
    """

    width_m: npt.NDArray[np.float64]
    confidence: npt.NDArray[np.float64]
    confidence_min: npt.NDArray[np.float64]


def edge_attributes(lines: Centerlines) -> EdgeAttributes:
    """Measure each edge along its pixels.

    Within half a road's width of a junction the distance to the road's border is that of
    the junction, so the width is taken elsewhere where there is an elsewhere.
    """
    if not len(lines):
        none = np.empty(0)
        return EdgeAttributes(none, none, none)
    size = np.diff(lines.offsets)
    probability = lines.probability.astype(np.int64)
    mean = np.add.reduceat(probability, lines.offsets[:-1]) / size / _FULL
    lowest = np.minimum.reduceat(probability, lines.offsets[:-1]) / _FULL
    edge = lines.edge_of_vertex
    from_start, from_end = lines.arcs
    radius = np.where(lines.degree > 2, lines.node_width_px / 2, np.float32(0))
    clear = (from_start > radius[lines.start][edge]) & (from_end > radius[lines.end][edge])
    some = np.bincount(edge[clear], minlength=len(lines)) > 0
    use = clear | ~some[edge]
    width = _medians(edge[use], lines.width_px[use].astype(np.float64), len(lines))
    return EdgeAttributes(width * lines.grid.gsd_m, mean, lowest)


def _medians(
    group: npt.NDArray[np.int64], value: npt.NDArray[np.float64], count: int
) -> npt.NDArray[np.float64]:
    """Return the median of each group; every group has a value."""
    rank = np.lexsort([value, group])
    value = value[rank]
    size = np.bincount(group, minlength=count)
    begin = np.cumsum(size) - size
    middle = (value[begin + (size - 1) // 2] + value[begin + size // 2]) / 2
    return np.asarray(middle, np.float64)
