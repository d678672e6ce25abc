"""Reading one layer of a vector file."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import geopandas
import numpy as np
import pyogrio
from pyogrio.errors import CRSError, DataLayerError, DataSourceError, FieldError, GeometryError
from pyproj import CRS
from pyproj.exceptions import CRSError as UnknownCrs

from roadgis.errors import DataError, InputError
from roadgis.scene.inputs import display_name

__all__ = ["LayerFile"]

_FAILURES = (DataSourceError, DataLayerError, FieldError, GeometryError, CRSError)


class LayerFile:
    """A layer in any format of OGR.

    Parameters
    ----------
    path : Path or str
        The file.
    layer : str or None
        Which layer; None where there is only one with geometries.
    assume_crs : str, optional
        CRS of a layer that has none: a code or WKT.

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

    def __init__(self, path: Path | str, layer: str | None, assume_crs: str | None = None) -> None:
        self._path = os.fspath(path)
        self._shown = display_name(self._path)
        if "://" not in self._path and not self._path.startswith("/vsi"):
            self._check_exists()
        self._layer = self._choose(layer)
        self.name = self._shown if layer is None else f"{self._shown} (layer {layer})"
        try:
            with _tolerant():
                info = pyogrio.read_info(self._path, layer=self._layer)
        except _FAILURES as error:
            raise self._unreadable(error) from error
        self.fields = [str(field) for field in info["fields"]]
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
            One row a feature, in the file's order. What is no geometry at all, such as a line
            of one point, is None; measures are dropped.

        Raises
        ------
        DataError
            If reading fails, or the layer is a table without geometries.
        """
        columns = None if fields is None else list(dict.fromkeys(fields))
        try:
            with _tolerant():
                table = geopandas.read_file(
                    self._path,
                    layer=self._layer,
                    columns=columns,
                    engine="pyogrio",
                    on_invalid="ignore",
                )
        except _FAILURES as error:
            raise self._unreadable(error) from error
        if not isinstance(table, geopandas.GeoDataFrame):
            raise DataError(
                f"{self.name}: is a table without geometries. Name a layer that has lines."
            )
        return table

    def _check_exists(self) -> None:
        if not os.path.exists(self._path):
            raise DataError(f"{self._shown}: found no such file. Check the path.")

    def _unreadable(self, error: Exception) -> DataError:
        return DataError(
            f"{self._shown}: cannot be read as a vector layer ({error}). Expected lines or "
            "polygons in a format of OGR, such as GeoPackage, GeoJSON or Shapefile."
        )

    def _choose(self, layer: str | None) -> str:
        try:
            with _tolerant():
                layers = [(str(name), kind) for name, kind in pyogrio.list_layers(self._path)]
        except _FAILURES as error:
            raise self._unreadable(error) from error
        shown = ", ".join(repr(name) for name, _ in layers) or "none"
        if layer is not None:
            if layer not in [name for name, _ in layers]:
                raise DataError(
                    f"{self._shown}: has no layer {layer!r}; it has {shown}. Name one of these "
                    "with --layer."
                )
            return layer
        spatial = [name for name, kind in layers if kind is not None]
        if not spatial:
            raise DataError(
                f"{self._shown}: has no layer with geometries (layers: {shown}). Expected a vector "
                "layer of road lines or polygons."
            )
        if len(spatial) > 1:
            raise DataError(
                f"{self._shown}: has {len(spatial)} layers: {', '.join(map(repr, spatial))}. Name "
                "the one with the roads with --layer."
            )
        return spatial[0]

    def _horizontal(self, found: str | None, assumed: str | None) -> CRS:
        crs = None if found is None else _without_heights(CRS.from_user_input(found))
        if crs is not None and (crs.is_projected or crs.is_geographic):
            return crs
        if assumed is not None:
            return _assumed(assumed)
        if crs is not None:
            raise DataError(
                f"{self.name}: its CRS ({crs.name}) has no place on the Earth. Assign a projected "
                "or geographic one, e.g. with 'ogr2ogr -a_srs'."
            )
        raise DataError(
            f"{self.name}: has no coordinate reference system. Assign one in a GIS (a "
            "shapefile needs its .prj), or with 'ogr2ogr -a_srs EPSG:25832 new.gpkg old.shp' "
            "if you know its code."
        )


@contextmanager
def _tolerant() -> Iterator[None]:
    """Read measures (dropped) and coordinates that are no numbers without a warning of each."""
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.filterwarnings("ignore", "Measured .* geometry types", UserWarning)
        yield


def _without_heights(crs: CRS) -> CRS:
    if crs.is_compound:
        crs = crs.sub_crs_list[0]
    if crs.is_bound and crs.source_crs is not None:
        crs = crs.source_crs
    return crs


def _assumed(text: str) -> CRS:
    try:
        crs = _without_heights(CRS.from_user_input(text))
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
