"""A vector layer of roads, burnt into any pixel grid."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from pyproj import CRS
from rasterio.features import rasterize

from roadgis.affine import mapped
from roadgis.arrays import Bytes, Floats
from roadgis.errors import DataError
from roadgis.imagery.gdal_warnings import quiet
from roadgis.labels.surfaces import road_surfaces
from roadgis.labels.widths import line_widths, parse_width_fields
from roadgis.lines.parts import flat_parts, is_placed
from roadgis.vector_files.reading import LayerFile

_LOG = logging.getLogger(__name__)

_POINT = 0
_LINES = (1, 2)
_POLYGON = 3

Bounds = tuple[float, float, float, float]
Shapes = npt.NDArray[np.object_]


class RoadLayer:
    """Road lines with their widths, and road polygons; made by :meth:`RoadLayer.open`.

    Attributes
    ----------
    count : int
        Features that are neither null nor empty.
    bounds : tuple of float
        (west, south, east, north) in `crs`, of lines without their width.
    """

    def __init__(
        self, path: Path, crs: CRS, count: int, lines: Shapes, widths_m: Floats, polygons: Shapes
    ) -> None:
        self.path = path
        self.crs = crs
        self.count = count
        self.bounds = _total_bounds(np.concatenate([lines, polygons]))
        self._lines, self._widths_m, self._polygons = lines, widths_m, polygons

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        layer: str | None = None,
        width_m: float | None = None,
        width_field: str | Sequence[str] | None = None,
    ) -> RoadLayer:
        """Read a layer in any format of OGR.

        Parameters
        ----------
        path : Path or str
            Lines, polygons, multipart geometries and collections, with or without heights.
        layer : str, optional
            Needed if the file has several layers.
        width_m : float, optional
            Full width of lines without a value in `width_field`, metres.
        width_field : str or sequence of str, optional
            Field with the width in metres, or ``NAME*FACTOR`` such as ``lanes*3.5``. Of several
            fields, the first with a value is used. Polygons need no width.

        Raises
        ------
        DataError
            If the file cannot be read; a layer, field, width or the CRS is missing; a width is not
            a positive number; there are points; or nothing is left.
        """
        source = LayerFile(path, layer)
        fields = parse_width_fields(width_field, source.fields, source.name)
        table = source.read([field.name for field in fields])
        shapes = np.asarray(table.geometry.array, object)
        used = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
        if not used.all():
            _LOG.warning(
                "%s: %d features without a geometry are left out.", source.name, (~used).sum()
            )
        if not used.any():
            raise DataError(f"{source.name}: holds no geometries. Expected road lines or polygons.")
        parts, features = flat_parts(shapes)
        placed = is_placed(parts)
        if not placed.all():
            _LOG.warning(
                "%s: %d parts with impossible coordinates (NaN, infinite or above 1e12) "
                "are left out.", source.name, (~placed).sum(),
            )  # fmt: skip
            parts, features = parts[placed], features[placed]
        _reject_points(parts, features, source.name)
        kinds = shapely.get_type_id(parts)
        is_line = np.isin(kinds, _LINES)
        with_lines = np.zeros(len(shapes), np.bool_)
        with_lines[features[is_line]] = True
        columns = [(field, np.asarray(table[field.name], object)) for field in fields]
        widths = line_widths(columns, with_lines, width_m, source.name)
        return cls(
            Path(path), source.crs, int(used.sum()), parts[is_line],
            widths[features[is_line]], parts[kinds == _POLYGON],
        )  # fmt: skip

    def on(self, crs: CRS, *, bounds: Bounds | None = None) -> BurnLayer:
        """Return the road surfaces in another CRS, to be burnt any number of times.

        Lines are buffered in metres on the ground: in `crs` if that is metric and true to scale,
        else (degrees, feet, Web Mercator) in the UTM zone of each line.

        Parameters
        ----------
        crs : pyproj.CRS
            CRS of the rasters; anything that ``CRS.from_user_input`` accepts.
        bounds : tuple of float, optional
            (west, south, east, north) in `crs`: roads outside are left out, which saves time and
            memory with country-wide layers.

        Raises
        ------
        DataError
            If no road can be expressed in `crs`.
        """
        target = CRS.from_user_input(crs)
        surfaces = road_surfaces(
            self._lines, self._widths_m, self._polygons, self.crs, target, bounds
        )
        if surfaces is None:
            raise DataError(
                f"{self.path}: none of it ({_show(self.bounds)}) can be expressed in "
                f"{target.name}. Check the layer's CRS ({self.crs.name})."
            )
        return BurnLayer(target, surfaces)


class BurnLayer:
    """Road surfaces in one CRS; made by :meth:`RoadLayer.on`. Burning is thread-safe.

    Attributes
    ----------
    bounds : tuple of float
        (west, south, east, north) in `crs`; NaN if empty.
    """

    def __init__(self, crs: CRS, surfaces: Shapes) -> None:
        self.crs = crs
        self.bounds = _total_bounds(surfaces)
        self._tree = shapely.STRtree(surfaces)
        # GEOS may sort a tree at its first query, which is not thread-safe.
        self._tree.query(shapely.box(0, 0, 0, 0))

    def burn(self, transform: Affine, height: int, width: int) -> Bytes:
        """Burn the roads into a window of pixels.

        Parameters
        ----------
        transform : Affine
            From (col, row) of pixel corners in the window to `crs`; may be rotated or south-up.

        Returns
        -------
        ndarray of uint8, shape (height, width)
            1 if the pixel's centre lies on a road, else 0.
        """
        corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64)
        x, y = mapped(transform, corners[:, 0], corners[:, 1])
        found = self._tree.query(shapely.box(x.min(), y.min(), x.max(), y.max()))
        if not len(found):
            return np.zeros((height, width), np.uint8)
        inverse = ~transform
        pixels = shapely.transform(
            self._tree.geometries.take(found),
            lambda xy: np.stack(mapped(inverse, xy[:, 0], xy[:, 1]), axis=-1),
        )
        with quiet():
            return np.asarray(rasterize(list(pixels), out_shape=(height, width), dtype="uint8"))


def _reject_points(parts: Shapes, features: npt.NDArray[np.intp], source: str) -> None:
    points = len(np.unique(features[shapely.get_type_id(parts) == _POINT]))
    if points:
        raise DataError(
            f"{source}: {points:,} features are points, which have no road surface. Expected "
            "lines or polygons: leave the points out, or choose another layer with --layer."
        )


def _total_bounds(shapes: Shapes) -> Bounds:
    if not len(shapes):
        return math.nan, math.nan, math.nan, math.nan
    west, south, east, north = (float(value) for value in shapely.total_bounds(shapes))
    return west, south, east, north


def _show(bounds: Bounds) -> str:
    return "{:.6g}, {:.6g} .. {:.6g}, {:.6g}".format(*bounds)
