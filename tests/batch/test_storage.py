"""Counties in an object store: a real S3 server holds the sheets and the county's folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from roadgis.batch.leases import Leases
from roadgis.batch.plan import read_plan
from roadgis.batch.report.page import write_report
from roadgis.batch.report.table import counts, unit_table, write_table
from roadgis.batch.storage import county_address, county_folder, storage
from roadgis.batch.update import update_county
from roadgis.errors import OutputError, ReadError
from tests.batch.counties import assert_same, extracted, merged, planned, ran, settings
from tests.factories.s3 import S3Server

pytest.importorskip("obstore")
pytest.importorskip("moto")

URL = "s3://county/results/2021"


@pytest.fixture
def objects(tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the mirror of an empty county in an S3 bucket."""
    assert s3.host
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return county_folder(URL)


def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the mirror of the county on a machine that has never seen it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache2"))
    return county_folder(URL)


def test_county_folder_is_the_path_itself_or_a_mirror(objects: Path, tmp_path: Path) -> None:
    assert county_folder(tmp_path) == tmp_path
    assert county_folder("/vsis3/county/results/2021/") == objects
    assert county_address(objects) == URL
    assert county_address(tmp_path) == str(tmp_path)


def test_county_in_an_object_store_gives_the_network_of_extract(
    objects: Path, tmp_path: Path, model: Path, sheets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(objects, sheets, settings(model))
    shard = ran(objects, shard=(1, 2))
    other = elsewhere(tmp_path, monkeypatch)
    assert other != objects
    rest = ran(other)
    assert shard.done > 4
    assert rest.done > 4
    assert shard.done + rest.done == 2 * len(plan.units)
    third = county_folder(URL)
    found = merged(third, tmp_path / "roads.gpkg").network
    assert_same(found, extracted(sheets, model))
    table = unit_table(third, plan)
    write_table(third, table)
    assert counts(table)["done"] == len(plan.units)
    write_report(third, plan, tmp_path / "report.html")
    shutil.rmtree(objects)  # a mirror has no files that the store lacks
    assert {"county.json", "units.gpkg", "units.stac.json", "predicted"} <= set(
        storage(other).names()
    )
    assert storage(other).names("leases") == []


def test_update_of_a_county_in_an_object_store_removes_obsolete_results(
    objects: Path, tmp_path: Path, model: Path, sheets: Path
) -> None:
    own = Path(shutil.copytree(sheets, tmp_path / "sheets"))
    planned(objects, own, settings(model))
    ran(objects)
    before = len(storage(objects).names("predicted"))
    (own / "sheet_02_03.tif").unlink()
    said = update_county(objects)
    assert 0 < said.kept < said.units
    assert len(storage(objects).names("predicted")) < before
    ran(objects)
    assert_same(merged(objects).network, extracted(own, model))


def test_commands_accept_an_address_of_an_object_store(
    objects: Path, tmp_path: Path, model: Path, sheets: Path
) -> None:
    run = [sys.executable, "-m", "roadgis", "batch"]
    plan = ["plan", str(sheets), "-m", str(model), "-o", URL, "--max-road-width", "16"]
    output = tmp_path / "roads.gpkg"
    for arguments in (
        plan, ["run", URL, "--workers", "2"], ["status", URL], ["merge", URL, "-o", str(output)],
    ):  # fmt: skip
        done = subprocess.run(
            [*run, *arguments], capture_output=True, text=True, timeout=600, env=os.environ
        )
        assert done.returncode == 0, done.stderr
    assert output.is_file()
    records = [name for name in storage(objects).names("traced") if name.endswith(".json")]
    assert len(records) == len(read_plan(objects).units)


def test_leases_in_an_object_store_are_exclusive_and_expire(objects: Path) -> None:
    with Leases(objects) as one, Leases(objects) as two:
        assert one.take("predicted.r0c0")
        assert not two.take("predicted.r0c0")
        assert list(two.alive()) == ["predicted.r0c0"]
        one.release("predicted.r0c0")
        assert two.take("predicted.r0c0")
    files = storage(objects)
    assert files.names("leases") == []
    files.create("leases/traced.r0c0", json.dumps({"worker": "x", "host": "x", "pid": 1}))
    with Leases(objects, lease_s=-1) as late:
        assert late.take("traced.r0c0")


def test_storage_names_a_store_that_cannot_be_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3: S3Server
) -> None:
    assert s3.host
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(ReadError, match=r"s3://county/nothing: found no county\.json"):
        read_plan(county_folder("s3://county/nothing"))
    missing = storage(county_folder("s3://no-such-bucket/county"))
    with pytest.raises(OutputError, match=r"s3://no-such-bucket/county/a: cannot be written"):
        missing.create("a", "b")
