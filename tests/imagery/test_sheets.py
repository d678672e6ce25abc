"""Source sheet and date of roads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine

from roadgis.affine import composed
from roadgis.imagery.acquisition_date import acquisition_date
from roadgis.imagery.scene import open_scene
from roadgis.network.sheets import SheetIndex, short_names
from tests.factories.rasters import X0, Y0, texture, write_raster


def sheet(path: Path, x0: float, **tags: Any) -> Path:
    """Write a sheet of 100 x 100 m."""
    write_raster(path, texture(100, 100), x0=x0)
    if tags:
        with rasterio.open(path, "r+") as dataset:
            dataset.update_tags(**tags)
    return path


def lines(*pairs: tuple[float, float]) -> Any:
    """Return lines along y in the middle of the sheets, from x to x east of the first one."""
    return np.array(
        [shapely.LineString([(X0 + a, Y0 - 50), (X0 + b, Y0 - 50)]) for a, b in pairs], object
    )


def test_sheet_of_a_line_is_the_one_that_shows_most_of_it(tmp_path: Path) -> None:
    a, b = sheet(tmp_path / "a.tif", X0), sheet(tmp_path / "b.tif", X0 + 100)
    with open_scene([a, b]) as scene:
        index = SheetIndex.from_scene(scene)
        names, dates = index.of(lines((10, 50), (60, 130), (80, 150), (50, 150), (190, 260)))
        assert names.tolist() == [a.name, a.name, b.name, a.name, b.name]
        assert set(names) <= {Path(name).name for name in scene.inputs}
        assert dates.tolist() == [None] * 5


def test_sheet_of_a_line_is_the_uppermost_of_overlapping_ones(tmp_path: Path) -> None:
    a, b = sheet(tmp_path / "a.tif", X0), sheet(tmp_path / "b.tif", X0 + 40)
    for first, second, expected in ((a, b, a), (b, a, b)):
        with open_scene([first, second]) as scene:
            names, _ = SheetIndex.from_scene(scene).of(lines((45, 95)))
        assert names.tolist() == [expected.name]


def test_sheet_of_a_line_outside_all_sheets_is_empty(tmp_path: Path) -> None:
    with open_scene(sheet(tmp_path / "a.tif", X0)) as scene:
        names, dates = SheetIndex.from_scene(scene).of(lines((200, 250), (100.5, 101)))
    assert names.tolist() == dates.tolist() == [None, None]


def test_sheets_of_no_lines_are_empty(tmp_path: Path) -> None:
    with open_scene(sheet(tmp_path / "a.tif", X0)) as scene:
        names, dates = SheetIndex.from_scene(scene).of(np.empty(0, object))
    assert names.shape == dates.shape == (0,)


def test_sheet_index_handles_other_crss_and_rotation(tmp_path: Path) -> None:
    flat = sheet(tmp_path / "flat.tif", X0)
    turned = write_raster(
        tmp_path / "turned.tif",
        texture(100, 100),
        transform=composed(
            Affine.translation(X0 + 200, Y0), composed(Affine.rotation(45), Affine.scale(1, -1))
        ),
    )
    degrees = write_raster(
        tmp_path / "degrees.tif",
        texture(100, 100),
        crs="EPSG:4326",
        transform=Affine(1e-5, 0, 9.005, 0, -1e-5, 47.853),
    )
    with open_scene([flat, turned, degrees]) as scene:
        index = SheetIndex.from_scene(scene)
        # The rotated square reaches from 200 to 341 east, with its centre 0 and 71 north.
        names, _ = index.of(lines((10, 20), (230, 240)))
        assert names.tolist() == [flat.name, None]
        upper = np.array([shapely.LineString([(X0 + 270, Y0 - 10), (X0 + 271, Y0 + 10)])], object)
        assert index.of(upper)[0].tolist() == [turned.name]
        assert scene.grid.crs.to_epsg() == 32632
        there = np.array([shapely.LineString([(500400, 5299940), (500410, 5299940)])], object)
        assert index.of(there)[0].tolist() == [degrees.name]


def test_sheet_index_of_many_overlapping_sheets_equals_brute_force(
    tmp_path: Path,
) -> None:
    starts = [0, 30, 60, 45, 140, 90]
    paths = [sheet(tmp_path / f"{i}.tif", X0 + s) for i, s in enumerate(starts)]
    rng = np.random.default_rng(0)
    spans = [(float(a), float(a + b)) for a, b in rng.uniform(0, 150, (40, 2))]
    with open_scene(paths) as scene:
        names, _ = SheetIndex.from_scene(scene).of(lines(*spans))
    for (low, high), name in zip(spans, names, strict=True):
        x = np.arange(low + 0.005, high, 0.01)
        owner = np.select([(x >= s) & (x <= s + 100) for s in starts], range(len(starts)), -1)
        count = np.bincount(owner[owner >= 0], minlength=len(starts))
        assert count[[path.name for path in paths].index(name)] >= count.max() - 2


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"TIFFTAG_DATETIME": "2019:07:03 10:11:12"}, "2019-07-03"),
        ({"TIFFTAG_DATETIME": "0000:00:00 00:00:00"}, None),
        ({"TIFFTAG_DATETIME": "2019:02:30 10:11:12"}, None),
        ({"TIFFTAG_DATETIME": "yesterday"}, None),
        ({"ACQUISITIONDATETIME": "2018-05-04T10:11:12Z", "TIFFTAG_DATETIME": "2019:07:03"},
         "2018-05-04"),
    ],
)  # fmt: skip
def test_source_dates_are_read_from_the_files(
    tmp_path: Path, tags: dict[str, str], expected: str | None
) -> None:
    with open_scene(sheet(tmp_path / "a.tif", X0, **tags)) as scene:
        _, dates = SheetIndex.from_scene(scene).of(lines((0, 10), (300, 310)))
    assert dates.tolist() == [expected, None]


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"IMAGERY": {"ACQUISITIONDATETIME": "2016-06-13 10:51:58"}}, "2016-06-13"),
        ({"": {"NITF_IDATIM": "20160613105158"}}, "2016-06-13"),
        ({"": {"NITF_IDATIM": "--------------"}}, None),
        ({"": {"NITF_IDATIM": "201606"}}, None),
        ({"": {"NITF_IDATIM": "bad", "TIFFTAG_DATETIME": "2016:06:13 00:00:00"}}, "2016-06-13"),
        ({"": {"TIFFTAG_DATETIME": "2016:13:06 00:00:00"}}, None),
        ({"": {"TIFFTAG_DATETIME": ""}}, None),
        ({}, None),
    ],
)
def test_source_dates_of_each_raster_format(
    metadata: dict[str, dict[str, str]], expected: str | None
) -> None:
    assert acquisition_date(metadata) == expected


def test_source_dates_are_read_when_the_scene_is_opened(tmp_path: Path) -> None:
    path = sheet(tmp_path / "a.tif", X0, TIFFTAG_DATETIME="2019:07:03 10:11:12")
    with open_scene(path) as scene:
        index = SheetIndex.from_scene(scene)
    path.unlink()
    assert index.of(lines((0, 10)))[1].tolist() == ["2019-07-03"]


def test_sheet_names_include_folders_if_files_share_a_name() -> None:
    assert short_names(["a/1.tif", "b/2.tif"]) == ["1.tif", "2.tif"]
    assert short_names(["a/1.tif", "b/1.tif"]) == ["a/1.tif", "b/1.tif"]
    assert short_names(["C:\\x\\1.tif", "https://host/2.tif?key=1"]) == ["1.tif", "2.tif"]
