"""Status of a county as a table with one row per unit, derived from its files."""

from __future__ import annotations

import importlib.util
import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from roadgis.atomic import atomic_path
from roadgis.batch.board import Board
from roadgis.batch.codec import crs_of
from roadgis.batch.leases import Leases
from roadgis.batch.plan import CountyPlan
from roadgis.batch.storage import storage
from roadgis.batch.store import STEPS, ResultStore, Step, unit_grid
from roadgis.batch.units import Unit
from roadgis.errors import InputError
from roadgis.vector_files.geopackage import add_default_styles

if TYPE_CHECKING:
    import geopandas

#: Statuses of a unit, with their colours on maps: red, green, blue.
STATES: dict[str, tuple[int, int, int]] = {
    "planned": (200, 200, 200),
    "running": (86, 180, 233),
    "done": (0, 158, 115),
    "skipped": (240, 228, 66),
    "failed": (213, 94, 0),
}


def unit_table(
    folder: Path, plan: CountyPlan, board: Board | None = None
) -> geopandas.GeoDataFrame:
    """Return the status of each unit.

    Parameters
    ----------
    board : Board, optional
        Board of the county; by default a new one.

    Returns
    -------
    geopandas.GeoDataFrame
        Units in the CRS of the grid, with the columns unit, status, sheets, date, pixels,
        valid_share, attempts, worker, started, seconds, road_km, confidence, bridged_share,
        error_code, error, input_hash, model_hash, settings_hash. ``road_km`` and ``confidence`` are
        measured on the lines before cleaning, ``bridged_share`` on the network merged last.
    """
    import geopandas

    store = ResultStore(folder)
    board = board or Board(plan, store)
    with Leases(folder) as leases:
        alive = leases.alive()
    failures = store.failed()
    keys = {unit.name: key for unit, key in board.traced_keys()}
    store.fetch_records(board.done)
    _, bridged = store.merged()
    rows = [
        _row(plan, store, board, unit, keys.get(unit.name, ""), failures, alive, bridged)
        for unit in plan.units
    ]
    bounds = np.array([unit_grid(plan, unit).bounds for unit in plan.units])
    return geopandas.GeoDataFrame(
        rows, geometry=shapely.box(*bounds.T), crs=crs_of(plan.facts["crs"])
    )


def _row(
    plan: CountyPlan,
    store: ResultStore,
    board: Board,
    unit: Unit,
    traced_key: str,
    failures: set[str],
    alive: dict[str, str],
    bridged: dict[str, float],
) -> dict[str, Any]:
    records: dict[Step, dict[str, Any]] = {}
    if not plan.of_masks and board.is_predicted(unit):
        records["predicted"] = store.record("predicted", unit, unit.key)
    if traced_key and board.is_traced(unit, traced_key):
        records["traced"] = store.record("traced", unit, traced_key)
    failure = None
    for step, key in zip(STEPS, (unit.key, traced_key), strict=True):
        if step not in records and f"{step}.{unit.name}.{key}" in failures:
            failure = store.failure(step, unit, key)
    valid = next((r["valid_px"] for r in records.values() if "valid_px" in r), None)
    last = records.get("traced") or records.get("predicted") or {}
    worker = next((alive[f"{s}.{unit.name}"] for s in STEPS if f"{s}.{unit.name}" in alive), None)
    traced = records.get("traced", {})
    names = [plan.facts["record"]["sheets"][number]["name"] for number in unit.sheets]
    dates = sorted(plan.dates[name] for name in names if name in plan.dates)
    return {
        "unit": unit.name,
        "status": _status(bool(traced), worker is not None, failure is not None, valid),
        "sheets": "; ".join(names[:20]) + ("; ..." if len(names) > 20 else ""),
        "date": dates[-1] if dates else None,
        "pixels": unit.pixels,
        "valid_share": None if valid is None else round(min(valid / unit.pixels, 1.0), 4),
        "attempts": failure.attempts if failure else int(last.get("attempts", 0)),
        "worker": worker or last.get("worker"),
        "started": next((r["started"] for r in records.values()), None),
        "seconds": round(sum(r["seconds"] for r in records.values()), 3) if records else None,
        "road_km": traced.get("traced_km"),
        "confidence": traced.get("confidence"),
        "bridged_share": bridged.get(f"{unit.name}.{traced_key}"),
        "error_code": None if failure is None else failure.code,
        "error": None if failure is None else failure.message,
        "input_hash": unit.key,
        "model_hash": None if plan.of_masks else plan.fingerprint[:20],
        "settings_hash": plan.tracing,
    }


