"""Scenes unlike the training imagery of a model are reported, with lower confidence of roads."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner

from roadgis.cli import cli
from roadgis.errors import ModelError
from roadgis.imagery.values.look import Look, measure_look
from roadgis.likeness import likeness
from roadgis.model.card import ModelCard
from roadgis.model.catalog import read_card
from roadgis.options.imagery import SceneOptions
from roadgis.pipeline import extract_roads, predict_to_file
from roadgis.probability.prediction import open_for_model
from roadgis.probability.tags import PROVENANCE_TAG
from roadgis.raster_pipeline import vectorize_file
from tests.factories.models import tiny_model
from tests.factories.roads import write_net

LOOKS = {"brightness": (40.0, 180.0), "contrast": (10.0, 60.0), "sharpness": (0.1, 1.0)}
CARD = ModelCard("m", "1", looks=LOOKS, normalize_to=(110.0, 50.0))


def test_measure_look_of_stripes() -> None:
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, ::2] = (60, 90, 120)  # grey 90
    image[:, 1::2] = (30, 30, 30)
    valid = np.ones((40, 40), bool)
    look = measure_look([(image, valid)])
    assert look is not None
    assert look.brightness == pytest.approx(60)
    assert look.contrast == pytest.approx(30)
    assert look.saturation == pytest.approx(30)  # 60 in every other column
    assert look.sharpness == pytest.approx(
        60 / 2 / 30
    )  # horizontal neighbours differ, vertical ones do not


def test_measure_look_leaves_invalid_pixels_out() -> None:
    image = np.full((8, 8, 3), 100, np.uint8)
    image[:4] = 0
    valid = np.zeros((8, 8), bool)
    valid[4:] = True
    look = measure_look([(image, valid)])
    assert look == Look(100.0, 0.0, 0.0, 0.0)
    assert measure_look([(image, np.zeros((8, 8), bool))]) is None


def test_likeness_within_the_range_changes_nothing() -> None:
    found = likeness(CARD, Look(100, 30, 500, 0.5))
    assert (found.text, found.confidence_factor) == (None, 1.0)
    assert likeness(ModelCard("m", "1"), Look(1, 1, 1, 1)).text is None
    assert likeness(CARD, None).text is None


def test_likeness_outside_names_the_figures_and_lowers_confidence() -> None:
    found = likeness(CARD, Look(30, 5, 0, 0.5))
    assert found.outside == {"brightness": (30, 40, 180), "contrast": (5, 10, 60)}
    assert found.confidence_factor == 0.5
    assert found.text == (
        "The imagery is unlike what the model was trained on: brightness 30 (in training 40 to "
        "180), contrast 5 (in training 10 to 60). Expect missing and false roads and check the "
        "result; confidence is multiplied by 0.50."
    )
    assert likeness(CARD, Look(100, 0.1, 0, 0.5)).confidence_factor == 0.3


@pytest.mark.parametrize("looks", [{"mood": (0.0, 1.0)}, {"contrast": (5.0, 1.0)}])
def test_model_card_rejects_looks_it_does_not_know(looks: dict[str, tuple[float, float]]) -> None:
    with pytest.raises(ModelError, match="looks has"):
        ModelCard("m", "1", looks=looks)


def test_model_card_keeps_looks_in_json() -> None:
    assert ModelCard.from_json(CARD.to_json(), "m") == CARD
    values = json.loads(CARD.to_json())
    values["looks"] = {"contrast": "much"}
    with pytest.raises(ModelError, match="looks is 'much', expected a list"):
        ModelCard.from_json(json.dumps(values), "m")


def test_extract_reports_imagery_unlike_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = tiny_model(
        tmp_path / "tiny.onnx", normalize_to=(110.0, 50.0), looks={"brightness": (200.0, 250.0)}
    )
    scene = write_net(tmp_path / "net.tif")
    with caplog.at_level(logging.WARNING):
        network = extract_roads(scene, tmp_path / "roads.geojson", model=model)
    assert "unlike what the model was trained on: brightness" in caplog.text
    ((name, (value, low, high)),) = network.provenance["unlike_training"].items()
    assert (name, low, high) == ("brightness", 200.0, 250.0)
    assert network.provenance["confidence_factor"] == pytest.approx(value / 200, abs=0.001)
    with open_for_model(scene, read_card(model), SceneOptions()) as opened:
        assert network.provenance["settings"]["scene"]["normalized"] == (
            opened.normalization.to_json()  # type: ignore[union-attr]
        )


@pytest.mark.parametrize(
    ("looks", "unlike"), [({"brightness": (0.0, 255.0)}, {"unlike_training": None}), ({}, {})]
)
def test_info_says_whether_imagery_is_unlike_training_if_the_model_knows(
    tmp_path: Path, looks: dict[str, tuple[float, float]], unlike: dict[str, None]
) -> None:
    model = tiny_model(tmp_path / "tiny.onnx", normalize_to=(110.0, 50.0), looks=looks)
    scene = write_net(tmp_path / "net.tif")
    said = CliRunner().invoke(cli, ["info", "--json", "-m", str(model), str(scene)])
    facts = json.loads(said.stdout)
    assert facts["usable"], facts
    assert {key: facts[key] for key in ("unlike_training",) if key in facts} == unlike


def test_vectorize_lowers_confidence_by_the_factor_of_the_raster(tmp_path: Path) -> None:
    scene, model = write_net(tmp_path / "net.tif"), tiny_model(tmp_path / "tiny.onnx")
    raster = tmp_path / "p.tif"
    predict_to_file(scene, raster, model=model)
    before = vectorize_file(raster)
    with rasterio.open(raster, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as dataset:
        made_by = json.loads(dataset.tags()[PROVENANCE_TAG])
        dataset.update_tags(**{PROVENANCE_TAG: json.dumps(made_by | {"confidence_factor": 0.5})})
    after = vectorize_file(raster)
    np.testing.assert_array_equal(after.confidence, before.confidence * 0.5)
    np.testing.assert_array_equal(after.confidence_min, before.confidence_min * 0.5)
