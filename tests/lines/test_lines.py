"""Existing line layers: reading files, and the CRS in which they are measured."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS, Geod

from roadgis.crs import ground_scale
from roadgis.errors import DataError, InputError
from roadgis.lines import LineLayer, line_layer, metric_crs, read_lines

UTM = 32632
SUFFIXES = [".gpkg", ".geojson", ".shp", ".fgb"]


def write(path: Path, *wkt: str | None, crs: Any = UTM, **fields: Any) -> Path:
    table = gpd.GeoDataFrame(
        {"number": np.arange(len(wkt)), **fields},
        geometry=shapely.from_wkt(np.array(wkt, object)),
        crs=crs,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided")
        table.to_file(path)
    return path


def layer_of(*wkt: str, crs: Any = UTM) -> LineLayer:
    return line_layer(
        gpd.GeoDataFrame(geometry=shapely.from_wkt(np.array(wkt, object)), crs=CRS(crs))
    )


def geojson(path: Path, *geometries: dict[str, Any]) -> Path:
    features = [{"type": "Feature", "properties": {}, "geometry": g} for g in geometries]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_read_lines_gives_the_same_lines_and_fields_for_every_format(
    tmp_path: Path, suffix: str
) -> None:
    path = write(
        tmp_path / f"roads{suffix}",
        "LINESTRING (8 47, 8.5 47.25)",
        "LINESTRING (8 48, 8.5 48.25, 9 48)",
        crs=4326,
        name=["A", "B"],
    )
    layer = read_lines(path)
    assert sorted(shapely.to_wkt(layer.lines)) == [
        "LINESTRING (8 47, 8.5 47.25)",
        "LINESTRING (8 48, 8.5 48.25, 9 48)",
    ]
    named = dict(
        zip(layer.table["name"], shapely.get_num_points(layer.table.geometry), strict=True)
    )
    assert named == {"A": 2, "B": 3}
    sizes = shapely.get_num_points(layer.lines)
    assert [named[n] for n in layer.table["name"].iloc[layer.feature]] == sizes.tolist()
    assert layer.crs.to_epsg() == 4326
    assert layer.issues == ()
    assert layer.name == str(path)


def test_line_layer_splits_multilines_and_mixed_collections(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.gpkg",
        "MULTILINESTRING ((0 0, 1 0), (5 5, 6 5))",
        "GEOMETRYCOLLECTION (POINT (1 1), LINESTRING (2 0, 3 0), "
        "GEOMETRYCOLLECTION (MULTILINESTRING ((4 0, 5 0)), POLYGON ((0 0, 1 0, 1 1, 0 0))))",
    )
    layer = read_lines(path)
    assert layer.feature.tolist() == [0, 0, 1, 1]
    assert shapely.length(layer.lines).tolist() == [1, 1, 1, 1]
    assert layer.issues == ("1 point was left out", "1 polygon was left out")


@pytest.mark.parametrize(
    ("wkt", "found"),
    [
        ("POLYGON ((0 0, 1 0, 1 1, 0 0))", "found 1 polygon and no lines"),
        ("MULTIPOINT ((0 0), (1 1))", "found 2 points and no lines"),
    ],
)
def test_line_layer_rejects_polygons_and_points(tmp_path: Path, wkt: str, found: str) -> None:
    with pytest.raises(DataError, match=found):
        read_lines(write(tmp_path / "a.gpkg", wkt))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_line_layer_accepts_a_layer_without_features(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"none{suffix}"
    table = gpd.GeoDataFrame({"name": np.empty(0, str)}, geometry=[], crs=UTM)
    table.to_file(path, geometry_type="LineString")
    layer = read_lines(path, assume_crs="EPSG:32632")
    assert len(layer.lines) == len(layer.feature) == 0
    assert layer.on(CRS(3857)).shape == (0,)
    assert metric_crs(layer).axis_info[0].unit_name == "metre"


def test_line_layer_keeps_rows_aligned_past_features_without_geometry(tmp_path: Path) -> None:
    path = write(tmp_path / "a.gpkg", None, "LINESTRING EMPTY", "LINESTRING (0 0, 1 0)")
    layer = read_lines(path)
    assert layer.feature.tolist() == [2]
    assert layer.issues == ("2 features without a usable geometry were left out",)


def test_line_layer_ignores_lines_of_one_point_or_no_length(tmp_path: Path) -> None:
    path = geojson(
        tmp_path / "a.geojson",
        {"type": "LineString", "coordinates": [[8, 47]]},
        {"type": "LineString", "coordinates": [[8, 47], [8, 47], [8, 47]]},
        {"type": "LineString", "coordinates": [[8, 47], [8, 47], [8.5, 47], [8.5, 47]]},
    )
    layer = read_lines(path)
    assert shapely.to_wkt(layer.lines).tolist() == ["LINESTRING (8 47, 8.5 47)"]
    assert layer.feature.tolist() == [2]
    assert layer.issues == (
        "1 feature without a usable geometry was left out",
        "1 line without a length was left out",
    )


def test_line_layer_ignores_only_the_line_with_nan_coordinates(tmp_path: Path) -> None:
    with np.errstate(invalid="ignore"):
        lines = [
            shapely.LineString([(0, 0), (np.nan, 1), (2, 2)]),
            shapely.LineString([(0, 0), (np.inf, 1)]),
            shapely.LineString([(0, 0), (1, 1)]),
        ]
    table = gpd.GeoDataFrame(geometry=lines, crs=UTM)
    table.to_file(tmp_path / "a.gpkg")
    for layer in (line_layer(table), read_lines(tmp_path / "a.gpkg")):
        assert shapely.to_wkt(layer.lines).tolist() == ["LINESTRING (0 0, 1 1)"]
        assert layer.feature.tolist() == [2]
        assert layer.issues == (
            "2 lines with impossible coordinates (NaN, infinite or above 1e12) were left out",
        )


def test_line_layer_ignores_repeated_lines_in_either_direction(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(
        tmp_path / "a.gpkg",
        "LINESTRING (0 0, 1 0, 1 1)",
        "LINESTRING (1 1, 1 0, 0 0)",
        "LINESTRING (0 0, 1 0, 1 1)",
        "LINESTRING (0 0, 1 0)",
    )
    with caplog.at_level(logging.WARNING):
        layer = read_lines(path)
    assert layer.feature.tolist() == [0, 3]
    assert layer.issues == ("2 repetitions of lines were left out",)
    assert caplog.messages == [f"{path}: 2 repetitions of lines were left out"]


def test_line_layer_drops_heights_and_measures(tmp_path: Path) -> None:
    path = write(tmp_path / "z.gpkg", "LINESTRING Z (0 0 5, 1 0 6)", "LINESTRING Z (0 0 7, 1 0 8)")
    layer = read_lines(path)
    assert not shapely.has_z(layer.lines).any()
    assert layer.feature.tolist() == [0]
    (tmp_path / "m.csv").write_text('line\n"LINESTRING ZM (0 0 5 1, 1 0 6 2, 1 0 7 3)"\n')
    (tmp_path / "m.vrt").write_text(
        '<OGRVRTDataSource><OGRVRTLayer name="m"><SrcDataSource relativeToVRT="1">m.csv'
        "</SrcDataSource><GeometryType>wkbLineStringZM</GeometryType><LayerSRS>EPSG:32632</LayerSRS>"
        '<GeometryField encoding="WKT" field="line"/></OGRVRTLayer></OGRVRTDataSource>'
    )
    measured = read_lines(tmp_path / "m.vrt")
    assert shapely.to_wkt(measured.lines).tolist() == ["LINESTRING (0 0, 1 0)"]


def test_read_lines_rejects_a_missing_crs_unless_one_is_assumed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.shp", "LINESTRING (500000 0, 500001 0)", crs=None)
    with pytest.raises(DataError, match="no coordinate reference system"):
        read_lines(path)
    assert read_lines(path, assume_crs="EPSG:25832").crs.to_epsg() == 25832
    with pytest.raises(InputError, match="is not a known coordinate reference system"):
        read_lines(path, assume_crs="Zurich")
    with pytest.raises(InputError, match="neither a projected nor a geographic"):
        read_lines(path, assume_crs="EPSG:5703")


def test_read_lines_prefers_the_crs_of_the_file_over_the_assumed_one(tmp_path: Path) -> None:
    path = write(tmp_path / "a.gpkg", "LINESTRING (0 0, 1 0)", crs=2056)
    assert read_lines(path, assume_crs="EPSG:25832").crs.to_epsg() == 2056


def test_metric_crs_ignores_heights_of_a_compound_crs(tmp_path: Path) -> None:
    path = write(tmp_path / "a.gpkg", "LINESTRING Z (2600000 1200000 5, 2600001 1200000 5)",
                 crs="EPSG:2056+5728")  # fmt: skip
    assert read_lines(path).crs == CRS(2056)


def test_read_lines_names_layers_without_lines(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_lines(tmp_path / "none.gpkg")
    (tmp_path / "text.gpkg").write_text("no database")
    with pytest.raises(DataError, match="cannot be read as a vector layer"):
        read_lines(tmp_path / "text.gpkg")
    path = tmp_path / "two.gpkg"
    for name in ("a", "b"):
        gpd.GeoDataFrame(geometry=shapely.from_wkt(["LINESTRING (0 0, 1 0)"]), crs=UTM).to_file(
            path, layer=name
        )
    with pytest.raises(DataError, match="has 2 layers: 'a', 'b'"):
        read_lines(path)
    assert read_lines(path, layer="b").name == f"{path} (layer b)"


@pytest.mark.parametrize("turn", [0.0, 360.0, -360.0])
def test_line_layer_keeps_a_line_across_the_antimeridian_short_and_whole(turn: float) -> None:
    there = "LINESTRING (179.99 -17, -179.99 -17, 179.995 -17.01)"
    back = f"LINESTRING ({179.999 + turn} -17, {179.998 + turn} -17)"
    layer = layer_of(there, back, crs=4326)
    assert layer.issues == ("1 line crosses the antimeridian",)
    assert shapely.get_coordinates(layer.lines[0])[:, 0].tolist() == pytest.approx(
        [179.99, 180.01, 179.995]
    )
    crs = metric_crs(layer)
    assert crs.is_projected
    geod = Geod(ellps="WGS84")
    whole = geod.line_length([179.99, -179.99, 179.995], [-17, -17, -17.01])
    lengths = shapely.length(layer.on(crs))
    assert lengths[0] == pytest.approx(whole, rel=1e-3)
    assert shapely.distance(*layer.on(crs)) < 1
    assert lengths[1] == pytest.approx(geod.line_length([179.999, 179.998], [-17, -17]), rel=1e-3)


def test_metric_crs_joins_layers_on_both_sides_of_the_antimeridian() -> None:
    west = layer_of("LINESTRING (179.9 -17, 180 -17)", crs=4326)
    east = layer_of("LINESTRING (-180 -17, -179.9 -17)", crs=4326)
    crs = metric_crs(west, east)
    assert shapely.distance(west.on(crs)[0], east.on(crs)[0]) < 1e-6


def test_to_crs_keeps_a_metric_line_across_the_antimeridian_continuous_in_degrees() -> None:
    layer = layer_of("LINESTRING (179.99 -17, 180.01 -17)", crs=4326)
    metric = layer_of(shapely.to_wkt(layer.on(CRS(32760))[0], -1), crs=32760)
    x = shapely.get_coordinates(metric.on(CRS(4326)))[:, 0]
    assert abs(x[1] - x[0]) == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("crs", "line", "chosen"),
    [
        (2056, "LINESTRING (2600000 1200000, 2601000 1200000)", 2056),
        (3857, "LINESTRING (946000 6000000, 947000 6000000)", 32632),
        (2263, "LINESTRING (990000 200000, 991000 200000)", 32618),
        (4326, "LINESTRING (-70.5 -33.5, -70.4 -33.5)", 32719),
        (25832, "LINESTRING (-1500000 5500000, -1499000 5500000)", 32628),
    ],
)
def test_metric_crs_keeps_an_undistorted_metric_crs(crs: int, line: str, chosen: int) -> None:
    assert metric_crs(layer_of(line, crs=crs)) == CRS(chosen)


@pytest.mark.parametrize(
    "lines",
    [
        ["LINESTRING (10 89.9, 11 89.9)", "LINESTRING (-170 89.9, -171 89.9)"],
        ["LINESTRING (60 -88, 61 -88)"],
        ["LINESTRING (-9 38, -8.9 38)", "LINESTRING (27 60, 27.1 60)"],
        ["LINESTRING (170 -45, 170.1 -45)", "LINESTRING (-170 -20, -170.1 -20)"],
    ],
)
def test_metric_crs_is_true_within_three_percent_near_poles_and_over_large_areas(
    lines: list[str],
) -> None:
    layer = layer_of(*lines, crs=4326)
    crs = metric_crs(layer)
    assert "Azimuthal Equidistant" in crs.to_wkt()
    for lon, lat in shapely.get_coordinates(layer.lines):
        assert ground_scale(crs, lon, lat) == pytest.approx(1, abs=0.03)


def test_metric_crs_of_several_layers_is_the_first_metric_one() -> None:
    degrees = layer_of("LINESTRING (8.5 47.3, 8.6 47.3)", crs=4326)
    swiss = layer_of("LINESTRING (2680000 1240000, 2681000 1240000)", crs=2056)
    assert metric_crs(degrees, swiss) == CRS(2056)


def test_metric_crs_rejects_layers_on_different_continents() -> None:
    here = layer_of("LINESTRING (8 47, 8.1 47)", crs=4326)
    there = layer_of("LINESTRING (-70 -33, -70.1 -33)", crs=4326)
    with pytest.raises(DataError, match="too far apart to be measured together"):
        metric_crs(here, there)


def test_read_lines_detects_metres_declared_as_degrees() -> None:
    layer = layer_of("LINESTRING (500000 5300000, 500100 5300000)", crs=4326)
    with pytest.raises(DataError, match="states the wrong CRS"):
        metric_crs(layer)


def test_to_crs_rejects_lines_outside_the_crs() -> None:
    layer = layer_of("LINESTRING (9 0, 9 1)", "LINESTRING (99 0, 99 1)", crs=4326)
    with pytest.raises(DataError, match="1 of 2 lines have no place"):
        layer.on(CRS(32632))


@given(
    st.lists(
        st.lists(st.tuples(st.floats(-300, 300), st.floats(-80, 80)), min_size=2, max_size=5),
        min_size=1,
        max_size=5,
    )
)
def test_continuous_longitudes_are_the_same_places(
    lines: list[list[tuple[float, float]]],
) -> None:
    table = gpd.GeoDataFrame(geometry=[shapely.LineString(line) for line in lines], crs=4326)
    layer = line_layer(table)
    for line, feature in zip(layer.lines, layer.feature, strict=True):
        x = np.diff(shapely.get_coordinates(line)[:, 0])
        assert (np.abs(x) <= 180 + 1e-9).all()
        given_x = shapely.get_coordinates(table.geometry.iloc[feature])[:, 0]
        if len(x) + 1 == len(given_x):
            turns = (shapely.get_coordinates(line)[:, 0] - given_x) / 360
            assert turns == pytest.approx(np.round(turns), abs=1e-9)
