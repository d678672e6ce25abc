"""Comparing networks: classes, lengths and offsets of drawn streets are known exactly."""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyogrio
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from shapely.geometry import LineString

from roadgis.comparison import Comparison, compare
from roadgis.errors import DataError, InputError, OutputError, SceneError
from roadgis.lines import LineLayer, line_layer
from roadgis.network.network import RoadNetwork
from roadgis.options.comparison import CompareOptions

UTM = CRS.from_epsg(32632)
X, Y = 500_000.0, 5_000_000.0
SIZE = 4


def table(lines: Iterable[LineString], **columns: Any) -> geopandas.GeoDataFrame:
    return geopandas.GeoDataFrame(geometry=list(lines), crs=UTM).assign(**columns)


def layer(lines: Iterable[LineString], **columns: Any) -> LineLayer:
    return line_layer(table(lines, **columns))


def line(*points: tuple[float, float]) -> LineString:
    return LineString([(X + x, Y + y) for x, y in points])


def grid(size: int = SIZE, spacing: float = 100.0) -> list[LineString]:
    """Return streets between junctions: first those to the east, then those to the north."""
    steps = [(i * spacing, j * spacing) for j in range(size + 1) for i in range(size)]
    return [
        *(line((x, y), (x + spacing, y)) for x, y in steps),
        *(line((y, x), (y, x + spacing)) for x, y in steps),
    ]


def shifted(lines: Iterable[LineString], dx: float, dy: float) -> list[LineString]:
    return list(shapely.transform(np.array(list(lines)), lambda xy: xy + (dx, dy)))  # noqa: RUF005


def counts(result: Comparison) -> dict[str, int]:
    return {name: len(part) for name, part in result.classes.items()}


NO_OFFSET = CompareOptions(estimate_offset=False)


def test_compare_equal_networks_match_wholly_with_an_offset_of_exactly_zero() -> None:
    result = compare(layer(grid()), layer(grid()))
    assert counts(result) == {"missing": 0, "extra": 0, "moved": 0, "matched": 40}
    assert (result.offset.dx_m, result.offset.dy_m, result.offset.residual_m) == (0.0, 0.0, 0.0)
    assert not result.offset.dx.any()
    assert not result.offset.dy.any()
    assert result.lengths["matched_m"] == pytest.approx(4000)
    assert set(result.matched["score"]) == {1.0}
    assert set(result.matched["distance_m"]) == {0.0}


@pytest.mark.parametrize("shift", [(3.0, -2.0), (-11.0, 9.5), (0.0, 0.4)])
def test_compare_finds_and_removes_a_displacement(shift: tuple[float, float]) -> None:
    result = compare(layer(shifted(grid(), *shift)), layer(grid()))
    assert (result.offset.dx_m, result.offset.dy_m) == pytest.approx(shift, abs=0.002)
    assert result.offset.known == "both"
    assert not result.offset.ambiguous
    assert counts(result) == {"missing": 0, "extra": 0, "moved": 0, "matched": 40}
    offset = result.to_dict()["offset"]
    assert offset["distance_m"] == pytest.approx(np.hypot(*shift), abs=0.002)


def test_compare_without_offset_reports_displaced_roads_as_moved() -> None:
    result = compare(layer(shifted(grid(), 0, 7)), layer(grid()), options=NO_OFFSET)
    assert result.offset.dx_m == result.offset.dy_m == 0.0
    east = result.moved
    assert len(east) == 20
    assert set(east["distance_m"]) == {7.0}
    assert set(east["direction_deg"]) == {0.0}
    assert not len(result.extra)


