"""Which CRS and which pixels a scene is analysed on, and how large pixels are on the ground."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from affine import Affine
from pyproj import CRS, Geod, Transformer

from roadgis.errors import SceneError
from roadgis.scene.plane import mapped
from roadgis.scene.raster import Raster

__all__ = [
    "LONLAT",
    "centre_lonlat",
    "choose_crs",
    "footprint",
    "ground_scale",
    "ground_size",
    "in_degrees",
    "in_metres",
    "lonlat_distance_m",
    "transformer",
    "utm_crs",
    "wrapped",
]

LONLAT = CRS.from_epsg(4326)
_GEOD = Geod(ellps="WGS84")
# A projected metre may differ from one on the ground by this share: UTM and national grids do
# by under 0.1 %, Web Mercator by a factor 1 / cos(latitude).
_SCALE_TOLERANCE = 0.01

Floats = npt.NDArray[np.float64]


@lru_cache(maxsize=64)
def transformer(source: CRS, target: CRS) -> Transformer:
    """Return the (cached) transformer between two CRSs, in x, y order."""
    return Transformer.from_crs(source, target, always_xy=True)


def in_degrees(crs: CRS) -> bool:
    """Return whether coordinates are longitude and latitude in degrees."""
    return crs.is_geographic and crs.axis_info[0].unit_name == "degree"


def wrapped(lon: Floats, centre: float) -> Floats:
    """Return longitudes moved by full turns to within 180 degrees of `centre`."""
    # Whole turns are added, so that longitudes that need none stay exactly as they are.
    return np.asarray(lon + 360.0 * np.round((centre - lon) / 360.0))


def footprint(raster: Raster, points: int = 9) -> Floats:
    """Return points around a raster's outline in its CRS, (4 * points, 2)."""
    t = np.linspace(0.0, 1.0, points)
    zero, one = np.zeros(points), np.ones(points)
    u = np.concatenate([t, one, t[::-1], zero]) * raster.width
    v = np.concatenate([zero, t, one, t[::-1]]) * raster.height
    return np.stack(mapped(raster.transform, u, v), axis=-1)


def centre_lonlat(rasters: Sequence[Raster]) -> tuple[float, float]:
    """Return the centre of all rasters' extent; right across the antimeridian too.

    Raises
    ------
    SceneError
        If a raster lies nowhere on the Earth.
    """
    outlines = []
    for raster in rasters:
        x, y = footprint(raster, 3).T
        lon, lat = transformer(raster.crs, LONLAT).transform(x, y)
        outline = np.stack([lon, lat], axis=-1)
        if not np.isfinite(outline).all() or np.abs(outline[:, 1]).max() > 90.0001:
            raise SceneError(
                f"{raster.name}: its corners ({x.min():.6g}..{x.max():.6g}, {y.min():.6g}.."
                f"{y.max():.6g}) lie outside of where {raster.crs.name} is defined. The file "
                "probably states the wrong CRS: correct it, e.g. with 'gdal_edit -a_srs', or "
                "remove it and use --assume-crs."
            )
        outlines.append(outline)
    points = np.concatenate(outlines)
    angle = np.radians(points[:, 0])
    middle = math.degrees(math.atan2(float(np.sin(angle).mean()), float(np.cos(angle).mean())))
    lon = wrapped(points[:, 0], middle)
    centre = float(wrapped(np.array((lon.min() + lon.max()) / 2), 0.0))
    return centre, float(points[:, 1].min() + points[:, 1].max()) / 2


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


def choose_crs(rasters: Sequence[Raster], centre: tuple[float, float]) -> CRS:
    """Return the CRS to work in: the first raster's where it is metric and true to scale.

    Otherwise (degrees, feet, Web Mercator) it is the UTM zone of the scene's centre.

    Raises
    ------
    SceneError
        If the rasters lie too far apart for any metric CRS.
    """
    first = rasters[0].crs
    fits = in_metres(first) and abs(ground_scale(first, *centre) - 1.0) <= _SCALE_TOLERANCE
    crs = first if fits else utm_crs(*centre)
    for raster in rasters:
        place = centre_lonlat([raster])
        if abs(ground_scale(crs, *place) - 1.0) > 5 * _SCALE_TOLERANCE:
            far = lonlat_distance_m(centre, place) / 1000
            raise SceneError(
                f"{raster.name}: lies {far:.0f} km from the centre of all inputs, too far for one "
                "metric grid. Run areas that are far apart one by one."
            )
    return crs
