"""Accepted inputs, and messages for others."""

from __future__ import annotations

import logging
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.rpc
import rasterio.shutil
from affine import Affine
from rasterio.control import GroundControlPoint

from roadgis.dataset_names import display_name
from roadgis.errors import ReadError, SceneError
from roadgis.imagery.grid import Window
from roadgis.imagery.inputs import expand_sources
from roadgis.imagery.scene import open_scene
from roadgis.options.imagery import SceneOptions
from tests.factories.rasters import METRIC, X0, Y0, texture, write_raster


def names(*sources: Any) -> list[str]:
    return [os.path.basename(name) for name in expand_sources(list(sources))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.tif", "a.TIF", "c.jp2", "c.jp2.aux.xml", "a.TIF.ovr", "notes.txt", "all.vrt"):
        (tmp_path / name).touch()
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "d.tif").touch()
    return tmp_path


def test_expand_sources_lists_the_rasters_of_a_folder_by_name(folder: Path) -> None:
    assert names(folder) == ["a.TIF", "b.tif", "c.jp2"]


def test_expand_sources_ignores_hidden_files(folder: Path) -> None:
    for hidden in ("._a.TIF", ".DS_Store", "._.DS_Store", ".b.tif"):
        (folder / hidden).write_bytes(b"\x00\x05\x16\x07" + bytes(4092))
    assert names(folder) == names(f"{folder}/*[fF2]") == ["a.TIF", "b.tif", "c.jp2"]


def test_expand_sources_keeps_a_folder_that_is_a_raster(tmp_path: Path) -> None:
    for name, mark in (("a.zarr", "zarr.json"), ("b", ".zgroup"), ("grid", "hdr.adf")):
        (tmp_path / name).mkdir()
        (tmp_path / name / mark).touch()
        assert names(tmp_path / name) == [name]
    assert names(tmp_path) == names(f"{tmp_path}/*") == ["a.zarr", "b", "grid"]
    with pytest.raises(SceneError, match="grid: is not a raster that can be opened"):
        open_scene(tmp_path / "grid")


def test_open_scene_reads_zarr(tmp_path: Path) -> None:
    values = texture(64, 64)
    source = write_raster(tmp_path / "a.tif", values)
    rasterio.shutil.copy(str(source), str(tmp_path / "a.zarr"), driver="Zarr")
    options = SceneOptions(assume_crs=METRIC)
    with open_scene(tmp_path / "a.zarr", options=options) as scene:
        image, valid = scene.read(scene.covered)
        before = scene.fingerprint
    assert valid.all()
    np.testing.assert_array_equal(image, np.moveaxis(values, 0, 2))
    next((tmp_path / "a.zarr").rglob("0.0.0")).touch()
    with open_scene(tmp_path / "a.zarr", options=options) as scene:
        assert scene.fingerprint != before


def test_expand_sources_lists_the_vrts_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "x.vrt").touch()
    assert names(tmp_path) == ["x.vrt"]


def test_expand_sources_expands_a_quoted_pattern(folder: Path) -> None:
    assert names(f"{folder}/*.tif") == ["b.tif"]
    assert names(f"{folder}/**/*.tif") == ["b.tif", "d.tif"]


def test_expand_sources_keeps_the_order_and_drops_repetitions(folder: Path) -> None:
    assert names(folder / "b.tif", folder) == ["b.tif", "a.TIF", "c.jp2"]


def test_expand_sources_prefers_a_file_with_brackets_to_a_pattern(tmp_path: Path) -> None:
    (tmp_path / "tile[1].tif").touch()
    assert names(tmp_path / "tile[1].tif") == ["tile[1].tif"]


def test_expand_sources_keeps_urls() -> None:
    urls = ["https://example.org/a.tif?sig=1", "s3://bucket/a.tif", "/vsizip/a.zip/a.tif"]
    assert expand_sources(urls) == urls


