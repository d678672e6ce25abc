"""Failing sheets and models: other units are completed, missing ones are reported and mapped."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import geopandas
import numpy as np
import pytest

from roadgis.batch.failures import code_of, delay_s
from roadgis.batch.plan import read_plan
from roadgis.batch.report.table import chosen_units, counts, retry_units, unit_table
from roadgis.errors import InputError, OutputError, ReadError, RoadgisError, SceneError, TileError
from tests.batch.counties import assert_same, extracted, merged, planned, ran, settings
from tests.factories.models import MAGENTA, failing_model
from tests.factories.rasters import write_raster
from tests.factories.roads import NET, painted

STATES = ("planned", "running", "done", "skipped", "failed")


def states(folder: Path) -> dict[str, int]:
    found = counts(unit_table(folder, read_plan(folder)))
    return {state: count for state, count in found.items() if count}


def copied(sheets: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sheets, tmp_path / "sheets"))


def damaged(path: Path) -> None:
    """Overwrite pixels of a compressed file, so that they cannot be read, and keep its size."""
    import rasterio

    with rasterio.open(path) as source:
        values, profile = source.read(), source.profile
    profile.update(compress="deflate", tiled=False, blockysize=1)
    with rasterio.open(path, "w", **profile) as target:
        target.write(values)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 5000] = b"\xff" * 5000
    path.write_bytes(data)


def test_run_completes_the_other_units_when_a_tile_fails(tmp_path: Path) -> None:
    image = painted((500, 600), NET)
    image[:, 250, 300] = MAGENTA
    scene = write_raster(tmp_path / "scene.tif", image)
    model = failing_model(tmp_path / "m.onnx", "error")
    folder = tmp_path / "county"
    plan = planned(folder, scene, settings(model))
    summary = ran(folder)
    table = unit_table(folder, plan)
    failed = table[table.status == "failed"]
    assert summary.failed == len(failed) > 0
    assert set(failed.error_code) == {"tile"}
    assert failed.error.str.contains("failed on the tile").all()
    assert set(table.status) == {"done", "failed"}
    result = merged(folder, tmp_path / "roads.gpkg")
    assert list(result.missing["name"]) == list(failed.unit)
    drawn = geopandas.read_file(tmp_path / "roads.gpkg", layer="missing_units")
    assert drawn.geometry.area.sum() == pytest.approx(failed.geometry.area.sum())
    # No run repeats them, as nothing has changed.
    assert ran(folder).done == 0


def test_run_fails_the_units_of_a_damaged_sheet_until_it_is_repaired(
    tmp_path: Path, model: Path, sheets: Path
) -> None:
    own = copied(sheets, tmp_path)
    broken = own / "sheet_01_01.tif"
    whole = broken.read_bytes()
    damaged(broken)
    folder = tmp_path / "county"
    plan = planned(folder, own, settings(model))
    ran(folder)
    table = unit_table(folder, plan)
    failed = table[table.status == "failed"]
    assert set(failed.error_code) == {"read"}
    assert failed.error.str.contains("sheet_01_01.tif").all()
    assert chosen_units(table, "error_code = 'read'") == list(failed.unit)
    assert chosen_units(table, "error_code = 'network'") == []
    with pytest.raises(InputError, match="not a valid condition"):
        chosen_units(table, "error_code = ")
    broken.write_bytes(whole)
    from roadgis.batch.update import update_county

    said = update_county(folder)
    assert said.changed == (str(broken),)
    ran(folder)
    assert states(folder) == {"done": len(plan.units)}
    assert_same(merged(folder).network, extracted(own, model))


def test_plan_names_all_sheets_that_cannot_be_opened_and_leaves_them_out(
    tmp_path: Path, model: Path, sheets: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = copied(sheets, tmp_path)
    (own / "sheet_00_00.tif").write_bytes(b"not a raster")
    cut = own / "sheet_02_03.tif"
    cut.write_bytes(cut.read_bytes()[:20_000])
    write_raster(own / "z_no_crs.tif", painted((50, 50), []), crs=None)
    folder = tmp_path / "county"
    plan = planned(folder, own, settings(model))
    names = [Path(bad.name).name for bad in plan.bad_sheets]
    assert names == ["sheet_00_00.tif", "sheet_02_03.tif", "z_no_crs.tif"]
    assert all(name in caplog.text for name in names)
    ran(folder)
    result = merged(folder)
    good = [path for path in sorted(own.glob("sheet_*.tif")) if path.name not in names]
    assert_same(result.network, extracted(good, model))
    sheets_missing = result.missing[result.missing.kind == "sheet"]
    assert [Path(name).name for name in sheets_missing["name"]] == names
    # Sheets that could be opened are drawn in place.
    assert sheets_missing.geometry.is_empty.tolist() == [True, False, True]
    for path in good:
        path.unlink()
    with pytest.raises(SceneError, match="3 of 3 sheets cannot be used"):
        planned(tmp_path / "other", own, settings(model))


def test_run_fails_the_units_of_a_sheet_changed_or_removed_after_the_plan(
    tmp_path: Path, model: Path, sheets: Path
) -> None:
    own = copied(sheets, tmp_path)
    folder = tmp_path / "county"
    plan = planned(folder, own, settings(model))
    changed, gone = own / "sheet_00_00.tif", own / "sheet_02_03.tif"
    os.utime(changed, (1, 1))
    gone.unlink()
    ran(folder)
    table = unit_table(folder, plan)
    assert set(table.error_code.dropna()) == {"changed", "missing"}
    for unit in table[table.status == "done"].itertuples():
        assert changed.name not in unit.sheets
        assert gone.name not in unit.sheets


def test_retry_makes_the_next_run_repeat_failed_units(
    tmp_path: Path, model: Path, sheets: Path
) -> None:
    own = copied(sheets, tmp_path)
    folder = tmp_path / "county"
    plan = planned(folder, own, settings(model))
    gone = own / "sheet_02_03.tif"
    hidden = gone.rename(tmp_path / "away.tif")
    ran(folder)
    hidden.rename(gone)
    assert ran(folder).done == 0
    names = chosen_units(unit_table(folder, plan), "error_code = 'missing'")
    assert names
    retry_units(folder, names)
    ran(folder)
    assert states(folder) == {"done": len(plan.units)}
    assert_same(merged(folder).network, extracted(own, model))


def test_run_stops_when_more_units_failed_than_allowed(
    tmp_path: Path, model: Path, sheets: Path
) -> None:
    own = copied(sheets, tmp_path)
    planned(tmp_path / "county", own, settings(model))
    for path in own.iterdir():
        path.unlink()
    with pytest.raises(RoadgisError, match="2 units have failed, more than --max-failures 1"):
        ran(tmp_path / "county", max_failures=1)


def test_merge_rejects_unfinished_units_unless_partial(
    tmp_path: Path, model: Path, sheets: Path
) -> None:
    plan = planned(tmp_path / "county", sheets, settings(model))
    ran(tmp_path / "county")
    table = unit_table(tmp_path / "county", plan)
    middle = table.unit[table.road_km.astype(float).idxmax()]
    for record in (tmp_path / "county" / "traced").glob(f"{middle}.*.json"):
        record.unlink()
    with pytest.raises(InputError, match="1 units are not done yet"):
        merged(tmp_path / "county")
    found = merged(tmp_path / "county", partial=True)
    whole = extracted(sheets, model)
    assert 0.8 < found.network.length_m.sum() / whole.length_m.sum() < 1
    assert found.missing[["name", "code"]].values.tolist() == [[middle, "todo"]]


def test_run_rejects_a_model_other_than_the_planned_one(
    tmp_path: Path, sheets: Path, model: Path
) -> None:
    own = Path(shutil.copy(model, tmp_path / "own.onnx"))
    planned(tmp_path / "county", sheets, settings(own))
    failing_model(own, "range")
    with pytest.raises(InputError, match="is not the one of the plan"):
        ran(tmp_path / "county")


def test_plan_rejects_a_folder_with_other_files(tmp_path: Path, model: Path, sheets: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="not the folder of a county"):
        planned(mine, sheets, settings(model))
    assert [path.name for path in mine.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ReadError("http://host/a.tif: HTTP 503"), "network"),
        (ReadError("/data/a.tif: damaged"), "read"),
        (SceneError("x"), "scene"),
        (TileError("x"), "tile"),
        (MemoryError(), "memory"),
        (OSError(5, "Input/output error"), "disk"),
        (OSError(13, "Permission denied"), "fault"),
        (OutputError("disk full"), None),
        (ZeroDivisionError(), "fault"),
    ],
)
def test_code_of_distinguishes_temporary_errors(error: Exception, code: str | None) -> None:
    assert code_of(error) == code


def test_delay_doubles_up_to_five_minutes() -> None:
    assert [delay_s(n) for n in (1, 2, 3, 12)] == [5.0, 10.0, 20.0, 300.0]


def test_write_table_writes_geopackage_and_geoparquet(
    tmp_path: Path, model: Path, sheets: Path
) -> None:
    from roadgis.batch.report.table import write_table

    folder = tmp_path / "county"
    plan = planned(folder, sheets, settings(model))
    ran(folder)
    table = unit_table(folder, plan)
    assert table.valid_share.tolist() == [1.0] * len(plan.units)
    paths = write_table(folder, table)
    for path in paths:
        geo_parquet = path.suffix == ".parquet"
        read = (
            geopandas.read_parquet(path)
            if geo_parquet
            else geopandas.read_file(path, layer="units")
        )
        assert read["unit"].tolist() == table["unit"].tolist()
        assert read["status"].tolist() == table["status"].tolist()
        np.testing.assert_allclose(read.total_bounds, table.total_bounds)
    with closing(sqlite3.connect(paths[0])) as file:
        assert file.execute("SELECT f_table_name FROM layer_styles").fetchall() == [("units",)]
