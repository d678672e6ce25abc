"""Status of a county as a summary, for people and for programs."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from roadgis.batch.plan import CountyPlan
from roadgis.batch.report.table import counts
from roadgis.imagery.size import duration

if TYPE_CHECKING:
    import geopandas

#: Largest number of failed units that are listed.
_LISTED = 20


def county_status(plan: CountyPlan, table: geopandas.GeoDataFrame) -> dict[str, Any]:
    """Summarize a county's table.

    Parameters
    ----------
    table : geopandas.GeoDataFrame
        Table of units, from :func:`roadgis.batch.report.table.unit_table`.

    Returns
    -------
    dict
        ``units`` by state, ``pixels`` and ``done_pixels``, ``mpx_per_s`` over the last units,
        ``seconds_left``, ``road_km``, ``failed`` (unit, code, message), ``bad_sheets``.
    """
    over = table["status"].isin(["done", "skipped"])
    left = table[table["status"].isin(["planned", "running"])]
    rate = _rate(table[over])
    pixels_left = int(left["pixels"].sum())
    return {
        "units": counts(table),
        "pixels": int(table["pixels"].sum()),
        "done_pixels": int(table.loc[over, "pixels"].sum()),
        "mpx_per_s": None if rate is None else round(rate / 1e6, 3),
        "seconds_left": None if not rate else round(pixels_left / rate),
        "road_km": round(float(table["road_km"].fillna(0).astype(float).sum()), 1),
        "running": list(table.loc[table["status"] == "running", "unit"]),
        "failed": [
            {"unit": row.unit, "code": row.error_code, "message": row.error}
            for row in table[table["status"] == "failed"].itertuples()
        ],
        "bad_sheets": [{"name": b.name, "message": b.message} for b in plan.bad_sheets],
    }


def _rate(done: geopandas.GeoDataFrame) -> float | None:
    """Return pixels per second of wall-clock time, over the last hundred units."""
    if len(done) < 2:
        return None
    last = done.sort_values("started").tail(100)
    first = datetime.fromisoformat(last["started"].iloc[0])
    end = max(
        datetime.fromisoformat(row.started).timestamp() + row.seconds for row in last.itertuples()
    )
    seconds = end - first.timestamp()
    return float(last["pixels"].sum()) / seconds if seconds > 0 else None


def status_lines(status: dict[str, Any]) -> list[str]:
    """Return the status as lines of text."""
    units = status["units"]
    total, over = sum(units.values()), units["done"] + units["skipped"]
    share = status["done_pixels"] / max(status["pixels"], 1)
    lines = [
        f"{over} of {total} units done ({share:.1%} of {status['pixels'] / 1e6:,.1f} Mpx)"
        + (f", {units['skipped']} of them without data" if units["skipped"] else ""),
        ", ".join(f"{units[s]} {s}" for s in ("running", "planned", "failed")),
    ]
    if status["mpx_per_s"] is not None and status["seconds_left"]:
        lines.append(
            f"{status['mpx_per_s']:.2f} Mpx/s, about {duration(status['seconds_left'])} left"
        )
    for failed in status["failed"][:_LISTED]:
        lines.append(f"failed {failed['unit']} ({failed['code']}): {failed['message']}")
    for bad in status["bad_sheets"][:_LISTED]:
        lines.append(f"left out {bad['name']}: {bad['message']}")
    more = len(status["failed"]) + len(status["bad_sheets"]) - 2 * _LISTED
    if more > 0:
        lines.append(f"... {more} more; --json has all")
    return lines
