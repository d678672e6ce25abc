"""The example program that makes one model of several."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="needs the train extra")

import keras

from roadgis.model.card import read_card_file, write_card_file
from roadgis.train.architectures import ArchitectureOptions, build_model
from tests.factories.models import tiny_card
from tests.factories.pairs import write_road_pair

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword"),
]

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "average_weights.py"


def write_model(path: Path, seed: int) -> list[np.ndarray]:
    options = ArchitectureOptions("plain-unet", decoder_filters=(8, 4))
    model = build_model(options)
    rng = np.random.default_rng(seed)
    weights = [rng.uniform(0.5, 1.5, part.shape).astype(np.float32) for part in model.get_weights()]
    model.set_weights(weights)
    model.save(path)
    write_card_file(tiny_card(name=path.stem), path)
    return weights


@pytest.mark.parametrize("measured", ["", "data", "settings"])
def test_average_weights_updates_normalization_if_there_is_data(
    tmp_path: Path, measured: str
) -> None:
    one, two = (
        write_model(tmp_path / f"{name}.keras", seed) for name, seed in (("a", 1), ("b", 2))
    )
    write_road_pair(tmp_path / "data", "r")
    settings = tmp_path / "settings.yaml"
    settings.write_text("data: {folders: [data], crop_px: 64}\n", encoding="utf-8")
    given = {
        "data": ["--data", tmp_path / "data", "--crop-px", "64"],
        "settings": ["--settings", settings],
    }
    data = [*given[measured], "--steps", "2"] if measured else []
    subprocess.run(
        [sys.executable, SCRIPT, tmp_path / "a.keras", tmp_path / "b.keras", *data,
         "-o", tmp_path / "mean"],
        check=True, capture_output=True,
    )  # fmt: skip
    model = keras.models.load_model(tmp_path / "mean" / "model.keras")
    assert read_card_file(tmp_path / "mean" / "model.keras").name == "a"
    differ = {
        variable.path.rsplit("/", 1)[-1]
        for variable, found, a, b in zip(model.weights, model.get_weights(), one, two, strict=True)
        if np.abs(found - (a + b) / 2).max() > 1e-6
    }
    assert differ == ({"moving_mean", "moving_variance"} if measured else set())
