"""From lines with a width and polygons to road surfaces in another CRS."""

from __future__ import annotations

import logging
import math

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from roadgis.arrays import Bools, Floats
from roadgis.crs import LONLAT, ground_scale, in_degrees, transformer, utm_crs, wrapped
from roadgis.lines.parts import flat_parts

_LOG = logging.getLogger(__name__)

_POLYGON = 3
# A straight edge in one CRS is a curve in another; over a kilometre they differ by centimetres.
_STRAIGHT_M = 1000.0
_SCALE_TOLERANCE = 0.01
# Burning a window must not process thousands of vertices of a shape that mostly lies elsewhere.
_MAX_VERTICES = 128
_EARTH_RADIUS_M = 6.371e6

Bounds = tuple[float, float, float, float]
Ints = npt.NDArray[np.intp]
Shapes = npt.NDArray[np.object_]


def road_surfaces(
    lines: Shapes,
    widths_m: Floats,
    polygons: Shapes,
    source: CRS,
    target: CRS,
    bounds: Bounds | None = None,
) -> Shapes | None:
    """Return the road surfaces in another CRS, as many small polygons.

    Parameters
    ----------
    lines : ndarray of LineString, shape (N,)
        Centrelines.
    widths_m : ndarray of float64, shape (N,)
        Full width, metres on the ground.
    polygons : ndarray of Polygon, shape (M,)
        Road surfaces; invalid ones are repaired.
    source, target : pyproj.CRS
        CRS of the shapes, and of the result.
    bounds : tuple of float, optional
        (west, south, east, north) in `target`: distant shapes are left out.

    Returns
    -------
    ndarray of Polygon, or None
        They overlap. None if no shape can be expressed in `target`.
    """
    if bounds is not None:
        reach = float(np.max(widths_m, initial=0.0))
        near = _near(bounds, reach, source, target)
        at_lines, at_polygons = _touching(lines, near), _touching(polygons, near)
        lines, widths_m, polygons = lines[at_lines], widths_m[at_lines], polygons[at_polygons]
    step = _STRAIGHT_M / _unit_m(source)
    lines, owners = _short_lines(lines if source == target else shapely.segmentize(lines, step))
    widths_m = widths_m[owners]
    polygons = _small_polygons(polygons if source == target else shapely.segmentize(polygons, step))
    surfaces, lost = [], 0
    for group, zone in _zones(np.concatenate([lines, polygons]), source, target):
        of_lines, of_polygons = group[: len(lines)], group[len(lines) :]
        if zone is None:
            lost += int(group.sum())
            continue
        crs, centre = zone
        found = shapely.buffer(_to(lines[of_lines], source, crs), widths_m[of_lines] / 2)
        for shapes, of in ((found, crs), (polygons[of_polygons], source)):
            moved = _to(shapes, of, target, centre)
            expressed = np.isfinite(shapely.bounds(moved)).all(axis=1) & ~shapely.is_empty(moved)
            lost += int((~expressed).sum())
            surfaces.append(moved[expressed])
    if lost:
        _LOG.info("%d pieces are outside the area of %s.", lost, target.name)
    total = np.concatenate([np.empty(0, object), *surfaces])
    return None if lost and not len(total) else total


def _unit_m(crs: CRS) -> float:
    """Return the approximate length of a CRS's unit in metres."""
    factor = float(crs.axis_info[0].unit_conversion_factor)
    return factor * _EARTH_RADIUS_M if crs.is_geographic else factor


def _near(bounds: Bounds, reach_m: float, source: CRS, target: CRS) -> BaseGeometry | None:
    """Return a box in `source` that contains all that may touch `bounds`; None if unknown."""
    west, south, east, north = transformer(target, source).transform_bounds(*bounds, densify_pts=21)
    # Across the antimeridian west is greater than east.
    if not np.isfinite([west, south, east, north]).all() or west >= east:
        return None
    # In the far north and in Web Mercator a metre is many units, hence the large factor.
    margin = 0.05 * max(east - west, north - south) + 20 * (reach_m + 10) / _unit_m(source)
    return shapely.box(west - margin, south - margin, east + margin, north + margin)


def _touching(shapes: Shapes, near: BaseGeometry | None) -> Bools:
    if near is None or not len(shapes):
        return np.ones(len(shapes), np.bool_)
    west, south, east, north = near.bounds
    box = shapely.bounds(shapes)
    return np.asarray(
        (box[:, 0] <= east) & (box[:, 2] >= west) & (box[:, 1] <= north) & (box[:, 3] >= south)
    )


