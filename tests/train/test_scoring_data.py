"""Scoring data: imagery with a road layer next to pair folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
from click.testing import CliRunner
from rasterio.errors import NotGeoreferencedWarning

from roadgis.cli.commands.test import command as scoring_command
from roadgis.cli.commands.threshold import command as threshold_command
from roadgis.errors import DataError, InputError
from roadgis.model.catalog import read_card
from roadgis.options.training_data import DataSettings
from roadgis.train.scoring.report import score_model
from tests.factories.models import GROUND, ROAD, tiny_model
from tests.factories.rasters import METRIC, X0, Y0, write_raster
from tests.train.test_threshold import road_scene, write_pairs

SIDE = 128


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Return an image with a road over rows 60 to 68, from side to side."""
    pixels = np.full((SIDE, SIDE, 3), GROUND, np.uint8)
    pixels[60:68] = ROAD
    return write_raster(tmp_path / "scene.tif", np.moveaxis(pixels, -1, 0))


def write_line(path: Path, row: float, crs: str = METRIC, **fields: Any) -> Path:
    """Write a road along a row, from side to side, in another CRS."""
    line = shapely.LineString([(X0 - 20, Y0 - row), (X0 + SIDE + 20, Y0 - row)])
    table = geopandas.GeoDataFrame(fields, index=[0], geometry=[line], crs=METRIC)
    table.to_crs(crs).to_file(path)
    return path


def write_area(path: Path, west: float = 16, east: float = SIDE - 16) -> Path:
    """Write the image without its border, where pixels are invalid."""
    inside = shapely.box(X0 + west, Y0 - SIDE + 16, X0 + east, Y0 - 16)
    geopandas.GeoSeries([inside], crs=METRIC).to_file(path)
    return path


@pytest.mark.parametrize("crs", [METRIC, "EPSG:4326"])
@pytest.mark.parametrize(("row", "iou"), [(64, 1.0), (66, 6 / 10)])
def test_scenes_to_score_opens_imagery_with_a_road_layer(
    tmp_path: Path, image: Path, crs: str, row: float, iou: float
) -> None:
    model = tiny_model(tmp_path / "m.onnx", threshold=0.5)
    roads = write_line(tmp_path / "roads.gpkg", row, crs)
    area = write_area(tmp_path / "area.gpkg")
    data = DataSettings(images=(image,), roads=roads, label_width_m=8, area=area)
    result = score_model(model, data)
    assert result.scores.iou == pytest.approx(iou)
    assert result.scores.relaxed_f1 == 1.0
    assert result.counts.pixels == (SIDE - 32) ** 2
    assert [scene.name for scene in result.scenes] == ["scene"]


def test_scenes_to_score_resamples_to_the_pixel_size_of_the_model(
    tmp_path: Path, image: Path
) -> None:
    model = tiny_model(tmp_path / "m.onnx", gsd_m=2.0)
    roads = write_line(tmp_path / "roads.gpkg", 64)
    # The pixel size of the settings is that of training, not of the model.
    data = DataSettings(images=(image,), roads=roads, label_width_m=8, gsd_m=0.5)
    assert score_model(model, data).counts.pixels == (SIDE // 2) ** 2


@pytest.mark.filterwarnings(
    f"ignore::{NotGeoreferencedWarning.__module__}.{NotGeoreferencedWarning.__name__}"
)
def test_test_command_accepts_a_road_layer_and_pairs(tmp_path: Path, image: Path) -> None:
    model = tiny_model(tmp_path / "m.onnx", threshold=0.5)
    roads = write_line(tmp_path / "roads.gpkg", 64, wide=8.0)
    area = write_area(tmp_path / "area.gpkg", 20, 50)
    pairs = write_pairs(tmp_path / "pairs", road_scene())
    named = [
        str(model), "--data", str(pairs), "--images", str(image), "--labels", str(roads),
        "--label-width-field", "wide", "--area", str(area),
    ]  # fmt: skip
    scores = tmp_path / "s.json"
    done = CliRunner().invoke(scoring_command, [*named, "--json", str(scores)])
    assert done.exit_code == 0, done.output
    values = json.loads(scores.read_text(encoding="utf-8"))
    assert [scene["pixels"] for scene in values["scenes"]] == [70 * 90, 30 * (SIDE - 32)]
    assert values["scenes"][0]["iou"] > 0.95
    assert values["scenes"][1]["iou"] == 1.0
    assert values["data"] == [str(pairs), str(image), str(roads)]

    done = CliRunner().invoke(threshold_command, named)
    assert done.exit_code == 0, done.output
    assert read_card(model).scores["iou"] > 0.95
    assert read_card(model).scores["validation"] == "pairs, scene.tif, roads.gpkg: 2 scenes"


def test_test_command_rejects_imagery_without_roads(tmp_path: Path, image: Path) -> None:
    model = tiny_model(tmp_path / "m.onnx")
    for arguments in (["--images", str(image)], ["--labels", str(image)]):
        done = CliRunner().invoke(scoring_command, [str(model), *arguments])
        assert isinstance(done.exception, DataError)
        assert "expected both --images and --labels" in str(done.exception)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--area", "area.gpkg"], "--area"),
        (["--label-width", "7", "--labels-layer", "roads"], "--labels-layer and --label-width"),
        (["--data", "pairs", "--label-width-field", "wide"], "--label-width-field"),
    ],
)
def test_test_command_rejects_label_options_without_roads(
    tmp_path: Path, arguments: list[str], named: str
) -> None:
    model = tiny_model(tmp_path / "m.onnx")
    before = model.read_bytes()
    for command in (scoring_command, threshold_command):
        done = CliRunner().invoke(command, [str(model), *arguments])
        assert isinstance(done.exception, InputError)
        assert str(done.exception).startswith(f"Found {named} without imagery;")
    assert model.read_bytes() == before
