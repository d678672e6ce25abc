"""The example program that selects the scenes with the lowest scores."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from roadgis.cli.commands.test import command as scoring_command
from roadgis.train.data.pairs import find_pairs
from tests.factories.models import GROUND, ROAD, tiny_model
from tests.factories.rasters import write_raster

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "hard_tiles.py"
SIDE = 96
# The road of each scene in the image; all labels are rows 40 to 48.
SHOWN = {
    "a": slice(40, 48),
    "b": slice(42, 50),
    "c": slice(46, 54),
    "d": slice(40, 48),
    "e": slice(70, 78),
}


def write_scene(folder: Path, name: str, rows: slice, label_rows: slice) -> None:
    pixels = np.full((SIDE, SIDE, 3), GROUND, np.uint8)
    pixels[rows] = ROAD
    label = np.zeros((1, SIDE, SIDE), np.uint8)
    label[0, label_rows] = 1
    write_raster(folder / "images" / f"{name}.tif", np.moveaxis(pixels, -1, 0))
    write_raster(folder / "masks" / f"{name}.tif", label)


def test_hard_tiles_links_the_worse_half(tmp_path: Path) -> None:
    for name, rows in SHOWN.items():
        write_scene(tmp_path / "data", name, rows, slice(40, 48))
    # Without a labelled road its IoU is 0, which is meaningless.
    write_scene(tmp_path / "data", "none", slice(40, 48), slice(0, 0))
    scores = tmp_path / "scores.json"
    model = tiny_model(tmp_path / "m.onnx", threshold=0.5)
    done = CliRunner().invoke(
        scoring_command, [str(model), "--data", str(tmp_path / "data"), "--json", str(scores)]
    )
    assert done.exit_code == 0, done.output
    arguments = [sys.executable, SCRIPT, tmp_path / "data", tmp_path / "hard", "--scores", scores]
    said = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout
    assert said == "2 of 6 scenes\n"
    chosen = {pair.name: pair for pair in find_pairs(tmp_path / "hard")}
    # IoU of 8 rows moved by 0, 2, 6, 0 and 30: the median is that of 2.
    assert sorted(chosen) == ["c", "e"]
    for name, pair in chosen.items():
        assert pair.image.resolve() == tmp_path / "data" / "images" / f"{name}.tif"
        assert pair.mask.resolve() == tmp_path / "data" / "masks" / f"{name}.tif"

    again = subprocess.run(arguments, check=False, capture_output=True, text=True)
    assert again.returncode == 2
    assert "hard exists; choose another name" in again.stderr

    write_scene(tmp_path / "other", "a", slice(40, 48), slice(40, 48))
    arguments[2:4] = [tmp_path / "other", tmp_path / "hard2"]
    refused = subprocess.run(arguments, check=False, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "has no c; expected the scores of this folder" in refused.stderr
