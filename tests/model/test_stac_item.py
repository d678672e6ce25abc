"""Models as STAC Items with the MLM extension."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from roadgis.cli.commands.model import command
from roadgis.model.card import ModelCard
from roadgis.model.catalog import resolve_model
from roadgis.model.stac_item import model_item

CARD = ModelCard(
    name="2 roads/käse",
    version="3",
    classes=("background", "paved road"),
    road_class=1,
    bands=("red", "nir"),
    mean=(0.5, 0.25),
    std=(0.2, 0.1),
    stride=16,
    tile_px=256,
    input_layout="NCHW",
    licence="CC BY-SA 4.0",
)


def validated(item: dict[str, Any]) -> Any:
    """Validate an Item with the schema of STAC and the MLM properties with stac-model."""
    schema = pytest.importorskip("stac_model.schema")
    from pystac.validation import validate_dict

    validate_dict(item, extensions=[])
    return schema.MLModelProperties.model_validate(item["properties"])


def test_model_info_stac_describes_the_bundled_model() -> None:
    done = CliRunner().invoke(command, ["info", "--stac"])
    assert done.exit_code == 0, done.output
    item = json.loads(done.output)
    model = validated(item)
    assert model.name == "roadgis-roads"
    assert model.framework == "ONNX"
    assert list(model.input[0].bands) == ["red", "green", "blue"]
    path = resolve_model(None)
    asset = item["assets"]["model"]
    assert (asset["href"], asset["file:size"]) == (str(path), path.stat().st_size)
    assert asset["file:checksum"] == "1220" + hashlib.sha256(path.read_bytes()).hexdigest()
    assert item["properties"]["license"] == "CC-BY-SA-4.0"


def test_model_item_gives_shapes_scaling_and_classes() -> None:
    item = model_item(CARD, "roads.onnx")
    model = validated(item)
    (given,), (result,) = model.input, model.output
    assert given.input.shape == [-1, 2, 256, 256]
    assert given.input.dim_order == ["batch", "bands", "height", "width"]
    assert [(s.mean, s.stddev) for s in given.value_scaling] == [(127.5, 51.0), (63.75, 25.5)]
    assert result.result.shape == [-1, -1, -1, 2]
    assert result.result.dim_order == ["batch", "height", "width", "class"]
    classes = item["properties"]["mlm:output"][0]["classification:classes"]
    assert [entry["name"] for entry in classes] == ["background", "paved-road"]
    assert item["id"] == "model-2-roads-k-se-3"
    assert "file:checksum" not in item["assets"]["model"]


def test_model_item_of_a_card_without_licence_or_normalization_is_valid() -> None:
    item = model_item(dataclasses.replace(CARD, licence="", name="x"), str(Path("m.keras")))
    validated(item)
    assert item["properties"]["license"] == "other"
    assert item["properties"]["mlm:framework"] == "Keras"
