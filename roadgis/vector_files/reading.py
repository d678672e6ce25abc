"""Reading one layer of a vector file."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import geopandas
import numpy as np
import pyogrio
from pyogrio.errors import (
    CRSError,
    DataLayerError,
    DataSourceError,
    FeatureError,
    FieldError,
    GeometryError,
)
from pyproj import CRS
from pyproj.exceptions import CRSError as UnknownCrs
from shapely.errors import ShapelyError

from roadgis.crs import without_heights
from roadgis.dataset_names import display_name, driver_says
from roadgis.errors import DataError, InputError
from roadgis.vector_files.geoparquet import is_parquet, read_parquet

#: Layer of a merged county: what its roads lack, and never what is looked for.
MISSING_UNITS = "missing_units"

_LOG = logging.getLogger(__name__)

# Errors that damaged files raise in pyogrio, and in pandas, shapely and pyproj.
_FAILURES = (
    *(DataSourceError, DataLayerError, FeatureError, FieldError, GeometryError, CRSError),
    *(ValueError, OverflowError, ShapelyError, UnknownCrs),
)
#: A field called "geometry" is read under this name.
GEOMETRY_FIELD = "geometry_field"
#: Every byte is valid Latin-1, so that reading text as Latin-1 never fails.
_LATIN_1 = "ISO-8859-1"

T = TypeVar("T")


def is_dataset_folder(path: Path | str) -> bool:
    """Return whether a folder is one data set, such as a file geodatabase (``.gdb``)."""
    return os.fspath(path).lower().rstrip("/\\").endswith(".gdb") and os.path.isdir(path)


class LayerFile:
    """A layer in any format of OGR, or of a GeoParquet file.

    Parameters
    ----------
    path : Path or str
        The file.
    layer : str or None
        Which layer; None where there is only one with geometries.
    assume_crs : str, optional
        CRS of a layer that has none: a code or WKT.
    layer_option : str or None
        Name of the option for the layer, for messages; None without one.
    crs_option : str, optional
        Name of the option for `assume_crs`, for messages; None without one.
    expected : str
        Expected content of the layer, for messages.
    unwanted : tuple of str
        Words in the geometry types of layers that are not meant where a file has several.

    Attributes
    ----------
    name : str
        For messages.
    fields : list of str
        Names of its fields.
    crs : pyproj.CRS
        Horizontal CRS.

    Raises
    ------
    DataError
        If it cannot be read, the layer is not there or not clear, or it has no CRS.
    """

    def __init__(
        self,
        path: Path | str,
        layer: str | None,
        assume_crs: str | None = None,
        *,
        layer_option: str | None = "--layer",
        crs_option: str | None = None,
        expected: str = "road lines or polygons",
        unwanted: tuple[str, ...] = ("Point",),
    ) -> None:
        self._path = os.fspath(path)
        self._shown = display_name(self._path)
        self._options = (layer_option, crs_option)
        self._expected, self._unwanted = expected, unwanted
        self._encoding: str | None = None
        if "://" not in self._path and not self._path.startswith("/vsi"):
            self._check_file()
        self._table: geopandas.GeoDataFrame | None = None
        if is_parquet(self._path):
            self._open_parquet(layer, assume_crs)
            return
        self._layer = self._choose(layer)
        self.name = self._shown if layer is None else f"{self._shown} (layer {layer})"
        info = self._decoded(
            lambda encoding: pyogrio.read_info(self._path, layer=self._layer, encoding=encoding)
        )
        self._names = [str(field) for field in info["fields"]]
        self.fields = [GEOMETRY_FIELD if name == "geometry" else name for name in self._names]
        self.crs = self._horizontal(info["crs"], assume_crs)

    def read(self, fields: Sequence[str] | None = None) -> geopandas.GeoDataFrame:
        """Return the features with their geometries.

        Parameters
        ----------
        fields : sequence of str, optional
            Which fields; all when not given.

        Returns
        -------
        GeoDataFrame
            One row a feature, in the file's order. Invalid geometries, such as a line
            of one point, is None; measures are dropped. A field called ``geometry`` becomes
            :data:`GEOMETRY_FIELD`.

        Raises
        ------
        DataError
            If reading fails, or the layer is a table without geometries.
        """
        columns = None if fields is None else list(dict.fromkeys(fields))
        if self._table is not None:
            kept = list(self._table.columns.drop("geometry")) if columns is None else columns
            return self._table[[*kept, "geometry"]]
        if "geometry" in self._names and (columns is None or GEOMETRY_FIELD in columns):
            return self._read_with_field(columns)
        table = self._read(columns=columns)
        if not isinstance(table, geopandas.GeoDataFrame):
            raise DataError(
                f"{self.name}: is a table without geometries. Name a layer that has "
                f"{self._expected}."
            )
        return table

    def _read_with_field(self, columns: list[str] | None) -> geopandas.GeoDataFrame:
        """Read a layer with a field called like the geometry, which would take its place."""
        values = self._read(columns=["geometry"], read_geometry=False)["geometry"]
        wanted = self.fields if columns is None else columns
        names = [name for name in wanted if name != GEOMETRY_FIELD]
        table = self._read(columns=names)
        table.insert(len(table.columns) - 1, GEOMETRY_FIELD, values)
        return table

    def _read(self, **options: Any) -> Any:
        def read(encoding: str | None) -> Any:
            return pyogrio.read_dataframe(
                self._path, layer=self._layer, on_invalid="ignore", encoding=encoding, **options
            )

        return self._decoded(read)

    def _decoded(self, read: Callable[[str | None], T]) -> T:
        """Read with the encoding that the file states, or else with Latin-1."""
        try:
            with _tolerant():
                try:
                    return read(self._encoding)
                except UnicodeDecodeError as error:
                    if self._encoding is not None:
                        raise
                    self._encoding = _LATIN_1
                    _LOG.warning(
                        "%s: holds text that is not %s; it is read as Latin-1 (Western European), "
                        "so that letters may be wrong. Save the layer in UTF-8 in a GIS.",
                        self._shown, error.encoding.upper(),
                    )  # fmt: skip
                    return read(self._encoding)
        except _FAILURES as error:
            raise self._unreadable(error) from error

    def _check_file(self) -> None:
        if not os.path.exists(self._path):
            raise DataError(f"{self._shown}: found no such file. Check the path.")
        if not os.path.isfile(self._path):
            return
        size = os.path.getsize(self._path)
        if not size:
            raise DataError(
                f"{self._shown}: the file is empty (0 bytes), expected a vector layer of "
                f"{self._expected}. Make or copy it again."
            )
        if self._path.lower().endswith(".shp"):
            self._check_whole(size)

    def _check_whole(self, size: int) -> None:
        """Compare a Shapefile's size with its header's: drivers read cut-off lines as missing."""
        with open(self._path, "rb") as file:
            header = file.read(28)
        stated = 2 * int.from_bytes(header[24:28], "big")
        if size < stated:
            raise DataError(
                f"{self._shown}: is cut off: found {size:,} bytes, expected {stated:,} by its "
                "header. Copy it again, with its accompanying files."
            )

    def _open_parquet(self, layer: str | None, assume_crs: str | None) -> None:
        if layer is not None and layer != Path(self._path).stem:
            raise DataError(
                f"{self._shown}: has no layer {layer!r}: a GeoParquet file holds one, without a "
                f"name. Leave {self._options[0]} out."
            )
        self.name = self._shown
        self._table = read_parquet(self._path, self._shown)
        self.fields = [str(field) for field in self._table.columns.drop("geometry")]
        stated = self._table.crs
        self.crs = self._horizontal(None if stated is None else stated.to_wkt(), assume_crs)

    def _unreadable(self, error: Exception) -> DataError:
        says = driver_says(error)
        if os.path.isdir(self._path):
            return DataError(
                f"{self._shown}: is a folder and cannot be read as a vector layer ({says}). "
                "Name one file in it."
            )
        return DataError(
            f"{self._shown}: cannot be read as a vector layer ({says}). Expected "
            f"{self._expected} in a format of OGR, such as GeoPackage, GeoJSON or Shapefile; the "
            "file is of another kind or damaged. Make or copy it again, or convert it with ogr2ogr."
        )

    def _choose(self, layer: str | None) -> str:
        found = self._decoded(lambda _: pyogrio.list_layers(self._path))
        layers = [(str(name), kind) for name, kind in found]
        shown = ", ".join(repr(name) for name, _ in layers) or "none"
        if layer is not None:
            if layer not in [name for name, _ in layers]:
                raise DataError(
                    f"{self._shown}: has no layer {layer!r}; it has {shown}. Name one of these "
                    f"with {self._options[0]}."
                )
            return layer
        spatial = [name for name, kind in layers if kind is not None]
        if not spatial:
            raise DataError(
                f"{self._shown}: has no layer with geometries (layers: {shown}). Expected a vector "
                f"layer of {self._expected}; it is of another kind or damaged."
            )
        # Road networks of roadgis hold edges and nodes: nodes are never meant.
        drawn = [
            name
            for name, kind in layers
            if kind is not None
            and name != MISSING_UNITS
            and not any(word in kind for word in self._unwanted)
        ]
        if len(spatial) > 1 and len(drawn) != 1:
            option = self._options[0]
            todo = f"Name the one with the roads with {option}."
            raise DataError(
                f"{self._shown}: has {len(spatial)} layers: {', '.join(map(repr, spatial))}. "
                f"{todo if option else f'Expected one with {self._expected}: save it alone.'}"
            )
        return (drawn if len(spatial) > 1 else spatial)[0]

    def _horizontal(self, found: str | None, assumed: str | None) -> CRS:
        # A typing error is reported, even if the layer states its CRS.
        given = None if assumed is None else _assumed(assumed)
        crs = None if found is None else self._stated(found)
        if crs is not None and (crs.is_projected or crs.is_geographic):
            return crs
        if given is not None:
            return given
        if crs is not None:
            raise DataError(
                f"{self.name}: its CRS ({crs.name}) has no place on the Earth. Assign a projected "
                "or geographic one, e.g. with 'ogr2ogr -a_srs'."
            )
        option = self._options[1]
        hint = "" if option is None else f", or give it here with {option}"
        raise DataError(
            f"{self.name}: has no coordinate reference system. Assign one in a GIS (a "
            "shapefile needs its .prj), or with 'ogr2ogr -a_srs EPSG:25832 new.gpkg old.shp' "
            f"if you know its code{hint}."
        )

    def _stated(self, text: str) -> CRS:
        try:
            return without_heights(CRS.from_user_input(text))
        except UnknownCrs as error:
            raise DataError(
                f"{self.name}: its coordinate reference system cannot be read ({error}). Assign "
                "the right one in a GIS, or with 'ogr2ogr -a_srs'."
            ) from error


@contextmanager
def _tolerant() -> Iterator[None]:
    """Read measures (dropped) and coordinates that are not numbers without a warning for each."""
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.filterwarnings("ignore", "Measured .* geometry types", UserWarning)
        yield


def _assumed(text: str) -> CRS:
    try:
        crs = without_heights(CRS.from_user_input(text))
    except UnknownCrs as error:
        raise InputError(
            f"--assume-crs {text}: is not a known coordinate reference system. Expected a code "
            "such as EPSG:25832, or WKT."
        ) from error
    if not (crs.is_projected or crs.is_geographic):
        raise InputError(
            f"--assume-crs {text}: is neither a projected nor a geographic CRS. Expected a code "
            "such as EPSG:25832."
        )
    return crs
