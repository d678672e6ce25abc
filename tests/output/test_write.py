from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Transformer

from roadgis.errors import InputError, MissingExtraError, OutputError, ReadError
from roadgis.network.network import RoadNetwork
from roadgis.output import SUFFIXES, check_output, read_provenance, write_network
from roadgis.output.names import shapefile_names

ALL = list(SUFFIXES)
ONE_LAYER = [s for s in ALL if s != ".gpkg"]
PROVENANCE = {
    "roadgis": "0.1.0",
    "model": {"name": 'modèle <1> & "2"', "sha256": "ab" * 32},
    "threshold": 0.44,
    "inputs": ["/data/Zürich/a.tif", "\udcff.tif"],
    "settings": {"max_width_m": None, "flag": True},
}
FEET = CRS.from_epsg(2263)
NO_CODE = CRS.from_proj4("+proj=laea +lat_0=47 +lon_0=8 +x_0=1000 +y_0=2000 +ellps=GRS80 +units=m")
EDGE_COLUMNS = [
    "id", "stable_id", "start_node", "end_node", "component", "length_m", "sinuosity",
    "width_m", "width_p10_m", "width_p90_m", "confidence", "confidence_min", "bridged", "source",
    "source_date",
]  # fmt: skip


def make_network(
    lines: Sequence[Sequence[Sequence[float]]], crs: CRS | int = 2056, **changes: Any
) -> RoadNetwork:
    """Build a network with two nodes of its own for each line."""
    count = len(lines)
    ends = [p for line in lines for p in (line[0], line[-1])]
    values: dict[str, Any] = {
        "crs": CRS.from_user_input(crs),
        "edges": shapely.linestrings(np.empty((0, 2, 2)))
        if not lines
        else np.array([shapely.LineString(line) for line in lines], object),
        "start": np.arange(count) * 2,
        "end": np.arange(count) * 2 + 1,
        "width_m": np.full(count, 7.25),
        "confidence": np.full(count, 0.9),
        "confidence_min": np.full(count, 0.5),
        "nodes": np.array(ends, float).reshape(-1, 2),
        "provenance": PROVENANCE,
    }
    return RoadNetwork(**{**values, **changes})


def tee() -> RoadNetwork:
    """Return three edges of 100 m that meet at (2600100, 1200000) in EPSG:2056; one is bent."""
    x, y = 2_600_000.0, 1_200_000.0
    lines = [
        [(x, y), (x + 100, y)],
        [(x + 100, y), (x + 200, y)],
        [(x + 100, y), (x + 100, y + 60), (x + 140, y + 60)],
    ]
    return make_network(
        lines,
        start=np.array([0, 1, 1]),
        end=np.array([1, 2, 3]),
        width_m=np.array([7.25, np.nan, 12.0]),
        confidence=np.array([0.9, np.nan, 0.8]),
        nodes=np.array([(x, y), (x + 100, y), (x + 200, y), (x + 140, y + 60)]),
    )


def big(count: int = 300) -> RoadNetwork:
    steps = np.random.default_rng(0).random((count, 20, 2)).cumsum(axis=1) * 10
    return make_network((steps + np.array([2_600_000, 1_200_000])).tolist())


def read_edges(path: Path) -> gpd.GeoDataFrame:
    if path.suffix in (".parquet", ".geoparquet"):
        return gpd.read_parquet(path).sort_values("id", ignore_index=True)
    table = gpd.read_file(path, layer="edges") if path.suffix == ".gpkg" else gpd.read_file(path)
    table = table.rename(
        columns={short: name for name, short in shapefile_names(EDGE_COLUMNS).items()}
    )
    return table.sort_values("id", ignore_index=True)


