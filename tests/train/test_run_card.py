"""Sources and licence in the card of a trained model."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("yaml", reason="needs the train extra")

from roadgis.model.card import write_card_file
from roadgis.options.training import CardSettings, NetworkSettings, TrainSettings
from roadgis.options.training_data import DataSet, DataSettings
from roadgis.train.run_card import sources_and_terms
from roadgis.train.settings import read_settings
from tests.factories.models import tiny_card, tiny_model

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
START = tiny_card(
    name="start",
    training_data="A town",
    licence="CC BY-SA 4.0",
    attribution=("Imagery: A.", "Labels: B."),
)
OWN = CardSettings(training_data="Mine", licence="CC0", attribution=("Imagery: C.", "Labels: B."))


def test_sources_and_terms_are_those_of_the_settings() -> None:
    assert sources_and_terms(TrainSettings(card=OWN), None) == {
        "training_data": "Mine",
        "licence": "CC0",
        "attribution": ("Imagery: C.", "Labels: B."),
    }


def test_sources_and_terms_default_to_the_data_names() -> None:
    data = DataSettings(sets=(DataSet("s", folders=(Path("x/a"), Path("y/b")), gsd_m=1.0),))
    assert sources_and_terms(TrainSettings(data=data), None) == {
        "training_data": "a, b",
        "licence": "",
        "attribution": (),
    }


def test_sources_and_terms_include_the_starting_model() -> None:
    data = DataSettings(folders=(Path("mine"),))
    assert sources_and_terms(TrainSettings(data=data), START) == {
        "training_data": "mine; before that, as start 1: A town",
        "licence": "CC BY-SA 4.0",
        "attribution": ("Imagery: A.", "Labels: B."),
    }
    said = sources_and_terms(TrainSettings(data=data, card=OWN), START)
    assert said["licence"] == "CC0"
    assert said["attribution"] == ("Imagery: C.", "Labels: B.", "Imagery: A.")


def test_sources_and_terms_include_encoder_and_teacher(tmp_path: Path) -> None:
    write_card_file(START, tmp_path / "encoder.keras")
    teacher = tiny_model(tmp_path / "teacher.onnx", attribution=("Teacher: D.",))
    data = DataSettings(
        sets=(DataSet("s", folders=(Path("drawn"),), gsd_m=1.0, teacher=str(teacher)),)
    )
    network = NetworkSettings(encoder_weights=str(tmp_path / "encoder.keras"))
    assert sources_and_terms(TrainSettings(data=data, network=network), None) == {
        "training_data": "drawn; before that, as start 1: A town",
        "licence": "CC BY-SA 4.0",
        "attribution": ("Imagery: A.", "Labels: B.", "Teacher: D."),
    }


def test_sources_and_terms_credit_packaged_imagenet_weights() -> None:
    network = NetworkSettings(backbone="efficientnetlite1", encoder_weights="imagenet")
    sentence = "Trained from the ImageNet weights of EfficientNet-Lite1 (Apache-2.0)."
    assert sources_and_terms(TrainSettings(network=network), None)["attribution"] == (sentence,)
    # Weights replaced by those of a model leave no attribution.
    assert sentence not in sources_and_terms(TrainSettings(network=network), START)["attribution"]


def test_world_settings_credit_each_source_once() -> None:
    settings = read_settings(EXAMPLES / "world.yaml")
    assert (settings.card.name, settings.card.version) == ("roadgis-roads", "9")
    said = sources_and_terms(settings, None)
    assert said["licence"] == "CC BY-SA 4.0"
    names = ("MassGIS", "OpenStreetMap", "SpaceNet", "Geospatial Information Authority", "ImageNet")
    assert len(said["attribution"]) == len(names)
    for name, sentence in zip(names, said["attribution"], strict=True):
        assert name in sentence
        assert sentence.endswith(".")
