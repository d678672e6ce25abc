"""Which CRS and which pixels a scene is analysed on, and how large pixels are on the ground."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from pyproj import CRS

from roadgis.affine import mapped
from roadgis.arrays import Floats
from roadgis.crs import (
    LONLAT,
    ground_scale,
    in_metres,
    lonlat_distance_m,
    transformer,
    utm_crs,
    wrapped,
)
from roadgis.errors import SceneError
from roadgis.imagery.raster import Raster

# A projected metre may differ from one on the ground by this share: UTM and national grids do
# by under 0.1 %, Web Mercator by a factor 1 / cos(latitude).
_SCALE_TOLERANCE = 0.01


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
