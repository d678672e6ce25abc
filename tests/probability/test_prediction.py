"""How predicting reads imagery."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from roadgis.imagery.grid import Window
from roadgis.imagery.scene import Scene, open_scene
from roadgis.model.runtime import load_model
from roadgis.options.prediction import PredictOptions
from roadgis.probability.cutting import Cutting
from roadgis.probability.prediction import predict_block
from tests.factories.models import tiny_model
from tests.factories.rasters import texture, write_raster


class WatchedScene:
    """A scene that notes what is read."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.windows: list[Window] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scene, name)

    def read(self, window: Window) -> Any:
        self.windows.append(window)
        return self._scene.read(window)


def test_predict_block_reads_strips_of_768_px_from_the_imagery_top(tmp_path: Path) -> None:
    # There the tiles of most files start: elsewhere, one row of them would be decoded twice.
    path = write_raster(tmp_path / "a.tif", texture(2000, 64))
    model = load_model(tiny_model(tmp_path / "tiny.onnx"))
    with open_scene(path, gsd_m=1.0) as scene:
        watched = WatchedScene(scene)
        cutting = Cutting.of(scene, model.card, PredictOptions(block_px=1536))
        predict_block(cast(Scene, watched), model, cutting.blocks(scene.grid)[0], cutting)
        top = scene.extent.row
    rows = [window.row - top for window in watched.windows]
    assert top > 0
    assert rows == [-top, 0, 768]
