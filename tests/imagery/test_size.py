"""Scenes that are too large are rejected with their size before anything is read."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path

import pytest
import rasterio
import shapely
from affine import Affine

from roadgis.errors import OutputError, SceneError
from roadgis.imagery.grid import Window
from roadgis.imagery.scene import open_scene
from roadgis.imagery.size import RunSize, check_space, duration, storage
from roadgis.options.imagery import SceneOptions
from roadgis.options.prediction import PredictOptions
from roadgis.probability.cutting import network_pixels
from tests.factories.models import tiny_card
from tests.factories.rasters import METRIC, X0, Y0, texture, write_raster


def write_vrt(path: Path, side: int, pixel: float = 1.0) -> Path:
    """Write a raster of less than 500 bytes that claims `side` squared pixels."""
    bands = "".join(f'<VRTRasterBand dataType="Byte" band="{band}"/>' for band in (1, 2, 3))
    path.write_text(
        f'<VRTDataset rasterXSize="{side}" rasterYSize="{side}"><SRS>{METRIC}</SRS>'
        f"<GeoTransform>{X0},{pixel},0,{Y0},0,{-pixel}</GeoTransform>{bands}</VRTDataset>"
    )
    assert path.stat().st_size < 500
    return path


@pytest.mark.parametrize("pixel", [1.0, 0.1])
def test_open_scene_rejects_an_absurdly_large_raster_with_its_size(
    tmp_path: Path, pixel: float
) -> None:
    path = write_vrt(tmp_path / "a.vrt", 1_000_000, pixel)
    with pytest.raises(SceneError) as error:
        open_scene(path, gsd_m=1.0)
    text = str(error.value)
    if pixel == 1.0:
        assert "1,000,000.0 Mpx at 1 m" in text
        assert "within 1,000.0 x 1,000.0 km" in text
        assert "about 6 days and 400.0 GB of disk space" in text
        assert "--max-mpx 1000000," in text
    else:
        assert "10,000.0 Mpx at 1 m, read from 1,000,000.0 Mpx, within 100.0 x 100.0 km" in text
        assert "--max-mpx 100000," in text


def test_open_scene_rejects_a_tiff_of_more_pixels_than_its_bytes_can_hold(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=10**6, height=10**6, count=3, dtype="uint8", crs=METRIC,
        transform=Affine(1, 0, X0, 0, -1, Y0), SPARSE_OK=True, tiled=True, blockxsize=16384,
        blockysize=16384, BIGTIFF="YES",
    ):  # fmt: skip
        pass
    with pytest.raises(SceneError, match=r"too large for one run: 1,000,000\.0 Mpx"):
        open_scene(path, gsd_m=1.0)


def test_open_scene_accepts_the_size_that_its_error_names(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", texture(600, 2500))
    with pytest.raises(SceneError, match="--max-mpx 2,"):
        open_scene(path, gsd_m=1.0, options=SceneOptions(max_mpx=1))
    open_scene(path, gsd_m=1.0, options=SceneOptions(max_mpx=2)).close()


def test_open_scene_counts_the_area_of_interest_only(tmp_path: Path) -> None:
    path = write_vrt(tmp_path / "a.vrt", 400_000)
    box = shapely.box(X0 + 1000, Y0 - 3000, X0 + 2000, Y0 - 1000)
    with open_scene(path, gsd_m=1.0, options=SceneOptions(aoi=box)) as scene:
        assert scene.size == RunSize(2_000_000, 2_000_000, scene.size.covered, 1.0)


def test_open_scene_rejects_sheets_very_far_apart(tmp_path: Path) -> None:
    a = write_raster(tmp_path / "a.tif", texture(10, 10))
    b = write_raster(tmp_path / "b.tif", texture(10, 10), x0=X0 + 199_990, y0=Y0 - 99_990)
    with pytest.raises(SceneError, match=r" 0\.0 Mpx at 1 m.* 200\.0 x 100\.0 km.*--max-mpx 2000,"):
        open_scene([a, b], gsd_m=1.0, options=SceneOptions(max_mpx=1999))
    open_scene([a, b], gsd_m=1.0, options=SceneOptions(max_mpx=2000)).close()


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_scene_options_reject_a_size_that_is_not_positive(value: float) -> None:
    with pytest.raises(SceneError, match="expected a positive number"):
        SceneOptions(max_mpx=value)


def test_check_space_compares_with_free_and_used_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    size = RunSize(10**10, 10**10, Window(0, 0, 10**5, 10**5), 1.0)

    def free(number: float) -> None:
        usage = namedtuple("usage", "free")(number)
        monkeypatch.setattr("roadgis.imagery.size.shutil.disk_usage", lambda _: usage)

    folder = tmp_path / "not" / "yet"
    free(0.9e9)
    with pytest.raises(OutputError, match=r"10,000 Mpx takes about 4.0 GB, but only 900 MB are"):
        check_space(folder, size)
    free(2e9)
    check_space(folder, size)
    assert "2.0 GB are free, and about 4.0 GB are needed" in caplog.text
    caplog.clear()
    free(5e9)
    check_space(folder, size)
    assert not caplog.text
    free(1e9 - 1000)
    (folder / "chunks-1" / "00000").mkdir(parents=True)
    (folder / "chunks-1" / "00000" / "00000.tif").write_bytes(bytes(1000))
    check_space(folder, size)


def test_network_pixels_counts_tiles_with_their_margins(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", texture(100, 128), x0=512_000.0, y0=5_299_200.0)
    card = tiny_card(stride=4, margin_px=16)
    options = PredictOptions(block_px=64, chunk_px=64)
    with open_scene(path, gsd_m=1.0) as scene:
        # Two rows and columns of blocks; each includes 16 px of its neighbours.
        assert scene.covered == Window(0, 0, 100, 128)
        assert network_pixels(scene, card, options) == (80 + 52) * (80 + 80)


def test_duration_and_storage_texts() -> None:
    times = (0.1, 80, 100, 5400, 6000, 200_000)
    assert [duration(t) for t in times] == ["1 s", "80 s", "2 min", "2 h", "2 h", "2 days"]
    assert [storage(s) for s in (1, 5e6, 2.5e9, 4e12)] == ["1 MB", "5 MB", "2.5 GB", "4.0 TB"]