def test_compare_reports_a_removed_street_with_exact_length_and_attributes() -> None:
    streets = grid()
    names = [f"street {n}" for n in range(len(streets))]
    gone = 5  # between two streets that continue in its direction
    kept = [one for n, one in enumerate(streets) if n != gone]
    result = compare(layer(shifted(kept, 3, -2)), layer(streets, name=names))
    assert counts(result) == {"missing": 1, "extra": 0, "moved": 0, "matched": 39}
    (row,) = result.missing.to_dict("records")
    assert row["length_m"] == 100.0
    assert row["base_name"] == "street 5"
    assert row["base_id"] == 5
    assert row["reviewed"] is False
    assert row["note"] == ""
    assert result.lengths["missing_m"] == pytest.approx(100)
    moved = shifted([streets[gone]], 3, -2)[0]
    assert shapely.hausdorff_distance(row["geometry"], moved) < 0.005


def test_compare_results_lie_in_the_requested_frame() -> None:
    streets = grid()
    kept = shifted([one for n, one in enumerate(streets) if n != 5], 3, -2)
    extra = line((103, 50), (196, 50))
    options = CompareOptions(frame="base")
    result = compare(layer([*kept, extra]), layer(streets), options=options)
    assert shapely.hausdorff_distance(result.missing.geometry[0], streets[5]) < 0.005
    here = shifted([extra], -3, 2)[0]
    assert shapely.hausdorff_distance(result.extra.geometry[0], here) < 0.005


def test_compare_reports_an_added_street_with_exact_length_and_confidence() -> None:
    streets = [*grid(), line((120, 150), (180, 150))]
    sure = np.full(len(streets), 0.9)
    sure[-1] = 0.5
    result = compare(layer(streets, confidence=sure), layer(grid()))
    assert counts(result) == {"missing": 0, "extra": 1, "moved": 0, "matched": 40}
    (row,) = result.extra.to_dict("records")
    assert row["length_m"] == 60.0
    assert row["road_id"] == 40
    assert row["road_confidence"] == 0.5
    assert row["score"] == pytest.approx(0.5 * 60 / 85, abs=0.001)


def test_compare_reports_the_part_of_a_long_line_in_a_gap_as_missing() -> None:
    base = [line((0, 0), (400, 0)), line((0, 300), (400, 300)), line((0, 0), (0, 300))]
    pieces = [line((0, 0), (137, 0)), line((211, 0), (400, 0)), *base[1:]]
    result = compare(layer(pieces), layer(base))
    assert counts(result) == {"missing": 1, "extra": 0, "moved": 0, "matched": 4}
    (gap,) = result.missing.geometry
    assert gap.equals_exact(line((137, 0), (211, 0)), 1e-6)
    assert result.lengths["matched_m"] == pytest.approx(1100 - 74)


def test_compare_names_the_edge_with_the_largest_share() -> None:
    base = [line((0, 0), (400, 0)), line((0, 0), (0, 300))]
    edges = [line((0, 0), (90, 0)), line((90, 0), (330, 0)), line((330, 0), (400, 0)), base[1]]
    result = compare(layer(edges, id=["a", "b", "c", "d"]), layer(base, highway=["main", "side"]))
    partners = dict(zip(result.matched["base_highway"], result.matched["road_id"], strict=True))
    assert partners == {"main": "b", "side": "d"}


def test_compare_reports_a_bent_street_as_moved_by_its_largest_distance() -> None:
    streets = [line((0, 0), (200, 0)), line((0, 0), (0, 300)), line((200, 0), (200, 300))]
    streets.append(line((0, 300), (200, 300)))
    bent = [line((0, 0), (50, 8), (150, 8), (200, 0)), *streets[1:]]
    result = compare(layer(bent), layer(streets))
    assert counts(result)["moved"] == 1
    assert counts(result)["missing"] == counts(result)["extra"] == 0
    (row,) = result.moved.to_dict("records")
    assert row["distance_m"] == pytest.approx(8.0, abs=0.1)
    assert row["direction_deg"] == pytest.approx(0.0, abs=0.5)
    # It begins where half the limit of 5 m is exceeded: 2.5 m is reached 15.6 m from the end.
    assert row["length_m"] == pytest.approx(200 - 2 * 15.6, abs=8)
    assert 6 < row["mean_distance_m"] < 8


