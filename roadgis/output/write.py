"""Writing a road network to a file."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from pyproj import CRS

from roadgis.arrays import Floats
from roadgis.atomic import atomic_path, describe_failure
from roadgis.errors import InputError, OutputError
from roadgis.network.network import RoadNetwork
from roadgis.output.formats import check_output, output_format
from roadgis.output.geojson import write_geojson
from roadgis.output.names import shapefile_names
from roadgis.output.parquet import write_parquet
from roadgis.output.provenance import PROVENANCE_KEY, provenance_json, provenance_sidecar
from roadgis.output.table import FeatureTable
from roadgis.vector_files.geopackage import geopackage
from roadgis.vector_files.light_pyogrio import light_pyogrio

if TYPE_CHECKING:
    import geopandas

_LOG = logging.getLogger(__name__)

_SHAPEFILE_LIMIT_BYTES = 2**31 - 1
# A projected coordinate is kept to 0.001 of its unit, a geographic one to 1e-9 degrees: 0.1 mm.
# Noise in the last bits does not show, so that the same network gives the same bytes.
_DECIMALS_PROJECTED = 3
_DECIMALS_GEOGRAPHIC = 9


def write_network(
    network: RoadNetwork,
    path: Path | str,
    *,
    overwrite: bool = False,
    crs: CRS | None = None,
    record: Callable[[Mapping[Path, Path]], None] | None = None,
    layers: Mapping[str, geopandas.GeoDataFrame] | None = None,
) -> None:
    """Write a network in the format that the file's suffix names.

    The file appears whole or not at all, with the same features, byte for byte, for the same
    network. `network.provenance` is stored in the file (in a second file for Shapefile).

    Parameters
    ----------
    network : RoadNetwork
        May be empty: the file then has the layers and attributes, and no features.
    path : Path or str
        One of the suffixes in :data:`roadgis.output.SUFFIXES`.
    overwrite : bool
        Whether an existing file is replaced. Of a GeoPackage, the layers ``edges`` and ``nodes``
        are; its other layers, styles and projects are kept.
    crs : pyproj.CRS, optional
        CRS of the coordinates in the file; default: the network's own. GeoJSON is always in
        WGS 84, as RFC 7946 demands.
    record : callable, optional
        See :func:`roadgis.atomic.atomic_path`.
    layers : mapping of str to geopandas.GeoDataFrame, optional
        Polygons to write into a GeoPackage as well, by layer; other formats have no place for them.

    Raises
    ------
    InputError
        If the suffix is not known, or the network's coordinates have no place in the CRS.
    MissingExtraError
        If the format needs a package that is not installed.
    OutputError
        If the file exists and may not be replaced, or cannot be written.
    """
    check_output(path, overwrite=overwrite)
    path = Path(path)
    kind = output_format(path)
    if kind.name == "GeoJSON":
        crs = CRS.from_epsg(4326)
    edges, nodes = _tables(network, crs or network.crs, rounded=kind.name != "GeoJSON")
    provenance = provenance_json(network.provenance)
    if kind.name == "GeoPackage":
        with geopackage(path, overwrite=overwrite, record=record) as partial:
            _write_layer(edges, partial, path, "GPKG", provenance, layer="edges")
            _write_layer(nodes, partial, path, "GPKG", provenance, layer="nodes")
            _write_polygons(layers or {}, partial)
    else:
        stale = kind.stale_names(path)
        with atomic_path(path, overwrite=overwrite, stale=stale, record=record) as partial:
            _write_edges(edges, partial, path, kind.name, provenance)
    _LOG.info("%s: wrote %d edges and %d nodes", path, len(edges), len(nodes))


def _write_edges(
    edges: FeatureTable, partial: Path, path: Path, format_name: str, provenance: str
) -> None:
    """Write a file with one layer; GDAL writes the formats that are not named here."""
    if format_name == "GeoJSON":
        # newline: the same bytes on every system.
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            write_geojson(edges, file, provenance)
    elif format_name == "GeoParquet":
        write_parquet(edges, partial, provenance)
    elif format_name == "Shapefile":
        _write_shapefile(edges, partial, path, provenance)
    else:
        _write_layer(edges, partial, path, format_name, provenance)


def _write_polygons(layers: Mapping[str, geopandas.GeoDataFrame], partial: Path) -> None:
    import pyogrio

    for name, table in layers.items():
        pyogrio.write_dataframe(table, partial, layer=name, driver="GPKG", geometry_type="Polygon")


def _tables(network: RoadNetwork, crs: CRS, *, rounded: bool) -> tuple[FeatureTable, FeatureTable]:
    """Return the edges and nodes in a CRS; lengths are those of the network itself."""
    placed = network.to_crs(crs)
    shapes = []
    points = np.asarray(shapely.points(placed.nodes.reshape(-1, 2)), object)
    for geometries in (placed.edges, points):
        if not np.isfinite(shapely.get_coordinates(geometries)).all():
            raise InputError(
                f"Found roads in {network.crs.name!r} that have no place in {crs.name!r}. "
                "Choose an output CRS that covers them; GeoPackage keeps the network's own."
            )
        if rounded:
            # An edge's end and its node are equal before, so they are equal after.
            decimals = _DECIMALS_GEOGRAPHIC if crs.is_geographic else _DECIMALS_PROJECTED
            geometries = np.asarray(shapely.transform(geometries, _rounding(decimals)), object)
        shapes.append(geometries)
    edges, nodes = shapes
    return (
        FeatureTable(network.columns(), edges, crs),
        FeatureTable(network.node_columns(), nodes, crs),
    )


def _rounding(decimals: int) -> Any:
    def round_coordinates(xy: Floats) -> Floats:
        return np.round(xy, decimals) + 0.0

    return round_coordinates


def _write_layer(
    table: FeatureTable,
    partial: Path,
    path: Path,
    driver: str,
    provenance: str,
    *,
    layer: str | None = None,
    **options: Any,
) -> None:
    """Write a table with GDAL and read it back: not every driver reports every failed write."""
    pyogrio = light_pyogrio()
    raw = pyogrio.raw
    epsg = table.crs.to_epsg()
    geometry_type = "Point" if layer == "nodes" else "LineString"
    # Dataset metadata would go to a second file; a layer's stays in the file.
    metadata = {PROVENANCE_KEY: provenance} if driver != "ESRI Shapefile" else None
    try:
        raw.write(
            partial,
            layer=layer,
            driver=driver,
            geometry=shapely.to_wkb(table.shapes),
            geometry_type=geometry_type,
            crs=f"EPSG:{epsg}" if epsg else table.crs.to_wkt("WKT1_GDAL"),
            fields=list(table.columns),
            field_data=list(table.columns.values()),
            layer_metadata=metadata,
            **options,
        )
        _, _, _, (ids,) = raw.read(partial, layer=layer, columns=["id"], read_geometry=True)
    except (
        pyogrio.errors.DataSourceError,
        pyogrio.errors.DataLayerError,
        pyogrio.errors.FieldError,
        pyogrio.errors.GeometryError,
    ) as error:
        raise OutputError(describe_failure(path, error)) from error
    if not np.array_equal(np.sort(ids), table.columns["id"]):
        raise OutputError(
            describe_failure(
                path, RuntimeError(f"{len(table)} features were written, {len(ids)} arrived")
            )
        )


def _write_shapefile(table: FeatureTable, partial: Path, path: Path, provenance: str) -> None:
    points = int(shapely.get_num_coordinates(table.shapes).sum())
    size = _shapefile_bytes(len(table), points)
    if size > _SHAPEFILE_LIMIT_BYTES:
        raise OutputError(
            f"{path}: {len(table):,} edges need {size / 2**30:.1f} GiB, and a Shapefile holds "
            "2 GiB at most. Choose another suffix: .gpkg, .fgb or .parquet."
        )
    names = shapefile_names(table.columns)
    _LOG.warning(
        "%s: a Shapefile is limited: attribute names are cut to 10 letters (%s) and texts to 254 "
        "bytes, programs may show unknown values as 0, its CRS may lose details, and what made the "
        "file is in %s. .gpkg has none of these limits.",
        path,
        ", ".join(f"{old} is {new}" for old, new in names.items() if old != new),
        provenance_sidecar(path).name,
    )
    # GDAL knows the lower-case suffix only.
    shp = partial.with_suffix(".shp")
    columns = {names[name]: values for name, values in table.columns.items()}
    renamed = dataclasses.replace(table, columns=columns)
    _write_layer(renamed, shp, path, "ESRI Shapefile", provenance, encoding="UTF-8")
    if shp != partial:
        shp.rename(partial)
    provenance_sidecar(partial).write_text(provenance + "\n", encoding="utf-8", newline="\n")


def _shapefile_bytes(edges: int, points: int) -> int:
    """Return the size of the ``.shp`` part: 56 a record of one part, 16 a point."""
    return 100 + edges * 56 + points * 16
