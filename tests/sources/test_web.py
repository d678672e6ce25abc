"""Web map services, read from a real local server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import Transformer

from roadgis.errors import InputError, ReadError
from roadgis.imagery.scene import compose_scene
from roadgis.options.extraction import ExtractOptions
from roadgis.options.imagery import SceneOptions
from roadgis.pipeline import extract_roads
from roadgis.sources import Sheet, SourceOptions, find_sheets, inspect_sheets
from tests.factories.models import tiny_model
from tests.factories.rasters import texture, write_raster
from tests.factories.roads import NET, painted
from tests.sources.tile_server import HALF, TILE, Service, tile_server

#: At this level and latitude pixels are 0.80 m on the ground.
ZOOM, ROW, COL = 17, 45_400 * TILE + 30, 68_600 * TILE + 50
LICENCE = "CC BY 4.0 Example Agency"


def box_of(service: Service, grow_px: int = -1) -> tuple[float, float, float, float]:
    """Return the image's bounds in degrees, some pixels larger."""
    height, width = service.image.shape[1:]
    left, top = service.col - grow_px, service.row - grow_px
    x = np.array([left, left + width + 2 * grow_px]) * service.pixel - HALF
    y = HALF - np.array([top + height + 2 * grow_px, top]) * service.pixel
    lon, lat = Transformer.from_crs(3857, 4326, always_xy=True).transform(x, y)
    return (float(lon[0]), float(lat[0]), float(lon[1]), float(lat[1]))


@pytest.fixture
def service() -> Iterator[Service]:
    with tile_server(Service(texture(300, 500), ZOOM, ROW, COL)) as running:
        yield running


def settings(service: Service, folder: Path, **fields: Any) -> SourceOptions:
    values = {"bbox": box_of(service), "request_rate": 1000.0, **fields}
    return SourceOptions(imagery_licence=LICENCE, cache_dir=folder / "cache", **values)


def url_of(service: Service, kind: str) -> str:
    return {
        "xyz": f"xyz:{service.url}/xyz/{{z}}/{{x}}/{{y}}.png?key=secret",
        "tms": f"xyz:{service.url}/tms/{{z}}/{{x}}/{{-y}}.png",
        "wms": f"wms:{service.url}/wms?LAYERS=ortho&key=secret",
        "wmts": f"wmts:{service.url}/capabilities.xml?layer=ortho",
    }[kind]


def pixels(service: Service, name: str, options: SourceOptions, gsd_m: float) -> Any:
    """Return the scene at the extent of the image, in pixels of the raster."""
    found = inspect_sheets(find_sheets(name, options), SceneOptions(), 3, options, gsd_m=gsd_m)
    raster = found.rasters[0]
    with compose_scene(found.rasters) as scene:
        scene.read(scene.covered)  # fills the cache
    with rasterio.open(raster.path) as dataset:
        row, col = dataset.index(
            (service.col + 0.5) * service.pixel - HALF, HALF - (service.row + 0.5) * service.pixel
        )
        height, width = service.image.shape[1:]
        return raster, dataset.read(), (row, col, height, width)


