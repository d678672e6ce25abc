"""Updates compute only what changed, and give the result of a new run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from roadgis.batch.plan import read_plan
from roadgis.batch.update import update_county
from tests.batch.counties import assert_same, merged, planned, ran, settings
from tests.factories.models import tiny_model
from tests.factories.rasters import X0, Y0, write_raster
from tests.factories.roads import painted


@pytest.fixture
def own(tmp_path: Path, sheets: Path) -> Path:
    return Path(shutil.copytree(sheets, tmp_path / "sheets"))


def seen_by(folder: Path, name: str) -> int:
    plan = read_plan(folder)
    number = next(
        i for i, s in enumerate(plan.facts["record"]["sheets"]) if Path(s["name"]).name == name
    )
    return sum(number in unit.sheets for unit in plan.units)


def test_update_without_a_change_keeps_everything(tmp_path: Path, model: Path, own: Path) -> None:
    planned(tmp_path / "county", own, settings(model))
    ran(tmp_path / "county")
    said = update_county(tmp_path / "county")
    assert (said.kept, said.changed, said.added, said.removed) == (said.units, (), (), ())
    assert ran(tmp_path / "county").done == 0


def test_update_predicts_only_units_that_see_a_changed_sheet(
    tmp_path: Path, model: Path, own: Path
) -> None:
    folder = tmp_path / "county"
    plan = planned(folder, own, settings(model))
    ran(folder)
    first = merged(folder).network
    sheet = own / "sheet_01_01.tif"
    import rasterio

    with rasterio.open(sheet, "r+") as file:
        values = file.read()
        values[:, 40:60] = 120
        file.write(values)
    os.utime(sheet)
    said = update_county(folder)
    assert said.changed == (str(sheet),)
    left = {path.name for path in (folder / "predicted").glob("*.json")}
    assert len(plan.units) - len(left) == seen_by(folder, sheet.name) < len(plan.units)
    ran(folder)
    planned(tmp_path / "fresh", own, settings(model))
    ran(tmp_path / "fresh")
    updated = merged(folder).network
    assert_same(updated, merged(tmp_path / "fresh").network)
    # Roads away from the sheet keep their ids, which no other road gets.
    before = set(first.stable_id)
    assert 0 < len(before & set(updated.stable_id)) < len(updated)
    for number, line in zip(updated.stable_id, updated.edges, strict=True):
        same = (line.normalize().equals_exact(old.normalize(), 1e-3) for old in first.edges)
        assert (number in before) == any(same)


def test_update_keeps_the_statistics_without_restat(tmp_path: Path, own: Path) -> None:
    model = tiny_model(tmp_path / "tiny.onnx", normalize_to=[100.0, 40.0])
    folder = tmp_path / "county"
    first = planned(folder, own, settings(model))
    ran(folder)
    # East of the others: the grid gets wider, and pixel ids change.
    write_raster(
        own / "sheet_09_09.tif", painted((140, 200), [(0, 120, 200, 120, 8)]), x0=X0 + 600, y0=Y0
    )
    (own / "sheet_00_00.tif").unlink()
    said = update_county(folder)
    assert (len(said.added), len(said.removed)) == (1, 1)
    assert 0 < said.kept < said.units
    assert any("--restat" in note for note in said.notes)
    assert read_plan(folder).statistics == first.statistics
    ran(folder)
    planned(tmp_path / "fresh", own, settings(model), statistics=first.statistics)
    ran(tmp_path / "fresh")
    assert_same(merged(folder).network, merged(tmp_path / "fresh").network)
    said = update_county(folder, restat=True)
    assert said.kept == 0
    assert read_plan(folder).statistics != first.statistics


def test_update_removes_unused_results(tmp_path: Path, model: Path, own: Path) -> None:
    folder = tmp_path / "county"
    planned(folder, own, settings(model))
    ran(folder)
    (own / "sheet_02_03.tif").unlink()
    update_county(folder)
    ran(folder)
    plan = read_plan(folder)
    assert len(list((folder / "predicted").glob("*.tif"))) == len(plan.units)
    assert len(list((folder / "traced").glob("*.json"))) == len(plan.units)
