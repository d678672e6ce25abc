"""Usable sheets, their order, and their properties."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from roadgis.errors import ReadError, SceneError
from roadgis.imagery.scene import compose_scene
from roadgis.options.imagery import SceneOptions
from roadgis.sources import InspectedSheets, Sheet, SourceOptions, inspect_sheets
from tests.factories.rasters import METRIC, X0, write_raster

SKIP = SourceOptions(on_error="skip")


def plain(path: Path, value: int, **keywords: Any) -> Path:
    """Write a sheet of 64 x 64 px of one value."""
    tags = keywords.pop("tags", {})
    write_raster(path, np.full((3, 64, 64), value, np.uint8), **keywords)
    if tags:
        with rasterio.open(path, "r+") as dataset:
            dataset.update_tags(**tags)
    return path


def cut_short(path: Path) -> Path:
    plain(path, 5, tiled=True, blockxsize=16, blockysize=16)
    path.write_bytes(path.read_bytes()[:-600])
    return path


def inspect(*sheets: Sheet, options: SourceOptions | None = None, **scene: Any) -> InspectedSheets:
    return inspect_sheets(sheets, SceneOptions(**scene), 3, options)


def first_pixel(found: InspectedSheets) -> list[int]:
    with compose_scene(found.rasters) as scene:
        image, valid = scene.read(scene.covered)
    return [int(image[0, 0, 0]), int(np.count_nonzero(valid))]


@pytest.mark.parametrize(
    ("order", "dates", "on_top"),
    [
        ("newest", ["2019-07-03", "2023-05-01", None], 20),
        ("newest", ["2019-07-03", "2019", "2019-07"], 10),
        ("newest", [None, None, None], 10),
        ("newest", [None, "2001", None], 20),
        ("given", ["2019-07-03", "2023-05-01", None], 10),
    ],
)
def test_inspect_sheets_puts_the_newest_on_top(
    tmp_path: Path, order: Any, dates: list[str | None], on_top: int
) -> None:
    sheets = [
        Sheet(str(plain(tmp_path / f"{value}.tif", value)), date)
        for value, date in zip((10, 20, 30), dates, strict=True)
    ]
    found = inspect(*sheets, options=SourceOptions(order=order))
    assert first_pixel(found) == [on_top, 64 * 64]
    assert [r.date for r in found.rasters] == [s.date for s in found.sheets]


def test_inspect_sheets_reads_the_date_of_a_raster_unless_given(tmp_path: Path) -> None:
    tags = {"TIFFTAG_DATETIME": "2021:01:02 03:04:05"}
    sheets = [
        Sheet(str(plain(tmp_path / "a.tif", 10, tags=tags)), "2019"),
        Sheet(str(plain(tmp_path / "b.tif", 20, tags=tags))),
    ]
    assert [r.date for r in inspect(*sheets).rasters] == ["2021-01-02", "2019"]


def test_inspect_sheets_reads_with_the_properties_of_a_sheet(tmp_path: Path) -> None:
    values = np.stack([np.full((64, 64), v, np.uint8) for v in (10, 20, 30, 40)])
    values[:, :32] = 7
    path = write_raster(tmp_path / "a.tif", values, crs=None)
    found = inspect(Sheet(str(path), crs=METRIC, nodata=7, bands=(4, 2, 1)))
    with compose_scene(found.rasters) as scene:
        image, valid = scene.read(scene.covered)
    assert image[40, 0].tolist() == [40, 20, 10]
    assert (valid == (np.arange(64) >= 32)[:, None]).all()


def test_inspect_sheets_prefers_given_bands(tmp_path: Path) -> None:
    path = plain(tmp_path / "a.tif", 10)
    found = inspect(Sheet(str(path), bands=(3, 2, 1)), bands=(1, 2, 3))
    assert found.rasters[0].bands == (1, 2, 3)


def test_inspect_sheets_states_nodata_in_the_stamp(tmp_path: Path) -> None:
    path = str(plain(tmp_path / "a.tif", 10))
    stamps = {inspect(Sheet(path, nodata=value)).rasters[0].stamp for value in (None, 0, 7)}
    assert len(stamps) == 3


def bad_sheets(folder: Path) -> list[Sheet]:
    """Return one usable sheet and four unusable ones."""
    (folder / "text.tif").write_text("not a raster")
    return [
        Sheet(str(plain(folder / "whole.tif", 10))),
        Sheet(str(folder / "text.tif")),
        Sheet(str(cut_short(folder / "cut.tif"))),
        Sheet(str(plain(folder / "nowhere.tif", 10, crs=None))),
        Sheet(str(folder / "gone.tif")),
    ]


def test_inspect_sheets_names_all_bad_sheets_at_once(tmp_path: Path) -> None:
    with pytest.raises(SceneError) as caught:
        inspect(*bad_sheets(tmp_path))
    lines = str(caught.value).splitlines()
    assert lines[0] == "4 of 5 sheets cannot be used:"
    names = [line.strip().partition(": ")[0] for line in lines[1:5]]
    assert names == [
        str(tmp_path / name) for name in ("text.tif", "cut.tif", "nowhere.tif", "gone.tif")
    ]
    assert lines[5] == "Repair or replace them, or leave them out with --on-error skip."


def test_inspect_sheets_skips_bad_sheets_and_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sheets = bad_sheets(tmp_path)
    with caplog.at_level(logging.WARNING):
        found = inspect(*sheets, options=SKIP)
    assert found.sheets == tuple(sheets[:1])
    assert list(found.skipped) == [sheet.name for sheet in sheets[1:]]
    assert "is not a raster that can be opened" in found.skipped[sheets[1].name]
    assert "the file is not whole" in found.skipped[sheets[2].name]
    kinds = [type(error) for error in found.errors.values()]
    assert kinds == [SceneError, ReadError, SceneError, SceneError]
    assert caplog.messages == [f"Skipped: {reason}" for reason in found.skipped.values()]


def test_inspect_sheets_fails_if_all_sheets_are_bad(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="4 of 4 sheets cannot be used"):
        inspect(*bad_sheets(tmp_path)[1:], options=SKIP)


def test_inspect_sheets_of_one_bad_sheet_raises_its_error(tmp_path: Path) -> None:
    path = cut_short(tmp_path / "cut.tif")
    with pytest.raises(ReadError, match=r"^\S+cut\.tif: the file is not whole"):
        inspect(Sheet(str(path)))


def test_inspect_sheets_of_several_crss_make_one_scene(tmp_path: Path) -> None:
    sheets = [
        Sheet(str(plain(tmp_path / "a.tif", 10)), "2019"),
        Sheet(str(plain(tmp_path / "b.tif", 20, crs="EPSG:25832", x0=X0 + 64)), "2020"),
    ]
    found = inspect(*sheets)
    assert [r.crs.to_epsg() for r in found.rasters] == [25832, 32632]
    with compose_scene(found.rasters) as scene:
        image, valid = scene.read(scene.covered)
    assert valid.all()
    assert np.unique(image).tolist() == [10, 20]


@pytest.mark.parametrize(("date", "shown"), [("2019", [10, 20]), ("2023", [10, 30])])
def test_inspect_sheets_keeps_the_newest_on_top_across_pixel_grids(
    tmp_path: Path, date: str, shown: list[int]
) -> None:
    wide = write_raster(tmp_path / "b.tif", np.full((3, 128, 256), 20, np.uint8), pixel=0.5)
    sheets = [
        Sheet(str(plain(tmp_path / "a.tif", 10)), "2023"),
        Sheet(str(wide), "2021"),
        Sheet(str(plain(tmp_path / "c.tif", 30, x0=X0 + 64)), date),
    ]
    with compose_scene(inspect(*sheets).rasters) as scene:
        image, valid = scene.read(scene.covered)
    assert valid.all()
    assert np.unique(image).tolist() == shown
