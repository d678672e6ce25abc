"""Sheets in an object store: a real S3 server, read by GDAL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from roadgis.batch.plan import read_plan
from roadgis.batch.planning import make_plan
from roadgis.batch.sheets import absolute_sources, county_sheets
from roadgis.batch.update import plan_county, update_county
from roadgis.errors import ReadError, SceneError
from roadgis.sources import SourceOptions, find_sheets
from tests.batch.counties import assert_same, extracted, merged, ran, settings
from tests.factories.models import tiny_model
from tests.factories.rasters import cut_into_sheets
from tests.factories.roads import write_net
from tests.factories.s3 import S3Server, s3_server

pytest.importorskip("moto")


@pytest.fixture(scope="module")
def sheets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("object_store")
    return cut_into_sheets(write_net(folder / "net.tif", seed=5), folder / "sheets", [333], [300])


@pytest.fixture(scope="module")
def server(sheets: Path) -> Iterator[S3Server]:
    """Start an S3 server with the sheets in the bucket county, one of them in a folder."""
    with s3_server() as server:
        for path in sorted(sheets.glob("*.tif")):
            server.put(f"county/sheets/{path.name}", path.read_bytes())
        server.put("county/sheets/readme.txt", b"not a sheet")
        server.put("county/notes/readme.txt", b"not a sheet")
        server.put("county/sheets/old/old.tif", b"not a raster")
        yield server


@pytest.fixture(autouse=True)
def environment(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.variables.items():
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


def test_county_in_an_object_store_gives_the_network_of_local_sheets(
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