def test_estimate_offset_finds_a_linear_field_within_half_a_metre() -> None:
    streets = grid(20, 200.0)

    def field(xy: np.ndarray) -> np.ndarray:
        east, north = (xy[:, 0] - X) / 1000, (xy[:, 1] - Y) / 1000
        return np.stack([2 + 1.5 * east - north, -1 - 0.5 * east + 2 * north], axis=1)

    lines = shapely.segmentize(np.array(streets), 50.0)
    moved = shapely.transform(lines, lambda xy: xy + field(xy))
    result = compare(layer(moved), layer(streets))
    places = shapely.get_coordinates(np.array(streets))
    found = result.offset.at(places)
    assert np.abs(found - field(places)).max() < 0.5
    assert counts(result)["matched"] == len(streets)
    assert len(result.offsets) == len(result.offset.places) > 25
    assert result.offset.residual_m < 0.3
    assert result.to_dict()["offset"]["largest_deviation_m"] > 4


def test_estimate_offset_is_robust_to_noise_and_unmatched_roads() -> None:
    rng = np.random.default_rng(3)
    lines = shapely.segmentize(np.array(grid(8)), 25.0)
    noisy = shapely.transform(lines, lambda xy: xy + rng.normal(0, 1.0, xy.shape) + (4, 6))
    keep = rng.random(len(lines)) < 0.6
    service = shifted(grid(8), 37, 23)
    without = compare(layer(noisy[keep]), layer(lines)).offset
    result = compare(layer([*noisy[keep], *service[:60]]), layer(lines))
    # A metre of noise over 90 streets leaves about 0.1 m.
    assert (without.dx_m, without.dy_m) == pytest.approx((4, 6), abs=0.3)
    assert (result.offset.dx_m, result.offset.dy_m) == (without.dx_m, without.dy_m)
    assert len(result.extra) == 60


def test_compare_does_not_match_a_right_angle_crossing() -> None:
    result = compare(layer([line((-100, 0), (100, 0))]), layer([line((0, -100), (0, 100))]))
    assert counts(result) == {"missing": 1, "extra": 1, "moved": 0, "matched": 0}
    assert result.offset.known == "nothing"


@pytest.mark.parametrize("angle", [20, 35, 60, 90])
def test_compare_does_not_match_a_crossing_at_any_angle(angle: float) -> None:
    turn = np.deg2rad(angle)
    end = (300 * np.cos(turn), 300 * np.sin(turn))
    base = [*grid(), line((-400, -400), (-400 - end[0], -400 - end[1]))]
    road = line(
        (-400 - end[0] / 2 - 150, -400 - end[1] / 2), (-250 - end[0] / 2, -400 - end[1] / 2)
    )
    result = compare(layer([*grid(), road]), layer(base), options=CompareOptions(margin_m=1000))
    assert counts(result) == {"missing": 1, "extra": 1, "moved": 0, "matched": 40}


def test_compare_matches_carriageways_one_to_one() -> None:
    both = [line((0, 0), (300, 0)), line((0, 12), (300, 12)), line((0, 0), (0, 200))]
    two = compare(layer(shifted(both, 0, 2)), layer(both, way=["a", "b", "c"]), options=NO_OFFSET)
    assert counts(two) == {"missing": 0, "extra": 0, "moved": 0, "matched": 3}
    assert dict(zip(two.matched["base_way"], two.matched["road_id"], strict=True)) == {
        "a": 0,
        "b": 1,
        "c": 2,
    }
    one = compare(layer([both[0], both[2]]), layer(both), options=NO_OFFSET)
    assert counts(one) == {"missing": 1, "extra": 0, "moved": 0, "matched": 2}
    (row,) = one.missing.to_dict("records")
    assert row["length_m"] == 300.0
    assert row["distance_m"] == 12.0
    assert row["score"] < 0.4  # the other carriageway is next to it


