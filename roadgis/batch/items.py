"""STAC Items of the units of a county: what each result is derived from."""

from __future__ import annotations

import calendar
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from roadgis.atomic import atomic_path
from roadgis.batch.board import Board
from roadgis.batch.codec import crs_of
from roadgis.batch.plan import CountyPlan
from roadgis.batch.storage import storage
from roadgis.batch.store import ResultStore, unit_grid
from roadgis.batch.units import Unit
from roadgis.crs import LONLAT, transformer
from roadgis.model.catalog import DEFAULT_MODEL
from roadgis.model.stac_item import model_item
from roadgis.options.model import ModelDescription

#: ItemCollection of all units, and Item of the model, in the folder of a county.
ITEMS = "units.stac.json"
MODEL_ITEM = "model.stac.json"
_EXTENSIONS = (
    "https://stac-extensions.github.io/processing/v1.2.0/schema.json",
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
)
_GEOTIFF = "image/tiff; application=geotiff"


def write_items(folder: Path, plan: CountyPlan, store: ResultStore, board: Board) -> list[Path]:
    """Write STAC Items of the traced units, and of the model, into the folder of a county.

    Parameters
    ----------
    board : Board
        State of the county.

    Returns
    -------
    list of Path
        An ItemCollection with one Item per unit and, unless the sheets are masks, an Item of the
        model.
    """
    traced = [(unit, key) for unit, key in board.traced_keys() if board.is_traced(unit, key)]
    items = [_item(plan, store, unit, key) for unit, key in traced]
    written = {ITEMS: {"type": "FeatureCollection", "features": items}}
    if not plan.of_masks:
        written[MODEL_ITEM] = _model(plan)
    for name, values in written.items():
        with atomic_path(folder / name) as partial:
            partial.write_text(json.dumps(values) + "\n", encoding="utf-8")
        storage(folder).publish(name)
    return [folder / name for name in written]


def _model(plan: CountyPlan) -> dict[str, Any]:
    href = plan.settings.model or DEFAULT_MODEL
    # Otherwise the fingerprint is of the file and of a card that is not in it.
    of_file = not href.endswith(".keras") and plan.settings.description == ModelDescription()
    return model_item(plan.card, href, sha256=plan.fingerprint if of_file else None)


def _item(plan: CountyPlan, store: ResultStore, unit: Unit, key: str) -> dict[str, Any]:
    record = store.record("traced", unit, key)
    grid = unit_grid(plan, unit)
    outline = shapely.segmentize(shapely.box(*grid.bounds), 0.25 * grid.height * grid.gsd_m)
    to_lonlat = transformer(crs_of(plan.facts["crs"]), LONLAT)
    place = shapely.transform(
        outline, lambda xy: np.round(np.stack(to_lonlat.transform(*xy.T), axis=-1), 7)
    )
    sheets = [plan.facts["record"]["sheets"][number]["name"] for number in unit.sheets]
    links = [{"rel": "derived_from", "href": name} for name in sheets]
    if not plan.of_masks:
        title = plan.facts["model"]["name"]
        links.append({"rel": "derived_from", "href": f"./{MODEL_ITEM}", "title": title})
    code = crs_of(plan.facts["crs"]).to_epsg()
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": list(_EXTENSIONS),
        "id": unit.name,
        "geometry": shapely.geometry.mapping(place),
        "bbox": list(place.bounds),
        "properties": {
            **_times(plan, sheets, record["started"]),
            "gsd": plan.gsd_m,
            "proj:code": None if code is None else f"EPSG:{code}",
            "proj:bbox": list(grid.bounds),
            "proj:shape": [grid.height, grid.width],
            "processing:software": {"roadgis": plan.version},
            "processing:lineage": _lineage(plan),
            "roadgis:road_km": record["traced_km"],
            "roadgis:confidence": record["confidence"],
        },
        "links": links,
        "assets": _assets(plan, store, unit, key, record),
    }


def _assets(
    plan: CountyPlan, store: ResultStore, unit: Unit, key: str, record: dict[str, Any]
) -> dict[str, Any]:
    assets: dict[str, Any] = {}
    if not plan.of_masks and store.record("predicted", unit, unit.key)["valid_px"]:
        assets["probability"] = {
            "href": f"./predicted/{unit.name}.{unit.key}.tif",
            "title": "Road probability: 0 to 254, 255 is nodata",
            "type": _GEOTIFF,
            "roles": ["data"],
        }
    if record["traced_px"]:
        assets["traced"] = {
            "href": f"./traced/{unit.name}.{key}.npz",
            "title": "Traced lines before cleaning",
            "type": "application/octet-stream",
            "roles": ["data"],
        }
    return assets


def _times(plan: CountyPlan, sheets: list[str], started: str) -> dict[str, Any]:
    """Return acquisition times; the time of processing if the dates of sheets are not known."""
    created = datetime.fromisoformat(started).astimezone(timezone.utc)
    done = created.strftime("%Y-%m-%dT%H:%M:%SZ")
    dates = sorted(plan.dates[name] for name in sheets if name in plan.dates)
    if not dates:
        return {"datetime": done, "created": done}
    return {
        "datetime": None,
        "start_datetime": f"{_day(dates[0], last=False)}T00:00:00Z",
        "end_datetime": f"{_day(dates[-1], last=True)}T23:59:59Z",
        "created": done,
    }


def _day(date: str, *, last: bool) -> str:
    """Return the first or last day of ``2019``, ``2019-07`` or ``2019-07-03``."""
    year, *rest = map(int, date[:10].split("-"))
    month = rest[0] if rest else (12 if last else 1)
    day = rest[1] if len(rest) > 1 else (calendar.monthrange(year, month)[1] if last else 1)
    return f"{year:04}-{month:02}-{day:02}"


def _lineage(plan: CountyPlan) -> str:
    source = "Masks" if plan.of_masks else f"Road probability by {plan.facts['model']['name']}"
    return f"{source}; centrelines traced at threshold {plan.threshold:g}"
