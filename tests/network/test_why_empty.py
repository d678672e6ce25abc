"""Empty networks have a reason and a suggestion."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner
from shapely import LineString

from roadgis.cli import cli
from roadgis.network.from_lines.clean_lines import clean_lines
from roadgis.options.vectorization import VectorizeOptions
from roadgis.probability.source import NO_DATA
from roadgis.raster_pipeline import vectorize
from roadgis.why_empty import WhyEmpty
from tests.factories.rasters import write_raster
from tests.factories.roads import ArraySource, road

SHAPE = (200, 300)
ROAD = road(SHAPE, (20, 100, 280, 100, 7))


def why(array: npt.NDArray[Any], options: VectorizeOptions | None = None) -> WhyEmpty:
    network = vectorize(ArraySource(array.astype(np.uint8)), options)
    assert len(network) == 0
    assert network.why_empty is not None
    return network.why_empty


def test_why_empty_names_the_highest_probability_and_a_threshold_that_finds_the_road() -> None:
    array = ROAD // 3
    reason = why(array)
    assert reason.raster is not None
    assert reason.raster.highest == pytest.approx(84 / 254)
    assert reason.advice == ("--threshold 0.31",)
    assert "the highest probability is 0.33, the threshold 0.50" in reason.text
    assert len(vectorize(ArraySource(array), VectorizeOptions(threshold=0.31))) == 1


def test_why_empty_names_the_share_of_nodata() -> None:
    array = np.zeros(SHAPE, np.uint8)
    array[:50] = NO_DATA
    reason = why(array)
    assert reason.raster is not None
    assert reason.raster.nodata_share == 0.25
    assert reason.text.startswith("25.0% of the raster is nodata")
    assert reason.advice == ()
    assert why(np.full(SHAPE, NO_DATA)).text.startswith("The whole raster is nodata.")


def test_why_empty_names_the_length_that_each_step_removed() -> None:
    reason = why(road(SHAPE, (100, 100, 145, 100, 7)))
    assert [(step.what, step.advice) for step in reason.removed] == [
        ("pieces shorter than 60 m", "--min-component 0")
    ]
    assert reason.removed[0].metres == pytest.approx(reason.lines_m)
    assert reason.advice == ("--min-component 0",)


def test_why_empty_names_areas_that_are_too_wide() -> None:
    reason = why(road(SHAPE, (80, 100, 220, 100, 140)))
    assert reason.raster is not None
    assert reason.raster.road_m2 == pytest.approx(140 * 140, rel=0.02)
    assert reason.raster.wide_m2 > 0.95 * reason.raster.road_m2
    assert reason.advice[0] == "a larger --max-road-width"


def test_why_empty_names_lines_along_nodata() -> None:
    array = ROAD.copy()
    array[106:] = NO_DATA
    reason = why(array)
    assert [step.what for step in reason.removed] == ["along nodata"]
    assert reason.removed[0].metres == pytest.approx(254, abs=8)
    assert reason.advice == ("another --nodata, if data are read as nodata",)


def test_why_empty_does_not_depend_on_blocks() -> None:
    array = ROAD // 3
    array[:, :77] = NO_DATA
    found = [vectorize(ArraySource(array), block_px=px).why_empty for px in (61, 4096)]
    assert found[0] == found[1]


def test_why_empty_is_empty_for_a_network_with_roads() -> None:
    assert vectorize(ArraySource(ROAD)).why_empty is None


def test_clean_lines_names_the_step_that_removed_all_lines(tmp_path: Path) -> None:
    lines = [LineString([(500000, 5400000), (500040, 5400000)])]
    geopandas.GeoDataFrame(geometry=lines, crs=25832).to_file(tmp_path / "l.gpkg")
    reason = clean_lines(tmp_path / "l.gpkg").why_empty
    assert reason is not None
    assert reason.lines_m == pytest.approx(40)
    assert reason.text == (
        "40 m of lines; removed: 40 m as pieces shorter than 60 m. What may help: "
        "--min-component 0."
    )


@pytest.mark.parametrize("quiet", [False, True])
def test_vectorize_prints_the_reason_unless_quiet(tmp_path: Path, quiet: bool) -> None:
    path = write_raster(tmp_path / "m.tif", np.zeros((1, 50, 50), np.uint8))
    arguments = ["vectorize", str(path), "-o", str(tmp_path / "o.gpkg")]
    done = CliRunner().invoke(cli, [*arguments, *(["-q"] if quiet else [])])
    assert done.exit_code == 0, done.output
    said = "Warning: no road was found; the output is empty. 0.0% of the raster is nodata; no "
    assert (said in done.output) != quiet


def test_jsonl_result_has_the_reason(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "m.tif", np.zeros((1, 50, 50), np.uint8))
    command = [sys.executable, "-m", "roadgis", "vectorize", path, "-o", tmp_path / "o.gpkg"]
    done = subprocess.run([*command, "--progress", "jsonl"], capture_output=True, check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["edges"] == 0
    assert result["why_empty"]["raster"]["highest"] == 0
    assert result["why_empty"]["text"].endswith("No line was traced.")
