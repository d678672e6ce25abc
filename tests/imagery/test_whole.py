"""Truncated and damaged files are errors, even if the driver reads them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio.shutil

from roadgis.errors import ReadError, RoadgisError, SceneError
from roadgis.imagery.damage import missing_end
from roadgis.imagery.grid import Window
from roadgis.imagery.scene import open_scene
from roadgis.options.imagery import SceneOptions
from tests.factories.rasters import texture, write_raster

KINDS: dict[str, dict[str, Any]] = {
    "png.png": {"driver": "PNG"},
    "jpeg.jpg": {"driver": "JPEG"},
    "progressive.jpg": {"driver": "JPEG", "progressive": "ON"},
    "lossy.jp2": {"driver": "JP2OpenJPEG"},
    "lossless.jp2": {"driver": "JP2OpenJPEG", "reversible": "YES", "quality": "100"},
    "webp.webp": {"driver": "WEBP"},
    "strips.tif": {"driver": "GTiff"},
    "tiles.tif": {"driver": "GTiff", "tiled": True, "blockxsize": 64, "blockysize": 64},
    "lzw.tif": {"driver": "GTiff", "compress": "LZW", "interleave": "band"},
    "jpeg.tif": {"driver": "GTiff", "compress": "JPEG", "photometric": "YCBCR"},
    "cog.tif": {"driver": "COG", "compress": "DEFLATE"},
    "erdas.img": {"driver": "HFA"},
}


@pytest.fixture(scope="module")
def rasters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with one image in all formats."""
    folder = tmp_path_factory.mktemp("rasters")
    source = write_raster(folder / "source.tif", texture(300, 200))
    for name, settings in KINDS.items():
        rasterio.shutil.copy(str(source), str(folder / name), **settings)
    return folder


def spoilt(whole: Path, folder: Path, data: bytes) -> Path:
    """Write other bytes under the name of a raster, with a copy of its georeference."""
    sidecar = whole.with_name(f"{whole.name}.aux.xml")
    if sidecar.exists():
        (folder / sidecar.name).write_bytes(sidecar.read_bytes())
    path = folder / whole.name
    path.write_bytes(data)
    return path


def read_all(path: Path) -> np.ndarray[Any, Any]:
    with open_scene(path) as scene:
        return scene.read(scene.covered)[0]


@pytest.mark.parametrize("name", KINDS)
def test_open_scene_reads_whole_files(rasters: Path, name: str) -> None:
    assert read_all(rasters / name).shape == (300, 200, 3)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("name", KINDS)
def test_open_scene_rejects_files_that_are_cut_short(
    rasters: Path, tmp_path: Path, name: str, share: float
) -> None:
    data = (rasters / name).read_bytes()
    cut = spoilt(rasters / name, tmp_path, data[: int(len(data) * share)])
    with pytest.raises(RoadgisError, match=f"{name}.*(whole|truncated)"):
        read_all(cut)


@pytest.mark.parametrize("name", ["png.png", "jpeg.jpg", "lossy.jp2", "lossless.jp2"])
def test_open_scene_rejects_files_that_end_in_zeros(
    rasters: Path, tmp_path: Path, name: str
) -> None:
    """Interrupted downloads leave such files where the size was reserved."""
    data = (rasters / name).read_bytes()
    kept = int(len(data) * 0.99)
    path = spoilt(rasters / name, tmp_path, data[:kept] + bytes(len(data) - kept))
    with pytest.raises(ReadError, match="without the mark of its end"):
        open_scene(path)


@pytest.mark.parametrize("name", ["jpeg.jpg", "jpeg.tif"])
def test_read_rejects_jpeg_data_that_is_damaged_inside(
    rasters: Path, tmp_path: Path, name: str
) -> None:
    data = bytearray((rasters / name).read_bytes())
    middle = len(data) // 2
    data[middle : middle + 200] = b"\xff" * 200
    path = spoilt(rasters / name, tmp_path, data)
    with pytest.raises(ReadError, match=rf"{name}: reading rows .*[Cc]orrupt"):
        read_all(path)


