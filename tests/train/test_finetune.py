"""Fine-tuning the bundled model on imagery with a road layer, the usual way to train."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="needs the train extra")

from roadgis.model.card import read_card_file
from roadgis.model.catalog import read_card
from roadgis.model.runtime import load_model
from roadgis.options.synthetic import TownOptions
from roadgis.synthetic import make_town, write_town
from roadgis.train.framework import import_keras
from roadgis.train.starting_model import load_trained, resolve_trained

pytestmark = [
    pytest.mark.slow,
    # TensorFlow's variables under NumPy 2.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword"),
]


# Without a graph: compiling one takes three times as long as these four steps.
EAGER = (
    "import tensorflow; tensorflow.config.run_functions_eagerly(True)\n"
    "from roadgis.cli import main; main()"
)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("town")
    write_town(
        make_town(TownOptions(width_px=640, height_px=640)),
        folder / "town.tif",
        folder / "roads.geojson",
    )
    return folder


@pytest.fixture(scope="module")
def run(town: Path) -> Path:
    command = (
        "train --init default --images town.tif --labels roads.geojson --label-width 7 "
        "--hold-out 0.3 --frozen-epochs 1 --steps 4 --epoch-steps 2 --crop-px 128 --batch 2 "
        "--peak-rate 0.0001 --warmup-steps 1 --decay-steps 2 --keep last -o run"
    )
    done = subprocess.run(
        [sys.executable, "-c", EAGER, *command.split()],
        cwd=town, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (town / "said.txt").write_text(done.stderr)
    return town / "run"


def test_finetune_weights_are_those_of_the_bundled_model() -> None:
    model, card = load_trained(resolve_trained("default"))
    bundled = read_card()
    assert (card.name, card.version) == (bundled.name, bundled.version)
    assert (card.stride, card.margin_px) == (bundled.stride, bundled.margin_px)
    rng = np.random.default_rng(0)
    side = 128
    image = np.kron(rng.integers(0, 255, (side // 16, side // 16, 3)), np.ones((16, 16, 1)))
    images = image.astype(np.uint8)[None]
    scaled = (images / np.float32(255) - np.float32(card.mean)) / np.float32(card.std)
    trained = np.asarray(model(scaled.astype(np.float32), training=False))[..., 0]
    # The bundled file computes in 8 bits.
    assert np.abs(trained - load_model().predict(images)).mean() < 0.02


def test_finetune_starts_near_the_bundled_model(run: Path) -> None:
    with (run / "log.csv").open() as file:
        start, first, last = csv.DictReader(file)
    assert (start["epoch"], start["step"], start["loss"]) == ("0", "0", "")
    # The bundled model segments the roads of the town well; an untrained model would be near 0.
    assert float(start["validation_best_iou"]) > 0.5
    assert float(first["validation_best_iou"]) > 0.5
    assert float(last["validation_best_iou"]) > 0.5
    before, _ = load_trained(resolve_trained("default"))
    after = import_keras().models.load_model(run / "model.keras", compile=False)
    moved = {
        layer.name: not all(map(np.array_equal, layer.get_weights(), other.get_weights()))
        for layer, other in zip(before.layers, after.layers, strict=True)
        if layer.weights
    }
    assert all(moved.values())


# Without a graph: compiling one takes longer than the two steps. That is not for tf.data.
@pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_functions")
def test_finetune_freezes_the_encoder_in_the_first_epoch(town: Path, run: Path) -> None:
    import tensorflow

    from roadgis.errors import Cancelled
    from roadgis.train.fit import fit
    from roadgis.train.run_folder import RunFolder
    from roadgis.train.settings import read_settings

    def stop(fraction: float, message: str) -> None:
        if "iou" in message:
            raise Cancelled(message)

    tensorflow.config.run_functions_eagerly(True)
    try:
        with pytest.raises(Cancelled):
            fit(read_settings(run / "settings.yaml"), town / "frozen", progress=stop)
    finally:
        tensorflow.config.run_functions_eagerly(False)
    checkpoint = RunFolder(town / "frozen").load_checkpoint()
    assert checkpoint is not None
    before, _ = load_trained(resolve_trained("default"))
    after = import_keras().models.load_model(checkpoint.model)
    changed = {
        layer.name
        for layer, other in zip(before.layers, after.layers, strict=True)
        if layer.weights and not all(map(np.array_equal, layer.get_weights(), other.get_weights()))
    }
    assert changed
    assert all(name.startswith(("decoder", "subpixel", "final")) for name in changed)


def test_finetune_logs_inherited_settings_and_progress(town: Path, run: Path) -> None:
    text = (town / "said.txt").read_text()
    said = [line for line in text.splitlines() if line.startswith("Info: ")]
    # Everything else was given on the command line.
    assert said[0].startswith(f"Info: inherited from the model {read_card().name} ")
    assert "pixel size" in said[0]
    assert "crops of" not in said[0]
    assert "steps" not in said[0]
    epochs = [line for line in said if line.startswith("Info: epoch ")]
    assert [line.split(",")[0] for line in epochs] == [
        "Info: epoch 1 of 2",
        "Info: epoch 2 of 2",
    ]
    assert "validation_best_iou 0." in epochs[0]
    assert epochs[0].endswith(" left")
    assert any(" before, 0." in line and " after (" in line for line in said)
    page = (run / "report.html").read_text()
    assert re.findall(r"<figcaption>town@\d+,\d+ (before|after): IoU 0", page) == (
        ["before", "after"] * 2
    )


def test_finetune_threshold_uses_held_out_scenes(run: Path) -> None:
    done: Any = subprocess.run(
        [sys.executable, "-m", "roadgis", "threshold", "run"],
        cwd=run.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    card = read_card_file(run / "model.keras")
    assert card.scores["iou"] > 0.5
    assert card.gsd_m == 1.0
