"""Which lines run beside each other."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

__all__ = ["beside"]

#: Places along the shorter line at which its distance to the other one is taken.
_PLACES = (0.15, 0.3, 0.5, 0.7, 0.85)
#: At so many of them it must be beside the other line.
_BESIDE = 4
#: Cosine of the largest angle (20 degrees) between the two.
_ALIGNED = 0.94
#: Pairs looked at together: points take far more room than coordinates.
_PAIRS = 1 << 17


def beside(
    shapes: npt.NDArray[np.object_],
    a: npt.NDArray[np.int64],
    b: npt.NDArray[np.int64],
    limit: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Tell which lines go beside others, and how far from them.

    Parameters
    ----------
    shapes : ndarray of LineString, shape (E,)
        All lines.
    a, b : ndarray of int64, shape (K,)
        A line, and the one that it may be beside.
    limit : ndarray of float64, shape (K,)
        Largest distance.

    Returns
    -------
    ndarray of float64, shape (K,)
        Largest distance where beside; of no meaning for lines that do not go beside.
    ndarray of bool, shape (K,)
        Whether the first line goes beside the second one.
    """
    distance, aligned = np.zeros(len(a)), np.zeros(len(a), bool)
    for begin in range(0, len(a), _PAIRS):
        some = np.arange(begin, min(begin + _PAIRS, len(a)))
        line, at = np.unique(a[some], return_inverse=True)
        points = shapely.line_interpolate_point(shapes[line][:, None], [_PLACES], normalized=True)
        # Most lines near each other merely meet: at both ends of the stretch they are apart.
        off = shapely.distance(points[at][:, [0, -1]], shapes[b[some]][:, None])
        near = (off <= limit[some][:, None]).sum(axis=1) >= _BESIDE - (len(_PLACES) - 2)
        some, at = some[near], at[near]
        away, along = _along(points[at], shapes[b[some]], limit[some])
        distance[some], aligned[some] = away, along
    return distance, aligned


def _along(
    points: npt.NDArray[np.object_],
    others: npt.NDArray[np.object_],
    limit: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return the same, of points (K, P) along lines, and the other lines (K,)."""
    if not len(points):
        return np.empty(0), np.empty(0, bool)
    distance = shapely.distance(points, others[:, None])
    near = (distance <= limit[:, None]).sum(axis=1) >= _BESIDE
    along = shapely.line_locate_point(others[:, None], points[:, [0, -1]])
    there = shapely.line_interpolate_point(others[:, None], along)
    ends = shapely.get_coordinates(points[:, [0, -1]]).reshape(-1, 2, 2)
    opposite = shapely.get_coordinates(there).reshape(-1, 2, 2)
    step, other = ends[:, 1] - ends[:, 0], opposite[:, 1] - opposite[:, 0]
    size, other_size = np.hypot(*step.T), np.hypot(*other.T)
    cosine = np.abs((step * other).sum(axis=1)) / np.maximum(size * other_size, 1e-9)
    aligned = near & (cosine > _ALIGNED) & (other_size > 0.6 * size)
    return np.where(distance <= limit[:, None], distance, 0.0).max(axis=1), aligned
