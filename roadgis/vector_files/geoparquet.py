"""GeoParquet files, which the GDAL of most installations cannot read."""

from __future__ import annotations

import importlib.util
import os

import geopandas
import shapely

from roadgis.errors import DataError, MissingExtraError, how_to_install


def is_parquet(path: str) -> bool:
    """Return whether a file on a disk has the suffix of GeoParquet."""
    return path.lower().endswith((".parquet", ".geoparquet")) and os.path.isfile(path)


def read_parquet(path: str, name: str) -> geopandas.GeoDataFrame:
    """Read a GeoParquet file.

    Parameters
    ----------
    name : str
        Name of the file, for messages.

    Returns
    -------
    GeoDataFrame
        All fields, and the main geometry as ``geometry``; other geometries are left out.

    Raises
    ------
    DataError
        If it is not a complete GeoParquet file.
    MissingExtraError
        If pyarrow is not installed.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise MissingExtraError(
            f"{name}: GeoParquet needs pyarrow, which is not installed. "
            f"{how_to_install('parquet')} Or convert the file to GeoPackage."
        )
    try:
        table = geopandas.read_parquet(path)
    # Damaged metadata and pages raise errors of any of these kinds in pyarrow and geopandas.
    except (
        *(ValueError, LookupError, TypeError, AttributeError, OSError, RuntimeError),
        *(OverflowError, RecursionError, shapely.errors.ShapelyError),
    ) as error:
        raise DataError(
            f"{name}: cannot be read as GeoParquet ({error}). Expected a whole file with "
            "geometries. Make or copy it again, or convert it to GeoPackage."
        ) from error
    main = table.geometry.name
    others = [field for field in table.columns[table.dtypes == "geometry"] if field != main]
    table = table.drop(columns=others)
    if "geometry" in table and main != "geometry":
        table = table.rename(columns={"geometry": "geometry_field"})
    return table.rename_geometry("geometry") if main != "geometry" else table
