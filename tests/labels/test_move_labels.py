"""The example program that shifts labels to the road predicted by a model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio

from tests.factories.models import GROUND, ROAD, tiny_model
from tests.factories.rasters import write_raster

pytest.importorskip("cv2", reason="needs the train extra")

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "move_labels.py"
SIDE = 160
# Rows of the visible road.
ROWS = slice(76, 84)


# By scene: rows as drawn, and as expected.
CASES = {
    "a": (slice(78, 86), ROWS),
    "b": (slice(73, 81), slice(75, 83)),  # a fifth of the 3 px remains, as offsets are averaged
    "c": (ROWS, ROWS),
    "d": (slice(90, 98), slice(90, 98)),  # too far away for the same road
}


def test_move_labels_shifts_labels_to_the_predicted_road(tmp_path: Path) -> None:
    pixels = np.full((SIDE, SIDE, 3), GROUND, np.uint8)
    pixels[ROWS] = ROAD
    for name, (drawn, _) in CASES.items():
        label = np.zeros((1, SIDE, SIDE), np.uint8)
        label[0, drawn] = 1
        write_raster(tmp_path / "data" / "images" / f"{name}.tif", np.moveaxis(pixels, -1, 0))
        write_raster(tmp_path / "data" / "masks" / f"{name}.tif", label)
    model = tiny_model(tmp_path / "m.onnx")
    subprocess.run(
        [sys.executable, SCRIPT, tmp_path / "data", tmp_path / "moved", "--model", model],
        check=True, capture_output=True,
    )  # fmt: skip
    for name, (_, expected) in CASES.items():
        with rasterio.open(tmp_path / "moved" / "masks" / f"{name}.tif") as mask:
            # Away from the border, where fewer offsets are averaged.
            moved = mask.read(1)[:, 40:-40]
            assert mask.transform.c == 500_000.0
        rows = np.flatnonzero(moved.all(axis=1))
        assert list(rows) == list(range(expected.start, expected.stop)), name
        assert (moved.any(axis=1) == moved.all(axis=1)).all()
        assert (tmp_path / "moved" / "images" / f"{name}.tif").is_file()