def test_display_name_hides_secrets() -> None:
    assert display_name("https://me:pass@host:8/a.tif?sig=secret#x") == "https://host:8/a.tif"
    assert display_name("/vsicurl/https://me@host/a.tif?k=v") == "/vsicurl/https://host/a.tif"
    assert display_name("C:/a?b.tif") == "C:/a?b.tif"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("missing.tif", "no such file or folder"),
        ("*.tif", "no file matches this pattern"),
        ("", "found no raster in this folder"),
    ],
)
def test_expand_sources_rejects_names_without_files(
    tmp_path: Path, source: str, message: str
) -> None:
    with pytest.raises(SceneError, match=message):
        open_scene(f"{tmp_path}/{source}" if source else tmp_path, gsd_m=1.0)


def test_expand_sources_rejects_an_empty_list() -> None:
    with pytest.raises(SceneError, match="No imagery was given"):
        open_scene([], gsd_m=1.0)


def test_open_scene_of_a_vrt_reads_its_sources(tmp_path: Path) -> None:
    values = texture(60, 80)
    write_raster(tmp_path / "a.tif", values)
    vrt = tmp_path / "a.vrt"
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{b}"><SimpleSource>'
        f'<SourceFilename relativeToVRT="1">a.tif</SourceFilename><SourceBand>{b}</SourceBand>'
        "</SimpleSource></VRTRasterBand>"
        for b in (1, 2, 3)
    )
    vrt.write_text(
        f'<VRTDataset rasterXSize="80" rasterYSize="60"><SRS>{METRIC}</SRS>'
        f"<GeoTransform>{X0}, 1, 0, {Y0}, 0, -1</GeoTransform>{bands}</VRTDataset>"
    )
    with open_scene(vrt, gsd_m=1.0) as scene, open_scene(tmp_path / "a.tif", gsd_m=1.0) as plain:
        found, expected = scene.read(scene.grid.window), plain.read(plain.grid.window)
        before = scene.fingerprint
    np.testing.assert_array_equal(found[0], expected[0])
    write_raster(tmp_path / "a.tif", texture(60, 80, seed=1))
    os.utime(tmp_path / "a.tif", (1, 1))
    with open_scene(vrt, gsd_m=1.0) as scene:
        assert scene.fingerprint != before, "a change in a VRT's source goes unnoticed"


def test_open_scene_reads_jpeg_2000(tmp_path: Path) -> None:
    values = texture(64, 64)
    path = write_raster(
        tmp_path / "a.jp2", values, driver="JP2OpenJPEG", QUALITY=100, REVERSIBLE="YES"
    )
    with open_scene(path, gsd_m=1.0) as scene:
        image, valid = scene.read(scene.grid.window)
    assert valid.sum() == 64 * 64
    np.testing.assert_array_equal(image[valid], np.moveaxis(values, 0, 2).reshape(-1, 3))


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_ground_control_points_georeference_a_raster(tmp_path: Path) -> None:
    points = [
        GroundControlPoint(row=r, col=c, x=X0 + c, y=Y0 - r)
        for r, c in ((0, 0), (0, 60), (50, 0), (50, 60))
    ]
    path = tmp_path / "a.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=60, height=50, count=3, dtype="uint8"
    ) as dataset:
        dataset.write(texture(50, 60))
        dataset.gcps = (points, rasterio.crs.CRS.from_string(METRIC))
    with open_scene(path, gsd_m=1.0) as scene:
        assert scene.grid.crs.to_epsg() == 32632
        assert scene.read(scene.grid.window)[1].sum() == 3000


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_ground_control_points_without_an_affine_fit_are_rejected_with_the_command_to_warp(
    tmp_path: Path,
) -> None:
    points = [
        GroundControlPoint(row=r, col=c, x=X0 + c + (20 if r and c else 0), y=Y0 - r)
        for r, c in ((0, 0), (0, 60), (50, 0), (50, 60))
    ]
    path = tmp_path / "a.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=60, height=50, count=3, dtype="uint8"
    ) as dataset:
        dataset.write(texture(50, 60))
        dataset.gcps = (points, rasterio.crs.CRS.from_string(METRIC))
    with pytest.raises(SceneError, match=r"by 4 pixels.*gdalwarp -tps -t_srs EPSG:32632 \S+a\.tif"):
        open_scene(path, gsd_m=1.0)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("rows", [(0,), (0, 10), (0, 10, 20)])
