"""Geometries of any kind taken apart into single ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

__all__ = ["flat_parts"]

_COLLECTIONS = (4, 5, 6, 7)

Ints = npt.NDArray[np.intp]
Shapes = npt.NDArray[np.object_]


def flat_parts(shapes: Shapes) -> tuple[Shapes, Ints]:
    """Return the single geometries in an array, in two dimensions.

    Parameters
    ----------
    shapes : ndarray of geometry, shape (N,)
        Of any kind, nested collections too; missing and empty ones give no parts.

    Returns
    -------
    parts : ndarray of geometry, shape (P,)
        Points, lines and polygons.
    owners : ndarray of int, shape (P,)
        Index of the geometry that each is part of.
    """
    parts, owners = shapely.get_parts(shapely.force_2d(shapes), return_index=True)
    while np.isin(shapely.get_type_id(parts), _COLLECTIONS).any():
        parts, inner = shapely.get_parts(parts, return_index=True)
        owners = owners[inner]
    filled = ~shapely.is_empty(parts)
    return parts[filled], owners[filled]