def test_estimate_offset_of_parallel_roads_is_known_across_them_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    streets = [line((0, y), (500, y)) for y in (0, 80, 200)]
    with caplog.at_level(logging.WARNING, "roadgis"):
        result = compare(layer(shifted(streets, 3, -2)), layer(streets))
    assert result.offset.known == "across"
    assert (result.offset.dx_m, result.offset.dy_m) == pytest.approx((0, -2), abs=0.002)
    assert "of one direction only" in caplog.text
    assert counts(result) == {"missing": 0, "extra": 0, "moved": 0, "matched": 3}


def test_compare_does_not_confuse_neighbouring_streets() -> None:
    result = compare(layer(shifted(grid(8, 60.0), 4, 4)), layer(grid(8, 60.0)))
    assert (result.offset.dx_m, result.offset.dy_m) == pytest.approx((4, 4), abs=0.01)


def test_estimate_offset_reports_two_equally_good_offsets(caplog: pytest.LogCaptureFixture) -> None:
    # Rows 16 m apart, and the extraction halfway between: both directions are equally good.
    rows = [line((0, 16 * n), (500, 16 * n)) for n in range(12)]
    base = [*rows, *(line((x, 0), (x, 176)) for x in (0, 250, 500))]
    with caplog.at_level(logging.WARNING, "roadgis"):
        result = compare(layer(shifted(base, 0, 8)), layer(base))
    assert result.offset.ambiguous
    assert "doubtful" in caplog.text


def test_estimate_offset_of_unrelated_networks_is_doubtful() -> None:
    rng = np.random.default_rng(0)

    def somewhere(count: int) -> list[LineString]:
        place, angle = rng.uniform(0, 2000, (count, 2)), rng.uniform(0, np.pi, count)
        end = place + 200 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        return [line(tuple(a), tuple(b)) for a, b in zip(place, end, strict=True)]

    roads, base = somewhere(150), somewhere(150)
    assert compare(layer(roads), layer(base)).offset.ambiguous
    assert not compare(layer([*roads, *base[:75]]), layer(base)).offset.ambiguous


@pytest.mark.parametrize("code", [4326, 3857, 25832, 2056])
def test_compare_accepts_a_base_in_any_crs(code: int) -> None:
    streets = grid()
    base = line_layer(table(streets, name="a").to_crs(code))
    result = compare(layer(shifted(streets[1:], 3, -2)), base)
    assert counts(result) == {"missing": 1, "extra": 0, "moved": 0, "matched": 39}
    assert result.missing.crs == UTM
    assert result.missing["length_m"][0] == pytest.approx(100, abs=0.01)
    # The datum of EPSG:2056 is known within a metre.
    assert (result.offset.dx_m, result.offset.dy_m) == pytest.approx((3, -2), abs=1.5)


def described(result: Comparison) -> list[str]:
    """Return a comparison in a form that does not depend on the direction of lines."""
    out = []
    for name, part in result.classes.items():
        for row in part.to_dict("records"):
            shape = shapely.set_precision(row["geometry"], 0.001)
            out.append(
                (
                    name,
                    row["length_m"],
                    row["distance_m"],
                    row["score"],
                    row.get("base_name"),
                    shapely.normalize(shape).wkt,
                )
            )
    return sorted(map(str, out))


def test_compare_ignores_order_and_direction_of_lines() -> None:
    rng = np.random.default_rng(1)
    streets = np.array(grid(6))
    noisy = shapely.transform(
        shapely.segmentize(streets, 20.0), lambda xy: xy + rng.normal(0, 2, xy.shape) + (2, 5)
    )
    keep, names = np.flatnonzero(rng.random(len(streets)) < 0.8), np.arange(len(streets))
    first = compare(layer(noisy[keep]), layer(streets, name=names))
    for _ in range(3):
        order, other = rng.permutation(keep), rng.permutation(len(streets))
        turned = [one.reverse() if rng.random() < 0.5 else one for one in streets[other]]
        again = compare(layer(noisy[order]), layer(turned, name=names[other]))
        assert described(again) == described(first)
        assert again.offset.dx_m == first.offset.dx_m
        assert again.offset.dy_m == first.offset.dy_m


