"""Evaluating files, layers and networks in any CRS: all scores at once."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from pyproj import CRS
from shapely import LineString
from shapely.geometry.base import BaseGeometry

from roadgis.errors import Cancelled, InputError
from roadgis.evaluation import evaluate
from roadgis.lines import line_layer
from roadgis.network.network import RoadNetwork
from roadgis.options.evaluation import EvaluateOptions

MAIN = [
    "iou",
    "relaxed_precision",
    "relaxed_recall",
    "relaxed_f1",
    "apls",
    "apls_truth_onto_proposal",
    "apls_proposal_onto_truth",
    "topo_precision",
    "topo_recall",
    "topo_f1",
    "junction_f1",
]
UTM = "EPSG:32633"
EAST, NORTH = 500_000.0, 5_400_000.0
Table = geopandas.GeoDataFrame


def table(*paths: list[tuple[float, ...]], crs: str = UTM, **fields: object) -> Table:
    shapes: list[BaseGeometry] = [LineString(path) for path in paths]
    return geopandas.GeoDataFrame(fields, geometry=shapes, crs=crs)


def town(moved: float = 0.0) -> Table:
    """Return four by four streets of 300 m, noded."""
    at = np.arange(4) * 100.0
    across = [[(x + EAST, y + NORTH) for x in at] for y in at]
    along = [[(x + EAST, y + NORTH) for y in at] for x in at]
    drawn = table(*across, *along)
    return drawn.set_geometry(drawn.translate(moved, moved)) if moved else drawn


def test_evaluate_a_network_against_itself_is_exactly_one_in_any_crs(tmp_path: Path) -> None:
    town().to_crs(4326).to_file(tmp_path / "truth.geojson")
    town().to_crs(4326).to_file(tmp_path / "roads.gpkg")
    scores = evaluate(tmp_path / "roads.gpkg", tmp_path / "truth.geojson").to_dict()
    assert list(scores)[: len(MAIN)] == MAIN
    assert {key: scores[key] for key in MAIN} == dict.fromkeys(MAIN, 1.0)
    assert scores["rmse_m"] == 0.0
    assert scores["issues"] == []
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores


def test_evaluate_an_empty_proposal_is_exactly_zero() -> None:
    nothing = table(crs="EPSG:3857")
    scores = evaluate(nothing, town()).to_dict()
    assert {key: scores[key] for key in MAIN} == dict.fromkeys(MAIN, 0.0)
    assert scores["rmse_m"] is None
    assert scores["issues"] == ["The proposal: holds no lines; all scores are 0"]


def test_evaluate_finds_a_slightly_shifted_town_and_reports_its_offset() -> None:
    scores = evaluate(town(moved=1.0), town()).to_dict()
    assert scores["relaxed_f1"] == scores["junction_f1"] == 1.0
    assert scores["rmse_m"] == pytest.approx(1.0, abs=0.01)
    assert 0.97 < scores["apls"] < 1
    # Streets of 7 m moved by 1 m share 6 of 8 m.
    assert scores["iou"] == pytest.approx(6 / 8, abs=0.02)


def test_evaluate_measures_layers_of_different_crs_in_metres() -> None:
    one = evaluate(town(moved=1.0).to_crs(3857), town().to_crs(4326)).to_dict()
    two = evaluate(town(moved=1.0), town()).to_dict()
    assert one["truth_m"] == pytest.approx(8 * 300, rel=1e-3)
    for key in MAIN:
        assert one[key] == pytest.approx(two[key], abs=5e-3)


def test_evaluate_ignores_the_order_of_lines() -> None:
    one = evaluate(town(moved=2.0), town())
    two = evaluate(town(moved=2.0).iloc[::-1], town().sample(frac=1, random_state=3))
    assert one.to_dict() == two.to_dict()


def test_evaluate_clips_both_layers_to_an_area_in_any_crs(tmp_path: Path) -> None:
    area = shapely.box(EAST - 50, NORTH - 50, EAST + 150, NORTH + 150)
    geopandas.GeoSeries([area], crs=UTM).to_crs(4326).to_file(tmp_path / "area.geojson")
    far = table([(EAST + 250, NORTH), (EAST + 290, NORTH + 55)])
    proposal = geopandas.GeoDataFrame(geometry=[*town().geometry, *far.geometry], crs=UTM)
    for aoi in (area, tmp_path / "area.geojson"):
        found = evaluate(proposal, town(), aoi=aoi)
        scores = found.to_dict()
        assert {key: scores[key] for key in MAIN} == dict.fromkeys(MAIN, 1.0)
        assert scores["truth_m"] == pytest.approx(4 * 150, abs=0.1)
        assert found.area is not None


def test_evaluate_uses_confidence_for_the_break_even() -> None:
    false = [(EAST, NORTH + 2000), (EAST + 600, NORTH + 2000)]
    truth = table([(EAST, NORTH), (EAST + 400, NORTH)])
    half = [(EAST, NORTH), (EAST + 200, NORTH)]
    rest = [(EAST + 200, NORTH), (EAST + 400, NORTH)]
    proposal = table(half, rest, false, confidence=[0.9, 0.2, 0.5])
    # The confident half is all correct; the false line lowers precision to 1 / 4.
    assert evaluate(proposal, truth).to_dict()["break_even"] == pytest.approx(203 / 400)
    assert evaluate(proposal.drop(columns="confidence"), truth).to_dict()["break_even"] is None
    words = proposal.assign(confidence=["high", "low", "?"])
    assert evaluate(words, truth).to_dict()["break_even"] is None


def test_evaluate_accepts_a_network_in_memory() -> None:
    edges = np.array([LineString([(EAST, NORTH), (EAST + 300, NORTH)])], object)
    network = dataclasses.replace(
        RoadNetwork.empty(CRS.from_user_input(UTM)),
        edges=edges,
        start=np.array([0]),
        end=np.array([1]),
        width_m=np.array([7.0]),
        width_p10_m=np.array([np.nan]),
        width_p90_m=np.array([np.nan]),
        bridged=np.array([False]),
        source=np.array([""], object),
        source_date=np.array([""], object),
        confidence=np.array([0.8]),
        confidence_min=np.array([0.7]),
        nodes=np.array([[EAST, NORTH], [EAST + 300, NORTH]]),
    )
    scores = evaluate(network, network).to_dict()
    assert scores["relaxed_f1"] == scores["apls"] == scores["break_even"] == 1.0
    # One straight road has no junction.
    assert scores["junction_f1"] is None


def test_evaluate_pieces_are_in_the_metric_crs_and_add_up() -> None:
    cut = town().iloc[1:]
    found = evaluate(cut.to_crs(4326), town())
    lengths = found.errors.truth.length_by_kind()
    assert found.crs == CRS.from_user_input(UTM)
    assert sum(lengths.values()) == pytest.approx(found.buffer.truth_m, abs=1e-6)
    # The four crossing streets cover 3 m each of the missing street.
    assert lengths["missed"] == pytest.approx(300 - 6 * 3, abs=0.01)


def test_evaluate_weights_apls_by_travel_time_with_speeds() -> None:
    truth = town().assign(kmh=50.0)
    by_time = evaluate(truth.assign(kmh=25.0), truth, options=EvaluateOptions(speed_field="kmh"))
    scores = by_time.to_dict()
    assert scores["apls"] == 1.0
    assert 0.0 <= scores["apls_time"] < 0.7
    same = evaluate(truth, truth, options=EvaluateOptions(speed_field="kmh")).to_dict()
    assert same["apls_time"] == 1.0


def test_evaluate_fills_unknown_speeds_by_the_median_and_reports_a_missing_field(
    caplog: pytest.LogCaptureFixture,
) -> None:
    options = EvaluateOptions(speed_field="kmh")
    truth = town().assign(kmh=50.0)
    some = truth.assign(kmh=[None, "50", "?", *["50"] * 5])
    with caplog.at_level(logging.WARNING):
        assert evaluate(some, truth, options=options).to_dict()["apls_time"] == 1.0
    assert "25 % of the length has no speed" in caplog.text
    with pytest.raises(InputError, match=r"The proposal: has no field 'kmh'.*it has: none"):
        evaluate(town(), truth, options=options)
    with pytest.raises(InputError, match="no number above 0"):
        evaluate(town().assign(kmh="fast"), truth, options=options)


def test_evaluate_rejects_a_truth_without_lines() -> None:
    with pytest.raises(InputError, match="The truth: holds no lines"):
        evaluate(town(), table())
    far = shapely.box(EAST + 5000, NORTH, EAST + 6000, NORTH + 100)
    with pytest.raises(InputError, match="none of its 8 lines lies inside the area"):
        evaluate(town(), town(), aoi=far)


def test_evaluate_rejects_layers_far_apart_and_scores_near_ones_zero() -> None:
    with pytest.raises(InputError, match=r"lies 49 km from The truth"):
        evaluate(town(moved=35_000.0), town())
    near = evaluate(town(moved=1_000.0), town()).to_dict()
    assert near["relaxed_f1"] == near["apls"] == near["iou"] == near["junction_f1"] == 0.0
    assert near["issues"][0].startswith("100% of the truth's length lies outside the extent")


def test_evaluate_scores_a_proposal_outside_the_area_zero() -> None:
    area = shapely.box(EAST - 10, NORTH - 10, EAST + 310, NORTH + 310)
    scores = evaluate(town(moved=1_000.0), town(), aoi=area).to_dict()
    assert scores["relaxed_precision"] == scores["topo_f1"] == 0.0
    assert "no line lies inside the area" in scores["issues"][0]


def test_evaluate_rejects_an_area_of_lines_and_roads_of_polygons() -> None:
    with pytest.raises(InputError, match="expected polygons"):
        evaluate(town(), town(), aoi=town())
    squares = geopandas.GeoDataFrame(geometry=[shapely.box(0, 0, 1, 1)], crs=UTM)
    with pytest.raises(InputError, match="no lines"):
        evaluate(squares, town())
    with pytest.raises(InputError, match="The proposal is a int"):
        evaluate(7, town())  # type: ignore[arg-type]


def test_evaluate_ignores_odd_geometries_and_reports_them() -> None:
    odd = town()
    shapes = [
        *odd.geometry,
        odd.geometry[0],
        odd.geometry[1].reverse(),
        LineString([(EAST, NORTH), (EAST, NORTH)]),
        None,
        shapely.force_3d(odd.geometry[2], 5.0),
    ]
    scores = evaluate(geopandas.GeoDataFrame(geometry=shapes, crs=UTM), town()).to_dict()
    assert {key: scores[key] for key in MAIN} == dict.fromkeys(MAIN, 1.0)
    assert scores["redundancy"] == 0.0
    assert any("without a length" in issue for issue in scores["issues"])
    assert any("3 repetitions of lines" in issue for issue in scores["issues"])


def test_evaluate_keeps_roads_across_the_antimeridian_whole() -> None:
    shape = shapely.transform(town().geometry.array, lambda xy: xy - (EAST + 150, NORTH))
    fiji = geopandas.GeoDataFrame(
        geometry=np.asarray(shape), crs="+proj=aeqd +lat_0=-17 +lon_0=180"
    )
    lonlat = fiji.to_crs(4326)
    assert lonlat.total_bounds[2] - lonlat.total_bounds[0] > 350
    scores = evaluate(lonlat, fiji).to_dict()
    for key in MAIN:
        assert scores[key] == pytest.approx(1.0, abs=1e-3)
    assert scores["truth_m"] == pytest.approx(8 * 300, abs=3)


def test_evaluate_accepts_layers_already_read_with_their_names() -> None:
    layer = line_layer(town(), name="osm.gpkg")
    found = evaluate(layer, layer)
    assert (found.proposal_name, found.truth_name) == ("osm.gpkg", "osm.gpkg")


def test_evaluate_progress_rises_and_can_cancel() -> None:
    seen: list[float] = []
    evaluate(town(), town(), progress=lambda share, text: seen.append(share))
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)

    def stop(share: float, text: str) -> None:
        if share > 0.3:
            raise Cancelled(text)

    with pytest.raises(Cancelled):
        evaluate(town(), town(), progress=stop)


@pytest.mark.parametrize(
    "wrong",
    [
        {"buffer_m": 0.0},
        {"gsd_m": -1.0},
        {"width_m": float("nan")},
        {"topo_seeds": 0},
        {"gap_m": -1.0},
        {"seed": -1},
        {"displaced_m": 2.0},
    ],
)
def test_evaluate_options_reject_impossible_values(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="expected"):
        EvaluateOptions(**wrong)  # type: ignore[arg-type]


def test_evaluate_options_displaced_defaults_to_three_buffers() -> None:
    assert EvaluateOptions(buffer_m=2).displacement_m == 6
    assert EvaluateOptions(buffer_m=2, displaced_m=5).displacement_m == 5


@pytest.mark.real_data
def test_evaluate_real_pairs_score_as_published(real_data: Path) -> None:
    folder = real_data / "apls"
    if not folder.is_dir():
        pytest.skip(f"no pairs of networks at {folder}")
    for case, apls in (("test0", 0.631), ("vegas_img99", 0.781), ("vegas_img997", 0.575)):
        truth = folder / f"{case}_gt.geojson"
        scores = evaluate(folder / f"{case}_prop.geojson", truth).to_dict()
        assert scores["apls"] == pytest.approx(apls, abs=0.01)
        same = evaluate(truth, truth).to_dict()
        assert {same[key] for key in MAIN} <= {1.0, None}
