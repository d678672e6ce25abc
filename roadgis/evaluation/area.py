"""The lines that are measured: in two dimensions, with a length, inside the area."""

from __future__ import annotations

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from roadgis.arrays import Ints, Lines
from roadgis.errors import InputError

_LINE = 1
_LINES = (1, 2, 5)


def measurable(lines: Lines) -> tuple[Lines, Ints]:
    """Return lines taken apart, without heights, empty ones and those without a length.

    Parameters
    ----------
    lines : array-like of LineString or MultiLineString, shape (L,)
        In a metric CRS; missing geometries are left out.

    Returns
    -------
    lines : ndarray of LineString, shape (M,)
        Two-dimensional.
    source : ndarray of int64, shape (M,)
        Index of the line that each comes from.

    Raises
    ------
    InputError
        If there are other geometries than lines, or coordinates that are not finite.
    """
    shapes = np.asarray(lines, object).reshape(-1)
    kinds = shapely.get_type_id(shapes)
    if not np.isin(kinds, (-1, *_LINES)).all():
        found = sorted({shape.geom_type for shape in shapes[~np.isin(kinds, (-1, *_LINES))]})
        raise InputError(
            f"Found {', '.join(found)} where lines are compared; expected LineStrings. Give the "
            "centrelines of the roads."
        )
    parts, source = shapely.get_parts(shapely.force_2d(shapes), return_index=True)
    coordinates = shapely.get_coordinates(parts)
    if not np.isfinite(coordinates).all():
        raise InputError(
            "Found lines with coordinates that are not finite numbers; expected metres in one "
            "projected CRS. Leave such lines out, or check the CRS that they were transformed from."
        )
    keep = shapely.length(parts) > 0
    return parts[keep], source[keep].astype(np.int64)


def clipped(lines: Lines, area: BaseGeometry | None) -> tuple[Lines, Ints]:
    """Return the parts of lines that lie inside an area.

    Parameters
    ----------
    lines : ndarray of LineString, shape (L,)
    area : shapely polygon, optional
        In the CRS of the lines; None keeps all.

    Returns
    -------
    lines : ndarray of LineString, shape (M,)
        Whole lines are the same objects as before.
    source : ndarray of int64, shape (M,)
        Index of the line that each is part of.
    """
    if area is None:
        return lines, np.arange(len(lines), dtype=np.int64)
    shapely.prepare(area)
    whole = np.asarray(shapely.covers(area, lines), bool)
    out = np.asarray(lines, object).copy()
    crossing = np.flatnonzero(~whole)
    crossing = crossing[shapely.intersects(area, out[crossing])]
    dropped = ~whole
    dropped[crossing] = False
    out[crossing] = shapely.intersection(out[crossing], area)
    kept = np.flatnonzero(~dropped)
    # A road that runs to the outline and back is cut into parts; one that only touches it into
    # points. A collection holds both.
    parts, owner = shapely.get_parts(out[kept], return_index=True)
    parts, inner = shapely.get_parts(parts, return_index=True)
    owner = owner[inner]
    good = (shapely.get_type_id(parts) == _LINE) & (shapely.length(parts) > 0)
    return parts[good], kept[owner[good]].astype(np.int64)


def harmonic_mean(precision: float | None, recall: float | None) -> float | None:
    """Return F1: None where one of both is, 0 where both are."""
    if precision is None or recall is None:
        return None
    total = precision + recall
    return 2.0 * precision * recall / total if total > 0 else 0.0
