"""Outputs cover exactly the imagery, wherever it lies on the lattice of tiles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
import shapely

from roadgis.imagery.grid import Window
from roadgis.imagery.scene import open_scene
from roadgis.options.extraction import ExtractOptions
from roadgis.options.imagery import SceneOptions
from roadgis.options.prediction import PredictOptions
from roadgis.pipeline import extract_roads, predict_to_file
from roadgis.probability.raster import open_probability
from roadgis.probability.source import NO_DATA, CroppedProbability
from roadgis.raster_pipeline import vectorize, vectorize_file
from tests.factories.models import tiny_model
from tests.factories.rasters import X0, Y0, texture, write_raster
from tests.factories.roads import ArraySource, painted, road


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.mark.parametrize(
    ("keywords", "bounds"),
    [
        ({}, (X0, Y0 - 100, X0 + 150, Y0)),
        ({"x0": X0 + 10, "y0": Y0 - 7}, (X0 + 10, Y0 - 107, X0 + 160, Y0 - 7)),
        # 37.5 x 25 m on a lattice of 1 m that starts in the middle of a pixel.
        (
            {"x0": X0 + 0.5, "pixel": 0.25},
            (X0, Y0 - 25, X0 + 38, Y0),
        ),
        # A row or column covered by less than half would be nodata.
        ({"x0": X0 + 0.75, "pixel": 0.25}, (X0 + 1, Y0 - 25, X0 + 38, Y0)),
        ({"pixel": 0.7}, (X0, Y0 - 70, X0 + 105, Y0)),
        ({"pixel": 3.0}, (X0, Y0 - 300, X0 + 450, Y0)),
    ],
)
def test_predict_writes_a_raster_of_the_extent_of_the_imagery(
    tmp_path: Path, model: Path, keywords: dict[str, Any], bounds: tuple[float, ...]
) -> None:
    scene = write_raster(tmp_path / "a.tif", texture(100, 150), **keywords)
    options = ExtractOptions(scene=SceneOptions(force_gsd=True))
    predict_to_file(scene, tmp_path / "p.tif", model=model, options=options)
    with rasterio.open(tmp_path / "p.tif") as raster:
        assert tuple(raster.bounds) == bounds
        # Interpolated pixels at the corners may be covered by less than half.
        assert (raster.read(1) == NO_DATA).sum() <= 4
    extract_roads(scene, model=model, options=options, probability=tmp_path / "q.tif")
    with rasterio.open(tmp_path / "p.tif") as p, rasterio.open(tmp_path / "q.tif") as q:
        assert p.bounds == q.bounds
        np.testing.assert_array_equal(p.read(1), q.read(1))


def test_predict_writes_a_raster_of_the_area_of_interest(tmp_path: Path, model: Path) -> None:
    scene = write_raster(tmp_path / "a.tif", texture(300, 300))
    aoi = tmp_path / "aoi.geojson"
    box = shapely.box(X0 + 100.4, Y0 - 250.6, X0 + 400, Y0 - 39.7)
    geopandas.GeoSeries([box], crs="EPSG:32632").to_crs(4326).to_file(aoi)
    options = ExtractOptions(scene=SceneOptions(aoi=aoi))
    predict_to_file(scene, tmp_path / "p.tif", model=model, options=options)
    with rasterio.open(tmp_path / "p.tif") as raster:
        assert tuple(raster.bounds) == (X0 + 100, Y0 - 251, X0 + 300, Y0 - 40)
        assert (raster.read(1) != NO_DATA).all()


def test_predict_in_small_chunks_writes_the_same_raster(tmp_path: Path, model: Path) -> None:
    scene = write_raster(tmp_path / "a.tif", texture(200, 230), x0=X0 + 10, y0=Y0 - 30)
    written = []
    for name, chunk_px in (("p", 768), ("q", 64)):
        options = ExtractOptions(predict=PredictOptions(block_px=chunk_px, chunk_px=chunk_px))
        predict_to_file(scene, tmp_path / f"{name}.tif", model=model, options=options)
        with rasterio.open(tmp_path / f"{name}.tif") as raster:
            written.append(raster.read(1))
    np.testing.assert_array_equal(*written)


def test_kept_work_directory_shows_the_extent_of_the_imagery(tmp_path: Path, model: Path) -> None:
    scene = write_raster(tmp_path / "a.tif", texture(100, 150), x0=X0 + 10)
    options = ExtractOptions(work_dir=tmp_path / "work", keep_work=True)
    predict_to_file(scene, tmp_path / "p.tif", model=model, options=options)
    with (
        open_probability(tmp_path / "work") as folder,
        open_probability(tmp_path / "p.tif") as raster,
    ):
        assert folder.grid == raster.grid
        window = folder.grid.window.buffered(20)
        np.testing.assert_array_equal(folder.read(window), raster.read(window))


def test_vectorize_finds_a_road_along_the_edge_for_any_origin(tmp_path: Path) -> None:
    for rows in ((0, 7), (3, 10), (393, 400)):
        mask = np.zeros((1, 400, 400), np.uint8)
        mask[:, slice(*rows)] = 1
        lengths = [
            vectorize_file(write_raster(tmp_path / "m.tif", mask, x0=X0 + d, y0=Y0 + d)).length_m
            for d in (0, 10, 32, 63.3)
        ]
        assert [length.round(1).tolist() for length in lengths] == [[400.2]] * 4


@pytest.mark.parametrize("height", [4, 8, 16])
def test_vectorize_finds_the_road_in_a_narrow_strip(tmp_path: Path, height: int) -> None:
    mask = np.zeros((1, height, 400), np.uint8)
    mask[:, height // 4 : height - height // 4] = 1
    for offset in (0.0, 10.0, 50.0):
        path = write_raster(tmp_path / "m.tif", mask, x0=X0 + offset, y0=Y0 - offset)
        assert vectorize_file(path).length_m.round(1).tolist() == [400.2]


@pytest.mark.parametrize("offset", [0, 10, 63])
@pytest.mark.parametrize("height", [16, 24])
def test_extract_finds_the_road_in_a_narrow_image(
    tmp_path: Path, model: Path, height: int, offset: int
) -> None:
    image = painted((height, 400), [(0, 8, 400, 8, 8)])
    scene = write_raster(tmp_path / "a.tif", image, x0=X0 + offset, y0=Y0 - offset)
    assert extract_roads(scene, model=model).length_m.round(1).tolist() == [400.2]


def test_extract_finds_a_road_along_the_edge_for_any_origin(tmp_path: Path, model: Path) -> None:
    image = painted((300, 300), [(0, 4, 300, 4, 8)])
    for offset in (0, 10, 48, 63):
        scene = write_raster(tmp_path / "a.tif", image, x0=X0 + offset, y0=Y0 - offset)
        network = extract_roads(scene, model=model)
        assert network.length_m.round(1).tolist() == [300.1]


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 12])
def test_vectorize_extends_a_road_through_a_sliver_of_nodata_without_a_fork(
    rows: int,
) -> None:
    """Slightly rotated images have such slivers along their edges."""
    array = np.asarray(road((300, 300), (150, -20, 150, 320, 9)), np.uint8)
    array[:rows] = NO_DATA
    network = vectorize(ArraySource(array))
    ends = [shapely.get_coordinates(edge)[[0, -1], 1].tolist() for edge in network.edges]
    assert [sorted(pair) for pair in ends] == [[4_999_700.0, 5_000_000.0 - rows]]


def test_cropped_probability_is_nodata_beyond_the_window() -> None:
    array = np.arange(100, dtype=np.uint8).reshape(10, 10)
    cropped = CroppedProbability(ArraySource(array), Window(2, 3, 4, 5))
    assert cropped.grid.bounds == (500_003.0, 4_999_994.0, 500_008.0, 4_999_998.0)
    np.testing.assert_array_equal(cropped.read(Window(0, 0, 4, 5)), array[2:6, 3:8])
    around = cropped.read(Window(-1, -2, 7, 9))
    np.testing.assert_array_equal(around[1:5, 2:7], array[2:6, 3:8])
    assert (around == NO_DATA).sum() == 7 * 9 - 4 * 5
    assert (cropped.read(Window(50, -70, 3, 3)) == NO_DATA).all()


def test_info_states_the_pixels_of_the_imagery(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", texture(100, 150), x0=X0 + 10)
    with open_scene(path, gsd_m=1.0) as scene:
        grid = scene.describe()["grid"]
    assert (grid["width"], grid["height"]) == (150, 100)
    assert grid["bounds"] == [X0 + 10, Y0 - 100, X0 + 160, Y0]


def test_info_states_bounds_without_the_rounding_errors_of_binary_numbers(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", texture(103, 101), x0=X0 + 0.1, pixel=0.1)
    with open_scene(path, gsd_m=0.1) as scene:
        bounds = scene.describe()["grid"]["bounds"]
    assert bounds == [500_000.1, Y0 - 10.3, 500_010.2, Y0]
