"""Pixels do not depend on how a scene is cut, windowed or resampled."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Transformer
from rasterio.enums import ColorInterp

from roadgis.affine import composed, mapped
from roadgis.imagery.grid import Window
from roadgis.imagery.scene import INVALID_FILL, Scene, open_scene
from roadgis.options.imagery import SceneOptions
from tests.factories.rasters import METRIC, X0, Y0, cut_into_sheets, texture, write_raster


def whole(scene: Scene) -> tuple[Any, Any]:
    return scene.read(scene.grid.window)


def place(scene: Scene, x: float = X0, y: float = Y0) -> tuple[int, int]:
    """Return the grid's row and column of a position."""
    col, row = mapped(~scene.grid.transform, x, y)
    return round(row), round(col)


def test_read_returns_matching_pixels_bit_for_bit(tmp_path: Path) -> None:
    values = texture(90, 130)
    # Another phase, and a pixel size that differs by 0.3 %: still no resampling.
    path = write_raster(tmp_path / "a.tif", values, x0=X0 + 0.436174, pixel=0.997)
    with open_scene(path, gsd_m=1.0) as scene:
        image, valid = whole(scene)
        row, col = place(scene, X0 + 0.436174)
        assert scene.grid.gsd_m == 0.997
        assert abs(scene.grid.x0 + col * 0.997 - (X0 + 0.436174)) < 1e-3
    np.testing.assert_array_equal(image[row : row + 90, col : col + 130], np.moveaxis(values, 0, 2))
    assert valid.sum() == 90 * 130
    assert valid[row : row + 90, col : col + 130].all()
    assert (image[~valid] == INVALID_FILL).all()