def _status(traced: bool, running: bool, failed: bool, valid: int | None) -> str:
    if traced:
        return "done" if valid else "skipped"
    if running:
        return "running"
    return "failed" if failed else "planned"


def counts(table: geopandas.GeoDataFrame) -> dict[str, int]:
    """Return the number of units by status."""
    found = table["status"].value_counts()
    return {state: int(found.get(state, 0)) for state in STATES}


def chosen_units(table: geopandas.GeoDataFrame, where: str | None) -> list[str]:
    """Return the names of the failed units that meet a condition.

    Parameters
    ----------
    table : geopandas.GeoDataFrame
        Table of units, from :func:`unit_table`.
    where : str, optional
        SQL condition on the columns, such as ``error_code = 'read'``; by default all failed units.

    Raises
    ------
    InputError
        If the condition is not valid SQL.
    """
    failed = table[table["status"] == "failed"].drop(columns="geometry")
    if where is None:
        return list(failed["unit"])
    with closing(sqlite3.connect(":memory:")) as database:
        failed.to_sql("units", database, index=False)
        try:
            found = database.execute(f"SELECT unit FROM units WHERE {where}").fetchall()
        except sqlite3.Error as error:
            columns = ", ".join(failed.columns)
            raise InputError(
                f"--where {where!r}: is not a valid condition ({error}). Expected SQL "
                f"such as \"error_code = 'read'\"; the columns are {columns}."
            ) from error
    return [str(row[0]) for row in found]


def retry_units(folder: Path, names: Iterable[str]) -> None:
    """Remove the failures of units, so that the next run retries them."""
    store = ResultStore(folder)
    wanted = set(names)
    for name in store.failed():
        if name.split(".")[1] in wanted:
            storage(folder).remove(f"failed/{name}.json")


def write_table(folder: Path, table: geopandas.GeoDataFrame) -> list[Path]:
    """Write the table into the folder of a county, as styled GeoPackage and as GeoParquet.

    Without pyarrow, only the GeoPackage is written.
    """
    paths = [folder / "units.gpkg"]
    with atomic_path(paths[0]) as partial:
        table.to_file(partial, layer="units", driver="GPKG", engine="pyogrio")
        add_default_styles(partial, {"units": _style()}, "roadgis batch")
    if importlib.util.find_spec("pyarrow") is not None:
        paths.append(folder / "units.parquet")
        with atomic_path(paths[1]) as partial:
            table.to_parquet(partial, write_covering_bbox=True, schema_version="1.1.0")
    storage(folder).publish(*(path.name for path in paths))
    return paths


def _style() -> str:
    """Return a QGIS style that colours units by status."""
    categories, symbols = [], []
    for number, (state, colour) in enumerate(STATES.items()):
        categories.append(
            f'<category render="true" symbol="{number}" value="{state}" label="{state}"/>'
        )
        rgb = ",".join(map(str, colour))
        symbols.append(
            f'<symbol type="fill" name="{number}" alpha="0.6" clip_to_extent="1" force_rhr="0">'
            '<layer class="SimpleFill" enabled="1" locked="0" pass="0"><Option type="Map">'
            f'<Option type="QString" name="color" value="{rgb},255"/>'
            '<Option type="QString" name="outline_color" value="60,60,60,255"/>'
            '<Option type="QString" name="outline_width" value="0.2"/>'
            '<Option type="QString" name="style" value="solid"/>'
            "</Option></layer></symbol>"
        )
    return (
        '<!DOCTYPE qgis PUBLIC "http://mrcc.com/qgis.dtd" "SYSTEM">'
        '<qgis version="3.28.0" styleCategories="Symbology">'
        '<renderer-v2 type="categorizedSymbol" attr="status" forceraster="0" symbollevels="0" '
        f'enableorderby="0"><categories>{"".join(categories)}</categories>'
        f"<symbols>{''.join(symbols)}</symbols></renderer-v2></qgis>"
    )


def to_json(table: geopandas.GeoDataFrame) -> list[dict[str, Any]]:
    """Return the rows as JSON values, without geometry."""
    rows: list[dict[str, Any]] = json.loads(
        table.drop(columns="geometry").to_json(orient="records")
    )
    return rows