@pytest.mark.parametrize("source", ["cut.tif", "cut.png", "gone.tif"])
def test_open_scene_rejects_a_vrt_with_a_truncated_source(
    rasters: Path, tmp_path: Path, source: str
) -> None:
    if source != "gone.tif":
        data = (rasters / {"cut.tif": "tiles.tif", "cut.png": "png.png"}[source]).read_bytes()
        (tmp_path / source).write_bytes(data[: len(data) // 2])
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{band}"><SimpleSource>'
        f'<SourceFilename relativeToVRT="1">{source}</SourceFilename>'
        f"<SourceBand>{band}</SourceBand>"
        '<SourceProperties RasterXSize="200" RasterYSize="300" DataType="Byte"/>'
        '<SrcRect xOff="0" yOff="0" xSize="200" ySize="300"/>'
        '<DstRect xOff="0" yOff="0" xSize="200" ySize="300"/></SimpleSource></VRTRasterBand>'
        for band in (1, 2, 3)
    )
    (tmp_path / "index.vrt").write_text(
        '<VRTDataset rasterXSize="200" rasterYSize="300"><SRS>EPSG:32632</SRS>'
        f"<GeoTransform>500000,1,0,5300000,0,-1</GeoTransform>{bands}</VRTDataset>"
    )
    with pytest.raises(ReadError, match=rf"index\.vrt: .* its source .*{source}"):
        open_scene(tmp_path / "index.vrt")


def test_open_scene_accepts_a_vrt_of_a_table_in_a_geopackage(tmp_path: Path) -> None:
    source = write_raster(tmp_path / "source.tif", texture(60, 80))
    table = f"GPKG:{tmp_path / 'image.gpkg'}:image"
    rasterio.shutil.copy(source, tmp_path / "image.gpkg", driver="GPKG")
    rasterio.shutil.copy(table, tmp_path / "table.vrt", driver="VRT")
    assert read_all(tmp_path / "table.vrt").shape == (60, 80, 3)
    (tmp_path / "image.gpkg").unlink()
    with pytest.raises(ReadError, match=r"table\.vrt: .* its source GPKG:.* does not exist"):
        open_scene(tmp_path / "table.vrt")


@pytest.mark.parametrize("missing", [1, 60])
def test_open_scene_rejects_an_ascii_grid_without_its_last_rows(
    tmp_path: Path, missing: int
) -> None:
    """GDAL's time doubles with each missing row if the last one is read first."""
    rows = "\n".join(["1 2 3 4"] * (100 - missing))
    head = "ncols 4\nnrows 100\nxllcorner 500000\nyllcorner 5300000\ncellsize 1"
    (tmp_path / "cut.asc").write_text(f"{head}\n{rows}\n")
    options = SceneOptions(assume_crs="EPSG:32632")
    with pytest.raises(ReadError, match=rf"cut\.asc: .*can't read line {100 - missing}\b"):
        open_scene(tmp_path / "cut.asc", band_count=1, options=options)


def test_open_scene_accepts_a_sparse_tiff(tmp_path: Path) -> None:
    values = np.full((3, 256, 256), 90, np.uint8)
    values[:, 64:] = 0
    path = write_raster(
        tmp_path / "sparse.tif", values, tiled=True, blockxsize=64, blockysize=64, SPARSE_OK="TRUE"
    )
    assert os.path.getsize(path) < 64 * 256 * 3 + 4096
    assert read_all(path)[200, 200].tolist() == [0, 0, 0]


def test_open_scene_accepts_a_tiff_whose_last_block_is_too_long(tmp_path: Path) -> None:
    """Some programs count the rows beyond the image's end."""
    path = write_raster(tmp_path / "padded.tif", texture(10, 64, bands=1), blockysize=8)
    data = path.read_bytes()
    counts = (8 * 64).to_bytes(2, "little") + (2 * 64).to_bytes(2, "little")
    wrong = (8 * 64).to_bytes(2, "little") * 2
    assert data.count(counts) == 1
    path.write_bytes(data.replace(counts, wrong))
    with open_scene(path, band_count=1) as scene:
        assert scene.read(Window(0, 0, 1, 1))[0].shape == (1, 1, 1)


def test_missing_end_skips_the_thumbnail_of_a_jpeg(rasters: Path) -> None:
    whole = (rasters / "jpeg.jpg").read_bytes()
    thumbnail = b"\xff\xe1\x00\x10" + b"\xff\xd8\xff\xd9" + bytes(10)
    photo = whole[:2] + thumbnail + whole[2:]
    assert missing_end(photo) is None
    assert missing_end(photo[:-2]) == (
        f"it ends after {len(photo) - 2:,} bytes, without the mark of its end"
    )


_VRT = (
    b'<VRTDataset rasterXSize="20" rasterYSize="30"><SRS>EPSG:32632</SRS>'
    b"<GeoTransform>500000,1,0,5300000,0,-1</GeoTransform>"
    b'<VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
    b'<SourceFilename relativeToVRT="1">strasse.tif</SourceFilename><SourceBand>1</SourceBand>'
    b"</SimpleSource></VRTRasterBand></VRTDataset>"
)


class TestTextThatIsNotUtf8:
    """GDAL quotes it in messages that rasterio cannot decode."""

    # rasterio's callbacks cannot raise messages that they cannot decode.
    pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

    @pytest.fixture(params=[(b"strasse", b"stra\xdfe"), (b"Byte", b"By\xdfe")])
    def vrt(self, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
        path = tmp_path / "latin.vrt"
        path.write_bytes(_VRT.replace(*request.param))
        return path

    def test_open_scene_names_the_file_and_the_reason(self, vrt: Path) -> None:
        with pytest.raises(SceneError, match=r"latin\.vrt: .*it holds text that is not UTF-8"):
            open_scene(vrt, band_count=1)

    def test_extract_prints_the_error_only(self, vrt: Path) -> None:
        command = [sys.executable, "-m", "roadgis", "predict", vrt, "-o", vrt.parent / "a.tif"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert line.startswith("Error: ")