def test_ground_control_points_on_one_line_are_rejected(
    tmp_path: Path, rows: tuple[int, ...]
) -> None:
    points = [GroundControlPoint(row=r, col=2 * r, x=X0 + 2 * r, y=Y0 - r) for r in rows]
    path = write_raster(tmp_path / "a.tif", texture(30, 60), crs=None, transform=Affine.identity())
    with rasterio.open(path, "r+") as dataset:
        dataset.gcps = (points, rasterio.crs.CRS.from_string(METRIC))
    with pytest.raises(SceneError, match=rf"a\.tif: its {len(rows)} ground control points do not"):
        open_scene(path, gsd_m=1.0)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("assume_crs", [None, METRIC])
def test_open_scene_rejects_imagery_with_a_camera_model_only(
    tmp_path: Path, assume_crs: str | None
) -> None:
    path = tmp_path / "a.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=60, height=50, count=3, dtype="uint8"
    ) as dataset:
        dataset.write(texture(50, 60))
        one = [1.0] + [0.0] * 19
        dataset.rpcs = rasterio.rpc.RPC(
            height_off=500, height_scale=100, lat_off=-33.5, lat_scale=0.1, long_off=9.2,
            long_scale=0.1, line_off=25, line_scale=25, samp_off=30, samp_scale=30,
            line_num_coeff=one, line_den_coeff=one, samp_num_coeff=one, samp_den_coeff=one,
        )  # fmt: skip
    with pytest.raises(SceneError, match=r"not orthorectified.*gdalwarp -rpc .*-t_srs EPSG:32732"):
        open_scene(path, gsd_m=1.0, options=SceneOptions(assume_crs=assume_crs))


def test_open_scene_without_crs_names_the_option_that_helps(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", texture(40, 50), crs=None)
    with pytest.raises(SceneError, match=r"no coordinate reference system.*--assume-crs EPSG:"):
        open_scene(path, gsd_m=1.0)
    with open_scene(path, gsd_m=1.0, options=SceneOptions(assume_crs=METRIC)) as scene:
        assert scene.read(scene.grid.window)[1].sum() == 2000


def test_assume_crs_does_not_override_a_crs(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", texture(40, 50))
    with open_scene(path, gsd_m=1.0, options=SceneOptions(assume_crs="EPSG:2056")) as scene:
        assert scene.native_crs.to_epsg() == 32632


def test_open_scene_places_a_raster_without_position_at_the_origin_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.png"
    source = write_raster(tmp_path / "a.tif", texture(40, 50))
    with rasterio.open(source) as dataset:
        from PIL import Image

        Image.fromarray(np.moveaxis(dataset.read(), 0, 2)).save(path)
    with caplog.at_level(logging.WARNING):
        scene = open_scene(path, gsd_m=1.0, options=SceneOptions(assume_crs="EPSG:26986"))
    with scene:
        assert "has no position" in caplog.text
        image, valid = scene.read(scene.grid.window)
    assert valid.sum() == 2000
    with rasterio.open(source) as dataset:
        np.testing.assert_array_equal(image[valid][0], dataset.read()[:, 0, 0])


BAD_OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"blank": "pink"}, "blank is 'pink'"),
    ({"bands": ()}, "band numbers that count from 1"),
    ({"bands": (0, 1, 2)}, "band numbers that count from 1"),
    ({"stretch": (99, 1)}, "rising percentiles"),
    ({"value_range": (1, 1)}, "two rising numbers"),
]


@pytest.mark.parametrize(("options", "message"), BAD_OPTIONS)
def test_scene_options_reject_impossible_values(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SceneError, match=message):
        SceneOptions(**options)


