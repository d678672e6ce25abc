"""Comparisons as files to review: GeoPackage with styles, or GeoJSON."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError, FieldError, GeometryError
from pyproj import CRS

from roadgis.arrays import Floats
from roadgis.atomic import atomic_path, describe_failure
from roadgis.comparison.style import add_styles
from roadgis.errors import InputError, OutputError
from roadgis.output.formats import check_output, output_format
from roadgis.output.geojson import write_geojson
from roadgis.output.provenance import PROVENANCE_KEY, provenance_json
from roadgis.output.table import FeatureTable
from roadgis.vector_files.geopackage import geopackage

_FAILURES = (DataSourceError, DataLayerError, FieldError, GeometryError, sqlite3.Error)


def check_review(path: Path | str, *, overwrite: bool = False) -> None:
    """Check before a run that its review file can be written.

    Raises
    ------
    InputError
        If the suffix is neither ``.gpkg`` nor ``.geojson``.
    OutputError
        If the folder is missing or not writable, or the file exists and may not be replaced.
    """
    if Path(path).suffix.lower() not in {".gpkg", ".geojson"}:
        raise InputError(
            f"{path}: found the suffix {Path(path).suffix!r}, expected a review file that ends in "
            ".gpkg (a layer for each class, with styles) or .geojson (one layer). Give it one."
        )
    check_output(path, overwrite=overwrite)


def write_review(
    classes: Mapping[str, geopandas.GeoDataFrame],
    offsets: geopandas.GeoDataFrame,
    summary: Mapping[str, Any],
    path: Path | str,
    *,
    overwrite: bool = False,
) -> None:
    """Write a comparison.

    Parameters
    ----------
    classes : mapping of str to GeoDataFrame
        The lines of each class.
    offsets : GeoDataFrame
        Points of the offset's grid; in a GeoPackage only.
    summary : mapping
        Plain JSON values; a table of names and values in a GeoPackage, and kept as the item
        ``roadgis`` of both formats.
    path : Path or str
        Ending in ``.gpkg`` or ``.geojson``.
    overwrite : bool
        Whether an existing file is replaced; other layers of a GeoPackage are kept.

    Raises
    ------
    InputError, OutputError
        See :func:`check_review`; and OutputError if writing fails.
    """
    check_review(path, overwrite=overwrite)
    path = Path(path)
    kind = output_format(path)
    provenance = provenance_json(summary)
    if kind.name == "GeoJSON":
        with (
            atomic_path(path, overwrite=overwrite) as partial,
            partial.open("w", encoding="utf-8", newline="\n") as file,
        ):
            write_geojson(_one_layer(classes), file, provenance)
        return
    with geopackage(path, overwrite=overwrite) as partial:
        try:
            for name, table in {**classes, "offset": offsets}.items():
                _write_layer(table, partial, name, provenance)
            pyogrio.write_dataframe(_summary_table(summary), partial, layer="summary")
            add_styles(partial)
        except _FAILURES as error:
            raise OutputError(describe_failure(path, error)) from error


def _write_layer(table: geopandas.GeoDataFrame, partial: Path, name: str, provenance: str) -> None:
    decimals = 9 if CRS.from_user_input(table.crs).is_geographic else 3

    def rounded(xy: Floats) -> Floats:
        return np.round(xy, decimals) + 0.0

    shapes = shapely.transform(np.asarray(table.geometry.array, object), rounded)
    pyogrio.write_dataframe(
        table.set_geometry(geopandas.GeoSeries(shapes, index=table.index, crs=table.crs)),
        partial,
        layer=name,
        driver="GPKG",
        geometry_type="Point" if name == "offset" else "LineString",
        layer_metadata={PROVENANCE_KEY: provenance},
    )
    written = pyogrio.read_info(partial, layer=name)["features"]
    if written != len(table):
        raise DataSourceError(f"{len(table)} features were written to {name}, {written} arrived")


def _one_layer(classes: Mapping[str, geopandas.GeoDataFrame]) -> FeatureTable:
    """Return all classes as one layer in WGS 84; what a class does not have is null."""
    tables = [table.to_crs(4326) for table in classes.values()]
    names = list(dict.fromkeys(name for t in tables for name in t.columns if name != "geometry"))
    shapes = np.concatenate([np.asarray(table.geometry.array, object) for table in tables])
    columns = {name: np.empty(len(shapes), object) for name in names}
    for name, column in columns.items():
        values: list[Any] = []
        for table in tables:
            values += table[name].tolist() if name in table else [None] * len(table)
        column[:] = [_json_value(value) for value in values]
    return FeatureTable(columns, shapes, CRS.from_epsg(4326))


def _json_value(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return None if pd.isna(value) else str(value)


def _summary_table(summary: Mapping[str, Any]) -> pd.DataFrame:
    rows: list[tuple[str, str]] = []

    def add(name: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for inner, item in value.items():
                add(f"{name}.{inner}" if name else str(inner), item)
        else:
            rows.append((name, "" if value is None else str(value)))

    add("", summary)
    return pd.DataFrame(rows, columns=["name", "value"])
