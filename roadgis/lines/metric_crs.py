"""A CRS in which layers of lines can be measured in metres."""

from __future__ import annotations

import logging
import math
from typing import NamedTuple

import numpy as np
import shapely
from pyproj import CRS

from roadgis.arrays import Floats
from roadgis.crs import LONLAT, ground_scale, in_metres, transformer, utm_crs
from roadgis.errors import DataError
from roadgis.lines.layer import LineLayer

_LOG = logging.getLogger(__name__)

#: Lengths in a CRS may differ from those on the ground by this share before a local one is taken,
_SUITED = 0.005
#: and by this share in that one: 3,500 km from its centre.
_MOST = 0.05


def metric_crs(*layers: LineLayer) -> CRS:
    """Return one CRS in metres in which all layers can be measured.

    Parameters
    ----------
    *layers : LineLayer
        Their lines say where it has to be true to scale, within 0.5 %.

    Returns
    -------
    pyproj.CRS
        The CRS of the first layer that is projected in metres and true to scale at all lines;
        else the UTM zone of the lines' centre; if that is not true to scale either (near the
        poles, over large areas), an azimuthal equidistant projection about the centre.

    Raises
    ------
    DataError
        If a layer's coordinates have no place on the Earth, or the lines lie too far apart.
    """
    parts = [_lonlat(layer) for layer in layers]
    points = np.concatenate([np.empty((0, 2)), *parts])
    own = [layer.crs for layer in layers if in_metres(layer.crs)]
    if not len(points):
        return own[0] if own else utm_crs(0.0, 0.0)
    spread = _spread(points)
    if spread is None:
        raise _too_far(layers, parts)
    for crs in (*own, utm_crs(*spread.centre)):
        if _distortion(crs, spread.places) <= _SUITED:
            return crs
    local = _azimuthal(*spread.centre)
    distortion = _distortion(local, spread.places)
    if distortion > _MOST:
        raise _too_far(layers, parts)
    if distortion > 2 * _SUITED:
        _LOG.warning(
            "The lines cover a large area: measured lengths are off by up to %.1f %%.",
            100 * distortion,
        )
    return local


def _lonlat(layer: LineLayer) -> Floats:
    """Return the corners of all lines' bounding boxes as (longitude, latitude), (2 * L, 2)."""
    corners = shapely.bounds(layer.lines).reshape(-1, 2)
    points = np.stack(transformer(layer.crs, LONLAT).transform(*corners.T), axis=-1)
    # Transforming from degrees wraps nothing: coordinates in metres show as such.
    wrong = ~np.isfinite(points).all(axis=1) | (np.abs(points) > (540.0, 90.0001)).any(axis=1)
    if wrong.any():
        low, high = corners.min(axis=0), corners.max(axis=0)
        raise DataError(
            f"{layer.name}: its coordinates ({low[0]:.6g}, {low[1]:.6g} .. {high[0]:.6g}, "
            f"{high[1]:.6g}) lie outside of where {layer.crs.name} is defined. The file probably "
            "states the wrong CRS: assign the right one in a GIS, or with 'ogr2ogr -a_srs'."
        )
    return points


class _Spread(NamedTuple):
    """Centre of points (lon, lat), and the centre with the outermost points, (P, 2)."""

    centre: tuple[float, float]
    places: Floats


def _spread(points: Floats) -> _Spread | None:
    """Return where points lie, or None where no hemisphere holds them.

    On the sphere, so that neither the antimeridian nor a pole is a special place.
    """
    vectors = _vectors(points)
    middle = vectors.mean(axis=0)
    if np.linalg.norm(middle) < 1e-3:
        return None
    middle /= np.linalg.norm(middle)
    if (vectors @ middle).min() <= 0.05:
        return None
    north = np.array([0.0, 0.0, 1.0]) - middle[2] * middle
    north = np.array([1.0, 0.0, 0.0]) if np.linalg.norm(north) < 1e-6 else north
    north /= np.linalg.norm(north)
    plane = np.stack([np.cross(north, middle), north])
    x, y = plane @ vectors.T
    mid = np.array([x.min() + x.max(), y.min() + y.max()]) / 2
    centre = mid @ plane + math.sqrt(max(1.0 - float(mid @ mid), 0.0)) * middle
    lon = math.degrees(math.atan2(centre[1], centre[0]))
    lat = math.degrees(math.asin(max(-1.0, min(1.0, centre[2]))))
    outer = [int(end) for v in (x, y, x + y, x - y) for end in (v.argmin(), v.argmax())]
    places = np.concatenate([[(lon, lat)], points[outer]])
    return _Spread((lon, lat), places)


def _vectors(points: Floats) -> Floats:
    lon, lat = np.radians(points).T
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def _distortion(crs: CRS, places: Floats) -> float:
    return max(abs(ground_scale(crs, float(lon), float(lat)) - 1.0) for lon, lat in places)


def _azimuthal(lon: float, lat: float) -> CRS:
    # Whole thousandths of a degree: nearly the same lines then have the same CRS.
    place = {"lat_0": round(lat, 3), "lon_0": round(lon, 3)}
    return CRS.from_dict({"proj": "aeqd", "datum": "WGS84", "units": "m", **place})


def _too_far(layers: tuple[LineLayer, ...], parts: list[Floats]) -> DataError:
    where = "; ".join(
        f"{layer.name}: longitude {part[:, 0].min():.2f} .. {part[:, 0].max():.2f}, "
        f"latitude {part[:, 1].min():.2f} .. {part[:, 1].max():.2f}"
        for layer, part in zip(layers, parts, strict=True)
        if len(part)
    )
    return DataError(
        f"Found lines that lie too far apart to be measured together ({where}). Check that each "
        "layer states its right CRS; work on areas that are far apart one by one."
    )