@pytest.mark.parametrize(
    ("bands", "chosen", "message"),
    [
        (2, None, "has 2 band.s. besides alpha, but the model takes 3"),
        (3, (1, 2, 4), "has 3 band.s., but bands 1,2,4 were asked for"),
        (4, (1, 2), "2 bands were named .1,2., but the model takes 3"),
    ],
)
def test_open_scene_rejects_too_few_bands(
    tmp_path: Path, bands: int, chosen: Any, message: str
) -> None:
    path = write_raster(
        tmp_path / "a.tif", texture(20, 20, bands), photometric="minisblack", alpha="no"
    )
    with pytest.raises(SceneError, match=message):
        open_scene(path, gsd_m=1.0, options=SceneOptions(bands=chosen))


def test_assume_crs_rejects_an_unknown_crs(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", texture(20, 20), crs=None)
    for crs, message in (("EPSG:99", "is not a known"), ("EPSG:4978", "neither a projected")):
        with pytest.raises(SceneError, match=message):
            open_scene(path, gsd_m=1.0, options=SceneOptions(assume_crs=crs))


def test_open_scene_rejects_coordinates_outside_the_crs(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", texture(20, 20), crs="EPSG:4326")
    with pytest.raises(SceneError, match="probably states the wrong CRS"):
        open_scene(path, gsd_m=1.0)


def test_open_scene_rejects_coarse_imagery_unless_forced(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", texture(20, 20), pixel=5.0)
    with pytest.raises(SceneError, match=r"pixels of 5 m on the ground, far too coarse.*--force"):
        open_scene(path, gsd_m=1.0)
    with open_scene(path, gsd_m=1.0, options=SceneOptions(force_gsd=True)) as scene:
        assert scene.read(scene.grid.window)[1].sum() == 10_000 - 4  # the corners are rounded
        assert scene.describe()["inputs"][0]["gsd_verdict"] == "far too coarse for 1 m"


def test_open_scene_measures_the_pixel_size_on_the_ground(tmp_path: Path) -> None:
    """Web Mercator's 4.2 m at 60 degrees north are 2.1 m."""
    path = write_raster(tmp_path / "a.tif", texture(20, 20), crs="EPSG:3857", x0=1e6, y0=8_399_738,
                        pixel=4.2)  # fmt: skip
    with open_scene(path, gsd_m=1.0) as scene:
        assert scene.describe()["inputs"][0]["pixel_m"] == pytest.approx([2.1, 2.1], abs=0.02)
    with pytest.raises(SceneError, match="far too coarse"):
        open_scene(path, gsd_m=0.5)


def test_open_scene_rejects_inputs_on_two_continents(tmp_path: Path) -> None:
    near = write_raster(tmp_path / "a.tif", texture(20, 20))
    far = write_raster(tmp_path / "b.tif", texture(20, 20), crs="EPSG:32618")
    with pytest.raises(SceneError, match="too far for one metric grid"):
        open_scene([near, far], gsd_m=1.0)


def test_open_scene_rejects_files_other_than_rasters(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_text("this is text")
    with pytest.raises(SceneError, match="is not a raster that can be opened"):
        open_scene(path, gsd_m=1.0)
    path.write_bytes(b"")
    with pytest.raises(SceneError, match="is not a raster that can be opened"):
        open_scene(path, gsd_m=1.0)


@pytest.mark.parametrize("settings", [{}, {"tiled": True, "compress": "deflate"}])
def test_read_error_of_a_tiff_truncated_after_opening_names_file_and_window(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    path = write_raster(tmp_path / "a.tif", texture(300, 300), **settings)
    data = path.read_bytes()
    with open_scene(path, gsd_m=1.0) as scene:
        path.write_bytes(data[: len(data) // 2])
        with pytest.raises(ReadError, match=r"a\.tif: reading rows"):
            scene.read(scene.grid.window)


def test_open_scene_names_the_missing_source_of_a_vrt(tmp_path: Path) -> None:
    test_open_scene_of_a_vrt_reads_its_sources(tmp_path)
    (tmp_path / "a.tif").unlink()
    with (
        pytest.raises((ReadError, SceneError), match=r"a\.vrt"),
        open_scene(tmp_path / "a.vrt", gsd_m=1.0) as scene,
    ):
        scene.read(scene.grid.window)


def test_read_after_a_failed_read_is_unaffected(tmp_path: Path) -> None:
    good = write_raster(tmp_path / "good.tif", texture(64, 64), tiled=True, blockxsize=16,
                        blockysize=16)  # fmt: skip
    data = good.read_bytes()
    bad = tmp_path / "bad.tif"
    bad.write_bytes(data)
    with open_scene(bad, gsd_m=1.0) as scene:
        bad.write_bytes(data[: len(data) - 4000])
        row, col = round(scene.grid.y0 - Y0), round(X0 - scene.grid.x0)
        with pytest.raises(ReadError, match=r"bad\.tif: reading rows 0\.\.63, columns 0\.\.63"):
            scene.read(Window(row, col, 64, 64))
        with open_scene(good, gsd_m=1.0) as whole:
            top = Window(row, col, 8, 8)
            np.testing.assert_array_equal(scene.read(top)[0], whole.read(top)[0])


def test_open_scene_rejects_complex_numbers(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", np.ones((1, 4, 4), "complex64"))
    with pytest.raises(SceneError, match="complex numbers"):
        open_scene(path, gsd_m=1.0)


@pytest.mark.parametrize(
    "transform",
    [
        Affine(1, 1, X0, 1, 1, Y0),
        Affine(1, 0, X0, 0, -1e-300, Y0),
        Affine(0, 1e-300, X0, 4e29, 0, Y0),
        Affine(math.nan, 0, X0, 0, -1, Y0),
        Affine(1, 0, math.inf, 0, -1, Y0),
    ],
)
def test_open_scene_rejects_a_transform_without_area_or_position(
    tmp_path: Path, transform: Affine
) -> None:
    path = write_raster(tmp_path / "a.tif", texture(4, 4), transform=transform)
    with pytest.raises(SceneError, match="pixels have no area"):
        open_scene(path, gsd_m=1.0)


@pytest.mark.parametrize(
    ("pixel", "turn", "text"),
    [
        (1.0, 0.0, "no"),
        (0.5, 0.0, "boxes of 2 x 2 pixels averaged"),
        (0.8, 0.0, "pixels 1.25 times as large, averaged"),
        (1.25, 0.0, "pixels 1.25 times as small, interpolated"),
        (1.0, 30.0, "pixels of the same size on another grid, interpolated"),
    ],
)
def test_describe_scene_names_the_resampling(
    tmp_path: Path, pixel: float, turn: float, text: str
) -> None:
    along, across = pixel * math.cos(math.radians(turn)), pixel * math.sin(math.radians(turn))
    transform = Affine(along, across, X0, across, -along, Y0)
    path = write_raster(tmp_path / "a.tif", texture(64, 64), transform=transform)
    with open_scene(path, gsd_m=1.0) as scene:
        assert scene.describe()["resampled"] == [text]


def test_describe_scene_lists_grid_and_inputs(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", texture(64, 64), pixel=0.5, nodata=0, overviews=[2, 4])
    with open_scene(path, gsd_m=1.0) as scene:
        facts = scene.describe()
    entry = facts["inputs"][0]
    assert entry["pixel_m"] == pytest.approx([0.5, 0.5], rel=1e-3)
    assert {key: entry[key] for key in ("driver", "width", "bands", "dtype", "nodata")} == {
        "driver": "GTiff", "width": 64, "bands": 3, "dtype": "uint8", "nodata": 0.0,
    }  # fmt: skip
    assert entry["crs"].startswith("EPSG:32632")
    assert entry["overviews"] == [2, 4]
    assert entry["gsd_verdict"] == "finer than 1 m: averaged"
    assert facts["grid"]["gsd_m"] == 1.0
    assert facts["bounds_lonlat"][0] == pytest.approx(9.0, abs=1e-4)
    assert facts["valid_share"] == 1.0  # the grid is larger; its margin does not count
