"""Lengths of lines within units."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely


def bridged_share(
    shapes: npt.NDArray[np.object_],
    lines: npt.NDArray[np.object_],
    bridged: npt.NDArray[np.bool_],
) -> npt.NDArray[np.float64]:
    """Return the bridged share of the length of the lines in each shape, NaN without lines, (U,).

    Parameters
    ----------
    shapes, lines : ndarray of Polygon (U,), of LineString (E,)
        In the same CRS.
    bridged : ndarray of bool, shape (E,)
        Whether a line was inferred across a gap.
    """
    shape, line, length = pieces(shapes, lines)
    return share_of_length(shape, length, bridged[line], len(shapes))


def share_of_length(
    group: npt.NDArray[np.int64],
    length: npt.NDArray[np.float64],
    chosen: npt.NDArray[np.bool_],
    count: int,
) -> npt.NDArray[np.float64]:
    """Return the share of the length of each group that is chosen, NaN for length 0, (count,)."""
    total = np.bincount(group, length, count)
    part = np.bincount(group[chosen], length[chosen], count)
    share: npt.NDArray[np.float64] = np.full(count, np.nan)
    return np.divide(part, total, out=share, where=total > 0)


def pieces(
    shapes: npt.NDArray[np.object_], lines: npt.NDArray[np.object_]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the shape, line and length of each intersection of a line with a shape, (P,)."""
    line, shape = shapely.STRtree(shapes).query(lines, predicate="intersects")
    length = shapely.length(shapely.intersection(lines[line], shapes[shape]))
    return shape, line, length
