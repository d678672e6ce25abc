"""The area of interest: where output is wanted."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from affine import Affine
from pyproj import CRS
from rasterio.features import rasterize
from shapely.geometry.base import BaseGeometry

from roadgis.affine import mapped
from roadgis.arrays import Bools, Floats
from roadgis.crs import in_degrees, transformer
from roadgis.errors import DataError, SceneError
from roadgis.imagery.gdal_warnings import quiet
from roadgis.imagery.grid import Window

if TYPE_CHECKING:
    import geopandas

_BLOCK_PX = 512
# No CRS has coordinates beyond this: the Earth measures 4e10 mm.
_LARGEST = 1e12


def load_area(aoi: Any, native_crs: CRS, crs: CRS) -> BaseGeometry:
    """Return an area of interest as one polygonal geometry.

    Parameters
    ----------
    aoi : path, geometry, GeoSeries or GeoDataFrame
        Polygons; a bare geometry is in `native_crs`. In degrees one across the antimeridian may
        be cut there, continue beyond 180, or go back from 180 to -180.
    native_crs, crs : pyproj.CRS
        CRS of the inputs, and of the result.

    Raises
    ------
    DataError
        If a file cannot be read as a vector layer, or has no CRS.
    SceneError
        If there is no CRS, or no polygons, or their coordinates are not numbers.
    """
    import geopandas  # half of the time that a short command takes to start

    if isinstance(aoi, (str, Path)):
        name = str(aoi)
        table = _read(name)
    elif isinstance(aoi, BaseGeometry):
        name, table = "The area of interest", geopandas.GeoSeries([aoi], crs=native_crs)
    elif isinstance(aoi, (geopandas.GeoDataFrame, geopandas.GeoSeries)):
        name, table = "The area of interest", aoi
    else:
        raise SceneError(
            f"The area of interest is a {type(aoi).__name__}; expected a vector file, a shapely "
            "geometry, a GeoSeries or a GeoDataFrame."
        )
    shapes = np.asarray(table.geometry.array)
    shapes = shapes[~(shapely.is_missing(shapes) | shapely.is_empty(shapes))]
    polygons = shapes[np.isin(shapely.get_type_id(shapes), (3, 6))]
    if not len(polygons):
        kinds = sorted({shape.geom_type for shape in shapes}) or ["nothing"]
        raise SceneError(
            f"{name}: holds {', '.join(kinds)}, expected polygons that outline the area."
        )
    if table.crs is None:
        raise SceneError(
            f"{name}: has no coordinate reference system. Assign one in a GIS (a shapefile needs "
            "its .prj), or save it as GeoJSON."
        )
    # Comparisons with NaN are false.
    if not (np.abs(shapely.get_coordinates(polygons)) <= _LARGEST).all():
        raise SceneError(
            f"{name}: has impossible coordinates (NaN, infinite or above 1e12), expected "
            "polygons that outline the area. Draw or export it again."
        )
    area = shapely.union_all(shapely.make_valid(polygons))
    return _transformed(area, CRS.from_user_input(table.crs), crs, name)


def _read(name: str) -> geopandas.GeoDataFrame:
    from roadgis.vector_files.reading import LayerFile

    try:
        source = LayerFile(
            name,
            None,
            layer_option=None,
            expected="polygons that outline the area",
            unwanted=("Point", "Line"),
        )
        return source.read([]).set_crs(source.crs, allow_override=True)
    except DataError as error:
        raise DataError(f"Area of interest: {error}") from error


def _transformed(area: BaseGeometry, source: CRS, target: CRS, name: str) -> BaseGeometry:
    if in_degrees(source):
        area = _across_antimeridian(area)
    if source == target:
        return area
    west, south, east, north = area.bounds
    # A straight edge in degrees is a curve in metres: follow it with intermediate points.
    area = shapely.segmentize(area, max(east - west, north - south) / 64)
    to_target = transformer(source, target)
    area = shapely.transform(
        area, lambda xy: np.stack(to_target.transform(xy[:, 0], xy[:, 1]), axis=-1)
    )
    if not np.isfinite(shapely.get_coordinates(area)).all():
        raise SceneError(
            f"{name}: reaches places that {target.name} cannot express. Check its CRS, and that "
            "it lies near the imagery."
        )
    return shapely.make_valid(area)


def _across_antimeridian(area: BaseGeometry) -> BaseGeometry:
    """Let longitudes continue beyond 180 where a polygon goes back from there to -180.

    Such a polygon seems to reach around the Earth, with no vertex on the near side of it.
    """
    parts = shapely.get_parts(area)
    west, _, east, _ = shapely.bounds(parts).T
    across = (east - west > 180.0) & (east - west < 360.0)
    for at in np.flatnonzero(across):
        if np.abs(shapely.get_coordinates(parts[at])[:, 0]).min() > 90.0:
            parts[at] = shapely.make_valid(shapely.transform(parts[at], _eastward))
    return shapely.union_all(parts) if across.any() else area


def _eastward(lonlat: Floats) -> Floats:
    return np.stack([lonlat[:, 0] % 360.0, lonlat[:, 1]], axis=-1)


class Area:
    """A polygon on the analysis lattice; thread-safe.

    Parameters
    ----------
    shape : shapely geometry
        In the grid's CRS.
    affine : Affine
        From lattice (col, row) to the grid's CRS.
    """

    def __init__(self, shape: BaseGeometry, affine: Affine) -> None:
        inverse = ~affine
        self._shape = shapely.transform(
            shape, lambda xy: np.stack(mapped(inverse, xy[:, 0], xy[:, 1]), axis=-1)
        )
        shapely.prepare(self._shape)
        # GEOS builds a prepared geometry's index on first use, which is not safe in threads.
        self._lock = threading.Lock()

    @property
    def bounds_px(self) -> tuple[float, float, float, float]:
        """First and last column and row: (col, row, end col, end row)."""
        west, north, east, south = self._shape.bounds
        return west, north, east, south

    @property
    def digest(self) -> str:
        """A hash of the polygon on the lattice."""
        return hashlib.sha256(shapely.to_wkb(self._shape)).hexdigest()

    def misses(self, window: Window) -> bool:
        """Return whether no part of a window lies inside."""
        with self._lock:
            return not shapely.intersects(self._shape, _box(window))

    def inside(self, window: Window) -> Bools:
        """Return bool (height, width): whose pixel centres lie inside."""
        out = np.zeros((window.height, window.width), np.bool_)
        # Fixed blocks, so that a pixel's answer does not depend on the window.
        size = _BLOCK_PX
        for row in range(window.row // size, -(-window.end_row // size)):
            for col in range(window.col // size, -(-window.end_col // size)):
                block = Window(row * size, col * size, size, size)
                shared = block.intersection(window)
                out[shared.slices_in(window)] = self._block(block)[shared.slices_in(block)]
        return out

    def _block(self, block: Window) -> Bools:
        shape = (block.height, block.width)
        box = _box(block.buffered(2))
        with self._lock:
            if not shapely.intersects(self._shape, box):
                return np.zeros(shape, np.bool_)
            if shapely.contains(self._shape, box):
                return np.ones(shape, np.bool_)
            near = shapely.intersection(self._shape, box)
        near = shapely.transform(near, lambda xy: xy - (block.col, block.row))
        with quiet():
            return np.asarray(rasterize([near], out_shape=shape, dtype="uint8") > 0)


def _box(window: Window) -> BaseGeometry:
    return shapely.box(
        window.col, window.row, window.col + window.width, window.row + window.height
    )
