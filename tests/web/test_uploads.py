"""Accepted and rejected files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi")

from roadgis.web.api.uploads import (
    UploadError,
    check_content,
    check_free,
    check_pixels,
    data_path,
    safe_name,
)
from tests.factories.rasters import write_raster


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("scene.tif", "scene.tif"),
        ("../../etc/scene.TIF", "scene.tif"),
        ("C:\\data\\a b.jp2", "a b.jp2"),
        ("a<script>.tif", "a_script_.tif"),
        ("\u202escene.tif", "_scene.tif"),
    ],
)
def test_safe_name_keeps_the_last_part_without_special_letters(given: str, kept: str) -> None:
    assert safe_name(given, "roads") == kept


@pytest.mark.parametrize(
    "given", ["scene.vrt", "scene.xml", ".tif", "scene", "scene.tif/", "a.exe"]
)
def test_safe_name_rejects_unknown_suffixes(given: str) -> None:
    with pytest.raises(UploadError) as caught:
        safe_name(given, "roads")
    assert caught.value.status == 415


def test_check_content_rejects_a_vrt_named_tif(tmp_path: Path) -> None:
    path = tmp_path / "scene.tif"
    path.write_text("<VRTDataset rasterXSize='1' rasterYSize='1'></VRTDataset>")
    with pytest.raises(UploadError, match="does not match the suffix"):
        check_content(path, "roads")


def test_check_content_rejects_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "scene.tif"
    path.touch()
    with pytest.raises(UploadError, match="empty"):
        check_content(path, "roads")


def test_check_content_accepts_a_geotiff(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "scene.tif", np.zeros((3, 8, 8), np.uint8))
    check_content(path, "roads")


def test_check_pixels_rejects_a_small_file_of_many_pixels(tmp_path: Path) -> None:
    path = write_raster(
        tmp_path / "bomb.tif", np.zeros((1, 4000, 4000), np.uint8), compress="deflate"
    )
    assert path.stat().st_size < 100_000
    with pytest.raises(UploadError, match="16 megapixels, more than 15") as caught:
        check_pixels([path], 15)
    assert caught.value.status == 413
    check_pixels([path], 16)


def test_check_pixels_counts_all_files_together(tmp_path: Path) -> None:
    paths = [
        write_raster(tmp_path / f"{n}.tif", np.zeros((1, 1000, 1000), np.uint8)) for n in range(3)
    ]
    with pytest.raises(UploadError, match="3 megapixels"):
        check_pixels(paths, 2)


def test_check_pixels_rejects_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "scene.tif"
    path.write_bytes(b"II*\0" + b"\xff" * 100)
    with pytest.raises(UploadError, match="damaged or incomplete"):
        check_pixels([path], 100)


def test_data_path_stays_in_the_data_folders(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.tif").touch()
    (tmp_path / "secret.tif").touch()
    (data / "link.tif").symlink_to(tmp_path / "secret.tif")
    assert data_path("a.tif", [data]) == data / "a.tif"
    for given in ("../secret.tif", str(tmp_path / "secret.tif"), "link.tif", "none.tif", "a\0.tif"):
        with pytest.raises(UploadError) as caught:
            data_path(given, [data])
        assert caught.value.status == 404


def test_data_path_is_rejected_without_data_folders() -> None:
    with pytest.raises(UploadError, match="--data-dir") as caught:
        data_path("a.tif", [])
    assert caught.value.status == 403


def test_check_free_observes_the_quota(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(1000))
    check_free(tmp_path, 500, 1500)
    with pytest.raises(UploadError, match="Delete old jobs") as caught:
        check_free(tmp_path, 501, 1500)
    assert caught.value.status == 507


def test_check_free_leaves_room_on_the_disk(tmp_path: Path) -> None:
    with pytest.raises(UploadError, match="disk is full"):
        check_free(tmp_path, 2**60, 2.0**70)