def _short_lines(lines: Shapes) -> tuple[Shapes, Ints]:
    """Cut lines at vertices into pieces; with round caps, the pieces cover the same area."""
    long = np.flatnonzero(shapely.get_num_coordinates(lines) > _MAX_VERTICES // 4)
    pieces, owners = [np.delete(lines, long)], [np.delete(np.arange(len(lines)), long)]
    for i in long:
        xy = shapely.get_coordinates(lines[i])
        step = _MAX_VERTICES // 4 - 1
        cut = [xy[a : a + step + 1] for a in range(0, len(xy) - 1, step)]
        pieces.append(np.array([shapely.linestrings(part) for part in cut], object))
        owners.append(np.full(len(cut), i))
    return np.concatenate(pieces), np.concatenate(owners)


def _small_polygons(polygons: Shapes) -> Shapes:
    """Cut polygons into polygons with few vertices that cover the same area."""
    valid, _ = flat_parts(shapely.make_valid(polygons))
    todo = list(valid[shapely.get_type_id(valid) == _POLYGON])
    done: list[BaseGeometry] = []
    while todo:
        shape = todo.pop()
        if shapely.get_num_coordinates(shape) <= _MAX_VERTICES:
            done.append(shape)
            continue
        west, south, east, north = shape.bounds
        x, y = (west + east) / 2, (south + north) / 2
        if east - west > north - south:
            halves = [shapely.box(west, south, x, north), shapely.box(x, south, east, north)]
        else:
            halves = [shapely.box(west, south, east, y), shapely.box(west, y, east, north)]
        cut, _ = flat_parts(shapely.intersection(shape, np.array(halves, object)))
        cut = cut[shapely.get_type_id(cut) == _POLYGON]
        # Too dense for halving to help: kept unchanged.
        stuck = (
            len(cut)
            and (shapely.get_num_coordinates(cut) >= shapely.get_num_coordinates(shape)).any()
        )
        (done if stuck else todo).extend([shape] if stuck else list(cut))
    out = np.empty(len(done), object)
    out[:] = done
    return out


def _zones(
    shapes: Shapes, source: CRS, target: CRS
) -> list[tuple[Bools, tuple[CRS, float] | None]]:
    """Group shapes by zone.

    Returns
    -------
    list of (members, zone)
        Members as bool (N,); zone is the metric CRS to buffer in and the longitude of its centre,
        None for shapes outside the Earth.
    """
    if not len(shapes):
        return []
    box = shapely.bounds(shapes)
    x, y = (box[:, 0] + box[:, 2]) / 2, (box[:, 1] + box[:, 3]) / 2
    lon, lat = transformer(source, LONLAT).transform(x, y)
    lost = ~(np.isfinite(lon) & np.isfinite(lat)) | (np.abs(lat) > 90)
    lon = wrapped(np.where(lost, 0.0, lon), 0.0)
    key = np.where(np.abs(lat) > 80, 100 * np.sign(lat), 0) + np.floor((lon + 180) / 6) % 60
    key = np.where(lat < 0, key - 1000, key)
    zones: list[tuple[Bools, tuple[CRS, float] | None]] = []
    for value in np.unique(key[~lost]):
        members = (key == value) & ~lost
        at_lon, at_lat = float(np.median(lon[members])), float(np.median(lat[members]))
        zones.append((members, (_metric_crs(target, at_lon, at_lat), at_lon)))
    if lost.any():
        zones.append((lost, None))
    return zones


def _metric_crs(target: CRS, lon: float, lat: float) -> CRS:
    metric = target.is_projected and all(
        abs(axis.unit_conversion_factor - 1.0) < 1e-9 for axis in target.axis_info[:2]
    )
    if metric and abs(ground_scale(target, lon, lat) - 1.0) <= _SCALE_TOLERANCE:
        return target
    return utm_crs(lon, lat)


def _to(shapes: Shapes, source: CRS, target: CRS, centre: float = math.nan) -> Shapes:
    """Reproject; longitudes stay within half a turn of `centre` if given."""
    if source == target:
        return shapes
    transform = transformer(source, target).transform
    turn = in_degrees(target) and math.isfinite(centre)

    def moved(xy: Floats) -> Floats:
        x, y = transform(xy[:, 0], xy[:, 1])
        return np.stack([wrapped(x, centre) if turn else x, y], axis=-1)

    return np.asarray(shapely.transform(shapes, moved), object)