@given(
    st.sets(st.integers(0, 39), max_size=12),
    st.sets(st.integers(0, 39), max_size=12),
    st.tuples(st.floats(-9, 9), st.floats(-9, 9)),
)
@settings(max_examples=25)
def test_compare_finds_any_streets_missing_on_either_side(
    gone: set[int], added: set[int], shift: tuple[float, float]
) -> None:
    streets = grid()
    base = [one for n, one in enumerate(streets) if n not in added]
    names = [n for n in range(40) if n not in added]
    roads = [one for n, one in enumerate(streets) if n not in gone]
    roads_names = [n for n in range(40) if n not in gone]
    result = compare(layer(shifted(roads, *shift), name=roads_names), layer(base, name=names))
    assert (result.offset.dx_m, result.offset.dy_m) == pytest.approx(shift, abs=0.01)
    assert set(result.missing["base_name"]) == gone - added
    assert set(result.extra["road_name"]) == added - gone
    assert set(result.missing["length_m"]) <= {100.0}
    assert set(result.extra["length_m"]) <= {100.0}
    assert len(result.matched) == 40 - len(gone | added)


def test_compare_lengths_add_up_to_the_networks() -> None:
    rng = np.random.default_rng(5)
    streets = shapely.segmentize(np.array(grid(6)), 15.0)
    noisy = shapely.transform(streets, lambda xy: xy + rng.normal(0, 4, xy.shape))
    result = compare(layer(noisy[::2]), layer(streets[10:]))
    lengths = result.lengths
    assert lengths["base_m"] == pytest.approx(shapely.length(streets[10:]).sum(), abs=2)
    parts = sum(lengths[f"{name}_m"] for name in ("missing", "moved", "matched"))
    assert parts == pytest.approx(lengths["base_m"])
    assert result.extra.length.sum() == pytest.approx(lengths["extra_m"])
    for part in result.classes.values():
        assert part["score"].between(0, 1).all()
        assert part["score"].is_monotonic_decreasing
        assert part.length.to_numpy() == pytest.approx(part["length_m"].to_numpy(), abs=0.006)


def test_compare_twenty_thousand_lines_takes_seconds() -> None:
    streets = np.array(grid(100))
    # CPU time of this process: other programs on the machine do not count.
    began = time.process_time()
    result = compare(layer(shifted(streets[::-1], 3, -2)), layer(streets[50:]))
    assert time.process_time() - began < 60
    assert (result.offset.dx_m, result.offset.dy_m) == pytest.approx((3, -2), abs=0.01)
    assert counts(result) == {"missing": 0, "extra": 50, "moved": 0, "matched": 20150}


# Areas and inputs


def test_compare_without_area_uses_the_common_extent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    far = line((0, 0), (5000, 0))
    with caplog.at_level(logging.WARNING, "roadgis"):
        result = compare(layer(grid()), layer([*grid()[4:], far]), options=NO_OFFSET)
    # 400 m of it lie along the grid, then 100 m of margin and 20 m of search.
    assert result.lengths["missing_m"] == pytest.approx(120)
    assert result.lengths["base_left_out_m"] == pytest.approx(5000 - 520)
    assert "--aoi" in caplog.text


def test_compare_clips_both_networks_to_an_area() -> None:
    area = shapely.box(X - 10, Y - 10, X + 410, Y + 150)
    result = compare(layer(grid()), layer(grid()[1:]), aoi=area)
    assert result.lengths["missing_m"] == 0.0
    assert result.lengths["extra_m"] == pytest.approx(100)
    assert result.lengths["base_m"] == pytest.approx(700 + 5 * 150)
    assert result.to_dict()["area"] == "area of interest"


