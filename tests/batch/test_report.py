"""The report of a county: measures of units, outliers first, zones, and missing sheets."""

from __future__ import annotations

import csv
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely

from roadgis.batch.plan import read_plan
from roadgis.batch.report.measures import measured, oddest, zone_totals
from roadgis.batch.report.page import CountyReportOptions, write_report
from roadgis.batch.report.table import unit_table
from roadgis.batch.settings import PlanSettings
from roadgis.errors import InputError
from roadgis.options.probability_raster import RasterOptions
from tests.batch.counties import OPTIONS, merged, planned, ran, settings
from tests.factories.rasters import X0, Y0, write_raster

METRIC = 32632


def units(states: list[str], valid: list[float | None]) -> geopandas.GeoDataFrame:
    """Return units of 100 x 100 px at 1 m, side by side from (0, 0) eastward."""
    return geopandas.GeoDataFrame(
        {
            "unit": [f"u{i}" for i in range(len(states))],
            "status": states,
            "pixels": 10_000,
            "valid_share": valid,
        },
        geometry=[shapely.box(100 * i, 0, 100 * i + 100, 100) for i in range(len(states))],
        crs=METRIC,
    )


def edges(
    *lines: list[tuple[float, float]], confidence: float = 0.8, bridged: int = -1
) -> geopandas.GeoDataFrame:
    shapes = [shapely.LineString(line) for line in lines]
    return geopandas.GeoDataFrame(
        {
            "length_m": [shape.length for shape in shapes],
            "confidence": confidence,
            "bridged": [i == bridged for i in range(len(shapes))],
        },
        geometry=shapes,
        crs=METRIC,
    )


def test_measured_divides_roads_among_units() -> None:
    table = units(["done", "done", "failed"], [1.0, 0.5, None])
    lines = edges([(50, 50), (150, 50)], [(150, 50), (150, 90)], bridged=1)
    ends = shapely.points([(50, 50), (99, 20), (150, 90)])
    found = measured(table, lines, ends, 1.0)
    assert found.network_km.tolist() == [0.05, 0.09, 0.0]
    np.testing.assert_allclose(found.km_per_km2, [5.0, 18.0, np.nan])
    np.testing.assert_allclose(found.bridged_share, [0.0, 40 / 90, np.nan])
    np.testing.assert_allclose(found.mean_confidence, [0.8, 0.8, np.nan])
    np.testing.assert_allclose(found.blank_share, [0.0, 0.5, np.nan])
    assert found.seam_dead_ends.tolist() == [1, 1, 0]


def test_oddest_names_the_unit_that_differs_from_its_neighbours() -> None:
    table = units(["done"] * 7 + ["failed"], [1.0] * 7 + [None])
    table["km_per_km2"] = [5.0, 6.0, 5.0, 25.0, 6.0, 5.0, 6.0, np.nan]
    odd = oddest(table)
    assert odd.unit.iloc[0] == "u3"
    assert odd.why.iloc[0] == "road density 25.0, around it 5.5 km/km²"
    table["km_per_km2"] = 5.0
    assert len(oddest(table)) == 0


def test_oddest_names_no_unit_of_a_county_of_two() -> None:
    table = units(["done"] * 2, [1.0] * 2)
    table["km_per_km2"] = [5.0, 25.0]
    assert len(oddest(table)) == 0


def test_zone_totals_sum_the_roads_of_each_zone(tmp_path: Path) -> None:
    zones = geopandas.GeoDataFrame(
        {"number": [1, 2], "town": ["West", "East"]},
        geometry=[shapely.box(0, 0, 100, 100), shapely.box(100, 0, 200, 100)],
        crs=METRIC,
    )
    zones.to_file(tmp_path / "zones.gpkg")
    lines = edges([(50, 50), (150, 50)], [(150, 50), (150, 90)], bridged=1)
    found = zone_totals(tmp_path / "zones.gpkg", lines)
    assert found == [
        ("East", pytest.approx(0.09), pytest.approx(0.04)),
        ("West", pytest.approx(0.05), 0.0),
    ]
    with pytest.raises(InputError, match="found no field 'name'"):
        zone_totals(tmp_path / "zones.gpkg", lines, "name")


def test_write_report_makes_one_page_a_table_and_a_layer(
    tmp_path: Path, model: Path, sheets: Path
) -> None:
    folder = tmp_path / "county"
    plan = planned(folder, sheets, settings(model, 192))
    ran(folder)
    with pytest.raises(InputError, match="found no merged network"):
        write_report(folder, plan, tmp_path / "report.html")
    network = merged(folder, tmp_path / "roads.gpkg").network
    zones = tmp_path / "zones.geojson"
    zone = shapely.box(X0, Y0 - 500, X0 + 600, Y0)
    geopandas.GeoDataFrame({"town": ["<Town>"]}, geometry=[zone], crs=METRIC).to_file(zones)
    base = tmp_path / "base.gpkg"
    lane = shapely.LineString([(X0, Y0 - 300.5), (X0 + 600, Y0 - 300.5)])
    drawn = [*network.edges, lane]
    geopandas.GeoDataFrame(geometry=drawn, crs=METRIC).to_file(base)
    options = CountyReportOptions(zones=zones, base=base)
    paths = write_report(folder, read_plan(folder), tmp_path / "report.html", options)
    page = paths[0].read_text(encoding="utf-8")
    assert f"{network.length_m.sum() / 1000:,.2f} km" in page
    assert "&lt;Town&gt;" in page
    assert "<script" not in page
    assert page.count("<svg") == 8
    with paths[1].open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["unit"] for row in rows] == [unit.name for unit in plan.units]
    length = sum(float(row["network_km"]) for row in rows)
    assert length == pytest.approx(network.length_m.sum() / 1000, rel=1e-3)
    assert sum(float(row["missing_km"]) for row in rows) == pytest.approx(0.6, abs=0.1)
    layer = geopandas.read_file(paths[2], layer="units")
    assert layer.geometry.area.sum() == pytest.approx(
        sum(unit.core.height * unit.core.width for unit in plan.units)
    )
    with pytest.raises(Exception, match="exists already"):
        write_report(folder, plan, tmp_path / "report.html", options)


def test_unit_table_has_the_bridged_share_of_the_network_merged_last(tmp_path: Path) -> None:
    mask = np.zeros((1, 128, 384), np.uint8)
    mask[0, 60:68] = 1
    mask[0, :, 180:200] = 0  # a gap within one unit
    sheet = write_raster(tmp_path / "mask.tif", mask)
    folder = tmp_path / "county"
    chosen = PlanSettings(options=OPTIONS, masks=RasterOptions(), unit_px=128)
    plan = planned(folder, sheet, chosen)
    ran(folder)
    assert unit_table(folder, plan).bridged_share.isna().all()
    network = merged(folder, tmp_path / "roads.gpkg").network
    gap_m = float(np.sum(network.length_m[network.bridged]))
    assert 20 < gap_m < 40
    share = unit_table(folder, plan).bridged_share.dropna().tolist()
    np.testing.assert_allclose(share, [0.0, gap_m / 128, 0.0, 0.0], atol=0.002)
