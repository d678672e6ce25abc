"""The report of a county: one HTML page to read, print and sign, and its figures as files."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from roadgis._version import __version__
from roadgis.atomic import atomic_path, check_target
from roadgis.batch.merge import last_merged
from roadgis.batch.plan import CountyPlan
from roadgis.batch.report.measures import (
    MEASURES,
    base_lengths,
    measured,
    oddest,
    read_merged,
    zone_totals,
)
from roadgis.batch.report.table import STATES, counts, unit_table
from roadgis.batch.report.unit_map import UnitMap, state_map, value_map
from roadgis.batch.settings import PlanSettings
from roadgis.errors import InputError
from roadgis.imagery.size import duration
from roadgis.overwriting import check_not_input
from roadgis.progress import Progress, no_progress, scaled
from roadgis.report.html import Table, render
from roadgis.sources import Sheet, shown_name

if TYPE_CHECKING:
    import geopandas

#: Largest number of failed units in the page; the files next to it list all.
_ROWS = 200


@dataclass(frozen=True)
class CountyReportOptions:
    """Inputs of a report.

    Attributes
    ----------
    network : Path or None
        Merged network; by default the one that was merged last.
    base : Path or None
        Base network to compare with, such as OpenStreetMap.
    zones : Path or None
        Polygons, such as municipalities, for totals by zone.
    zone_field : str or None
        Field with the names of zones.
    """

    network: Path | None = None
    base: Path | None = None
    zones: Path | None = None
    zone_field: str | None = None


def write_report(
    folder: Path,
    plan: CountyPlan,
    output: Path,
    options: CountyReportOptions | None = None,
    *,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> list[Path]:
    """Write the report of a county as HTML, with its table as CSV and GeoPackage next to it.

    Parameters
    ----------
    output : Path
        HTML file.
    options : CountyReportOptions, optional
        Network, base network and zones.
    overwrite : bool
        Replace existing files.

    Returns
    -------
    list of Path
        HTML, CSV and GeoPackage file.

    Raises
    ------
    InputError
        If there is no merged network, or the suffix is not ``.html``.
    OutputError
        If a file exists and `overwrite` is false, or cannot be written.
    """
    options = options or CountyReportOptions()
    if output.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{output}: a report is an HTML file. Give it a name that ends in .html.")
    # Not NAME.gpkg, which is often the name of the network.
    paths = [output, *(output.with_suffix(f".units{end}") for end in (".csv", ".gpkg"))]
    check_not_input(paths, [p for p in (options.network, options.base, options.zones) if p])
    for path in paths:
        check_target(path, overwrite=overwrite)
    network = options.network or last_merged(folder)
    progress(0.05, "Reading the network")
    edges, dead_ends = read_merged(network)
    units = measured(unit_table(folder, plan), edges, dead_ends, plan.gsd_m)
    summary: dict[str, Any] | None = None
    if options.base is not None:
        units, summary = base_lengths(units, network, options.base, scaled(progress, 0.1, 0.7))
    progress(0.7, "Summing up")
    odd = oddest(units)
    zones = None if options.zones is None else zone_totals(options.zones, edges, options.zone_field)
    units = units.merge(odd[["unit", "oddness", "why"]], on="unit", how="left")
    text = _page(plan, units, odd, edges, zones, summary, network)
    progress(0.9, "Writing")
    with atomic_path(paths[1], overwrite=overwrite) as partial:
        units.drop(columns="geometry").to_csv(partial, index=False)
    with atomic_path(paths[2], overwrite=overwrite) as partial:
        units.to_file(partial, layer="units", driver="GPKG", engine="pyogrio")
    with atomic_path(paths[0], overwrite=overwrite) as partial:
        partial.write_text(text, encoding="utf-8")
    progress(1.0, "done")
    return paths


def _page(
    plan: CountyPlan,
    units: geopandas.GeoDataFrame,
    odd: geopandas.GeoDataFrame,
    edges: geopandas.GeoDataFrame,
    zones: Sequence[tuple[str, float, float]] | None,
    summary: dict[str, Any] | None,
    network: Path,
) -> str:
    state, maps = _maps(units)
    return render(
        "county.html.j2",
        title=f"Road map of {network.stem}",
        summary=_summary(plan, units, edges),
        totals=_totals(plan, units, edges),
        missing=_missing(plan, units[units["status"] == "failed"]),
        odd=_odd_table(odd),
        state_map=state,
        maps=maps,
        base=None if summary is None else _base_facts(summary),
        zones=_zone_table(zones),
        provenance=_provenance(plan, units, network),
    )


def _zone_table(zones: Sequence[tuple[str, float, float]] | None) -> Table | None:
    if zones is None:
        return None
    rows = [[name, f"{km:,.2f}", f"{bridged:,.2f}"] for name, km, bridged in zones]
    return Table("", ["zone", "km", "bridged km"], rows)


def _summary(plan: CountyPlan, units: geopandas.GeoDataFrame, edges: geopandas.GeoDataFrame) -> str:
    found = counts(units)
    km = float(edges["length_m"].sum()) / 1000
    done = found["done"] + found["skipped"]
    text = f"{km:,.1f} km of road in {len(edges):,} edges. {done} of {len(units)} units are done"
    lacking = [f"{found[s]} {s}" for s in ("failed", "planned", "running") if found[s]]
    text += f"; {', '.join(lacking)}." if lacking else "."
    if plan.bad_sheets:
        text += f" {len(plan.bad_sheets)} sheets could not be used."
    return text


def _totals(
    plan: CountyPlan, units: geopandas.GeoDataFrame, edges: geopandas.GeoDataFrame
) -> dict[str, str]:
    length_m = np.asarray(edges["length_m"], float)
    bridged = float(length_m[np.asarray(edges["bridged"], bool)].sum())
    confidence = np.asarray(edges["confidence"], float)
    known = np.isfinite(confidence)
    valid = (units["pixels"] * units["valid_share"].fillna(0).astype(float)).sum()
    return {
        "Roads": f"{length_m.sum() / 1000:,.2f} km",
        "Bridged gaps": f"{bridged / 1000:,.2f} km ({bridged / max(length_m.sum(), 1):.1%})",
        "Mean confidence": (
            f"{np.average(confidence[known], weights=length_m[known]):.2f}" if known.any() else ""
        ),
        "Area with data": f"{valid * plan.gsd_m**2 / 1e6:,.2f} km²",
        "Dead ends at seams": f"{int(units['seam_dead_ends'].sum())} (sum over units)",
    }


def _missing(plan: CountyPlan, failed: geopandas.GeoDataFrame) -> Table | None:
    rows = [[row.unit, row.error_code, row.error] for row in failed.head(_ROWS).itertuples()]
    rows += [[bad.name, "sheet", bad.message] for bad in plan.bad_sheets[:_ROWS]]
    caption = "Nothing is mapped here. Units by name, sheets by file."
    return Table(caption, ["what", "code", "reason"], rows) if rows else None


def _odd_table(odd: geopandas.GeoDataFrame) -> Table | None:
    rows = [
        [row.unit, f"{row.oddness:.1f}", row.why, _place(row.geometry)] for row in odd.itertuples()
    ]
    caption = (
        "The units that differ most from those up to two units away: how many times the usual "
        "difference, in what, and where their centre is."
    )
    return Table(caption, ["unit", "oddness", "why", "centre"], rows) if rows else None


def _place(shape: Any) -> str:
    centre = shapely.centroid(shape)
    return f"{centre.x:.0f}, {centre.y:.0f}"


def _maps(units: geopandas.GeoDataFrame) -> tuple[UnitMap, list[UnitMap]]:
    bounds = shapely.bounds(np.asarray(units.geometry))
    titles = [f"{row.unit}: {row.status}" for row in units.itertuples()]
    maps = []
    for measure in MEASURES:
        if measure.column not in units:
            continue
        values = np.asarray(units[measure.column], float)
        shown = [
            f"{name}: {'not known' if math.isnan(value) else f'{value:.{measure.digits}f}'}"
            for name, value in zip(units["unit"], values, strict=True)
        ]
        caption = f"{measure.title}{f', {measure.unit}' if measure.unit else ''}"
        maps.append(value_map(bounds, values, shown, caption, digits=measure.digits))
    return state_map(bounds, list(units["status"]), STATES, titles), maps


def _base_facts(summary: dict[str, Any]) -> dict[str, str]:
    def km(name: str) -> str:
        return f"{summary[name] / 1000:,.2f} km"

    share = summary["share_of_base_found"]
    return {
        "Base": km("base_m"),
        "Found": km("matched_m") + ("" if share is None else f" ({share:.1%} with moved ones)"),
        "Moved": km("moved_m"),
        "Missing": km("missing_m"),
        "Extra": km("extra_m"),
        "Offset of the base": json.dumps(summary.get("offset", ""))[:200],
    }


def _provenance(plan: CountyPlan, units: geopandas.GeoDataFrame, network: Path) -> dict[str, str]:
    known = units[units["started"].notna()]
    seconds = float(known["seconds"].astype(float).sum())
    values = {
        "Network": str(network),
        "Program": f"roadgis {__version__}; plan by {plan.version}",
        "Sheets": f"{len(plan.rasters)} used, {len(plan.bad_sheets)} not",
        # Addresses may hold keys.
        "Found by": ", ".join(shown_name(Sheet(source)) for source in plan.source[:5]),
        "Dates": _dates(plan),
        "Pixel size": f"{plan.gsd_m:g} m",
        "Model": "none: masks" if plan.of_masks else plan.facts["model"]["name"],
        "Model file": "" if plan.of_masks else f"sha256 {plan.fingerprint}",
        "Threshold": f"{plan.threshold:g}",
        "Settings": _differences(plan),
    }
    if len(known):
        starts = [datetime.fromisoformat(text) for text in known["started"]]
        ends = [
            start + timedelta(seconds=float(took))
            for start, took in zip(starts, known["seconds"], strict=True)
        ]
        done = float(known["pixels"].sum()) / 1e6
        values |= {
            "Computed": f"{min(starts):%Y-%m-%d %H:%M} to {max(ends):%Y-%m-%d %H:%M}",
            "Time": f"{duration(seconds)} in all, {done / max(seconds, 1e-9):.2f} Mpx a second and "
            f"process; processes: {known['worker'].nunique()}",
        }
    return values


def _differences(plan: CountyPlan) -> str:
    """Return the settings that differ from the defaults, as text."""
    ours, usual = (_flat(s.to_json()["options"]) for s in (plan.settings, PlanSettings()))
    differ = {name: value for name, value in ours.items() if value != usual.get(name)}
    differ.pop("scene.max_mpx", None)
    return ", ".join(f"{name} {value}" for name, value in differ.items()) or "the defaults"


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        inner = _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else None
        flat |= {f"{prefix}{name}": value} if inner is None else inner
    return flat


def _dates(plan: CountyPlan) -> str:
    dates = sorted(plan.dates.values())
    return f"{dates[0]} to {dates[-1]}" if dates else "not stated by the source"
