"""Coordinate reference systems: metric CRSs, scale on the ground, lines across the antimeridian."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import shapely
from affine import Affine
from pyproj import CRS, Geod, Transformer

from roadgis.affine import mapped
from roadgis.arrays import Floats, Lines

LONLAT = CRS.from_epsg(4326)


_GEOD = Geod(ellps="WGS84")


@lru_cache(maxsize=64)
def transformer(source: CRS, target: CRS) -> Transformer:
    """Return the (cached) transformer between two CRSs, in x, y order."""
    return Transformer.from_crs(source, target, always_xy=True)


def in_degrees(crs: CRS) -> bool:
    """Return whether coordinates are longitude and latitude in degrees."""
    return crs.is_geographic and crs.axis_info[0].unit_name == "degree"


def without_heights(crs: CRS) -> CRS:
    """Return the horizontal part of a CRS."""
    if crs.is_compound:
        crs = crs.sub_crs_list[0]
    if crs.is_bound and crs.source_crs is not None:
        crs = crs.source_crs
    return crs


def wrapped(lon: Floats, centre: float) -> Floats:
    """Return longitudes moved by full turns to within 180 degrees of `centre`."""
    # Whole turns are added, so that longitudes that need none stay exactly as they are.
    return np.asarray(lon + 360.0 * np.round((centre - lon) / 360.0))


def ground_size(crs: CRS, transform: Affine, col: float, row: float) -> tuple[float, float]:
    """Return a pixel's width and height on the ground, metres, near pixel (col, row)."""
    # Over 20 pixels, so that neither rounding nor curvature shows.
    ends = [(col - 10, row), (col + 10, row), (col, row - 10), (col, row + 10)]
    x, y = mapped(transform, *np.array(ends, np.float64).T)
    lon, lat = transformer(crs, LONLAT).transform(x, y)
    _, _, length = _GEOD.inv(lon[::2], lat[::2], lon[1::2], lat[1::2])
    return float(length[0]) / 20, float(length[1]) / 20


def ground_scale(crs: CRS, lon: float, lat: float) -> float:
    """Return how long a CRS's metre is on the ground there; the value farther from 1 of x, y."""
    x, y = transformer(LONLAT, crs).transform(lon, lat)
    if not (math.isfinite(x) and math.isfinite(y)):
        return math.inf
    sizes = ground_size(crs, Affine(10.0, 0.0, x, 0.0, -10.0, y), 0, 0)
    return max((size / 10.0 for size in sizes), key=lambda scale: abs(scale - 1.0))


def lonlat_distance_m(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Return the geodesic distance between two (lon, lat), metres."""
    return float(_GEOD.inv(*a, *b)[2])


def utm_crs(lon: float, lat: float) -> CRS:
    """Return the UTM zone of a place, or the polar stereographic grid beyond 84 N and 80 S."""
    if lat > 84:
        return CRS.from_epsg(5041)
    if lat < -80:
        return CRS.from_epsg(5042)
    zone = int((lon + 180) // 6) % 60 + 1
    return CRS.from_epsg((32600 if lat >= 0 else 32700) + zone)


def in_metres(crs: CRS) -> bool:
    """Return whether coordinates are projected, in metres."""
    return crs.is_projected and all(
        abs(axis.unit_conversion_factor - 1.0) < 1e-9 for axis in crs.axis_info[:2]
    )


def continuous(lines: Lines) -> tuple[Lines, int]:
    """Let longitudes exceed 180 degrees where a line crosses the antimeridian.

    From one vertex to the next a line takes the shorter way around the Earth: 179, -179
    becomes 179, 181.

    Parameters
    ----------
    lines : ndarray of LineString, shape (L,)
        In degrees, longitude first.

    Returns
    -------
    ndarray of LineString, shape (L,)
        The lines; those that do not cross as they are.
    int
        How many have been changed.
    """
    coordinates, line = shapely.get_coordinates(lines, return_index=True)
    turns = np.zeros(len(coordinates))
    same = line[1:] == line[:-1]
    turns[1:] = np.where(same, np.round(np.diff(coordinates[:, 0]) / 360.0), 0.0)
    if not turns.any():
        return lines, 0
    # Up to a line's first vertex the turns of the lines before it have been added up, too.
    total = np.cumsum(turns)
    first = np.concatenate([[True], ~same])
    total -= total[first][np.cumsum(first) - 1]
    crossing = np.unique(line[total != 0])
    coordinates[:, 0] -= 360.0 * total
    changed = np.isin(line, crossing)
    out = lines.copy()
    out[crossing] = shapely.linestrings(
        coordinates[changed], indices=np.searchsorted(crossing, line[changed])
    )
    return out, len(crossing)


def transformed(lines: Lines, source: CRS, target: CRS) -> Lines:
    """Return lines in another CRS; in degrees they are continuous across the antimeridian.

    Parameters
    ----------
    lines : ndarray of LineString, shape (L,)
        In `source`.
    source, target : pyproj.CRS
        Coordinates are in x, y order in both.

    Returns
    -------
    ndarray of LineString, shape (L,)
        With as many vertices; not finite where `target` cannot express a place.
    """
    if source == target or not len(lines):
        return lines
    to_target = transformer(source, target)
    moved: Lines = shapely.transform(
        lines, lambda xy: np.stack(to_target.transform(xy[:, 0], xy[:, 1]), axis=-1)
    )
    finite = np.isfinite(shapely.bounds(moved)).all(axis=1)
    if in_degrees(target) and finite.all():
        moved, _ = continuous(moved)
    return moved
