"""Imagery to road network: complete runs, cut in any way, stopped and resumed."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
import shapely

import roadgis
from roadgis.errors import (
    Cancelled,
    InputError,
    OutputError,
    ResumeError,
    SceneError,
    TileError,
)
from roadgis.network.network import RoadNetwork
from roadgis.options.extraction import ExtractOptions
from roadgis.options.imagery import SceneOptions
from roadgis.options.prediction import PredictOptions
from roadgis.pipeline import extract_roads, predict_to_file
from roadgis.probability.mosaic import Mosaic
from roadgis.probability.source import NO_DATA
from roadgis.raster_pipeline import vectorize_file
from tests.factories.models import MAGENTA, failing_model, tiny_model
from tests.factories.rasters import X0, Y0, cut_into_sheets, write_raster
from tests.factories.roads import NET, assert_networks_equal, painted, write_net

CHUNK = 64


def cut(block_px: int = 128, tile_px: int | None = None, workers: int = 1) -> PredictOptions:
    return PredictOptions(block_px=block_px, tile_px=tile_px, workers=workers, chunk_px=CHUNK)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_net(tmp_path_factory.mktemp("scene") / "net.tif", seed=5)


def test_extract_finds_the_painted_roads(tmp_path: Path, model: Path) -> None:
    path = write_net(tmp_path / "net.tif")
    network = extract_roads(path, model=model)
    assert network.crs.to_epsg() == 32632
    # The slanting road and the lane, at 32 degrees, share a surface from
    # about 25 m before the crossing of their centrelines.
    junctions = network.nodes[network.degree >= 3] - [X0, Y0]
    expected = {(200, -120): 1, (420, -120): 1, (200, -381.5): 1, (200, -470): 1, (56, -470): 15}
    assert len(junctions) == len(expected)
    for place, tolerance_m in expected.items():
        assert np.hypot(*(junctions - place).T).min() < tolerance_m
    lines = shapely.union_all(network.edges)
    truth = shapely.union_all(
        [shapely.LineString([(X0 + a, Y0 - b), (X0 + c, Y0 - d)]) for a, b, c, d, _ in NET]
    )
    elsewhere = shapely.box(X0, Y0 - 500, X0 + 600, Y0) - shapely.Point(X0 + 56, Y0 - 470).buffer(
        40
    )
    assert shapely.difference(lines & elsewhere, truth.buffer(1.2)).length == 0
    assert shapely.difference(truth & elsewhere, lines.buffer(1.2)).length < 1
    # Roads that leave the scene end at its edge.
    bounds = shapely.total_bounds(network.edges)
    np.testing.assert_allclose(bounds, [X0, Y0 - 500, X0 + 600, Y0], atol=0.6)
    # Widths of the roads without oblique crossings: 8, 6 and 7 m.
    wide = network.to_geodataframe().to_crs(32632)
    dead_end = wide[wide.intersects(shapely.Point(X0 + 420, Y0 - 60).buffer(3))]
    assert dead_end.width_m.tolist() == pytest.approx([6.0], abs=0.6)
    assert (network.confidence > 0.8).all()


@pytest.mark.parametrize(
    "options",
    [cut(64), cut(192, 24), cut(256, 100, 3), cut(640, 128, 2), cut(64, 12), cut(320, None, 4)],
    ids=repr,
)
def test_extract_does_not_depend_on_tiles_blocks_and_workers(
    model: Path, scene: Path, options: PredictOptions
) -> None:
    whole = extract_roads(scene, model=model, options=ExtractOptions(predict=cut(1024)))
    assert len(whole) > 8
    assert_networks_equal(
        whole, extract_roads(scene, model=model, options=ExtractOptions(predict=options))
    )


def test_extract_of_sheets_equals_the_uncut_scene(tmp_path: Path, model: Path, scene: Path) -> None:
    sheets = cut_into_sheets(scene, tmp_path / "sheets", [130, 333], [97, 300, 470])
    whole = extract_roads(scene, model=model, options=ExtractOptions(predict=cut()))
    assert_networks_equal(
        whole,
        extract_roads(sheets, model=model, options=ExtractOptions(predict=cut(192))),
        without=("source",),
    )


def test_extract_of_resampled_sheets_equals_the_uncut_scene(tmp_path: Path, model: Path) -> None:
    # Rotated pixels of 0.7 m: all sheets are warped.
    rotated = rasterio.Affine.translation(X0, Y0) @ rasterio.Affine.rotation(13)
    whole = write_raster(
        tmp_path / "whole.tif",
        painted((400, 500), [(20, 200, 480, 200, 14), (250, 20, 250, 380, 12)]),
        transform=rotated @ rasterio.Affine.scale(0.7, -0.7),
    )
    sheets = cut_into_sheets(whole, tmp_path / "sheets", [151], [202, 333])
    expected = extract_roads(whole, model=model, options=ExtractOptions(predict=cut()))
    assert (expected.degree == 4).sum() == 1
    assert_networks_equal(
        expected,
        extract_roads(sheets, model=model, options=ExtractOptions(predict=cut(192))),
        without=("source",),
    )


def test_predict_of_an_area_equals_the_whole(tmp_path: Path, model: Path, scene: Path) -> None:
    predict_to_file(scene, tmp_path / "whole.tif", model=model)
    box = shapely.box(X0 + 150, Y0 - 400, X0 + 450, Y0 - 100)
    part = ExtractOptions(scene=SceneOptions(aoi=box))
    predict_to_file(scene, tmp_path / "part.tif", model=model, options=part)
    with rasterio.open(tmp_path / "whole.tif") as a, rasterio.open(tmp_path / "part.tif") as b:
        inside = rasterio.windows.from_bounds(*box.bounds, a.transform)
        there = rasterio.windows.from_bounds(*box.bounds, b.transform)
        np.testing.assert_array_equal(a.read(1, window=inside), b.read(1, window=there))
        assert (b.read(1) != NO_DATA).sum() == 300 * 300


def test_extract_ends_roads_at_the_area_of_interest(
    tmp_path: Path, model: Path, scene: Path
) -> None:
    box = shapely.box(X0 + 150, Y0 - 400, X0 + 450, Y0 - 100)
    area = geopandas.GeoSeries([box], crs=32632).to_crs(4326)
    area.to_file(tmp_path / "area.geojson")
    options = ExtractOptions(scene=SceneOptions(aoi=tmp_path / "area.geojson"), predict=cut())
    network = extract_roads(scene, model=model, options=options)
    assert shapely.difference(shapely.union_all(network.edges), box.buffer(0.8)).is_empty
    # The cross road at y = 120 runs across the area; short stubs at its border are kept.
    assert len(network) == 9
    bounds = shapely.total_bounds(network.edges)
    assert bounds[0] == pytest.approx(X0 + 150, abs=1)
    assert bounds[2] == pytest.approx(X0 + 450, abs=1)


def test_extract_draws_no_road_over_nodata(tmp_path: Path, model: Path) -> None:
    image = painted((500, 600), NET)
    image[:, 60:140, 250:400] = 0
    path = write_raster(tmp_path / "hole.tif", image, nodata=0)
    network = extract_roads(path, model=model)
    hole = shapely.box(X0 + 250, Y0 - 140, X0 + 400, Y0 - 60)
    assert shapely.intersection(shapely.union_all(network.edges), hole.buffer(-1)).length == 0


def test_vectorize_of_the_probability_equals_extract(
    tmp_path: Path, model: Path, scene: Path
) -> None:
    raster = tmp_path / "prob.tif"
    network = extract_roads(scene, tmp_path / "roads.gpkg", model=model, probability=raster)
    assert_networks_equal(network, vectorize_file(raster), without=("source",))
    with rasterio.open(raster) as dataset:
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        made_by = json.loads(dataset.tags()["ROADGIS_PROVENANCE"])
    assert made_by["model"]["name"] == "tiny"
    assert made_by["inputs"] == [str(scene)]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["prob.tif", "roads.gpkg"]


@pytest.mark.parametrize("kind", ["float", "mask", "bytes", "mask255"])
def test_vectorize_accepts_rasters_of_other_programs(tmp_path: Path, kind: str) -> None:
    road = painted((200, 300), [(0, 100, 300, 100, 8)])[1] == 120
    values: Any = {
        "float": road.astype(np.float32) * np.float32(0.9),
        "mask": road.astype(np.uint8),
        "bytes": (road * 230).astype(np.uint8),
        "mask255": (road * 255).astype(np.uint8),
    }[kind]
    path = write_raster(tmp_path / "p.tif", values[None])
    network = vectorize_file(path)
    assert len(network) == 1
    assert network.length_m.sum() == pytest.approx(300, abs=2)
    assert network.width_m[0] == pytest.approx(8, abs=0.3)
    expected = {"float": 0.9, "bytes": 230 / 255}.get(kind, 1.0)
    assert network.confidence[0] == pytest.approx(expected, abs=0.003)


def test_vectorize_honours_nodata_and_other_crs(tmp_path: Path) -> None:
    road = painted((200, 300), [(0, 100, 300, 100, 8)])[1] == 120
    values = road.astype(np.float32)
    values[:, 200:] = -1
    path = write_raster(
        tmp_path / "p.tif", values[None], crs="EPSG:4326", nodata=-1,
        transform=rasterio.Affine(1e-5, 0, 9.0, 0, -1e-5, 0.0),
    )  # fmt: skip
    network = vectorize_file(path)
    assert network.crs.to_epsg() == 4326
    # 200 px of 1e-5 degrees at the equator.
    assert network.length_m.sum() == pytest.approx(200 * 1.1132, abs=4)


def test_vectorize_rejects_logits_and_pictures(tmp_path: Path) -> None:
    logits = write_raster(tmp_path / "l.tif", np.full((1, 50, 50), 7.5, np.float32))
    with pytest.raises(SceneError, match=r"from 7\.5 to 7\.5, expected probabilities"):
        vectorize_file(logits)
    with pytest.raises(SceneError, match="found 3 bands, expected one"):
        vectorize_file(write_net(tmp_path / "rgb.tif"))


def test_extract_writes_its_provenance(tmp_path: Path, model: Path, scene: Path) -> None:
    output = tmp_path / "roads.geojson"
    options = ExtractOptions(threshold=0.6, predict=cut())
    extract_roads(scene, output, model=model, options=options)
    made_by = json.loads(output.read_text())["roadgis"]
    assert made_by["roadgis"] == roadgis.__version__
    assert made_by["threshold"] == 0.6
    assert made_by["inputs"] == [str(scene)]
    assert len(made_by["model"]["sha256"]) == 64
    assert made_by["settings"]["clean"]["min_component_m"] > 0


def test_extract_that_was_cancelled_leaves_no_output_and_resumes(
    tmp_path: Path, model: Path, scene: Path
) -> None:
    output = tmp_path / "roads.gpkg"
    work = tmp_path / "roads.gpkg.roadgis-work"
    options = ExtractOptions(predict=cut(64))
    seen: list[float] = []

    def stop_half_way(fraction: float, message: str) -> None:
        seen.append(fraction)
        if fraction > 0.4:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        extract_roads(scene, output, model=model, options=options, progress=stop_half_way)
    assert not output.exists()
    done = {p: p.stat().st_mtime_ns for p in work.rglob("*.tif")}
    assert 20 < len(done) < 60
    assert seen == sorted(seen)

    again: list[float] = []
    network = extract_roads(
        scene, output, model=model, options=options, progress=lambda f, _: again.append(f)
    )
    assert again[0] > 0.3  # the first report already counts the finished blocks
    assert_networks_equal(network, extract_roads(scene, model=model, options=options))
    assert not work.exists()
    assert output.exists()


def test_extract_resumes_without_repeating_finished_blocks(
    tmp_path: Path, model: Path, scene: Path
) -> None:
    options = ExtractOptions(predict=cut(64), work_dir=tmp_path / "work", keep_work=True)
    extract_roads(scene, model=model, options=options)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "work").rglob("*.tif")}
    extract_roads(scene, model=model, options=options)
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "work").rglob("*.tif")}


def test_work_directory_of_other_settings_is_rejected_without_restart(
    tmp_path: Path, model: Path, scene: Path
) -> None:
    work = tmp_path / "work"
    options = ExtractOptions(predict=cut(64), work_dir=work, keep_work=True)
    extract_roads(scene, model=model, options=options)
    other = tiny_model(tmp_path / "other.onnx", stride=8)
    with pytest.raises(ResumeError, match=r"model: .*--restart"):
        extract_roads(scene, model=other, options=options)
    restarted = ExtractOptions(predict=cut(64), work_dir=work, restart=True)
    extract_roads(scene, model=other, options=restarted)
    assert not work.exists()


def test_work_directory_never_replaces_a_folder_with_other_files(
    tmp_path: Path, model: Path, scene: Path
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="not a roadgis work directory"):
        extract_roads(
            scene, model=model, options=ExtractOptions(work_dir=mine, restart=True, predict=cut())
        )
    assert (mine / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("kind", ["error", "nan"])
def test_extract_names_a_failing_tile(tmp_path: Path, kind: Any) -> None:
    image = painted((300, 300), [(0, 100, 300, 100, 8)])
    image[:, 200, 210] = MAGENTA
    path = write_raster(tmp_path / "scene.tif", image)
    output = tmp_path / "roads.geojson"
    options = ExtractOptions(predict=cut(64))
    with pytest.raises(TileError, match=r"tile at row \d+, column \d+ .*500\d\d\d\.\d"):
        extract_roads(path, output, model=failing_model(tmp_path / "m.onnx", kind), options=options)
    assert not output.exists()
    work = Mosaic.open(tmp_path / "roads.geojson.roadgis-work")
    assert not work.is_done(work.grid.window)


def test_extract_of_an_empty_scene_writes_an_empty_file_with_a_warning(
    tmp_path: Path, model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blank = write_raster(tmp_path / "blank.tif", np.zeros((3, 200, 200), np.uint8), nodata=0)
    green = write_raster(tmp_path / "green.tif", painted((200, 200), []))
    for path in (blank, green):
        output = tmp_path / f"{path.stem}.geojson"
        extract_roads(path, output, model=model)
        assert json.loads(output.read_text())["features"] == []
        assert "no road was found" in caplog.text
        caplog.clear()


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"threshold": 1.2}, r"threshold is 1\.2, expected"),
        ({"threshold": 0.0}, r"threshold is 0\.0, expected"),
        ({"threshold": float("nan")}, "threshold is nan, expected"),
    ],
)
def test_extract_options_reject_values_out_of_range(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ExtractOptions(**keywords)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tile_px": 30}, "multiple of 4"),
        ({"tile_px": 8}, "at least 12"),
        ({"block_px": 100}, "multiple of 64"),
        ({"workers": 0}, "expected 1 or more"),
    ],
)
def test_extract_rejects_tiles_that_do_not_fit_the_model(
    model: Path, scene: Path, options: dict[str, int], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        predict = PredictOptions(**{"chunk_px": CHUNK, "block_px": 128, **options})
        extract_roads(scene, model=model, options=ExtractOptions(predict=predict))


def test_extract_keeps_existing_outputs_without_running(
    tmp_path: Path, model: Path, scene: Path
) -> None:
    output, raster = tmp_path / "roads.geojson", tmp_path / "prob.tif"
    output.write_text("mine")
    with pytest.raises(OutputError, match="overwrite"):
        extract_roads(scene, output, model=model)
    output.rename(tmp_path / "other.txt")
    raster.write_text("mine")
    with pytest.raises(OutputError, match="overwrite"):
        extract_roads(scene, output, model=model, probability=raster)
    assert raster.read_text() == "mine"
    extract_roads(scene, output, model=model, probability=raster, overwrite=True)
    assert raster.stat().st_size > 1000


def test_extract_in_threads_may_share_a_model(model: Path, scene: Path) -> None:
    segmenter = roadgis.load_model(model)
    options = ExtractOptions(predict=cut())
    results: list[RoadNetwork] = []
    threads = [
        threading.Thread(
            target=lambda: results.append(extract_roads(scene, model=segmenter, options=options))
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    assert_networks_equal(results[0], results[1])
    assert_networks_equal(results[0], results[2])


def test_vectorize_file_warns_once_about_separate_areas(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mask = np.zeros((1, 60, 80), np.uint8)
    mask[0, 26:34] = 1
    paths = [write_raster(tmp_path / f"{x}.tif", mask, x0=X0 + x, y0=Y0) for x in (0, 3000)]
    network = vectorize_file(paths)
    assert len(network.edges) == 2
    assert caplog.text.count("2 separate areas, up to 2.9 km apart") == 1
