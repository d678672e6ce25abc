"""Counties planned, run and merged give the network of one process, however the work is divided."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely

from roadgis.batch.plan import read_plan
from roadgis.batch.planning import make_plan
from roadgis.batch.settings import PlanSettings
from roadgis.batch.update import plan_county
from roadgis.options.imagery import SceneOptions
from roadgis.options.probability_raster import RasterOptions
from roadgis.pipeline import extract_roads
from roadgis.raster_pipeline import vectorize_file
from roadgis.sources import Sheet
from tests.batch.counties import OPTIONS, assert_same, extracted, merged, planned, ran, settings
from tests.factories.models import tiny_model
from tests.factories.rasters import X0, Y0, cut_into_sheets, write_raster
from tests.factories.roads import NET, painted, write_net


@pytest.mark.parametrize("unit_px", [64, 192, 640])
def test_merge_gives_the_network_of_extract(
    tmp_path: Path, model: Path, sheets: Path, unit_px: int
) -> None:
    plan = planned(tmp_path / "county", sheets, settings(model, unit_px))
    assert sum(unit.pixels for unit in plan.units) == 600 * 500
    summary = ran(tmp_path / "county")
    assert summary.failed == 0
    assert summary.pixels == pytest.approx(600 * 500)
    result = merged(tmp_path / "county")
    expected = extracted(sheets, model)
    assert len(expected) > 8
    assert_same(result.network, expected)
    assert len(result.missing) == 0


def test_units_are_whole_tiles_of_a_network_of_one_tile_size(tmp_path: Path, sheets: Path) -> None:
    # 40 px of each tile are kept, so squares of 128 px would need 16 tiles of 48 px, not 9.
    model = tiny_model(tmp_path / "fixed.onnx", tile_px=48)
    plan = planned(tmp_path / "county", sheets, settings(model, 128))
    assert plan.unit_px == 120
    ran(tmp_path / "county")
    assert_same(merged(tmp_path / "county").network, extracted(sheets, model))


def test_merge_gives_the_network_of_extract_of_normalized_imagery(
    tmp_path: Path, sheets: Path
) -> None:
    model = tiny_model(tmp_path / "tiny.onnx", normalize_to=[100.0, 40.0])
    plan = planned(tmp_path / "county", sheets, settings(model))
    assert plan.statistics.normalization is not None
    ran(tmp_path / "county")
    expected = extracted(sheets, model)
    assert_same(merged(tmp_path / "county").network, expected)


def test_merge_gives_the_network_of_extract_of_turned_coarse_sheets(
    tmp_path: Path, model: Path
) -> None:
    import rasterio

    turned = rasterio.Affine.translation(X0, Y0) @ rasterio.Affine.rotation(13)
    whole = write_raster(
        tmp_path / "whole.tif",
        painted((300, 400), [(20, 200, 380, 200, 14), (250, 20, 250, 280, 12)]),
        transform=turned @ rasterio.Affine.scale(0.7, -0.7),
    )
    sheets = cut_into_sheets(whole, tmp_path / "sheets", [151], [202])
    planned(tmp_path / "county", sheets, settings(model))
    ran(tmp_path / "county")
    assert_same(merged(tmp_path / "county").network, extracted(sheets, model))


def test_merge_gives_the_network_of_extract_of_sheets_in_two_crss(
    tmp_path: Path, model: Path, sheets: Path
) -> None:
    import rasterio

    own = Path(shutil.copytree(sheets, tmp_path / "sheets"))
    with rasterio.open(own / "sheet_01_01.tif", "r+") as file:
        file.crs = "EPSG:25832"
    planned(tmp_path / "county", own, settings(model))
    ran(tmp_path / "county")
    assert_same(merged(tmp_path / "county").network, extracted(own, model))


def test_merge_gives_the_network_of_extract_in_an_area_of_interest(
    tmp_path: Path, model: Path, sheets: Path
) -> None:
    area = tmp_path / "area.gpkg"
    triangle = shapely.Polygon([(X0 + 90, Y0 - 20), (X0 + 560, Y0 - 90), (X0 + 150, Y0 - 470)])
    geopandas.GeoSeries([triangle], crs=32632).to_file(area)
    options = dataclasses.replace(OPTIONS, scene=SceneOptions(aoi=area))
    chosen = dataclasses.replace(settings(model), options=options)
    plan = planned(tmp_path / "county", sheets, chosen)
    whole = planned(tmp_path / "all", sheets, settings(model))
    assert len(plan.units) < len(whole.units)
    ran(tmp_path / "county")
    expected = extract_roads(sheets, model=model, options=options)
    assert len(expected) > 3
    assert_same(merged(tmp_path / "county").network, expected)


def test_shards_together_give_the_network_of_extract(
    tmp_path: Path, model: Path, sheets: Path
) -> None:
    folder = tmp_path / "county"
    planned(folder, sheets, settings(model))
    pixels = [ran(folder, shard=(number, 3)).pixels for number in (2, 3, 1)]
    assert all(pixels)
    assert ran(folder).done == 0
    assert_same(merged(folder).network, extracted(sheets, model))


def test_merge_of_masks_gives_the_network_of_vectorize(tmp_path: Path) -> None:
    from tests.factories.roads import road

    mask = (road((500, 600), *NET) > 0).astype(np.uint8)[None]
    whole = write_raster(tmp_path / "mask.tif", mask)
    sheets = cut_into_sheets(whole, tmp_path / "sheets", [130, 333], [97, 300])
    chosen = PlanSettings(options=OPTIONS, masks=RasterOptions(), unit_px=128)
    plan = planned(tmp_path / "county", sheets, chosen)
    assert len(plan.units) == 25
    ran(tmp_path / "county")
    expected = vectorize_file(sheets, options=OPTIONS)
    assert len(expected) > 8
    assert_same(merged(tmp_path / "county").network, expected)


def _with_order(chosen: PlanSettings, order: str) -> PlanSettings:
    options = chosen.options
    sources = dataclasses.replace(options.sources, order=order)
    return dataclasses.replace(chosen, options=dataclasses.replace(options, sources=sources))


def test_plan_puts_the_newest_sheet_on_top_unless_the_order_is_given(
    tmp_path: Path, model: Path
) -> None:
    old = write_net(tmp_path / "old.tif")
    new = write_raster(tmp_path / "new.tif", painted((500, 600), NET[:1]))
    named = [Sheet(str(old), date="2015-06-01"), Sheet(str(new), date="2021-06-01")]
    for order, top, date in (("newest", new, "2021-06-01"), ("given", old, "2015-06-01")):
        folder = tmp_path / order
        plan_county(folder, make_plan(named, _with_order(settings(model, 512), order)))
        assert read_plan(folder).rasters[0].name == str(top)
        ran(folder)
        found = merged(folder).network
        expected = extracted([top], model)
        assert [g.wkb for g in found.edges] == [g.wkb for g in expected.edges]
        assert set(found.source_date) == {date}
