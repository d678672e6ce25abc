"""Sheets in an object store: a real S3 server, read by GDAL."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from roadgis.batch.plan import make_plan, read_plan
from roadgis.batch.sheets import absolute_sources, county_sheets
from roadgis.batch.update import plan_county, update_county
from roadgis.errors import ReadError, SceneError
from roadgis.sources import SourceOptions, find_sheets
from tests.batch.counties import assert_same, extracted, merged, ran, settings
from tests.factories.models import tiny_model
from tests.factories.rasters import cut_into_sheets
from tests.factories.roads import write_net

pytest.importorskip("moto")


@pytest.fixture(scope="module")
def sheets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("object_store")
    return cut_into_sheets(write_net(folder / "net.tif", seed=5), folder / "sheets", [333], [300])


def put(url: str, data: bytes = b"") -> None:
    headers = {"Content-Type": "application/octet-stream"}
    request = urllib.request.Request(url, data=data, headers=headers, method="PUT")
    with urllib.request.urlopen(request, timeout=60):
        pass


@pytest.fixture(scope="module")
def server(sheets: Path) -> Iterator[str]:
    """Start an S3 server with the sheets in the bucket county, one of them in a folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", address.split(":")[1]]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                put(f"http://{address}/county")
                break
            except urllib.error.URLError:
                assert process.poll() is None
                time.sleep(0.1)
        for path in sorted(sheets.glob("*.tif")):
            put(f"http://{address}/county/sheets/{path.name}", path.read_bytes())
        put(f"http://{address}/county/sheets/readme.txt", b"not a sheet")
        put(f"http://{address}/county/notes/readme.txt", b"not a sheet")
        put(f"http://{address}/county/sheets/old/old.tif", b"not a raster")
        yield address
    finally:
        process.kill()
        process.wait()


@pytest.fixture(autouse=True)
def environment(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_S3_ENDPOINT": server,
        "AWS_HTTPS": "NO",
        "AWS_VIRTUAL_HOSTING": "FALSE",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("folder", ["/vsis3/county/sheets/", "s3://county/sheets/"])
def test_find_sheets_lists_a_folder_of_an_object_store(folder: str, sheets: Path) -> None:
    names = [path.name for path in sorted(sheets.glob("*.tif"))]
    expected = [f"/vsis3/county/sheets/{name}" for name in names]
    assert [sheet.name for sheet in find_sheets(folder)] == expected
    found = find_sheets(folder, SourceOptions(recursive=True))
    assert "/vsis3/county/sheets/old/old.tif" in [sheet.name for sheet in found]


def test_find_sheets_names_a_folder_without_rasters() -> None:
    with pytest.raises(SceneError, match=r"s3://county/notes/: found no raster in this folder"):
        find_sheets("s3://county/notes/")
    with pytest.raises(ReadError, match=r"s3://county/nothing/: cannot be listed"):
        find_sheets("s3://county/nothing/")


def test_a_county_in_an_object_store_gives_the_network_of_local_sheets(
    sheets: Path, tmp_path: Path
) -> None:
    model = tiny_model(tmp_path / "tiny.onnx")
    chosen = settings(model, 320)
    source = absolute_sources(["/vsis3/county/sheets/"])
    folder = tmp_path / "county"
    plan_county(folder, make_plan(county_sheets(source, chosen.options), chosen, source))
    ran(folder)
    assert_same(merged(folder).network, extracted(sheets, model))
    said = update_county(folder)
    assert said.kept == said.units == len(read_plan(folder).units)
