"""Sheets of a county: duplicates, links, county files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from roadgis.batch.county_file import county_file
from roadgis.batch.plan import PlanSettings, read_plan
from roadgis.batch.sheets import absolute_sources, county_sheets
from roadgis.cli.batch import command
from roadgis.errors import InputError
from roadgis.options.extraction import ExtractOptions
from roadgis.options.sources import SourceOptions


def test_county_file_gives_options_and_places(tmp_path: Path) -> None:
    path = tmp_path / "county.yaml"
    path.write_text("sources: [sheets, 'http://host/a.tif']\nunit-px: 1536\nbands: [3, 2, 1]\n")
    assert county_file(path) == {
        "sources": (str(tmp_path / "sheets"), "http://host/a.tif"),
        "unit_px": 1536,
        "bands": "3,2,1",
    }
    path.write_text("output: county\n")
    with pytest.raises(InputError, match="'sources' is required"):
        county_file(path)
    path.write_text("sources: [a\n")
    with pytest.raises(InputError, match="is not YAML"):
        county_file(path)


def test_plan_takes_a_county_file_and_the_command_line_overrides_it(
    tmp_path: Path, model: Path, sheets: Path
) -> None:
    path = tmp_path / "county.yaml"
    path.write_text(
        f"sources: {sheets}\noutput: land\nmodel: {model}\nunit_px: 768\nmax_road_width: 16\n"
        "threshold: 0.4\n"
    )
    done = CliRunner().invoke(command, ["plan", str(path), "--threshold", "0.45"])
    assert done.exit_code == 0, done.output
    plan = read_plan(tmp_path / "land")
    assert (plan.settings.unit_px, plan.threshold) == (768, 0.45)
    assert plan.settings.options.vectorize.max_road_width_m == 16
    said = CliRunner().invoke(command, ["status", str(tmp_path / "land"), "--json"])
    status = json.loads(said.output)
    assert status["units"]["planned"] == len(plan.units)
    assert status["pixels"] == 600 * 500
    path.write_text(f"sources: {sheets}\ntreshold: 0.4\n")
    refused = CliRunner().invoke(command, ["plan", str(path)])
    assert isinstance(refused.exception, InputError)
    assert "the entry 'treshold'" in str(refused.exception)


def test_plan_made_with_relative_paths_runs_and_updates_from_another_folder(
    tmp_path: Path, model: Path, sheets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sheets.parent)
    county = tmp_path / "county"
    options = ["-o", str(county), "-m", str(model), "--unit-px", "768", "--bbox", "7,50,8,51"]
    done = CliRunner().invoke(command, ["plan", sheets.name, *options])
    assert done.exit_code == 0, done.output
    plan = read_plan(county)
    assert [Path(raster.path).parent for raster in plan.rasters] == [sheets] * len(plan.rasters)
    assert plan.settings.options.sources.bbox == (7.0, 50.0, 8.0, 51.0)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(command, ["update", str(county)])
    assert "no sheet has changed" in done.output


def test_county_sheets_rejects_web_map_services() -> None:
    source = absolute_sources(["xyz:http://127.0.0.1:9/{z}/{x}/{y}.png"])
    with pytest.raises(InputError, match="web map services cannot be mapped in batches"):
        county_sheets(source, ExtractOptions())


def test_plan_settings_leave_out_the_options_of_web_map_services(tmp_path: Path) -> None:
    sources = SourceOptions(cache_dir=tmp_path, imagery_licence="CC0")
    settings = PlanSettings(options=ExtractOptions(sources=sources))
    assert PlanSettings.from_json(settings.to_json()) == PlanSettings()
