"""STAC Items of units list the inputs of each result."""

from __future__ import annotations

import json
from pathlib import Path

import pystac
import pytest
import shapely

from roadgis._version import __version__
from roadgis.batch.items import ITEMS, MODEL_ITEM
from tests.batch.counties import merged, planned, ran, settings


def test_merge_writes_an_item_for_each_unit(tmp_path: Path, model: Path, sheets: Path) -> None:
    table = tmp_path / "sheets.csv"
    paths = sorted(sheets.glob("*.tif"))
    rows = [f"{path},{'2019-05-01' if path == paths[0] else '2021-02'}" for path in paths]
    table.write_text("\n".join(["path,date", *rows]) + "\n")
    folder = tmp_path / "county"
    plan = planned(folder, table, settings(model, 320))
    ran(folder)
    merged(folder, tmp_path / "roads.gpkg")
    values = json.loads((folder / ITEMS).read_text())
    items = pystac.ItemCollection.from_dict(values)
    assert [item.id for item in items] == [unit.name for unit in plan.units]
    pytest.importorskip("jsonschema")
    from pystac.validation import validate_dict

    for unit, item, raw in zip(plan.units, items, values["features"], strict=True):
        validate_dict(raw, extensions=[])
        sources = [link.target for link in item.links if link.rel == "derived_from"]
        expected = [plan.rasters[number].name for number in unit.sheets]
        assert sources == [*expected, f"./{MODEL_ITEM}"]
        assert item.properties["processing:software"] == {"roadgis": __version__}
        assert item.properties["end_datetime"] == "2021-02-28T23:59:59Z"
        first = "2019-05-01" if str(paths[0]) in expected else "2021-02-01"
        assert item.properties["start_datetime"] == f"{first}T00:00:00Z"
        assert (folder / item.assets["probability"].href).is_file()
        roads = bool(item.properties["roadgis:road_km"])
        assert ("traced" in item.assets) == roads
        assert not roads or (folder / item.assets["traced"].href).is_file()
        assert item.geometry is not None
        assert shapely.geometry.shape(item.geometry).bounds == pytest.approx(item.bbox)
    described = json.loads((folder / MODEL_ITEM).read_text())
    validate_dict(described, extensions=[])
    assert described["assets"]["model"]["href"] == str(model)
    assert described["assets"]["model"]["file:checksum"] == f"1220{plan.fingerprint}"
