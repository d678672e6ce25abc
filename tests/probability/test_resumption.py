"""Runs that resume after a sheet was replaced, added or removed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from roadgis.errors import ReadError, ResumeError
from roadgis.imagery.grid import Window
from roadgis.imagery.scene import open_scene
from roadgis.model.runtime import Segmenter, load_model
from roadgis.options.extraction import ExtractOptions
from roadgis.options.imagery import SceneOptions
from roadgis.options.prediction import PredictOptions
from roadgis.pipeline import predict_to_file
from roadgis.probability.mosaic import Mosaic
from roadgis.probability.prediction import predict
from tests.factories.models import tiny_model
from tests.factories.rasters import X0, Y0, write_raster

SIDE = 128
BLOCK = 64


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    return load_model(tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx"))


def sheet(folder: Path, row: float, col: float, seed: int = 0, **keywords: Any) -> Path:
    """Write a sheet of noise with SIDE pixels at a row and column of sheets."""
    rng = np.random.default_rng([seed, int(2 * row + 10), int(2 * col + 10)])
    values = rng.integers(20, 250, (3, SIDE, SIDE)).astype(keywords.pop("dtype", np.uint8))
    path = folder / f"sheet_{row}_{col}.tif"
    write_raster(path, values, x0=X0 + col * SIDE, y0=Y0 - row * SIDE, **keywords)
    # A new file with the same modification time must still count as changed.
    os.utime(path, ns=(seed * 10**9, seed * 10**9))
    return path


@pytest.fixture
def sheets(tmp_path: Path) -> Path:
    """Return a folder of 2 x 2 sheets; their grid starts 32 px before them and has 320 px."""
    for row in range(2):
        for col in range(2):
            sheet(tmp_path / "sheets", row, col)
    return tmp_path / "sheets"


def run(
    sources: Path, folder: Path, model: Segmenter, *, block_px: int = BLOCK, **scene: Any
) -> tuple[Any, int]:
    """Predict a folder of sheets; return probability and number of computed blocks."""
    options = PredictOptions(block_px=block_px, chunk_px=block_px, workers=1)
    with open_scene(sources, gsd_m=1.0, options=SceneOptions(**scene)) as opened:
        reports: list[float] = []
        mosaic = predict(
            opened, model, folder, options, progress=lambda share, _: reports.append(share)
        )
        return mosaic.read(mosaic.grid.window), len(reports) - 1


class Resumed:
    """A run that resumes after changes of its sheets."""

    def __init__(
        self, tmp_path: Path, sheets: Path, model: Segmenter, caplog: pytest.LogCaptureFixture
    ) -> None:
        self._parts = tmp_path, sheets, model
        self._log = caplog
        self._count = 0

    def check(self, message: str, **keywords: Any) -> None:
        """Assert the message, the number of computed blocks, and the values."""
        tmp_path, sheets, model = self._parts
        self._count += 1
        self._log.clear()
        values, computed = run(sheets, tmp_path / "work", model, **keywords)
        fresh, blocks = run(sheets, tmp_path / f"fresh{self._count}", model, **keywords)
        np.testing.assert_array_equal(values, fresh)
        assert message in self._log.text
        kept = int(self._log.text.split("kept ")[1].split()[0])
        assert computed == blocks - kept


@pytest.fixture
def resumed(
    tmp_path: Path, sheets: Path, model: Segmenter, caplog: pytest.LogCaptureFixture
) -> Resumed:
    run(sheets, tmp_path / "work", model)
    return Resumed(tmp_path, sheets, model, caplog)


def test_replaced_sheet_renews_only_the_blocks_that_see_it(sheets: Path, resumed: Resumed) -> None:
    sheet(sheets, 1, 1, seed=1)
    # It lies in 3 x 3 of the 5 x 5 blocks; the model reads 4 px around a block.
    resumed.check(f"(replaced: {sheets}/sheet_1_1.tif): kept 16 of 25 finished blocks; 9 see")


def test_removed_and_added_sheets_renew_only_the_blocks_that_see_them(
    tmp_path: Path, sheets: Path, resumed: Resumed
) -> None:
    removed = sheets / "sheet_1_1.tif"
    removed.rename(tmp_path / "aside.tif")
    resumed.check(f"(removed: {removed}): kept 16 of 25 finished blocks; 9 see")
    (tmp_path / "aside.tif").rename(removed)
    resumed.check(f"(added: {removed}): kept 16 of 25 finished blocks; 9 see")


@pytest.mark.parametrize("place", [(0, 2), (-1, 0)])
def test_sheet_next_to_the_others_keeps_blocks_although_the_grid_changes(
    sheets: Path, resumed: Resumed, place: tuple[int, int]
) -> None:
    added = sheet(sheets, *place)
    # All but the blocks along the previous border of the imagery.
    resumed.check(f"(added: {added}): kept 20 of 25 finished blocks; 5 see")
    added.unlink()
    resumed.check(f"(removed: {added}): kept 20 of")


def test_grid_moved_by_a_part_of_a_block_keeps_blocks(
    tmp_path: Path, sheets: Path, model: Segmenter, caplog: pytest.LogCaptureFixture
) -> None:
    run(sheets, tmp_path / "work", model, block_px=2 * BLOCK)
    added = sheet(sheets, 0, -0.5)
    # By 64 of 128 px: new blocks are composed of parts of old ones.
    Resumed(tmp_path, sheets, model, caplog).check(f"(added: {added}): kept ", block_px=2 * BLOCK)


def test_blocks_of_warped_sheets_are_kept_away_from_a_change(
    tmp_path: Path, model: Segmenter, caplog: pytest.LogCaptureFixture
) -> None:
    sheets = tmp_path / "sheets"
    for row in range(2):
        for col in range(2):
            sheet(sheets, row, col, pixel=1.3)
    for path in sheets.iterdir():  # placed without gaps, in pixels of 1.3 m
        _, row, col = path.stem.split("_")
        with rasterio.open(path, "r+") as dataset:
            dataset.transform = rasterio.Affine(
                1.3, 0, X0 + 1.3 * SIDE * int(col), 0, -1.3, Y0 - 1.3 * SIDE * int(row)
            )
    run(sheets, tmp_path / "work", model)
    path = sheets / "sheet_0_0.tif"
    with rasterio.open(path, "r+") as dataset:
        dataset.write(255 - dataset.read())
    Resumed(tmp_path, sheets, model, caplog).check(f"(replaced: {path}): kept 20 of 36 finished")


def test_sheets_are_all_predicted_again_if_their_stretch_changes(
    tmp_path: Path, model: Segmenter, caplog: pytest.LogCaptureFixture
) -> None:
    sheets = tmp_path / "sheets"
    for col in range(2):
        sheet(sheets, 0, col, dtype=np.uint16)
    run(sheets, tmp_path / "work", model)
    path = sheet(sheets, 0, 1, seed=1, dtype=np.uint16)
    with rasterio.open(path, "r+") as dataset:
        dataset.write(dataset.read() * 20)
    Resumed(tmp_path, sheets, model, caplog).check("kept 0 of 15 finished blocks")


def test_model_that_is_not_local_keeps_blocks_only_with_equal_tiles(
    tmp_path: Path, sheets: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = load_model(
        tiny_model(tmp_path / "m.onnx", local=False, name="not local"),
    )
    run(sheets, tmp_path / "work", model)
    resumed = Resumed(tmp_path, sheets, model, caplog)
    sheet(sheets, 1, 1, seed=1)
    resumed.check(f"(replaced: {sheets}/sheet_1_1.tif): kept 16 of 25")
    sheet(sheets, 0, -1)
    resumed.check("kept 0 of 25 finished blocks")


def test_other_settings_are_rejected(
    tmp_path: Path, sheets: Path, model: Segmenter, resumed: Resumed
) -> None:
    with pytest.raises(ResumeError, match=r"reading: .*--restart"):
        run(sheets, tmp_path / "work", model, nodata=30.0)


def test_repaired_sheet_lets_a_stopped_run_resume(
    tmp_path: Path, sheets: Path, model: Segmenter, caplog: pytest.LogCaptureFixture
) -> None:
    damaged, output = sheets / "sheet_1_1.tif", tmp_path / "prob.tif"
    with rasterio.open(damaged) as dataset:
        values, profile = dataset.read(), dataset.profile
    with rasterio.open(damaged, "w", **{**profile, "compress": "deflate"}) as dataset:
        dataset.write(values)
    with rasterio.open(damaged) as dataset:
        strip = (SIDE - 1) // dataset.block_shapes[0][0]
        start = int(dataset.get_tag_item(f"BLOCK_OFFSET_0_{strip}", "TIFF", bidx=1))
    whole = damaged.read_bytes()
    # Damage inside the data, which is detected when that part is read.
    damaged.write_bytes(whole[:start] + bytes(20) + whole[start + 20 :])
    options = ExtractOptions(predict=PredictOptions(block_px=BLOCK, chunk_px=BLOCK, workers=1))
    with pytest.raises(ReadError, match="finished parts are kept"):
        predict_to_file(sheets, output, model=model, options=options)
    before = Mosaic.open(tmp_path / "prob.tif.roadgis-work")
    assert before.is_done(Window(0, 0, BLOCK, BLOCK))
    damaged.write_bytes(whole)
    predict_to_file(sheets, output, model=model, options=options)
    assert "replaced: " in caplog.text
    assert " finished blocks; " in caplog.text
    predict_to_file(sheets, tmp_path / "fresh.tif", model=model, options=options)
    assert output.read_bytes() == (tmp_path / "fresh.tif").read_bytes()
