"""``roadgis compare`` as a user calls it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import geopandas
import pytest
from click.testing import CliRunner

from roadgis.cli.commands.compare import command
from roadgis.errors import RoadgisError
from tests.comparison.test_comparison import grid, line, shifted, table


@pytest.fixture
def networks(tmp_path: Path) -> tuple[str, str]:
    roads, base = tmp_path / "roads.gpkg", tmp_path / "osm.geojson"
    table(shifted([*grid()[1:], line((120, 150), (180, 150))], 3, -2)).to_file(roads)
    table(grid(), name=[str(n) for n in range(40)]).to_crs(4326).to_file(base)
    return str(roads), str(base)


def test_compare_writes_and_reports_a_review(networks: tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / "review.gpkg"
    done = CliRunner().invoke(command, [*networks, "-o", str(path)])
    assert done.exit_code == 0, done.output
    assert "missing 0.10 km, extra 0.06 km" in done.stderr
    assert "offset 3.0 m east, -2.0 m north" in done.stderr
    assert done.stdout == ""
    assert geopandas.read_file(path, layer="missing")["base_name"].tolist() == ["0"]


def test_compare_into_a_project_keeps_its_other_layers_and_styles(
    networks: tuple[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "review.gpkg"
    table(grid()).to_file(path, layer="parcels", driver="GPKG")
    for _ in range(2):
        done = CliRunner().invoke(command, [*networks, "-o", str(path), "--overwrite"])
        assert done.exit_code == 0, done.output
    assert len(geopandas.read_file(path, layer="parcels")) == len(grid())
    assert geopandas.read_file(path, layer="missing")["base_name"].tolist() == ["0"]
    with closing(sqlite3.connect(path)) as file:
        styles = file.execute("SELECT f_table_name, useAsDefault FROM layer_styles").fetchall()
    assert sorted(styles) == [(n, 1) for n in ("extra", "matched", "missing", "moved", "offset")]


def test_compare_json_is_one_object_and_needs_no_output(networks: tuple[str, str]) -> None:
    done = CliRunner().invoke(command, [*networks, "--json", "-q"])
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    assert summary["counts"] == {"missing": 1, "extra": 1, "moved": 0, "matched": 39}
    assert summary["missing_m"] == pytest.approx(100, abs=0.1)
    assert summary["offset"]["dx_m"] == pytest.approx(3, abs=0.01)
    assert summary["options"]["max_offset_m"] == 20.0


def test_compare_passes_options_to_the_library(networks: tuple[str, str]) -> None:
    given = ["--no-offset", "--moved", "2.5", "--max-distance", "10", "--frame", "base"]
    done = CliRunner().invoke(command, [*networks, "--json", *given])
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    assert summary["offset"]["estimated"] is False
    assert (
        summary["counts"]["moved"] == 20
    )  # streets to the north by 3 m; the others, by 2 m, stay within 2.5 m
    assert summary["frame"] == "base"


def test_compare_needs_an_output_or_json(networks: tuple[str, str]) -> None:
    done = CliRunner().invoke(command, list(networks))
    assert done.exit_code == 2
    assert "--json" in done.stderr


def test_compare_prints_the_errors_of_the_library(
    networks: tuple[str, str], tmp_path: Path
) -> None:
    done = CliRunner().invoke(command, [*networks, "-o", str(tmp_path / "review.docx")])
    assert isinstance(done.exception, RoadgisError)
    assert not list(tmp_path.glob("review*"))
