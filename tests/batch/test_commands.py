"""What the commands of ``roadgis batch`` print."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from roadgis.cli import cli
from tests.batch.counties import planned, settings


def called(*arguments: object, status: int = 0) -> str:
    """Run a command in this process; return what it printed."""
    result = CliRunner().invoke(cli, ["batch", *map(str, arguments)])
    assert result.exit_code == status, result.output
    return result.output


def test_run_prints_what_it_did_and_that_nothing_is_left(
    tmp_path: Path, model: Path, sheets: Path
) -> None:
    county = tmp_path / "county"
    count = len(planned(county, sheets, settings(model, 320)).units)
    command = ("run", county, "--threads", 1, "--progress", "none")
    done = f"{county}: {count} of {count} units done; "
    assert called(*command).startswith(f"{done}0.3 Mpx in this run (")
    assert called(*command).startswith(f"{done}nothing was left to do (")
    status = json.loads(called("status", county, "--json"))
    assert status["units"]["done"] == count


def test_merge_rejects_an_address_as_output(tmp_path: Path) -> None:
    said = called("merge", tmp_path, "-o", "s3://bucket/roads.gpkg", status=2)
    assert "s3://bucket/roads.gpkg: is an address, expected a path." in said
