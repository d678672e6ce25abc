"""``roadgis labels`` as a process: vector layers and annotations, exit status, messages."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from affine import Affine
from shapely.geometry import LineString

from tests.factories.rasters import METRIC, X0, Y0, write_raster

RUN = (
    "from roadgis.cli.commands.labels import command\n"
    "from roadgis.cli.shell import run\n"
    "run(command)"
)


def call(*arguments: object, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-c", RUN, *map(str, arguments)],
        text=True, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    return done


@pytest.fixture
def roads(tmp_path: Path) -> Path:
    line = LineString([(X0 - 9, Y0 - 20.5), (X0 + 99, Y0 - 20.5)])
    frame = geopandas.GeoDataFrame({"lanes": [2]}, geometry=[line], crs=METRIC)
    frame.to_file(tmp_path / "roads.geojson")
    return (tmp_path / "roads.geojson").rename(tmp_path / "roads.json")


def scene(path: Path) -> Path:
    return write_raster(path, np.full((3, 40, 50), 9, np.uint8))


def write_annotation(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    things = [
        {"label": "road", "polygon": [[0, 0], [9, 0], [9, 4], [0, 4]], "deleted": 0},
        {"label": "out of roi", "polygon": [[0, 8], [9, 8], [9, 9], [0, 9]]},
        {"label": "road", "polygon": [[0, 8]]},
    ]
    path.write_text(json.dumps({"imgHeight": 10, "imgWidth": 10, "objects": things}))
    return path


def test_labels_of_a_vector_layer_is_a_mask_on_the_grid_of_the_scene(
    tmp_path: Path, roads: Path
) -> None:
    target = tmp_path / "mask.tif"
    done = call(roads, "--like", scene(tmp_path / "scene.tif"), "-o", target, "--width", 8)
    assert done.stdout == ""
    assert "mask.tif: 1 mask from 1 features, 20.0% of the valid pixels are road" in done.stderr
    with rasterio.open(target) as mask:
        assert (mask.read(1).sum(axis=0) == 8).all()


def test_labels_rejects_a_scene_whose_position_is_not_a_number(tmp_path: Path, roads: Path) -> None:
    nowhere = Affine(1, 0, math.nan, 0, -1, Y0)
    path = write_raster(tmp_path / "a.tif", np.ones((1, 8, 8), np.uint8), transform=nowhere)
    target = tmp_path / "mask.tif"
    done = call(roads, "--like", path, "-o", target, "--width", 8, status=1)
    assert "a.tif: has no position (transform (1.0, 0.0, nan," in done.stderr
    assert not target.exists()


def test_labels_of_a_folder_of_scenes_is_a_folder_of_masks(tmp_path: Path, roads: Path) -> None:
    for name in ("a", "b"):
        scene(tmp_path / "scenes" / f"{name}.tif")
    done = call(
        roads, "--like", tmp_path / "scenes", "-o", tmp_path / "masks",
        "--width-field", "lanes*3.5", "--progress", "jsonl",
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[-1]["type"] == "result"
    assert lines[-1]["road_px"] == 2 * 7 * 50
    assert sorted(p.name for p in (tmp_path / "masks").iterdir()) == ["a.tif", "b.tif"]


def test_labels_of_annotations_are_index_masks_with_a_table_of_pixels(tmp_path: Path) -> None:
    source = write_annotation(tmp_path / "gtFine" / "x" / "a_gtFine_polygons.json").parents[1]
    done = call(source, "-o", tmp_path / "out", "--classes", "road", "--ignore", "out of roi")
    rows = [line.split() for line in done.stderr.splitlines()]
    assert ["0", "other", "30", "30.00%"] in rows
    assert ["1", "road", "50", "50.00%"] in rows
    assert ["255", "ignored", "20", "20.00%"] in rows
    assert "out: 1 mask; 1 outlines of fewer than 3 points left out" in done.stderr
    assert (tmp_path / "out" / "x" / "a_mask.png").is_file()
    assert (tmp_path / "out" / "classes.json").is_file()


def test_labels_distinguishes_a_single_annotation_from_a_vector_layer(tmp_path: Path) -> None:
    source = write_annotation(tmp_path / "a_gtFine_polygons.json")
    call(source, "-o", tmp_path / "out", "--classes", "road")
    assert (tmp_path / "out" / "a_mask.png").is_file()


def test_labels_of_bad_data_exits_with_1_and_leaves_nothing(tmp_path: Path, roads: Path) -> None:
    target = tmp_path / "mask.tif"
    done = call(roads, "--like", scene(tmp_path / "scene.tif"), "-o", target, status=1)
    assert done.stderr.startswith("Error: ")
    assert "--width" in done.stderr
    assert "Traceback" not in done.stderr
    source = write_annotation(tmp_path / "in" / "a_polygons.json").parent
    done = call(source, "-o", tmp_path / "out", "--classes", "sidewalk", status=1)
    assert "no outline has the label 'sidewalk'" in done.stderr
    assert not target.exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["roads.json", "-o", "mask.tif"], "needs --like"),
        (["roads.json", "-o", "mask.tif", "--classes", "road"], "takes no --classes"),
        (["in", "-o", "out"], "needs --classes"),
        (["in", "-o", "out", "--classes", "road", "--width", "7"], "takes no --width"),
    ],
)
def test_labels_rejects_options_of_the_other_kind(
    tmp_path: Path, roads: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "in").mkdir()
    paths = [str(tmp_path / a) if a in ("roads.json", "in") else a for a in arguments]
    done = call(*paths, status=2)
    assert message in " ".join(done.stderr.split())
