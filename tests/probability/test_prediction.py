"""Windows that prediction reads, and pixels that the model computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from roadgis.imagery.grid import Window
from roadgis.imagery.scene import Scene, open_scene
from roadgis.model.runtime import load_model
from roadgis.options.prediction import PredictOptions
from roadgis.probability.cutting import Cutting
from roadgis.probability.prediction import predict, predict_block
from tests.factories.models import tiny_model
from tests.factories.rasters import X0, texture, write_raster
from tests.factories.roads import painted


class WatchedScene:
    """A scene that records its reads."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.windows: list[Window] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scene, name)

    def read(self, window: Window) -> Any:
        self.windows.append(window)
        return self._scene.read(window)


def test_predict_block_reads_strips_of_768_px_from_the_imagery_top(tmp_path: Path) -> None:
    # Tiles of most files start there: otherwise, a row of tiles would be decoded twice.
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


def test_predict_reads_what_blocks_side_by_side_share_once(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", texture(64, 2000))
    model = load_model(tiny_model(tmp_path / "tiny.onnx"))
    with open_scene(path, gsd_m=1.0) as scene:
        watched = WatchedScene(scene)
        predict(cast(Scene, watched), model, tmp_path / "work", PredictOptions(block_px=768))
    columns = sorted({(window.col, window.end_col) for window in watched.windows})
    assert columns == [(0, 772), (772, 1540), (1540, 2048)]


class Counting:
    """A model that counts its input pixels."""

    def __init__(self, path: Path) -> None:
        self._model = load_model(path, threads=1)
        self.card = self._model.card
        self.pixels = 0

    def predict(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        self.pixels += images.shape[1] * images.shape[2]
        return self._model.predict(images)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


def test_predict_block_computes_no_more_than_the_imagery_and_its_margin(tmp_path: Path) -> None:
    image = painted((90, 110), [(0, 40, 110, 50, 9)])
    write_raster(tmp_path / "near.tif", image, x0=X0 + 301)
    write_raster(tmp_path / "far.tif", image, x0=X0 + 2000)
    model = Counting(tiny_model(tmp_path / "tiny.onnx"))
    with open_scene([tmp_path / "near.tif", tmp_path / "far.tif"]) as scene:
        cutting = Cutting.of(scene, model.card, PredictOptions(block_px=1024, chunk_px=64))
        core = Window(0, 0, min(scene.grid.height, 1024), 1024)
        whole = predict_block(scene, model, core, cutting)
        seen = model.pixels
        strips = [
            predict_block(scene, model, Window(0, col, core.height, 64), cutting)
            for col in range(0, 1024, 64)
        ]
    margin = model.card.margin_px + model.card.stride
    assert seen <= (90 + 2 * margin) * (110 + 2 * margin)
    assert whole is not None
    blank = np.full((core.height, 64), 255, np.uint8)
    parts = [blank if part is None else part for part in strips]
    np.testing.assert_array_equal(whole, np.concatenate(parts, axis=1))
    assert (whole != 255).sum() == 90 * 110
    assert (whole[whole != 255] > 127).sum() > 900