def test_grid_corners_lie_on_multiples_of_the_alignment(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", texture(90, 130), x0=X0 + 7, y0=Y0 - 5)
    with open_scene(path, gsd_m=1.0, align_px=32) as scene:
        grid = scene.grid
    assert (grid.x0 % 32, grid.y0 % 32, grid.width % 32, grid.height % 32) == (0, 0, 0, 0)
    assert grid.x0 <= X0 + 7 < grid.x0 + 32


def test_read_at_a_whole_factor_averages_boxes_of_valid_pixels(tmp_path: Path) -> None:
    values = texture(40, 60)
    mask = np.ones((40, 60), bool)
    mask[0, 0] = False  # one of four pixels: the other three are averaged
    mask[2:4, 2] = mask[2, 3] = False  # three of four pixels: invalid
    path = write_raster(tmp_path / "a.tif", values, pixel=0.5, mask=mask)
    with open_scene(path, gsd_m=1.0) as scene:
        row, col = place(scene)
        image, valid = scene.read(Window(row, col, 20, 30))
    boxes = values.reshape(3, 20, 2, 30, 2).mean(axis=(2, 4))
    expected = np.moveaxis(np.rint(boxes), 0, 2)
    np.testing.assert_array_equal(image[2:], expected[2:])
    assert image[0, 0, 0] == np.rint((values[0, 0, 1] + values[0, 1, :2].astype(int).sum()) / 3)
    assert valid[0, 0]
    assert not valid[1, 1]
    assert valid.sum() == 20 * 30 - 1


KINDS: dict[str, dict[str, Any]] = {
    "native": {},
    "averaged": {"pixel": 0.5},
    "shrunk": {"pixel": 0.37},
    "much_shrunk": {"pixel": 0.11},
    "grown": {"pixel": 1.7},
    "degrees": {
        "crs": "EPSG:4326",
        "transform": Affine(9e-6, 0, 8.9, 0, -6.1e-6, 47.8),
    },
    "web_mercator": {"crs": "EPSG:3857", "x0": 1_000_000.1, "y0": 6_000_000.7, "pixel": 0.9},
    "feet": {"crs": "EPSG:2249", "x0": 770_000.0, "y0": 2_950_000.0, "pixel": 2.0},
    "rotated": {
        "transform": composed(
            Affine.translation(X0, Y0), composed(Affine.rotation(30), Affine.scale(0.8, -0.8))
        )
    },
}


def masked_texture(path: Path, kind: str) -> Path:
    mask = np.ones((170, 210), bool)
    mask[30:60, 100:140] = False
    return write_raster(path, texture(170, 210), mask=mask, **KINDS[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_read_of_windows_in_any_order_equals_slices_of_the_whole(tmp_path: Path, kind: str) -> None:
    path = masked_texture(tmp_path / "a.tif", kind)
    with open_scene(path, gsd_m=1.0) as scene:
        image, valid = whole(scene)
    height, width = valid.shape
    pad = 300
    image = np.pad(image, ((pad, pad), (pad, pad), (0, 0)), constant_values=INVALID_FILL)
    valid = np.pad(valid, pad)
    assert valid.sum() > 200

    with open_scene(path, gsd_m=1.0) as scene:

        @settings(max_examples=25)
        @given(st.data())
        def check(data: st.DataObject) -> None:
            row, col = data.draw(st.integers(-pad, height)), data.draw(st.integers(-pad, width))
            h, w = data.draw(st.integers(1, pad)), data.draw(st.integers(1, pad))
            part, seen = scene.read(Window(row, col, h, w))
            rows, cols = slice(row + pad, row + pad + h), slice(col + pad, col + pad + w)
            np.testing.assert_array_equal(part, image[rows, cols])
            np.testing.assert_array_equal(seen, valid[rows, cols])

        check()


@pytest.mark.parametrize("kind", KINDS)
def test_read_of_sheets_equals_the_uncut_scene(tmp_path: Path, kind: str) -> None:
    path = masked_texture(tmp_path / "a.tif", kind)
    sheets = cut_into_sheets(path, tmp_path / "sheets", [33, 34, 101], [5, 77, 150])
    with open_scene(path, gsd_m=1.0) as one, open_scene(sheets, gsd_m=1.0) as many:
        assert len(many.inputs) == 16
        assert many.grid == one.grid
        for expected, found in zip(whole(one), whole(many), strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("pixel", [1.0, 0.37])
def test_read_of_16_bit_sheets_equals_the_uncut_scene(tmp_path: Path, pixel: float) -> None:
    path = write_raster(tmp_path / "a.tif", texture(600, 700, 3, "uint16"), pixel=pixel)
    sheets = cut_into_sheets(path, tmp_path / "sheets", [130], [333, 500])
    with open_scene(path, gsd_m=1.0) as one, open_scene(sheets, gsd_m=1.0) as many:
        assert many.stretch == one.stretch
        np.testing.assert_array_equal(whole(many)[0], whole(one)[0])


def test_read_is_thread_safe(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", texture(300, 400), pixel=0.7)
    sheets = cut_into_sheets(path, tmp_path / "sheets", [50, 151], [99, 222, 301])
    windows = [Window(r, c, 90, 90) for r in range(0, 256, 64) for c in range(0, 320, 64)] * 3
    with open_scene(sheets, gsd_m=1.0) as scene:
        expected = [scene.read(window)[0] for window in windows]
    with open_scene(sheets, gsd_m=1.0) as scene, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda window: scene.read(window)[0], windows))
    np.testing.assert_array_equal(found, expected)


def test_read_of_hundreds_of_sheets_limits_open_files(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", texture(160, 160))
    cuts = list(range(8, 160, 8))
    sheets = cut_into_sheets(path, tmp_path / "sheets", cuts, cuts)
    with open_scene(sheets, gsd_m=1.0) as many, open_scene(path, gsd_m=1.0) as one:
        np.testing.assert_array_equal(whole(many)[0], whole(one)[0])
        assert len(many.inputs) == 400
        assert len(many._handles._idle) <= 64


@pytest.mark.parametrize("kind", KINDS)
def test_read_resamples_without_a_shift(tmp_path: Path, kind: str) -> None:
    """Correct resampling keeps a linear ramp; a shift of 0.1 px would show."""
    path = masked_texture(tmp_path / "a.tif", kind)
    with rasterio.open(path) as source:
        transform, crs = source.transform, CRS.from_wkt(source.crs.to_wkt())
    rows, cols = np.mgrid[0:170, 0:210].astype(np.float32)
    ramp = np.stack([cols, rows, cols + rows])
    write_raster(path, ramp, crs=crs.to_wkt(), transform=transform)
    options = SceneOptions(value_range=(0.0, 255.0))
    with open_scene(path, gsd_m=1.0, options=options) as scene:
        image, valid = whole(scene)
        grid = scene.grid
    inner = valid.copy()
    for _ in range(4):  # Pixels at the border average the pixels inside only.
        inner[1:-1, 1:-1] &= inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]
    at = np.argwhere(inner)
    x, y = grid.xy(at[:, 0].astype(float), at[:, 1].astype(float)).T
    x, y = Transformer.from_crs(grid.crs, crs, always_xy=True).transform(x, y)
    col, row = mapped(~transform, x, y)
    assert len(at) > 50
    assert np.abs(image[inner][:, 0] - (col - 0.5)).max() < 0.62  # half a grey step and 0.1 px
    assert np.abs(image[inner][:, 1] - (row - 0.5)).max() < 0.62


def test_read_resamples_valid_pixels_only(tmp_path: Path) -> None:
    values = np.full((3, 80, 80), 200, np.uint8)
    mask = np.ones((80, 80), bool)
    mask[:, 30:50] = False
    values[:, ~mask] = 0
    for pixel in (0.4, 0.5, 1.0, 1.6):
        path = write_raster(tmp_path / f"{pixel}.tif", values, pixel=pixel, mask=mask, x0=X0 + 0.3)
        with open_scene(path, gsd_m=1.0) as scene:
            image, valid = whole(scene)
        assert np.unique(image[valid]).tolist() == [200]
        assert (~valid).any()


@pytest.mark.parametrize(("pixel", "factor"), [(0.25, 4), (0.3, 2)])
def test_read_uses_overviews_when_shrinking(tmp_path: Path, pixel: float, factor: int) -> None:
    path = write_raster(
        tmp_path / "a.tif", np.full((3, 256, 256), 10, np.uint8), pixel=pixel, overviews=[2, 4, 8]
    )
    # A value of their own shows whether overviews were read.
    level = [2, 4, 8].index(factor)
    with rasterio.open(path, "r+", overview_level=level) as overview:
        overview.write(np.full((3, 256 // factor, 256 // factor), 77, np.uint8))
    with open_scene(path, gsd_m=1.0) as scene:
        image, valid = whole(scene)
    # At the border, pixels of 1 m are only partly covered by pixels of 0.3 m, but of the same grey.
    assert np.unique(image[valid]).tolist() == [77]


def test_read_ignores_overviews_when_not_shrinking(tmp_path: Path) -> None:
    values = texture(64, 64)
    path = write_raster(tmp_path / "a.tif", values, overviews=[2, 4])
    with open_scene(path, gsd_m=1.0) as scene:
        row, col = place(scene)
        np.testing.assert_array_equal(
            scene.read(Window(row, col, 64, 64))[0], np.moveaxis(values, 0, 2)
        )


def test_read_of_south_up_and_mirrored_rasters_is_north_up(tmp_path: Path) -> None:
    values = texture(50, 70)
    plain = write_raster(tmp_path / "plain.tif", values)
    with open_scene(plain, gsd_m=1.0) as scene:
        expected = whole(scene)[0]
    flipped = {
        "south_up": (values[:, ::-1], Affine(1, 0, X0, 0, 1, Y0 - 50)),
        "mirrored": (values[:, :, ::-1], Affine(-1, 0, X0 + 70, 0, -1, Y0)),
    }
    for name, (turned, transform) in flipped.items():
        path = write_raster(tmp_path / f"{name}.tif", turned, transform=transform)
        with open_scene(path, gsd_m=1.0) as scene:
            np.testing.assert_array_equal(whole(scene)[0], expected)


def test_open_scene_keeps_a_metric_crs_without_a_code(tmp_path: Path) -> None:
    wkt = CRS.from_proj4("+proj=lcc +lat_0=45 +lat_1=45 +lon_0=7.3 +ellps=GRS80 +units=m").to_wkt()
    values = texture(40, 40)
    path = write_raster(tmp_path / "a.tif", values, crs=wkt, x0=1000, y0=2000)
    with open_scene(path, gsd_m=1.0) as scene:
        assert scene.grid.crs == scene.native_crs
        assert scene.grid.crs.to_epsg() is None
        row, col = place(scene, 1000, 2000)
        image = scene.read(Window(row, col, 40, 40))[0]
    np.testing.assert_array_equal(image, np.moveaxis(values, 0, 2))


@pytest.mark.parametrize(
    ("kind", "epsg"), [("degrees", 32632), ("web_mercator", 32632), ("feet", 32619)]
)
def test_open_scene_reprojects_crss_without_true_metres_to_utm(
    tmp_path: Path, kind: str, epsg: int
) -> None:
    with open_scene(masked_texture(tmp_path / "a.tif", kind), gsd_m=1.0) as scene:
        assert scene.grid.crs.to_epsg() == epsg


@pytest.mark.parametrize(("lat", "epsg"), [(85.0, 5041), (-85.0, 5042)])
def test_open_scene_reprojects_polar_scenes_to_polar_stereographic(
    tmp_path: Path, lat: float, epsg: int
) -> None:
    path = write_raster(
        tmp_path / "a.tif", texture(60, 60), crs="EPSG:4326",
        transform=Affine(1e-4, 0, 12, 0, -9e-6, lat),
    )  # fmt: skip
    with open_scene(path, gsd_m=1.0) as scene:
        assert scene.grid.crs.to_epsg() == epsg
        assert whole(scene)[1].sum() > 1000


def test_open_scene_joins_sheets_across_the_antimeridian(tmp_path: Path) -> None:
    step = 1e-5
    values = texture(100, 200)
    joined = write_raster(
        tmp_path / "one.tif", values, crs="EPSG:4326",
        transform=Affine(step, 0, 180 - 100 * step, 0, -step, -17),
    )  # fmt: skip
    west = write_raster(
        tmp_path / "west.tif", values[:, :, :100], crs="EPSG:4326",
        transform=Affine(step, 0, 180 - 100 * step, 0, -step, -17),
    )  # fmt: skip
    east = write_raster(
        tmp_path / "east.tif", values[:, :, 100:], crs="EPSG:4326",
        transform=Affine(step, 0, -180, 0, -step, -17),
    )  # fmt: skip
    with open_scene(joined, gsd_m=1.0) as one, open_scene([west, east], gsd_m=1.0) as two:
        assert two.grid == one.grid
        assert two.grid.width < 400
        np.testing.assert_array_equal(whole(two)[0], whole(one)[0])
        assert whole(one)[1].sum() > 15_000


def test_read_puts_the_first_input_on_top(tmp_path: Path) -> None:
    plain = [np.full((3, 40, 40), grey, np.uint8) for grey in (50, 150)]
    top = write_raster(tmp_path / "z.tif", plain[0])
    under = write_raster(tmp_path / "a.tif", plain[1], x0=X0 + 20)
    other_lattice = write_raster(tmp_path / "b.tif", plain[1], x0=X0 + 20.4)
    for below in (under, other_lattice):
        with open_scene([top, below], gsd_m=1.0) as scene:
            row, col = place(scene)
            image, valid = scene.read(Window(row + 10, col, 1, 60))
        assert image[0, :40, 0].tolist() == [50] * 40
        assert image[0, 41:, 0].tolist() == [150] * 19
        assert valid.all()


def test_read_of_sheets_in_other_crss_and_pixel_sizes_has_no_seam(tmp_path: Path) -> None:
    """No pixel is lost where four sheets of different lattices touch."""
    grey = np.full((3, 60, 60), 90, np.uint8)
    paths = [
        write_raster(tmp_path / f"{i}{j}.tif", grey, pixel=size,
                     x0=X0 + (0.4 if j else 0.4 - 60 * size),
                     y0=Y0 - (0.6 if i else 0.6 - 60 * size))
        for i, j, size in [(0, 0, 0.5), (0, 1, 0.8), (1, 0, 0.7), (1, 1, 1.1)]
    ]  # fmt: skip
    with open_scene(paths, gsd_m=1.0) as scene:
        row, col = place(scene)
        image, valid = scene.read(Window(row - 25, col - 25, 50, 50))
    assert valid.all()
    assert np.unique(image).tolist() == [90]


def test_open_scene_puts_mixed_crss_on_one_grid(tmp_path: Path) -> None:
    grey = np.full((3, 100, 100), 90, np.uint8)
    first = write_raster(tmp_path / "a.tif", grey)
    lon, lat = Transformer.from_crs(METRIC, "EPSG:4326", always_xy=True).transform(X0 + 90, Y0)
    second = write_raster(
        tmp_path / "b.tif", grey, crs="EPSG:4326", transform=Affine(1e-5, 0, lon, 0, -1e-5, lat)
    )
    with open_scene([first, second], gsd_m=1.0) as scene:
        assert scene.grid.crs.to_epsg() == 32632
        row, col = place(scene)
        image, valid = scene.read(Window(row + 5, col, 90, 150))
    assert valid.all()
    assert np.unique(image).tolist() == [90]


def test_open_scene_without_gsd_keeps_the_pixel_size(tmp_path: Path) -> None:
    values = texture(40, 40, 1)
    path = write_raster(tmp_path / "a.tif", values, pixel=0.3)
    with open_scene(path, band_count=1) as scene:
        assert scene.grid.gsd_m == 0.3
        row, col = place(scene)
        np.testing.assert_array_equal(scene.read(Window(row, col, 40, 40))[0][..., 0], values[0])


def test_value_range_maps_probabilities_to_bytes(tmp_path: Path) -> None:
    values = np.array([[[0.0, 0.5, 1.0, np.nan]]], np.float32)
    path = write_raster(tmp_path / "p.tif", values)
    with open_scene(path, band_count=1, options=SceneOptions(value_range=(0, 1))) as scene:
        row, col = place(scene)
        image, valid = scene.read(Window(row, col, 1, 4))
    assert image[0, :3, 0].tolist() == [0, 128, 255]
    assert valid[0].tolist() == [True, True, True, False]


def test_read_stretches_16_bit_imagery_between_percentiles(tmp_path: Path) -> None:
    values = np.linspace(100, 2100, 300 * 300).reshape(1, 300, 300).astype(np.uint16)
    path = write_raster(tmp_path / "a.tif", values)
    with open_scene(path, gsd_m=1.0, options=SceneOptions(stretch=(1, 99))) as scene:
        row, col = place(scene)
        image, _ = scene.read(Window(row, col, 300, 300))
        low, high = (scene.stretch["uint16 x 1"][key][0] for key in ("low", "high"))
    assert (low, high) == pytest.approx((120, 2080), abs=1.5)
    expected = np.clip(np.rint((values[0] - low) * (255 / (high - low))), 0, 255)
    np.testing.assert_array_equal(image, np.repeat(expected[..., None], 3, axis=2))


def test_read_stretches_float_imagery_by_its_valid_pixels(tmp_path: Path) -> None:
    values = texture(64, 64, 3, "float32")
    values[1, :10] = np.nan
    values[2, 10:12] = np.inf
    with open_scene(write_raster(tmp_path / "a.tif", values), gsd_m=1.0) as scene:
        image, valid = whole(scene)
        assert 0 <= scene.stretch["float32 x 3"]["low"][1] < 0.02
    assert valid.sum() == 64 * 52
    assert image[valid].min() == 0
    assert image[valid].max() == 255


def test_read_converts_palettes_to_colours(tmp_path: Path) -> None:
    values = np.array([[[0, 1, 2]]], np.uint8)
    colours = {0: (10, 20, 30, 255), 1: (40, 50, 60, 255), 2: (0, 0, 0, 255)}
    path = write_raster(tmp_path / "a.tif", values, colormap=colours, nodata=2)
    with open_scene(path, gsd_m=1.0) as scene:
        row, col = place(scene)
        image, valid = scene.read(Window(row, col, 1, 3))
    assert image[0, :2].tolist() == [[10, 20, 30], [40, 50, 60]]
    assert valid[0].tolist() == [True, True, False]


GREY, RED, GREEN, BLUE = (getattr(ColorInterp, n) for n in ("gray", "red", "green", "blue"))
ALPHA, OTHER = ColorInterp.alpha, ColorInterp.undefined


@pytest.mark.parametrize(
    ("roles", "chosen", "expected"),
    [
        ((RED, GREEN, BLUE), None, (1, 2, 3)),
        (
            (BLUE, GREEN, RED, OTHER),
            None,
            (3, 2, 1),
        ),  # by colour interpretation, not in stored order
        ((GREY, OTHER, OTHER, OTHER), None, (1, 2, 3)),  # near infrared is left out
        ((ALPHA, RED, GREEN, BLUE), None, (2, 3, 4)),
        ((GREY, ALPHA), None, (1, 1, 1)),  # panchromatic
        ((GREY,), None, (1, 1, 1)),
        ((RED, GREEN, BLUE, OTHER), (4, 1, 2), (4, 1, 2)),
        ((RED, GREEN, BLUE), (2,), (2, 2, 2)),
        ((RED, GREEN, BLUE, ALPHA), (4, 1, 2), (4, 1, 2)),  # near infrared marked as alpha
    ],
)
def test_bands_option_sets_the_order(
    tmp_path: Path, roles: Any, chosen: Any, expected: tuple[int, ...]
) -> None:
    values = np.arange(1, len(roles) + 1, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), "u1")
    path = write_raster(tmp_path / "a.tif", values, colorinterp=roles)
    with open_scene(path, gsd_m=1.0, options=SceneOptions(bands=chosen)) as scene:
        row, col = place(scene)
        assert tuple(scene.read(Window(row, col, 1, 1))[0][0, 0]) == expected


def test_fingerprint_changes_with_settings_that_change_pixels_only(
    tmp_path: Path,
) -> None:
    path = write_raster(tmp_path / "a.tif", texture(40, 40))

    def print_of(gsd: float = 1.0, **options: Any) -> str:
        with open_scene(path, gsd_m=gsd, options=SceneOptions(**options)) as scene:
            return scene.fingerprint

    first = print_of()
    assert print_of() == first
    others = {print_of(gsd=0.5), print_of(nodata=3), print_of(blank="white"), print_of(bands=(1,))}
    assert len(others | {first}) == 5
    write_raster(path, texture(40, 40, seed=1), compress="deflate")
    assert print_of() != first


def test_read_of_a_window_without_input_is_blank_and_opens_no_file(tmp_path: Path) -> None:
    left = write_raster(tmp_path / "a.tif", texture(64, 64))
    right = write_raster(tmp_path / "b.tif", texture(64, 64), x0=X0 + 128)
    with open_scene([left, right], gsd_m=1.0) as scene:
        row, col = place(scene)
        gap = Window(row, col + 64, 64, 64)
        assert scene.is_blank(gap)
        assert not scene.is_blank(gap.buffered(1))
        assert scene.is_blank(Window(-500, 0, 400, 400))
        image, valid = scene.read(gap)
    assert not valid.any()
    assert (image == INVALID_FILL).all()


def test_open_scene_of_distant_inputs_warns_with_the_distance(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = [
        write_raster(tmp_path / f"{i}.tif", texture(64, 64), x0=X0 + dx)
        for i, dx in enumerate((0, 64, 5064 + 64))
    ]
    with open_scene(paths, gsd_m=1.0):
        pass
    assert "2 separate areas, up to 5.0 km apart" in caplog.text
