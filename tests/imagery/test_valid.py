"""Valid pixels: nodata, alpha, masks, blank collars, areas of interest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.enums import ColorInterp
from rasterio.windows import Window as FileWindow

from roadgis.affine import mapped
from roadgis.errors import DataError, SceneError
from roadgis.imagery.grid import Window
from roadgis.imagery.scene import Scene, open_scene
from roadgis.imagery.values.blank import BLANK_RADIUS_PX
from roadgis.options.imagery import SceneOptions
from tests.factories.rasters import METRIC, X0, Y0, cut_into_sheets, texture, write_raster

HOLE = (slice(10, 25), slice(40, 60))
WITH_ALPHA = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)


def expected_valid() -> Any:
    valid = np.ones((80, 100), bool)
    valid[HOLE] = False
    return valid


def holed(dtype: str, value: float) -> Any:
    values = texture(80, 100, 3, dtype)
    values[:, HOLE[0], HOLE[1]] = value
    return values


def file_window(scene: Scene, height: int = 80, width: int = 100) -> Window:
    col, row = mapped(~scene.grid.transform, X0, Y0)
    return Window(round(row), round(col), height, width)


def valid_of(path: Path, **options: Any) -> Any:
    with open_scene(path, gsd_m=1.0, options=SceneOptions(**options)) as scene:
        valid = scene.read(scene.grid.window)[1]
        part = scene.read(file_window(scene))[1]
        assert valid.sum() == part.sum()
    return part


@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [
        ("uint8", 0), ("uint8", 255), ("uint16", 0), ("uint16", 65535), ("int16", -9999),
        ("float32", -9999.0), ("float32", -3.4028234663852886e38), ("float64", 1e300),
        ("float32", np.nan),
    ],
)  # fmt: skip
def test_declared_nodata_of_any_type_is_invalid(tmp_path: Path, dtype: str, nodata: float) -> None:
    path = write_raster(tmp_path / "a.tif", holed(dtype, nodata), nodata=nodata)
    np.testing.assert_array_equal(valid_of(path), expected_valid())


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_nodata_option_marks_invalid_pixels(tmp_path: Path, dtype: str) -> None:
    path = write_raster(tmp_path / "a.tif", holed(dtype, 7))
    assert valid_of(path).all()
    np.testing.assert_array_equal(valid_of(path, nodata=7), expected_valid())


def test_nodata_that_the_type_cannot_hold_marks_nothing(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", texture(80, 100))
    for value in (-1.0, 0.5, 300.0, float("inf"), float("nan")):
        assert valid_of(path, nodata=value).all()


def test_nodata_in_one_band_only_is_valid(tmp_path: Path) -> None:
    values = texture(80, 100)
    values[0, 5, 5] = 0
    assert valid_of(write_raster(tmp_path / "a.tif", values, nodata=0)).all()


def test_alpha_marks_valid_pixels(tmp_path: Path) -> None:
    alpha = np.where(expected_valid(), 255, 0).astype(np.uint8)[None]
    values = np.concatenate([texture(80, 100), alpha])
    path = write_raster(tmp_path / "a.tif", values, colorinterp=WITH_ALPHA)
    np.testing.assert_array_equal(valid_of(path), expected_valid())


def test_internal_masks_mark_valid_pixels(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", texture(80, 100), mask=expected_valid())
    np.testing.assert_array_equal(valid_of(path), expected_valid())


def test_external_masks_mark_valid_pixels(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", texture(80, 100))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(expected_valid())
    assert (tmp_path / "a.tif.msk").exists()
    np.testing.assert_array_equal(valid_of(path), expected_valid())


def test_masks_are_kept_when_overviews_are_read(tmp_path: Path) -> None:
    mask = np.ones((256, 256), bool)
    mask[64:128] = False
    path = write_raster(
        tmp_path / "a.tif", texture(256, 256), pixel=0.25, mask=mask, overviews=[2, 4]
    )
    with open_scene(path, gsd_m=1.0) as scene:
        valid = scene.read(file_window(scene, 64, 64))[1]
    assert valid.sum() == 48 * 64
    assert not valid[16:32].any()


def test_scene_of_nodata_only_opens_without_valid_pixels(tmp_path: Path) -> None:
    for dtype in ("uint8", "uint16"):
        path = write_raster(tmp_path / f"{dtype}.tif", np.zeros((3, 80, 100), dtype), nodata=0)
        assert not valid_of(path).any()
        with open_scene(path, gsd_m=1.0) as scene:
            assert scene.describe()["valid_share"] == 0.0


def test_valid_share_is_relative_to_the_grid(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", texture(128, 128), x0=X0 - X0 % 64, y0=Y0 - Y0 % 64,
                        mask=np.arange(128)[:, None].repeat(128, 1) < 32)  # fmt: skip
    with open_scene(path, gsd_m=1.0) as scene:
        assert scene.grid.width == 128
        assert scene.describe()["valid_share"] == 0.25


def collared() -> Any:
    values = texture(200, 300)
    values[:, 50:60, 50:60] = 255  # a white roof
    values[:, 100:120, 100:120] = 0  # deep shadow
    values[:, :, 240:] = 255
    values[:, 150:, :] = 0
    return values


@pytest.mark.parametrize(
    ("blank", "rows", "cols"),
    [("none", 200, 300), ("white", 200, 238), ("black", 148, 300), ("both", 148, 238)],
)
def test_blank_collars_are_invalid_and_small_plain_areas_valid(
    tmp_path: Path, blank: str, rows: int, cols: int
) -> None:
    path = write_raster(tmp_path / "a.tif", collared())
    with open_scene(path, gsd_m=1.0, options=SceneOptions(blank=blank)) as scene:
        valid = scene.read(file_window(scene, 200, 300))[1]
    expected = np.zeros((200, 300), bool)
    expected[:rows, :cols] = True  # two border pixels are dropped with the collar
    if blank == "white":
        expected[152:, 238:] = True  # the black strip lies below the white one
        valid[148:156, 234:] = expected[148:156, 234:]
    np.testing.assert_array_equal(valid, expected)


def test_blank_collars_may_be_thin(tmp_path: Path) -> None:
    """Pixels outside the raster count as collar."""
    values = texture(100, 100)
    values[:, :, 95:] = 255
    path = write_raster(tmp_path / "a.tif", values)
    with open_scene(path, gsd_m=1.0, options=SceneOptions(blank="white")) as scene:
        valid = scene.read(file_window(scene, 100, 100))[1]
    assert valid[:, :90].sum() > 0.9 * 100 * 90
    assert not valid[:, 95:].any()


def test_blank_collars_do_not_depend_on_windows_or_sheets(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    values = texture(260, 260)
    for _ in range(12):
        r, c = rng.integers(0, 240, 2)
        h, w = rng.integers(2 * BLANK_RADIUS_PX - 4, 80, 2)
        values[:, r : r + h, c : c + w] = 255
    path = write_raster(tmp_path / "a.tif", values)
    sheets = cut_into_sheets(path, tmp_path / "sheets", [70, 90], [33, 180])
    options = SceneOptions(blank="both")
    with (
        open_scene(path, gsd_m=1.0, options=options) as one,
        open_scene(sheets, gsd_m=1.0, options=options) as many,
    ):
        _, valid = one.read(one.grid.window)
        assert 0.1 < valid.mean() < 0.9
        np.testing.assert_array_equal(many.read(many.grid.window)[1], valid)

        @settings(max_examples=25)
        @given(st.data())
        def check(data: st.DataObject) -> None:
            row, col = (data.draw(st.integers(0, n - 1)) for n in valid.shape)
            height = data.draw(st.integers(1, valid.shape[0] - row))
            width = data.draw(st.integers(1, valid.shape[1] - col))
            part = one.read(Window(row, col, height, width))[1]
            np.testing.assert_array_equal(part, valid[row : row + height, col : col + width])

        check()


def area_file(folder: Path, crs: str = METRIC, **changes: Any) -> Path:
    polygon = shapely.box(X0 + 20, Y0 - 60, X0 + 70.4, Y0 - 10)
    table = geopandas.GeoDataFrame(geometry=[polygon], crs=METRIC).to_crs(crs)
    path = folder / f"area_{crs.replace(':', '_')}.gpkg"
    table.to_file(path, engine="pyogrio", **changes)
    return path


@pytest.mark.parametrize("crs", [METRIC, "EPSG:4326", "EPSG:3857", "EPSG:31467"])
def test_area_of_interest_in_any_crs_limits_wanted_pixels(tmp_path: Path, crs: str) -> None:
    path = write_raster(tmp_path / "a.tif", texture(80, 100))
    options = SceneOptions(aoi=area_file(tmp_path, crs))
    with open_scene(path, gsd_m=1.0, options=options) as scene:
        wanted = scene.wanted(file_window(scene))
        valid = scene.read(file_window(scene))[1]
        assert valid.all()  # the model still sees the surroundings
        outside = Window(file_window(scene).row + 65, file_window(scene).col, 10, 100)
        assert scene.is_blank(outside)
        assert not scene.is_blank(file_window(scene))
    expected = np.zeros((80, 100), bool)
    expected[10:60, 20:70] = True
    slack = 0 if crs in (METRIC, "EPSG:4326", "EPSG:3857") else 60  # datum shifts differ
    assert (wanted != expected).sum() <= slack * 3


def test_area_of_interest_shrinks_the_grid_on_the_same_lattice(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", texture(500, 600))
    polygon = shapely.box(X0 + 200, Y0 - 300, X0 + 230, Y0 - 290)
    with (
        open_scene(path, gsd_m=1.0) as full,
        open_scene(path, gsd_m=1.0, options=SceneOptions(aoi=polygon)) as part,
    ):
        assert part.grid.width <= 128
        down = round(full.grid.y0 - part.grid.y0)
        right = round(part.grid.x0 - full.grid.x0)
        assert (down % 64, right % 64) == (0, 0)
        around = part.grid.window.buffered(50)
        same = Window(down - 50, right - 50, around.height, around.width)
        np.testing.assert_array_equal(part.read(around)[0], full.read(same)[0])


def test_wanted_does_not_depend_on_windows(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", np.ones((1, 600, 600), np.uint8))
    angles = np.linspace(0, 2 * np.pi, 40)
    radius = 200 + 60 * np.sin(5 * angles)
    star = shapely.Polygon(
        np.stack([X0 + 300 + radius * np.cos(angles), Y0 - 300 + radius * np.sin(angles)], axis=1)
    )
    with open_scene(path, gsd_m=1.0, options=SceneOptions(aoi=star)) as scene:
        full = scene.wanted(scene.grid.window)
        assert full.sum() == pytest.approx(star.area, rel=0.01)
        rng = np.random.default_rng(0)
        for _ in range(20):
            row, col = rng.integers(0, min(full.shape) - 1, 2)
            height, width = (int(rng.integers(1, n)) for n in (full.shape[0] - row + 1,
                                                              full.shape[1] - col + 1))  # fmt: skip
            part = scene.wanted(Window(int(row), int(col), height, width))
            np.testing.assert_array_equal(part, full[row : row + height, col : col + width])


def test_wanted_is_everything_without_an_area(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", texture(80, 100))
    with open_scene(path, gsd_m=1.0) as scene:
        assert scene.wanted(Window(-5, 3, 20, 10)).all()


def test_area_of_interest_outside_the_scene_is_rejected(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", texture(80, 100), x0=X0 + 5000)
    with pytest.raises(SceneError, match=r"lies outside of the imagery: it spans 9\.00"):
        open_scene(path, gsd_m=1.0, options=SceneOptions(aoi=area_file(tmp_path)))


def test_area_of_interest_rejects_unusable_files(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", texture(80, 100))
    points = tmp_path / "points.geojson"
    geopandas.GeoSeries([shapely.Point(9, 48)], crs="EPSG:4326").to_file(points)
    text = tmp_path / "area.geojson"
    text.write_text("no vectors here")
    no_crs = tmp_path / "no_crs.shp"
    geopandas.GeoSeries([shapely.box(0, 0, 1, 1)], crs=METRIC).to_file(no_crs)
    no_crs.with_suffix(".prj").unlink()
    for aoi, message in [
        (points, "holds Point, expected polygons"),
        (text, "Area of interest: .*cannot be read"),
        (tmp_path / "none.gpkg", "Area of interest: .*none.gpkg"),
        (no_crs, "has no coordinate reference system"),
        (17, "is a int"),
    ]:
        with pytest.raises((SceneError, DataError), match=message):
            open_scene(path, gsd_m=1.0, options=SceneOptions(aoi=aoi))


def test_alpha_of_a_window_equals_that_of_the_file(tmp_path: Path) -> None:
    """Alpha and colours are read through the same window, also of mirrored rasters."""
    alpha = np.zeros((1, 80, 100), np.uint8)
    alpha[0, 3, 4] = 9
    path = write_raster(
        tmp_path / "a.tif",
        np.concatenate([texture(80, 100), alpha]),
        colorinterp=WITH_ALPHA,
        transform=rasterio.Affine(-1, 0, X0 + 100, 0, 1, Y0 - 80),
    )
    valid = valid_of(path)
    assert np.argwhere(valid).tolist() == [[76, 95]]
    with rasterio.open(path) as source:
        assert source.read(4, window=FileWindow(4, 3, 1, 1)) == 9