def test_compare_accepts_a_network_in_memory() -> None:
    streets = np.array(grid(), object)
    size = len(streets)
    unknown = np.full(size, np.nan)
    network = RoadNetwork.empty(UTM)
    ends = np.array([shapely.get_coordinates(one)[[0, -1]] for one in streets]).reshape(-1, 2)
    nodes, at = np.unique(ends, axis=0, return_inverse=True)
    at = at.reshape(-1, 2)
    network = RoadNetwork(
        UTM, streets, at[:, 0], at[:, 1], unknown, np.full(size, 0.75), unknown, nodes
    )
    result = compare(network, layer(grid()[1:]))
    assert counts(result)["extra"] == 1
    assert result.extra["road_confidence"][0] == 0.75


def test_compare_with_an_empty_network_leaves_the_other_unmatched() -> None:
    empty = RoadNetwork.empty(UTM)
    nothing = compare(empty, layer(grid()))
    assert counts(nothing) == {"missing": 40, "extra": 0, "moved": 0, "matched": 0}
    summary = nothing.to_dict()
    assert summary["share_of_base_found"] == 0.0
    assert summary["share_of_extraction_matched"] is None
    unknown = compare(layer(grid()), empty)
    assert counts(unknown) == {"missing": 0, "extra": 40, "moved": 0, "matched": 0}
    with pytest.raises(DataError, match="no line in either"):
        compare(empty, empty)


def test_compare_accepts_a_base_of_one_line() -> None:
    result = compare(layer(grid()), layer([line((0, 101), (400, 101))]), options=NO_OFFSET)
    assert counts(result)["matched"] == 1
    assert result.lengths["matched_m"] == pytest.approx(400)


def test_compare_rejects_networks_far_apart_and_names_their_extents() -> None:
    with pytest.raises(DataError, match=r"lie apart.*longitude 9\.0.*longitude 9\.1.*CRS"):
        compare(layer(grid()), layer(shifted(grid(), 10_000, 0)))
    elsewhere = shapely.box(X + 5000, Y, X + 6000, Y + 1000)
    with pytest.raises(DataError, match="area of interest holds no line"):
        compare(layer(grid()), layer(grid()), aoi=elsewhere)