@pytest.mark.parametrize("kind", ["xyz", "tms", "wmts"])
def test_web_tiles_are_read_at_the_level_of_the_model(
    service: Service, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # While GDAL opens a WMTS, the server in this process cannot answer: GDAL waits for the timeout.
    monkeypatch.setattr("roadgis.sources.web._TIMEOUT_S", 5)
    options = settings(service, tmp_path)
    raster, values, (row, col, height, width) = pixels(service, url_of(service, kind), options, 1.0)
    inside = values[:, row : row + height, col : col + width]
    np.testing.assert_array_equal(inside[:3], service.image)
    assert (inside[3] == 255).all()
    assert np.count_nonzero(values[3]) == height * width
    assert raster.alpha == 4
    assert raster.bands == (1, 2, 3)


def test_wms_is_read_at_the_pixel_size_of_the_model(service: Service, tmp_path: Path) -> None:
    latitude = np.radians(sum(box_of(service)[1::2]) / 2)
    options = settings(service, tmp_path)
    gsd_m = float(service.pixel * np.cos(latitude))
    raster, values, _ = pixels(service, url_of(service, "wms"), options, gsd_m)
    # The server draws at the requested size, rounded to three digits.
    assert raster.transform.a == pytest.approx(service.pixel, rel=0.01)
    assert values.shape[1:] == pytest.approx(service.image.shape[1:], rel=0.01, abs=2)
    assert np.count_nonzero(values[3]) > 0.95 * values[3].size
    assert all("LAYERS=ortho" in path or "layers=ortho" in path for path in service.requests)
    assert all("key=secret" in path for path in service.requests)


def test_web_tiles_are_requested_once(service: Service, tmp_path: Path) -> None:
    options = settings(service, tmp_path)
    pixels(service, url_of(service, "xyz"), options, 1.0)
    asked = [path for path in service.requests if path.startswith("/xyz/17/")]
    assert len(set(asked)) == 6  # 3 x 2 tiles
    assert len(asked) == 6
    pixels(service, url_of(service, "xyz"), options, 1.0)
    assert len(service.requests) == 6


def test_web_requests_keep_to_the_rate(service: Service, tmp_path: Path) -> None:
    options = settings(service, tmp_path, request_rate=10.0)
    started = time.monotonic()
    pixels(service, url_of(service, "xyz"), options, 1.0)
    assert time.monotonic() - started >= 0.5  # the first of 6 requests does not wait


def test_web_requests_are_repeated_while_a_server_is_busy(service: Service, tmp_path: Path) -> None:
    options = settings(service, tmp_path)
    found = inspect_sheets([Sheet(url_of(service, "xyz"))], SceneOptions(), 3, options, gsd_m=1.0)
    service.failures = 2
    with compose_scene(found.rasters) as scene:
        _, valid = scene.read(scene.covered)
    assert valid.any()
    assert service.failures == 0


def test_web_service_error_hides_the_key(service: Service, tmp_path: Path) -> None:
    options = settings(service, tmp_path)
    found = inspect_sheets([Sheet(url_of(service, "xyz"))], SceneOptions(), 3, options, gsd_m=1.0)
    service.failures = 10**6
    with (
        compose_scene(found.rasters) as scene,
        pytest.raises(
            ReadError, match=r"^xyz:http://127\.0\.0\.1:\d+/xyz/{z}/{x}/{y}\.png: "
        ) as caught,
    ):
        scene.read(scene.covered)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("kind", ["xyz", "wms", "wmts"])
def test_web_services_need_a_licence_and_an_area(service: Service, kind: str) -> None:
    url = url_of(service, kind)
    with pytest.raises(InputError, match="state the licence with --imagery-licence") as caught:
        find_sheets(url, SourceOptions(bbox=box_of(service)))
    assert "secret" not in str(caught.value)
    with pytest.raises(InputError, match="Give the area with --bbox or --aoi"):
        find_sheets(url, SourceOptions(imagery_licence=LICENCE))
    assert service.requests == []


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("xyz:http://127.0.0.1:9/{z}/{x}.png", r"has no {y}\. Expected a URL such as"),
        ("xyz:http://127.0.0.1:9/{z}/{x}/{y}.png#zoom=99", "zoom is '99'"),
        ("wms:http://127.0.0.1:9/wms", "names no layer"),
        ("wms:http://127.0.0.1:9/wms?LAYERS=a&CRS=EPSG:0", "CRS=EPSG:0: is not known"),
    ],
)
def test_web_service_urls_that_are_incomplete_are_rejected(
    tmp_path: Path, url: str, message: str
) -> None:
    options = SourceOptions(
        imagery_licence=LICENCE, bbox=(8.0, 47.0, 8.01, 47.01), cache_dir=tmp_path
    )
    with pytest.raises(InputError, match=message):
        inspect_sheets([Sheet(url)], SceneOptions(), 3, options, gsd_m=1.0)


def test_wmts_capabilities_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    options = SourceOptions(
        imagery_licence=LICENCE, bbox=(8.0, 47.0, 8.01, 47.01), cache_dir=tmp_path
    )
    url = "wmts:http://127.0.0.1:9/cap.xml?layer=ortho"
    with pytest.raises(
        ReadError, match=r"wmts:http://127\.0\.0\.1:9/cap\.xml \(ortho\): cannot be"
    ):
        inspect_sheets([Sheet(url)], SceneOptions(), 3, options, gsd_m=1.0)


def test_extract_of_web_tiles_equals_that_of_a_file(tmp_path: Path) -> None:
    image = painted((500, 600), NET)
    with tile_server(Service(image, ZOOM, ROW, COL)) as service:
        pixel, model = service.pixel, tiny_model(tmp_path / "tiny.onnx")
        place = Affine(pixel, 0, COL * pixel - HALF, 0, -pixel, HALF - ROW * pixel)
        file = write_raster(tmp_path / "net.tif", image, crs="EPSG:3857", transform=place)
        sources = settings(service, tmp_path)
        url = url_of(service, "xyz")
        network = extract_roads(url, model=model, options=ExtractOptions(sources=sources))
    expected = extract_roads(file, model=model)
    assert len(network) == len(expected)
    assert network.length_m.sum() == pytest.approx(expected.length_m.sum(), rel=1e-3)
    assert network.provenance["imagery_licence"] == LICENCE
    assert network.provenance["inputs"] == [url.partition("?")[0]]
