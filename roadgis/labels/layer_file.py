"""Reading one layer of a vector file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas
import pyogrio
from pyogrio.errors import CRSError, DataLayerError, DataSourceError, FieldError, GeometryError
from pyproj import CRS

from roadgis.errors import DataError

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

    def __init__(self, path: Path | str, layer: str | None) -> None:
        self._path = os.fspath(path)
        if "://" not in self._path and not self._path.startswith("/vsi"):
            self._check_exists()
        self._layer = self._choose(layer)
        self.name = self._path if layer is None else f"{self._path} (layer {layer})"
        try:
            info = pyogrio.read_info(self._path, layer=self._layer)
        except _FAILURES as error:
            raise self._unreadable(error) from error
        self.fields = [str(field) for field in info["fields"]]
        self.crs = self._horizontal(info["crs"])

    def read(self, fields: Sequence[str]) -> Any:
        """Return a GeoDataFrame with the geometries and some fields.

        Raises
        ------
        DataError
            If reading fails.
        """
        try:
            return geopandas.read_file(
                self._path, layer=self._layer, columns=list(dict.fromkeys(fields)), engine="pyogrio"
            )
        except _FAILURES as error:
            raise self._unreadable(error) from error

    def _check_exists(self) -> None:
        if not os.path.exists(self._path):
            raise DataError(f"{self._path}: found no such file. Check the path.")

    def _unreadable(self, error: Exception) -> DataError:
        return DataError(
            f"{self._path}: cannot be read as a vector layer ({error}). Expected lines or polygons "
            "in a format of OGR, such as GeoPackage, GeoJSON or Shapefile."
        )

    def _choose(self, layer: str | None) -> str:
        try:
            layers = [(str(name), kind) for name, kind in pyogrio.list_layers(self._path)]
        except _FAILURES as error:
            raise self._unreadable(error) from error
        shown = ", ".join(repr(name) for name, _ in layers) or "none"
        if layer is not None:
            if layer not in [name for name, _ in layers]:
                raise DataError(
                    f"{self._path}: has no layer {layer!r}; it has {shown}. Name one of these "
                    "with --layer."
                )
            return layer
        spatial = [name for name, kind in layers if kind is not None]
        if not spatial:
            raise DataError(
                f"{self._path}: has no layer with geometries (layers: {shown}). Expected a vector "
                "layer of road lines or polygons."
            )
        if len(spatial) > 1:
            raise DataError(
                f"{self._path}: has {len(spatial)} layers: {', '.join(map(repr, spatial))}. Name "
                "the one with the roads with --layer."
            )
        return spatial[0]

    def _horizontal(self, found: str | None) -> CRS:
        if found is None:
            raise DataError(
                f"{self.name}: has no coordinate reference system. Assign one in a GIS (a "
                "shapefile needs its .prj), or with 'ogr2ogr -a_srs EPSG:25832 new.gpkg old.shp' "
                "if you know its code."
            )
        crs = CRS.from_user_input(found)
        # Heights play no part: keep the horizontal half of a compound CRS.
        if crs.is_compound:
            crs = crs.sub_crs_list[0]
        if crs.is_bound and crs.source_crs is not None:
            crs = crs.source_crs
        if not (crs.is_projected or crs.is_geographic):
            raise DataError(
                f"{self.name}: its CRS ({crs.name}) has no place on the Earth. Assign a projected "
                "or geographic one, e.g. with 'ogr2ogr -a_srs'."
            )
        return crs
