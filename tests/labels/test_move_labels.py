"""The example program that moves labels to where a model sees the road."""

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
# Rows of the road that the image shows, eight of them.
ROWS = slice(76, 84)


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        (slice(78, 86), ROWS),
        (slice(73, 81), slice(75, 83)),  # of 3 px a fifth stays: the average has its doubts
        (ROWS, ROWS),
        (slice(90, 98), slice(90, 98)),  # too far off to be the same road
    ],
)
def test_move_labels_shifts_labels_to_the_predicted_road(
    tmp_path: Path, drawn: slice, expected: slice
) -> None:
    pixels = np.full((SIDE, SIDE, 3), GROUND, np.uint8)
    pixels[ROWS] = ROAD
    label = np.zeros((1, SIDE, SIDE), np.uint8)
    label[0, drawn] = 1
    write_raster(tmp_path / "data" / "images" / "a.tif", np.moveaxis(pixels, -1, 0))
    write_raster(tmp_path / "data" / "masks" / "a.tif", label)
    model = tiny_model(tmp_path / "m.onnx")
    subprocess.run(
        [sys.executable, SCRIPT, tmp_path / "data", tmp_path / "moved", "--model", model],
        check=True, capture_output=True,
    )  # fmt: skip
    with rasterio.open(tmp_path / "moved" / "masks" / "a.tif") as mask:
        moved = mask.read(1)
        assert mask.transform.c == 500_000.0
    # Away from the rim, where the average has less to go by.
    rows = np.flatnonzero(moved[:, 40:-40].all(axis=1))
    assert list(rows) == list(range(expected.start, expected.stop))
    assert (moved[:, 40:-40].any(axis=1) == moved[:, 40:-40].all(axis=1)).all()
    assert (tmp_path / "moved" / "images" / "a.tif").is_file()
