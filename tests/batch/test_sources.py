"""Sheets of a county: duplicates, links, county files."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from roadgis.batch.county_file import county_file
from roadgis.batch.plan import read_plan
from roadgis.batch.planning import make_plan
from roadgis.batch.report.page import write_report
from roadgis.batch.report.table import unit_table
from roadgis.batch.settings import PlanSettings
from roadgis.batch.sheets import absolute_sources, county_sheets
from roadgis.batch.update import plan_county
from roadgis.cli.commands.batch import command
from roadgis.errors import InputError
from roadgis.options.extraction import ExtractOptions
from roadgis.options.probability_raster import RasterOptions
from roadgis.options.sources import SourceOptions
from roadgis.pipeline import extract_roads
from roadgis.raster_pipeline import vectorize_file
from roadgis.sources import find_sheets
from tests.batch.counties import OPTIONS, assert_same, merged, planned, ran, settings
from tests.factories.rasters import X0, write_raster
from tests.factories.roads import NET, painted, road
from tests.sources.test_web import box_of
from tests.sources.tile_server import TILE, Service, tile_server


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


def test_plan_reads_a_county_file_and_the_command_line_overrides_it(
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


def test_county_sheets_rejects_web_map_services_without_a_licence() -> None:
    source = absolute_sources(["xyz:http://127.0.0.1:9/{z}/{x}/{y}.png"])
    with pytest.raises(InputError, match="--imagery-licence"):
        county_sheets(source, ExtractOptions())


def test_plan_settings_keep_the_options_of_web_map_services(tmp_path: Path) -> None:
    sources = SourceOptions(cache_dir=tmp_path, imagery_licence="CC0", request_rate=2.0)
    chosen = PlanSettings(options=ExtractOptions(sources=sources))
    assert PlanSettings.from_json(chosen.to_json()) == chosen


def test_merge_of_a_web_map_service_gives_the_network_of_extract(
    tmp_path: Path, model: Path
) -> None:
    with tile_server(Service(painted((300, 400), NET), 17, 45_400 * TILE, 68_600 * TILE)) as server:
        box = box_of(server)
        sources = SourceOptions(
            bbox=box, imagery_licence="CC0", cache_dir=tmp_path / "cache", request_rate=1000.0
        )
        options = dataclasses.replace(OPTIONS, sources=sources)
        chosen = dataclasses.replace(settings(model), options=options)
        name = f"xyz:{server.url}/xyz/{{z}}/{{x}}/{{y}}.png?key=secret"
        folder = tmp_path / "county"
        plan_county(folder, make_plan(county_sheets([name], options), chosen, [name]))
        assert len(read_plan(folder).units) > 3
        ran(folder)
        asked = len(server.requests)
        found = merged(folder, tmp_path / "roads.gpkg").network
        assert_same(found, extract_roads(name, model=model, options=options))
        assert len(server.requests) == asked
    assert len(found) > 1
    assert found.provenance["imagery_licence"] == "CC0"
    write_report(folder, read_plan(folder), tmp_path / "report.html")
    written = [tmp_path / "report.html", folder / "units.stac.json", tmp_path / "roads.gpkg"]
    assert not any(b"secret" in path.read_bytes() for path in written)


def test_plan_of_masks_in_a_table_keeps_its_dates_nodata_and_crs(tmp_path: Path) -> None:
    mask = (road((500, 600), *NET) > 0).astype(np.uint8)[None]
    mask[:, 200:260, 100:200] = 7
    west, east = tmp_path / "west.tif", tmp_path / "east.tif"
    write_raster(west, mask[:, :, :300], crs=None)
    write_raster(east, mask[:, :, 300:], x0=X0 + 300)
    table = tmp_path / "masks.csv"
    table.write_text(
        "path,date,crs,nodata\nwest.tif,2019-05-01,EPSG:32632,7\neast.tif,2021,EPSG:32632,7\n"
    )
    chosen = PlanSettings(options=OPTIONS, masks=RasterOptions(), unit_px=128)
    plan = planned(tmp_path / "county", table, chosen)
    assert plan.dates == {str(west): "2019-05-01", str(east): "2021"}
    assert {raster.nodata for raster in plan.rasters} == {(7.0,)}
    ran(tmp_path / "county")
    units = unit_table(tmp_path / "county", plan)
    blank = units["pixels"] * (1 - units["valid_share"])
    assert round(blank.sum()) == 60 * 100
    found = merged(tmp_path / "county").network
    assert set(found.source_date) == {"2019-05-01", "2021"}
    assert_same(found, vectorize_file(find_sheets(table), options=OPTIONS))


def test_plan_of_two_separate_areas_warns_once(
    tmp_path: Path, model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(2):
        image = painted((150, 150), [(0, 70, 150, 70, 10)])
        write_raster(tmp_path / f"sheet_{number}.tif", image, x0=X0 + 500 * number)
    names = sorted(tmp_path.glob("sheet_*.tif"))
    planned(tmp_path / "county", names, settings(model))
    assert caplog.text.count("2 separate areas") == 1
    ran(tmp_path / "county")
    merged(tmp_path / "county")
    assert caplog.text.count("2 separate areas") == 1