# --- content of the files -------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ALL)
def test_write_network_keeps_geometry_ids_and_attributes(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"roads{suffix}"
    write_network(tee(), path)
    table = read_edges(path)
    assert [c for c in table.columns if c not in ("geometry", "bbox")] == EDGE_COLUMNS
    assert table["id"].tolist() == [0, 1, 2]
    assert table["stable_id"].tolist() == tee().stable_id.tolist()
    assert table["start_node"].tolist() == [0, 1, 1]
    assert table["end_node"].tolist() == [1, 2, 3]
    assert table["length_m"].round(1).tolist() == [100.0, 100.0, 100.0]
    assert table["width_m"].fillna(-1).tolist() == [7.25, -1, 12.0]
    assert table["confidence"].fillna(-1).tolist() == [0.9, -1, 0.8]
    assert table["confidence_min"].tolist() == [0.5, 0.5, 0.5]
    assert table.crs.to_epsg() == (4326 if suffix == ".geojson" else 2056)
    if suffix != ".geojson":
        assert table.geometry.to_wkt().tolist() == shapely.to_wkt(tee().edges).tolist()


@pytest.mark.parametrize("suffix", ALL)
def test_write_network_keeps_flags_texts_and_unknown_values(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"roads{suffix}"
    network = tee()
    network = dataclasses.replace(
        network,
        bridged=np.array([True, False, False]),
        width_p10_m=np.array([6.5, np.nan, 11.0]),
        source=np.array(["Blätter/a.tif", None, "bad\udcff.tif"], object),
        source_date=np.array([None, "2021-06-01", None], object),
    )
    write_network(network, path)
    table = read_edges(path)
    assert table["bridged"].tolist() == [True, False, False]
    assert table["component"].tolist() == [0, 0, 0]
    assert table["sinuosity"].round(2).tolist() == [1.0, 1.0, 1.39]
    assert table["width_p10_m"].fillna(-1).tolist() == [6.5, -1, 11.0]
    assert table["source"].astype(object).where(table["source"].notna(), None).tolist() == [
        "Blätter/a.tif", None, "bad?.tif",
    ]  # fmt: skip
    dates = table["source_date"]
    assert dates.isna().tolist() == [True, False, True]
    assert str(dates[1])[:10] == "2021-06-01"


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb", ".shp", ".parquet"])
def test_write_network_column_types_do_not_depend_on_values(tmp_path: Path, suffix: str) -> None:
    types = []
    for name, network in (
        ("known", dataclasses.replace(tee(), source=np.array(["a", "b", "c"], object))),
        ("unknown", tee()),
        ("none", RoadNetwork.empty(CRS.from_epsg(2056))),
    ):
        path = tmp_path / f"{name}{suffix}"
        write_network(network, path)
        if suffix == ".parquet":
            schema = pytest.importorskip("pyarrow.parquet").read_schema(path)
            types.append([str(t) for t in schema.types])
        else:
            info = pyogrio.read_info(path, layer="edges" if suffix == ".gpkg" else 0)
            types.append(list(info["ogr_types"]))
    assert types[0] == types[1] == types[2]


def test_shapefile_field_names_are_short_and_unique() -> None:
    names = list(shapefile_names(EDGE_COLUMNS).values())
    assert all(len(name) <= 10 for name in names)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("suffix", ALL)
def test_provenance_is_written_into_the_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"roads{suffix}"
    write_network(tee(), path)
    assert read_provenance(path) == PROVENANCE
    if suffix != ".shp":
        assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("suffix", ALL)
def test_write_network_of_an_empty_network_keeps_the_schema(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"roads{suffix}"
    write_network(RoadNetwork.empty(CRS.from_epsg(2056)).with_provenance(a=1), path)
    assert read_provenance(path) == {"a": 1}
    if suffix == ".geojson":
        # GeoJSON has no schema: without features there are no attributes to name.
        assert json.loads(path.read_text())["features"] == []
        assert len(gpd.read_file(path)) == 0
        return
    table = read_edges(path)
    assert len(table) == 0
    assert table.crs.to_epsg() == 2056
    assert set(EDGE_COLUMNS) < set(table.columns)
    assert table["id"].dtype == np.int64
    assert table["length_m"].dtype == np.float64
    if suffix != ".parquet" and suffix != ".geoparquet":
        layer = "edges" if suffix == ".gpkg" else None
        assert pyogrio.read_info(path, layer=layer)["geometry_type"] == "LineString"


@pytest.mark.parametrize(
    "crs", [CRS.from_epsg(4326), FEET, NO_CODE], ids=["degrees", "feet", "none"]
)
@pytest.mark.parametrize("suffix", [".gpkg", ".fgb", ".parquet", ".shp"])
def test_write_network_keeps_the_crs_of_the_network(tmp_path: Path, suffix: str, crs: CRS) -> None:
    line = {
        "degrees": [(8.5, 47.4), (8.501234568, 47.4)],
        "feet": [(980000.0, 200000.0), (981000.125, 200000.0)],
        "none": [(1000.0, 2000.0), (1100.125, 2000.0)],
    }["degrees" if crs.is_geographic else "feet" if crs == FEET else "none"]
    path = tmp_path / f"roads{suffix}"
    write_network(make_network([line], crs), path)
    table = read_edges(path)
    assert list(table.geometry[0].coords) == line
    if suffix != ".shp":
        assert table.crs == crs
    # A .prj file has another dialect of WKT: compare transformed coordinates.
    to_wgs84 = [Transformer.from_crs(c, 4326, always_xy=True) for c in (crs, table.crs)]
    there, back = (t.transform(*line[0]) for t in to_wgs84)
    assert there == pytest.approx(back, abs=1e-8)


def test_write_network_to_another_crs_keeps_lengths(tmp_path: Path) -> None:
    path = tmp_path / "roads.gpkg"
    write_network(tee(), path, crs=CRS.from_epsg(3857))
    table = read_edges(path)
    assert table.crs.to_epsg() == 3857
    assert table.geometry.length[0] > 140  # Web Mercator stretches Switzerland
    assert table["length_m"][0] == pytest.approx(100.0, abs=0.1)


def test_write_network_rejects_coordinates_outside_the_crs(tmp_path: Path) -> None:
    network = make_network([[(8.0, 0.0), (99.5, 0.0)]], 4326)
    with pytest.raises(InputError, match="no place in 'WGS 84 / UTM zone 32N'"):
        write_network(network, tmp_path / "roads.gpkg", crs=CRS.from_epsg(32632))
    assert os.listdir(tmp_path) == []


def test_provenance_json_rejects_values_json_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="JSON cannot hold"):
        write_network(tee().with_provenance(bad=float("nan")), tmp_path / "roads.geojson")


# --- GeoPackage ----------------------------------------------------------------------------


def test_geopackage_has_nodes_that_the_edges_refer_to(tmp_path: Path) -> None:
    path = tmp_path / "roads.gpkg"
    write_network(tee(), path)
    assert pyogrio.list_layers(path).tolist() == [["edges", "LineString"], ["nodes", "Point"]]
    edges, nodes = read_edges(path), gpd.read_file(path, layer="nodes").set_index("id")
    assert nodes["degree"].to_dict() == {0: 1, 1: 3, 2: 1, 3: 1}
    for edge in edges.itertuples():
        first, last = edge.geometry.coords[0], edge.geometry.coords[-1]
        assert first == nodes.geometry[edge.start_node].coords[0]
        assert last == nodes.geometry[edge.end_node].coords[0]


def test_geopackage_of_an_empty_network_has_both_layers(tmp_path: Path) -> None:
    path = tmp_path / "roads.gpkg"
    write_network(RoadNetwork.empty(CRS.from_epsg(2056)), path)
    assert pyogrio.list_layers(path).tolist() == [["edges", "LineString"], ["nodes", "Point"]]


def test_geopackage_overwrite_removes_the_old_journal(tmp_path: Path) -> None:
    path = tmp_path / "roads.gpkg"
    path.write_bytes(b"old")
    journal = tmp_path / "roads.gpkg-wal"
    journal.write_bytes(b"pages of the old file")
    write_network(tee(), path, overwrite=True)
    assert not journal.exists()
    assert len(read_edges(path)) == 3


def a_project(path: Path) -> None:
    """Write a user's GeoPackage: parcels, a style, a project, a view, and a layer named edges."""
    parcels = gpd.GeoDataFrame({"owner": ["A"]}, geometry=[shapely.box(0, 0, 1, 1)], crs=32632)
    parcels.to_file(path, layer="parcels", driver="GPKG")
    parcels.to_file(path, layer="edges", driver="GPKG")
    with contextlib.closing(sqlite3.connect(path)) as file, file:
        file.executescript(
            "CREATE TABLE layer_styles (id INTEGER PRIMARY KEY, f_table_name TEXT, styleQML TEXT);"
            "INSERT INTO layer_styles VALUES (1, 'edges', 'thick'), (2, 'parcels', 'thin');"
            "INSERT INTO gpkg_contents (table_name, data_type, identifier) "
            "VALUES ('layer_styles', 'attributes', 'layer_styles');"
            "CREATE TABLE qgis_projects (name TEXT PRIMARY KEY, metadata BLOB, content BLOB);"
            "INSERT INTO qgis_projects VALUES ('mine', 'm', 'c');"
            "CREATE VIEW long_edges AS SELECT * FROM edges;"
        )


def test_geopackage_overwrite_rejects_a_file_another_program_has_open(tmp_path: Path) -> None:
    path = tmp_path / "project.gpkg"
    a_project(path)
    other = sqlite3.connect(path)
    other.execute("PRAGMA journal_mode = WAL").fetchone()
    other.execute("UPDATE layer_styles SET styleQML = 'mine' WHERE id = 2")
    other.commit()
    with pytest.raises(OutputError, match=r"in use or damaged .*Close the program"):
        write_network(tee(), path, overwrite=True)
    other.execute("UPDATE layer_styles SET styleQML = 'later' WHERE id = 1")
    other.commit()
    other.close()
    write_network(tee(), path, overwrite=True)
    with contextlib.closing(sqlite3.connect(path)) as database:
        styles = database.execute("SELECT styleQML FROM layer_styles ORDER BY id").fetchall()
    assert styles == [("later",), ("mine",)]


def test_geopackage_overwrite_keeps_other_layers_styles_and_projects(tmp_path: Path) -> None:
    path = tmp_path / "project.gpkg"
    a_project(path)
    for _ in range(2):  # a second time replaces our own layers
        write_network(tee(), path, overwrite=True)
    assert len(read_edges(path)) == 3
    assert sorted(name for name, _ in pyogrio.list_layers(path).tolist()) == [
        "edges", "layer_styles", "nodes", "parcels",
    ]  # fmt: skip
    assert gpd.read_file(path, layer="parcels").owner.tolist() == ["A"]
    assert read_provenance(path) == tee().provenance
    with contextlib.closing(sqlite3.connect(path)) as file:
        styles = file.execute("SELECT f_table_name, styleQML FROM layer_styles").fetchall()
        assert styles == [("edges", "thick"), ("parcels", "thin")]
        assert file.execute("SELECT * FROM qgis_projects").fetchall() == [("mine", "m", "c")]
        assert file.execute("SELECT count(*) FROM long_edges").fetchone() == (3,)
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert file.execute("SELECT count(*) FROM gpkg_metadata").fetchone() == (2,)


def test_geopackage_without_our_layers_gets_them_only_with_overwrite(tmp_path: Path) -> None:
    path = tmp_path / "project.gpkg"
    parcels = gpd.GeoDataFrame({"owner": ["A"]}, geometry=[shapely.box(0, 0, 1, 1)], crs=32632)
    parcels.to_file(path, layer="parcels", driver="GPKG")
    before = path.read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        write_network(tee(), path)
    assert path.read_bytes() == before
    write_network(tee(), path, overwrite=True)
    assert gpd.read_file(path, layer="parcels").owner.tolist() == ["A"]
    assert len(read_edges(path)) == 3


def test_geopackage_overwrite_keeps_layers_in_its_journal(tmp_path: Path) -> None:
    opened, path = tmp_path / "opened.gpkg", tmp_path / "project.gpkg"
    a_project(opened)
    with contextlib.closing(sqlite3.connect(opened)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("INSERT INTO qgis_projects VALUES ('newer', 'm', 'c')")
        other.commit()
        # Left by a killed program: its last changes are in project.gpkg-wal.
        shutil.copy(opened, path)
        shutil.copy(f"{opened}-wal", f"{path}-wal")
        assert os.path.getsize(f"{path}-wal") > 0
    write_network(tee(), path, overwrite=True)
    with contextlib.closing(sqlite3.connect(path)) as file:
        names = [name for (name,) in file.execute("SELECT name FROM qgis_projects")]
    assert names == ["mine", "newer"]
    assert len(read_edges(path)) == 3


def test_geopackage_whose_other_layers_cannot_be_read_is_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "project.gpkg"
    a_project(path)
    damaged = path.read_bytes()[:4096] + b"damaged" * 2000
    path.write_bytes(damaged)
    with pytest.raises(OutputError, match=r"in use or damaged .*other layers cannot be kept"):
        write_network(tee(), path, overwrite=True)
    assert path.read_bytes() == damaged


# --- GeoJSON -------------------------------------------------------------------------------


def load(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_bytes().decode("utf-8"))
    return value


def test_geojson_is_lon_lat_with_seven_decimals_and_no_crs(tmp_path: Path) -> None:
    path = tmp_path / "roads.geojson"
    write_network(make_network([[(8.123456789, 47.0), (8.2, -0.00000001)]], 4326), path)
    content = load(path)
    assert list(content) == ["type", "roadgis", "bbox", "features"]
    assert content["bbox"] == [8.1234568, 0.0, 8.2, 47.0]
    feature = content["features"][0]
    assert feature["id"] == feature["properties"]["id"] == 0
    assert feature["geometry"] == {
        "type": "LineString",
        "coordinates": [[8.1234568, 47.0], [8.2, 0.0]],
    }
    assert "-0.0" not in path.read_text()


def test_geojson_of_projected_roads_is_where_the_roads_are(tmp_path: Path) -> None:
    path = tmp_path / "roads.geojson"
    write_network(tee(), path)
    back = gpd.read_file(path).to_crs(2056)
    assert (
        np.abs(shapely.get_coordinates(back.geometry) - shapely.get_coordinates(tee().edges)).max()
        < 0.02
    )


def test_geojson_writes_unknown_attributes_as_null(tmp_path: Path) -> None:
    path = tmp_path / "roads.geojson"
    write_network(tee(), path)
    assert load(path)["features"][1]["properties"]["width_m"] is None
    assert "NaN" not in path.read_text()


def test_geojson_cuts_a_line_at_the_antimeridian(tmp_path: Path) -> None:
    path = tmp_path / "roads.geojson"
    line = [(179.0, -17.0), (179.9, -17.0), (-179.8, -17.3), (-179.0, -17.3)]
    write_network(make_network([line], 4326), path)
    content = load(path)
    assert content["features"][0]["geometry"] == {
        "type": "MultiLineString",
        "coordinates": [
            [[179.0, -17.0], [179.9, -17.0], [180.0, -17.1]],
            [[-180.0, -17.1], [-179.8, -17.3], [-179.0, -17.3]],
        ],
    }
    assert content["bbox"] == [179.0, -17.3, -179.0, -17.0]
    assert content["features"][0]["properties"]["length_m"] < 250_000


def test_geojson_keeps_a_line_that_ends_on_the_antimeridian_whole(tmp_path: Path) -> None:
    path = tmp_path / "roads.geojson"
    write_network(make_network([[(179.0, 1.0), (179.5, 1.0), (-180.0, 1.0)]], 4326), path)
    assert load(path)["features"][0]["geometry"] == {
        "type": "LineString",
        "coordinates": [[179.0, 1.0], [179.5, 1.0], [180.0, 1.0]],
    }


def test_geojson_wraps_longitudes_beyond_180(tmp_path: Path) -> None:
    path = tmp_path / "roads.geojson"
    write_network(make_network([[(180.5, 1.0), (181.0, 1.0)]], 4326), path)
    assert load(path)["features"][0]["geometry"]["coordinates"] == [[-179.5, 1.0], [-179.0, 1.0]]


def test_geojson_bbox_around_greenwich_is_the_plain_one(tmp_path: Path) -> None:
    path = tmp_path / "roads.geojson"
    write_network(make_network([[(-0.5, 51.0), (0.25, 52.0)]], 4326), path)
    assert load(path)["bbox"] == [-0.5, 51.0, 0.25, 52.0]


longitudes = st.integers(-30_000_000, 30_000_000).map(lambda n: (n / 1e7 + 360) % 360)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(longitudes, st.integers(-900_000_000, 900_000_000).map(lambda n: n / 1e7)),
        min_size=2,
        max_size=8,
        unique=True,
    ),
    st.sampled_from([0.0, 180.0]),
)
def test_geojson_cut_lines_keep_every_position_and_never_jump(
    tmp_path_factory: pytest.TempPathFactory, points: list[tuple[float, float]], centre: float
) -> None:
    wrapped = [((x + centre + 180) % 360 - 180, y) for x, y in points]
    path = tmp_path_factory.mktemp("line") / "roads.geojson"
    write_network(make_network([wrapped], 4326), path)
    geometry = load(path)["features"][0]["geometry"]
    parts = geometry["coordinates"]
    parts = parts if geometry["type"] == "MultiLineString" else [parts]
    for part in parts:
        longitude = np.array(part)[:, 0]
        assert len(part) >= 2
        assert np.abs(longitude).max() <= 180
        assert np.abs(np.diff(longitude)).max() <= 180

    def distinct(positions: list[tuple[float, float]]) -> list[tuple[float, float]]:
        around = [(round(x % 360, 7) % 360, round(y, 7)) for x, y in positions if abs(x) != 180]
        return [p for p, q in zip(around, [None, *around], strict=False) if p != q]

    written = [(x, y) for part in parts for x, y in part]
    assert distinct(written) == distinct(wrapped)


# --- GeoParquet, FlatGeobuf, Shapefile -------------------------------------------------------


def test_geoparquet_metadata_follows_the_specification(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "roads.parquet"
    write_network(tee(), path)
    schema = pq.read_schema(path)
    geo = json.loads(schema.metadata[b"geo"])
    column = geo["columns"]["geometry"]
    assert geo["version"] == "1.1.0"
    assert geo["primary_column"] == "geometry"
    assert column["encoding"] == "WKB"
    assert column["geometry_types"] == ["LineString"]
    assert column["crs"]["id"] == {"authority": "EPSG", "code": 2056}
    assert column["bbox"] == [2_600_000.0, 1_200_000.0, 2_600_200.0, 1_200_060.0]
    assert pq.read_table(path)["width_m"].null_count == 1
    east = gpd.read_parquet(path, bbox=(2_600_150, 1_199_999, 2_600_300, 1_200_001))
    assert east["id"].tolist() == [1]


def test_geoparquet_row_groups_cover_small_areas(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    # Short roads on a grid of 320 x 320, in random order.
    places = np.random.default_rng(0).permutation(320 * 320)
    x, y = places % 320 * 10.0, places // 320 * 10.0
    lines = np.stack([np.stack([x, y], axis=1), np.stack([x + 5, y], axis=1)], axis=1)
    network = make_network(lines.tolist())
    path = tmp_path / "roads.parquet"
    write_network(network, path)
    groups = pq.ParquetFile(path)
    rows = [groups.metadata.row_group(i).num_rows for i in range(groups.num_row_groups)]
    assert rows == [16_384] * 6 + [102_400 - 6 * 16_384]
    for number in range(6):
        boxes = groups.read_row_group(number, columns=["bbox"])["bbox"].to_pylist()
        wide = max(b["xmax"] for b in boxes) - min(b["xmin"] for b in boxes)
        high = max(b["ymax"] for b in boxes) - min(b["ymin"] for b in boxes)
        # A group has 16% of the roads.
        assert wide * high < 0.3 * 3200**2
    table = read_edges(path)
    assert table.geometry.to_wkt().tolist() == shapely.to_wkt(network.edges).tolist()


def test_parquet_without_pyarrow_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[parquet\]'"):
        check_output(tmp_path / "roads.parquet")
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[parquet\]'"):
        read_provenance(tmp_path / "roads.parquet")


def test_flatgeobuf_has_a_spatial_index(tmp_path: Path) -> None:
    path = tmp_path / "roads.fgb"
    write_network(big(), path)
    assert pyogrio.read_info(path)["capabilities"]["fast_spatial_filter"]


def test_shapefile_has_its_parts_and_a_warning_about_its_limits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        write_network(tee(), tmp_path / "roads.shp")
    assert sorted(os.listdir(tmp_path)) == [
        "roads.cpg", "roads.dbf", "roads.prj", "roads.roadgis.json", "roads.shp", "roads.shx",
    ]  # fmt: skip
    assert (tmp_path / "roads.cpg").read_text().strip() == "UTF-8"
    assert "confidence_min is conf_min" in caplog.text
    assert "conf_min" in pyogrio.read_info(tmp_path / "roads.shp")["fields"]


def test_shapefile_overwrite_removes_the_old_indexes(tmp_path: Path) -> None:
    for name in ("roads.shp", "roads.dbf", "roads.qix", "roads.sbn", "other.qix"):
        (tmp_path / name).write_bytes(b"old")
    write_network(tee(), tmp_path / "roads.shp", overwrite=True)
    assert {"roads.qix", "roads.sbn"}.isdisjoint(os.listdir(tmp_path))
    assert (tmp_path / "other.qix").exists()
    assert len(read_edges(tmp_path / "roads.shp")) == 3


def test_shapefile_does_not_replace_the_table_of_another_without_overwrite(tmp_path: Path) -> None:
    (tmp_path / "roads.dbf").write_bytes(b"a table")
    with pytest.raises(OutputError, match=r"roads\.dbf: exists already"):
        write_network(tee(), tmp_path / "roads.shp")
    assert (tmp_path / "roads.dbf").read_bytes() == b"a table"


def test_shapefile_over_the_size_limit_is_rejected_before_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_network(big(), tmp_path / "whole.shp")
    size = (tmp_path / "whole.shp").stat().st_size
    (tmp_path / "limited").mkdir()
    path = tmp_path / "limited" / "roads.shp"
    monkeypatch.setattr("roadgis.output.write._SHAPEFILE_LIMIT_BYTES", size - 1)
    with pytest.raises(OutputError, match=rf"{len(big())} edges need 0\.0 GiB.*\.gpkg"):
        write_network(big(), path)
    assert os.listdir(path.parent) == []
    monkeypatch.setattr("roadgis.output.write._SHAPEFILE_LIMIT_BYTES", size)
    write_network(big(), path)
    assert path.stat().st_size == size


# --- the same network gives the same bytes ----------------------------------------------------


@pytest.mark.parametrize("suffix", ONE_LAYER)
def test_write_network_gives_the_same_bytes_for_the_same_network(
    tmp_path: Path, suffix: str
) -> None:
    contents = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        path = tmp_path / name / f"roads{suffix}"
        write_network(big(), path)
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]


def test_geopackage_has_the_same_rows_for_the_same_network(tmp_path: Path) -> None:
    rows = []
    for name in ("a.gpkg", "b.gpkg"):
        write_network(big(), tmp_path / name)
        with contextlib.closing(sqlite3.connect(tmp_path / name)) as database:
            rows.append(
                [database.execute(f"SELECT * FROM {t}").fetchall() for t in ("edges", "nodes")]
            )
    assert rows[0] == rows[1]


def test_write_network_hides_noise_in_the_last_bits(tmp_path: Path) -> None:
    network = big()
    shaken = shapely.transform(network.edges, lambda xy: xy + 1e-9)
    for name, edges in (("a", network.edges), ("b", shaken)):
        write_network(
            make_network(shapely.get_coordinates(edges).reshape(300, 20, 2).tolist()),
            tmp_path / f"{name}.parquet",
        )
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


# --- rejected before a long run -------------------------------------------------------------


@pytest.mark.parametrize("name", ["roads", "roads.txt", "roads.tif"])
def test_output_format_lists_known_suffixes_for_an_unknown_one(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"\.geojson \(GeoJSON\).*\.shp \(Shapefile\)"):
        check_output(tmp_path / name)


def test_output_format_accepts_upper_case(tmp_path: Path) -> None:
    for suffix in ALL:
        path = tmp_path / f"ROADS{suffix.upper()}"
        write_network(tee(), path)
        assert path.is_file()
    assert len(gpd.read_file(tmp_path / "ROADS.SHP")) == 3


@pytest.mark.parametrize("suffix", ALL)
def test_write_network_replaces_a_file_only_when_asked(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"roads{suffix}"
    path.write_bytes(b"precious")
    for action in (check_output, lambda p: write_network(tee(), p)):
        with pytest.raises(OutputError, match=r"exists already.*--overwrite"):
            action(path)
    assert path.read_bytes() == b"precious"
    check_output(path, overwrite=True)
    write_network(tee(), path, overwrite=True)
    assert len(read_edges(path)) == 3


def test_check_output_rejects_a_missing_folder_and_a_folder_as_file(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="does not exist"):
        check_output(tmp_path / "no" / "roads.gpkg")
    (tmp_path / "roads.gpkg").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        check_output(tmp_path / "roads.gpkg", overwrite=True)


def test_check_output_rejects_a_pipe(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes on this system")
    os.mkfifo(tmp_path / "roads.geojson")
    with pytest.raises(OutputError, match="device or a pipe"):
        check_output(tmp_path / "roads.geojson", overwrite=True)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc, where nobody can write")
def test_check_output_rejects_a_folder_that_cannot_be_written() -> None:
    with pytest.raises(OutputError, match=r"/proc/roads\.gpkg"):
        check_output("/proc/roads.gpkg")


@pytest.mark.skipif(
    os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind this user"
)
def test_check_output_rejects_a_folder_without_write_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="no permission"):
            check_output(tmp_path / "roads.gpkg")
    finally:
        tmp_path.chmod(0o700)


def test_check_output_leaves_no_trace(tmp_path: Path) -> None:
    for suffix in ALL:
        check_output(tmp_path / f"roads{suffix}")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("suffix", [s for s in ALL if s != ".shp"])
def test_read_provenance_of_a_broken_file_is_a_read_error(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"roads{suffix}"
    with pytest.raises(ReadError, match="cannot be read"):
        read_provenance(path)
    path.write_bytes(b"[1]")
    with pytest.raises(ReadError, match="cannot be read"):
        read_provenance(path)


# --- failures during writing ----------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a file system of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if not (sys.platform == "linux" and mount and umount and os.geteuid() == 0):
        pytest.skip("mounting a small disk needs root on Linux")
    options = ["-t", "tmpfs", "-o", "size=64k", "none", str(folder)]
    if subprocess.run([mount, *options], capture_output=True, check=False).returncode:
        pytest.skip("this container allows no mounts")
    try:
        yield folder
    finally:
        subprocess.run([umount, str(folder)], check=True)


@pytest.fixture
def small_files(tmp_path: Path) -> Iterator[Path]:
    """Return a folder in which files may not grow beyond 20 kB."""
    resource = pytest.importorskip("resource", reason="file size limits are POSIX")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        yield tmp_path
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def assert_fails_cleanly(folder: Path, suffix: str) -> None:
    path = folder / f"roads{suffix}"
    path.write_bytes(b"precious")
    with pytest.raises(OutputError, match=rf"roads\{suffix}: "):
        write_network(big(1000), path, overwrite=True)
    assert path.read_bytes() == b"precious"
    assert os.listdir(folder) == [path.name]


@pytest.mark.parametrize("suffix", ALL)
def test_write_network_on_a_full_disk_is_an_error_and_keeps_the_old_file(
    small_disk: Path, suffix: str
) -> None:
    assert_fails_cleanly(small_disk, suffix)


@pytest.mark.parametrize("suffix", ALL)
def test_write_network_at_a_file_size_limit_keeps_the_old_file(
    small_files: Path, suffix: str
) -> None:
    assert_fails_cleanly(small_files, suffix)


def test_write_network_on_a_disk_of_any_size_gives_a_complete_file_or_an_error(
    small_disk: Path,
) -> None:
    # Drivers write their last bytes on closing, where errors are easily missed.
    for suffix in (".fgb", ".shp", ".geojson"):
        for count in range(40, 200, 8):
            path = small_disk / f"roads{suffix}"
            try:
                write_network(big(count), path)
            except OutputError:
                assert os.listdir(small_disk) == []
                continue
            assert len(read_edges(path)) == count
            for name in os.listdir(small_disk):
                (small_disk / name).unlink()


@pytest.mark.parametrize("text", ["{", "[1]", "3", '{"model": NaN}', "[" * 100_000])
@pytest.mark.parametrize("suffix", ["gpkg", "fgb", "geojson", "parquet", "shp"])
def test_read_provenance_ignores_damage_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, suffix: str, text: str
) -> None:
    path = tmp_path / f"roads.{suffix}"
    write_network(tee(), path)
    caplog.clear()
    _damage_provenance(path, text)
    if suffix == "geojson" and text in ("{", "[" * 100_000):
        with pytest.raises(ReadError, match="cannot be read as GeoJSON"):
            read_provenance(path)
        return
    assert read_provenance(path) == {}
    assert "the provenance cannot be read" in caplog.text


def _damage_provenance(path: Path, text: str) -> None:
    if path.suffix == ".geojson":
        path.write_text(f'{{"type": "FeatureCollection", "roadgis": {text}, "features": []}}')
    elif path.suffix == ".shp":
        path.with_name("roads.roadgis.json").write_text(text)
    elif path.suffix == ".parquet":
        import pyarrow.parquet as pq

        table = pq.read_table(path)
        meta = {**table.schema.metadata, b"roadgis": text.encode()}
        pq.write_table(table.replace_schema_metadata(meta), path)
    else:
        layer = "edges" if path.suffix == ".gpkg" else None
        table = gpd.read_file(path, layer=layer)
        path.unlink()
        pyogrio.write_dataframe(table, path, layer=layer, layer_metadata={"roadgis": text})
