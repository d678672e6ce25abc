"""Cleaning existing lines: noding, unchanged geometry, copied fields."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS

from roadgis.cli.commands.clean import command
from roadgis.errors import DataError, InputError, OutputError
from roadgis.lines.noding import noded
from roadgis.network.from_lines.centerlines import centerlines_from_lines
from roadgis.network.from_lines.clean_lines import clean_lines
from roadgis.network.network import RoadNetwork
from roadgis.options.cleaning import BridgeOptions, CleanOptions
from roadgis.options.line_cleaning import CleanLinesOptions, DrawnOptions, drawn_clean_options
from tests.factories.rasters import write_raster

UTM = CRS(32632)
X, Y = 500_000.0, 5_300_000.0
#: Settings that drop and join nothing.
KEEP_ALL = drawn_clean_options(
    CleanOptions(
        dangle_factor=0,
        min_component_m=0,
        min_strong_m=0,
        smooth_m=0,
        tolerance_m=0,
        bridge=BridgeOptions(max_gap_m=0),
    )
)


def parse(*wkt: str) -> Any:
    return np.array(shapely.from_wkt(np.array(wkt, object)), object)


def pieces(*wkt: str, snap: float = 1.0, **options: Any) -> list[str]:
    return sorted(shapely.to_wkt(noded(parse(*wkt), snap, **options)[0], 3).tolist())


def write(path: Path, lines: Any, crs: Any = UTM, **fields: Any) -> Path:
    shapes = parse(*lines) if isinstance(lines[0], str) else np.array(lines, object)
    gpd.GeoDataFrame(fields, geometry=shapes, crs=crs).to_file(path)
    return path


def placed(*lines: Sequence[tuple[float, float]]) -> list[Any]:
    return [shapely.LineString(np.add(line, (X, Y))) for line in lines]


def kept(network: RoadNetwork) -> list[str]:
    local = shapely.transform(network.edges, lambda xy: np.round(xy - (X, Y), 4) + 0.0)
    return sorted(shapely.to_wkt(shapely.normalize(local), 4).tolist())


def options(**changes: Any) -> CleanLinesOptions:
    return CleanLinesOptions(**{"clean": KEEP_ALL, **changes})


T_JUNCTION = [
    "LINESTRING (0 0, 10 0)",
    "LINESTRING (10 0, 10 10)",
    "LINESTRING (10 0, 20 0)",
]


@pytest.mark.parametrize(
    "wkt",
    [
        ["LINESTRING (0 0, 10 0, 20 0)", "LINESTRING (10 0, 10 10)"],
        ["LINESTRING (0 0, 20 0)", "LINESTRING (10 0.6, 10 10)"],
        ["LINESTRING (0 0, 20 0)", "LINESTRING (10 -0.6, 10 10)"],
        ["LINESTRING (0 0, 10 0, 20 0)", "LINESTRING (10.5 0.5, 10 10)"],
    ],
    ids=["shared vertex", "falls short", "overshoots", "near a vertex"],
)
def test_noded_makes_one_junction_of_roads_that_nearly_meet(wkt: list[str]) -> None:
    found = pieces(*wkt)
    assert [shapely.from_wkt(a).equals(shapely.from_wkt(b)) for a, b in zip(
        found, sorted(T_JUNCTION), strict=True)] == [True] * 3  # fmt: skip


def test_noded_makes_junctions_of_crossings_on_request_only() -> None:
    wkt = ["LINESTRING (0 0, 20 0)", "LINESTRING (10 -10, 10 10)"]
    assert pieces(*wkt) == wkt
    assert len(pieces(*wkt, node_crossings=True)) == 4


def test_noded_makes_one_node_where_three_roads_cross() -> None:
    wkt = ["LINESTRING (0 0, 20 0)", "LINESTRING (10 -10, 10 10)", "LINESTRING (3 -7, 17 7)"]
    found = noded(parse(*wkt), 1.0, node_crossings=True)[0]
    ends = shapely.get_coordinates(shapely.boundary(found))
    assert len(found) == 6
    assert len(np.unique(ends, axis=0)) == 7


def test_noded_joins_ends_that_nearly_meet() -> None:
    found = noded(
        parse(
            "LINESTRING (0 0, 10 0)", "LINESTRING (10.4 0.4, 20 0)", "LINESTRING (10.6 0, 10 10)"
        ),
        1.0,
    )[0]
    ends = shapely.get_coordinates(shapely.boundary(found))
    assert len(np.unique(ends, axis=0)) == 4


def test_noded_joins_overlapping_ends() -> None:
    found = pieces("LINESTRING (0 0, 10 0)", "LINESTRING (9.5 0.1, 20 0)")
    assert len(found) == 2


def test_noded_closes_rings_and_attaches_loops_to_their_own_line() -> None:
    ring = noded(parse("LINESTRING (0 0, 10 0, 10 10, 0 10, 0.3 0.4)"), 1.0)[0]
    assert len(ring) == 1
    assert shapely.is_closed(ring[0])
    loop = noded(parse("LINESTRING (0 0, 10 0, 20 0, 20 10, 10 10, 10 0.5)"), 1.0)[0]
    assert sorted(shapely.is_closed(loop).tolist()) == [False, True]


def test_noded_keeps_a_piece_of_two_lines_once() -> None:
    assert len(pieces("LINESTRING (0 0, 10 0, 20 0)", "LINESTRING (10 0, 0 0)")) == 2


def test_noded_without_snapping_joins_lines_that_touch() -> None:
    assert len(pieces("LINESTRING (0 0, 20 0)", "LINESTRING (10 0, 10 10)", snap=0.0)) == 3
    assert len(pieces("LINESTRING (0 0, 20 0)", "LINESTRING (10 0.01, 10 10)", snap=0.0)) == 2


coordinate = st.integers(0, 40).map(lambda n: n / 4)
some_lines = st.lists(
    st.lists(st.tuples(coordinate, coordinate), min_size=2, max_size=4, unique=True),
    min_size=1,
    max_size=8,
)


@settings(max_examples=80)
@given(lines=some_lines, seed=st.integers(0, 99), crossings=st.booleans())
def test_noded_does_not_depend_on_order_and_direction_and_moves_points_little(
    lines: list[list[tuple[float, float]]], seed: int, crossings: bool
) -> None:
    shapes = np.array([shapely.LineString(line) for line in lines], object)
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(shapes)
    flip = rng.random(len(shapes)) < 0.5
    shuffled[flip] = shapely.reverse(shuffled[flip])
    snap = 0.6
    one, _ = noded(shapes, snap, node_crossings=crossings)
    two, _ = noded(shuffled, snap, node_crossings=crossings)
    assert shapely.to_wkb(one).tolist() == shapely.to_wkb(two).tolist()
    assert (shapely.length(one) > 0).all()
    if not len(one):
        return
    # A line within the snapping distance may become a point, or part of another line.
    long = shapes[shapely.length(shapes) > snap]
    if len(long):
        away = shapely.hausdorff_distance(shapely.union_all(one), shapely.union_all(long))
        assert away <= 2 * snap + 1e-6
    assert shapely.distance(
        shapely.union_all(shapes), shapely.points(shapely.get_coordinates(one))
    ).max() <= (snap + 1e-6)


def test_centerlines_from_lines_do_not_depend_on_the_order_of_lines() -> None:
    lines = np.array(
        placed([(0, 0), (50, 0), (100, 3)], [(50, 0.5), (50, 80)], [(100, 3), (150, 9)])
    )
    width, confidence = np.array([5.0, np.nan, 8.0]), np.array([0.5, 1.0, np.nan])
    one = centerlines_from_lines(lines, UTM, width_m=width, confidence=confidence)
    two = centerlines_from_lines(lines[::-1], UTM, width_m=width[::-1], confidence=confidence[::-1])
    for name in ("start", "end", "key", "offsets", "row", "col", "width_px", "probability",
                 "node_key", "node_row", "node_col", "node_width_px"):  # fmt: skip
        assert np.array_equal(getattr(one, name), getattr(two, name)), name
    assert len(np.unique(one.key)) == len(one) == 4
    assert sorted(np.unique(one.width_px).tolist()) == [5, 6, 8]
    assert sorted(np.unique(one.probability).tolist()) == [127, 254]
    steps = np.hypot(np.diff(one.row), np.diff(one.col))
    assert steps[one.edge_of_vertex[1:] == one.edge_of_vertex[:-1]].max() <= 1 + 1e-9
    assert shapely.get_coordinates(lines[0])[1] in one.grid.xy(one.row, one.col).round(6)


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".shp", ".fgb"])
def test_clean_lines_reads_and_writes_any_format_and_crs(tmp_path: Path, suffix: str) -> None:
    lines = [
        "LINESTRING (9 47.85, 9.002 47.85, 9.004 47.851)",
        "LINESTRING (9.002 47.850002, 9.002 47.852)",
    ]
    path = write(tmp_path / f"in{suffix}", lines, crs=4326, name=["A", "B"])
    out = tmp_path / f"out{suffix}"
    network = clean_lines(path, out, options=CleanLinesOptions(keep_fields=("name",)))
    assert network.crs == CRS(4326)
    assert sorted(network.degree.tolist()) == [1, 1, 1, 3]
    read = gpd.read_file(out, layer="edges") if suffix == ".gpkg" else gpd.read_file(out)
    assert sorted(read["name"]) == ["A", "A", "B"]
    assert read.crs == CRS(4326)
    vertices = {tuple(p) for p in shapely.get_coordinates(read.geometry.to_numpy()).round(7)}
    assert {(9.0, 47.85), (9.002, 47.85), (9.004, 47.851), (9.002, 47.852)} <= vertices


def test_clean_lines_moves_clean_lines_by_less_than_a_millimetre(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    walk = np.cumsum(rng.uniform(3, 30, (40, 2)), axis=0)
    lines = placed(walk.tolist(), [(0, 100), (400, 130)], [(200, -50), (230, 500)])
    network = clean_lines(write(tmp_path / "a.gpkg", lines), options=options())
    assert len(network) == 3  # they cross, but are joined nowhere
    expected = shapely.normalize(np.array(lines, object))
    for line in shapely.normalize(network.edges):
        assert min(shapely.hausdorff_distance(line, e) for e in expected) < 1e-6
        assert len(line.coords) in (40, 2)


def test_drawn_shapes_adds_no_crossing_when_it_simplifies(tmp_path: Path) -> None:
    lines = placed(
        [(0, 0), (50, 4), (100, 0)], [(50, 2), (50, -100)], [(0, 90), (50, 94), (99, 90)]
    )
    path = write(tmp_path / "a.gpkg", lines)
    clean = dataclasses.replace(KEEP_ALL, tolerance_m=5.0)
    network = clean_lines(path, options=CleanLinesOptions(clean=clean))
    # The simplified first line would cross the end of the second; the third is free.
    assert sorted(shapely.get_num_points(network.edges).tolist()) == [2, 2, 3]
    assert len(shapely.STRtree(network.edges).query(network.edges, predicate="crosses")[0]) == 0


def test_clean_lines_smooths_jagged_lines_on_request_only(tmp_path: Path) -> None:
    jagged = [(float(x), 0.8 * (x % 2)) for x in range(200)]
    path = write(tmp_path / "a.gpkg", placed(jagged))
    as_drawn = clean_lines(path)
    assert shapely.get_num_points(as_drawn.edges).tolist() == [200]
    clean = drawn_clean_options(CleanOptions(smooth_m=2.0, tolerance_m=0.3))
    smooth = clean_lines(path, options=CleanLinesOptions(clean=clean))
    assert shapely.length(smooth.edges)[0] == pytest.approx(199, abs=1)
    assert np.array_equal(np.sort(smooth.nodes, axis=0), np.sort(as_drawn.nodes, axis=0))


def test_clean_lines_drops_dead_ends_and_small_components_and_bridges_gaps(
    tmp_path: Path,
) -> None:
    lines = placed(
        [(0, 0), (100, 0), (200, 0)],
        [(100, 0), (100, 9)],  # a spur
        [(212, 0), (400, 0)],  # behind a gap
        [(0, 300), (20, 300)],  # a small part
    )
    path = write(tmp_path / "a.gpkg", lines)
    network = clean_lines(path)
    assert network.bridged.sum() == 1
    assert len(network) == 3
    assert network.length_m.sum() == pytest.approx(400, rel=2e-3)
    assert kept(network.without_bridges()) == [
        "LINESTRING (0 0, 200 0)",
        "LINESTRING (212 0, 400 0)",
    ]


def test_clean_lines_takes_width_and_confidence_from_the_layer(
    tmp_path: Path,
) -> None:
    lines = placed([(0, 0), (100, 0)], [(100, 0), (100, 100)], [(300, 0), (400, 0)])
    path = write(tmp_path / "a.gpkg", lines, lanes=["2", None, "many"], sure=[90.0, np.nan, 50.0])
    network = clean_lines(
        path, options=options(width_field="lanes*3.5", confidence_field="sure*0.01",
                              keep_fields=("lanes",)),
    )  # fmt: skip
    table = network.to_geodataframe().sort_values("length_m", ignore_index=True)
    by_lanes = table.set_index(table["lanes"].fillna("none"))
    # The first two lines become one road, half of it with a width.
    assert len(table) == 2
    assert by_lanes.loc["many", "confidence"] == 0.5
    assert np.isnan(by_lanes.loc["many", "width_m"])
    assert np.isfinite(by_lanes["confidence"]).all()
    assert sorted(table["width_m"].dropna()) == [7.0]


def test_keep_fields_copies_the_feature_that_most_of_a_road_comes_from(tmp_path: Path) -> None:
    lines = placed([(0, 0), (30, 0)], [(30, 0), (200, 0)], [(500, 0), (700, 0)])
    path = write(tmp_path / "a.gpkg", lines, name=["short", "long", None], number=[1, 2, 3],
                 id=["x", "y", "z"])  # fmt: skip
    network = clean_lines(path, options=options(keep_fields=("name", "number", "id")))
    table = network.to_geodataframe().sort_values("number", ignore_index=True)
    assert table["name"].fillna("").tolist() == ["long", ""]
    assert table["number"].tolist() == [2, 3]
    assert table["id_in"].tolist() == ["y", "z"]
    assert sorted(table["id"].tolist()) == [0, 1]


def test_keep_fields_leaves_bridges_empty(tmp_path: Path) -> None:
    lines = placed([(0, 0), (100, 0)], [(120, 0), (220, 0)])
    path = write(tmp_path / "a.gpkg", lines, name=["a", "b"], n=[1, 2], width=[6.0, 6.0])
    network = clean_lines(
        path, options=CleanLinesOptions(keep_fields=("name", "n"), width_field="width")
    )
    table = network.to_geodataframe()
    bridge = table[table["bridged"]]
    assert len(bridge) == 1
    assert bridge[["name", "n", "width_m"]].isna().all(axis=None)
    assert sorted(table["name"].dropna()) == ["a", "b"]


def test_clean_lines_takes_confidence_from_the_raster_where_it_has_data(tmp_path: Path) -> None:
    values = np.full((1, 100, 300), 0.8, np.float32)
    values[:, :, 150:] = np.nan
    raster = write_raster(tmp_path / "p.tif", values, x0=X, y0=Y + 50, nodata=np.nan)
    lines = placed([(10, 0), (140, 0)], [(160, 0), (290, 0)], [(10, 20), (140, 20)])
    path = write(tmp_path / "a.gpkg", lines, n=[1, 2, 3])
    network = clean_lines(path, probability=raster, options=options(keep_fields=("n",)))
    table = network.to_geodataframe().set_index("n")
    assert table.loc[[1, 3], "confidence"].tolist() == pytest.approx([0.8, 0.8], abs=0.003)
    assert np.isnan(table.loc[2, "confidence"])


def test_clean_lines_keeps_roads_across_the_antimeridian_whole(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.gpkg",
        ["LINESTRING (179.99 -17, -179.99 -17)", "LINESTRING (-179.99 -17, -179.98 -17.001)"],
        crs=4326,
    )
    network = clean_lines(path, tmp_path / "out.geojson")
    assert len(network) == 1
    assert network.length_m.sum() == pytest.approx(3190, rel=0.01)
    found = json.loads((tmp_path / "out.geojson").read_text())["features"][0]["geometry"]
    assert found["type"] == "MultiLineString"
    x = shapely.get_coordinates(network.edges)[:, 0]
    assert np.abs(np.diff(x)).max() < 0.1


def test_clean_lines_of_an_empty_layer_has_all_columns(tmp_path: Path) -> None:
    path = tmp_path / "none.gpkg"
    gpd.GeoDataFrame({"name": np.empty(0, str)}, geometry=[], crs=UTM).to_file(
        path, geometry_type="LineString"
    )
    network = clean_lines(path, tmp_path / "out.gpkg", options=options(keep_fields=("name",)))
    assert len(network) == 0
    table = gpd.read_file(tmp_path / "out.gpkg", layer="edges")
    assert len(table) == 0
    assert {"id", "width_m", "bridged", "name"} <= set(table.columns)


def test_clean_lines_names_wrong_fields_and_values(tmp_path: Path) -> None:
    path = write(tmp_path / "a.gpkg", placed([(0, 0), (100, 0)]), sure=[87.0])
    with pytest.raises(InputError, match="no field 'name'; it has 'sure'"):
        clean_lines(path, options=options(keep_fields=("name",)))
    with pytest.raises(InputError, match="--width-field"):
        clean_lines(path, options=options(width_field="wide"))
    with pytest.raises(DataError, match="values from 87 to 87, expected 0 to 1"):
        clean_lines(path, options=options(confidence_field="sure"))
    with pytest.raises(InputError, match="is not a factor"):
        clean_lines(path, options=options(confidence_field="sure*x"))
    with pytest.raises(InputError, match="step_m is 0"):
        DrawnOptions(step_m=0)


def test_clean_lines_rejects_polygons_and_writes_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.gpkg", ["POLYGON ((0 0, 1 0, 1 1, 0 0))"])
    with pytest.raises(DataError, match="no lines"):
        clean_lines(path, tmp_path / "out.gpkg")
    assert not (tmp_path / "out.gpkg").exists()


def test_clean_command_replaces_a_file_on_request_only(tmp_path: Path) -> None:
    lines = placed([(0, 0), (100, 0), (200, 10)], [(100, 0.5), (100, 200)])
    path, out = write(tmp_path / "a.gpkg", lines, name=["a", "b"]), tmp_path / "out.gpkg"
    run = CliRunner().invoke(command, [str(path), "-o", str(out), "--keep-fields", "name"])
    assert run.exit_code == 0, run.output
    assert "3 roads" in run.output
    assert len(gpd.read_file(out, layer="edges")) == 3
    again = CliRunner().invoke(command, [str(path), "-o", str(out)])
    assert isinstance(again.exception, OutputError)
    snapped = CliRunner().invoke(
        command, [str(path), "-o", str(out), "--snap", "0", "--no-bridge", "--overwrite"]
    )
    assert snapped.exit_code == 0, snapped.output
    assert len(gpd.read_file(out, layer="edges")) == 2


def test_clean_lines_do_not_depend_on_the_order_of_features(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    lines = placed(*[
        [(float(x), 0.0), (float(x) + rng.uniform(-30, 30), 300.0)] for x in range(0, 300, 40)
    ], [(0, 0), (300, 0)], [(-20, 150), (320, 150)])  # fmt: skip
    order = rng.permutation(len(lines))
    drawn = DrawnOptions(node_crossings=True)
    a = clean_lines(write(tmp_path / "a.gpkg", lines), options=options(drawn=drawn))
    b = clean_lines(
        write(tmp_path / "b.gpkg", [lines[i] for i in order]), options=options(drawn=drawn)
    )
    assert shapely.to_wkb(a.edges).tolist() == shapely.to_wkb(b.edges).tolist()
    assert np.array_equal(a.start, b.start)
    assert np.array_equal(a.nodes, b.nodes)