def test_compare_rejects_polygons_and_files_without_crs(tmp_path: Path) -> None:
    roads, shapes, bare = tmp_path / "r.gpkg", tmp_path / "p.gpkg", tmp_path / "b.shp"
    table(grid()).to_file(roads)
    table([one.buffer(3) for one in grid()]).to_file(shapes)
    table(grid(), name="a").to_file(bare)
    bare.with_suffix(".prj").unlink()
    with pytest.raises(DataError, match="no lines"):
        compare(roads, shapes)
    with pytest.raises(DataError, match="no coordinate reference system"):
        compare(roads, bare)
    with pytest.raises(SceneError, match="expected polygons"):
        compare(roads, roads, aoi=roads)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_distance_m": 0.0},
        {"max_distance_m": float("nan")},
        {"moved_m": 20.0},
        {"max_angle_deg": 80.0},
        {"grid_m": 50.0},
        {"frame": "world"},
        {"min_length_m": -1.0},
    ],
)
def test_compare_options_reject_impossible_values(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        CompareOptions(**wrong)


# Files


def review(path: Path) -> Comparison:
    streets = [*grid()[1:], line((120, 150), (180, 150))]
    base = table(grid(), name=[f"Ü {n}" for n in range(40)], NAME=0.5, tags=[["a", "b"]] * 40)
    return compare(layer(streets, confidence=0.8), line_layer(base), path)


def test_write_review_geopackage_has_a_styled_layer_per_class(tmp_path: Path) -> None:
    path = tmp_path / "review.gpkg"
    result = review(path)
    layers = dict(pyogrio.list_layers(path).tolist())
    assert set(layers) == {
        "missing", "extra", "moved", "matched", "offset", "summary", "layer_styles",
    }  # fmt: skip
    for name, part in result.classes.items():
        read = geopandas.read_file(path, layer=name)
        assert len(read) == len(part)
        assert read.crs == UTM
        assert {"id", "score", "length_m", "distance_m", "reviewed", "note"} <= set(read.columns)
    missing = geopandas.read_file(path, layer="missing")
    assert missing["base_name"][0] == "Ü 0"
    assert missing["base_NAME_2"][0] == 0.5
    assert json.loads(missing["base_tags"][0]) == ["a", "b"]
    assert missing["reviewed"].dtype == bool
    assert geopandas.read_file(path, layer="offset").geom_type.eq("Point").all()
    values = dict(pyogrio.read_dataframe(path, layer="summary").itertuples(index=False))
    assert values["missing_m"] == "100.0"
    assert values["offset.dx_m"] == "0.0"
    with sqlite3.connect(path) as file:
        styles = file.execute(
            "SELECT f_table_name, f_geometry_column, styleQML, useAsDefault FROM layer_styles"
        ).fetchall()
    file.close()
    assert {name for name, *_ in styles} == {"missing", "extra", "moved", "matched", "offset"}
    for _, column, qml, default in styles:
        assert column == "geom"
        assert default == 1
        assert qml.startswith("<!DOCTYPE qgis")


def test_write_review_geojson_has_all_classes_in_one_layer(tmp_path: Path) -> None:
    path = tmp_path / "review.geojson"
    review(path)
    collection = json.loads(path.read_text(encoding="utf-8"))
    classes = [feature["properties"]["class"] for feature in collection["features"]]
    assert classes == ["missing", "extra"] + ["matched"] * 39
    assert len({feature["id"] for feature in collection["features"]}) == 41
    assert collection["roadgis"]["counts"]["matched"] == 39
    first = collection["features"][0]["properties"]
    assert first["base_name"] == "Ü 0"
    assert first["reviewed"] is False
    assert first["road_id"] is None


def test_compare_checks_outputs_before_reading_anything(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.gpkg"):
        compare("none.gpkg", "none.gpkg", tmp_path / "review.shp")
    path = tmp_path / "review.gpkg"
    path.write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        compare("none.gpkg", "none.gpkg", path)
    assert path.read_text() == "mine"
    with pytest.raises(DataError, match="no such file"):
        compare("none.gpkg", "none.gpkg", path, overwrite=True)
    assert path.read_text() == "mine"


def test_write_review_of_an_empty_result_is_a_valid_file(tmp_path: Path) -> None:
    path = tmp_path / "review.gpkg"
    compare(RoadNetwork.empty(UTM), layer(grid()), path)
    assert len(geopandas.read_file(path, layer="missing")) == 40
    assert len(geopandas.read_file(path, layer="extra")) == 0
    assert len(geopandas.read_file(path, layer="offset")) == 0


@pytest.mark.real_data
def test_compare_sorts_out_real_streets_that_were_moved_and_edited(real_data: Path) -> None:
    path = real_data / "spacenet" / "vegas_img0_roads.geojson"
    roads = geopandas.read_file(path).to_crs(32611)
    long = roads.index[roads.length > 100]
    gone = long[:4]
    edited = roads.drop(gone)
    edited.geometry = edited.geometry.translate(-4.0, 3.0)
    result = compare(line_layer(edited), path)
    assert (result.offset.dx_m, result.offset.dy_m) == pytest.approx((-4, 3), abs=0.05)
    assert sorted(result.missing["length_m"]) == pytest.approx(sorted(roads.length[gone]), abs=0.01)
    assert not len(result.extra)
    assert not len(result.moved)
