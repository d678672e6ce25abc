"""Estimated duration of a run."""

from __future__ import annotations

from pathlib import Path

from roadgis.estimate import estimated_seconds
from roadgis.model.runtime import load_model
from roadgis.options.imagery import SceneOptions
from roadgis.probability.prediction import open_for_model
from tests.factories.rasters import texture, write_raster


def test_estimated_seconds_count_start_and_each_megapixel(tmp_path: Path) -> None:
    segmenter = load_model(None)
    found = []
    for side in (64, 2000):
        path = write_raster(tmp_path / f"{side}.tif", texture(side, side), pixel=1.0)
        with open_for_model(path, segmenter.card, SceneOptions()) as scene:
            found.append((estimated_seconds(scene, segmenter), scene.size.pixels / 1e6))
    (small, _), (large, mpx) = found
    assert small > 2.0
    assert large > 2.0 + 0.35 * mpx
