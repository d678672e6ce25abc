"""Training: what the loss ignores, how the rate runs, and that a killed run goes on as if not."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="needs the train extra")

from roadgis.errors import Cancelled, DataError, InputError, OutputError, RoadgisError
from roadgis.model.card import read_card_file
from roadgis.model.runtime import load_model
from roadgis.train.architectures import build_unet, receptive_margin
from roadgis.train.dataset import CropSampler, crop_dataset
from roadgis.train.fit import FitOptions, fit, learning_rate
from roadgis.train.framework import import_keras
from roadgis.train.losses import ValidIoU, bce_jaccard_loss
from tests.test_train_dataset import sample, write_pair

pytestmark = [
    pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning"),
    # TensorFlow's variables under NumPy 2.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword"),
]

SMALL = FitOptions(
    depth=3,
    decoder_filters=(8, 8, 8),
    crop_px=64,
    batch=2,
    steps=4,
    epoch_steps=2,
    warmup_steps=2,
    decay_steps=2,
    seed=3,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for seed in range(2):
        write_pair(folder, f"scene{seed}", side=80, seed=seed)
    return folder


def labels_and_prediction() -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(0)
    valid = rng.random((2, 16, 16)) < 0.6
    road = rng.random((2, 16, 16)) < 0.3
    labels = np.stack([road, valid], axis=-1).astype(np.float32)
    return labels, rng.random((2, 16, 16, 1)).astype(np.float32), valid


def test_loss_and_metric_are_the_same_whatever_is_in_invalid_pixels() -> None:
    labels, prediction, valid = labels_and_prediction()
    other_labels, other_prediction = labels.copy(), prediction.copy()
    other_labels[..., 0][~valid] = 1 - other_labels[..., 0][~valid]
    other_prediction[..., 0][~valid] = np.random.default_rng(1).random((~valid).sum())
    assert float(bce_jaccard_loss(labels, prediction)) == float(
        bce_jaccard_loss(other_labels, other_prediction)
    )
    results = []
    for pair in ((labels, prediction), (other_labels, other_prediction)):
        metric = ValidIoU()
        metric.update_state(*pair)
        results.append(float(metric.result()))
    assert results[0] == results[1]


def test_loss_and_metric_are_right_on_the_valid_pixels() -> None:
    labels, prediction, valid = labels_and_prediction()
    road, p = labels[..., 0][valid] > 0, prediction[..., 0][valid].astype(np.float64)
    bce = -(np.log(p[road]).sum() + np.log(1 - p[~road]).sum()) / (valid.sum() + 1)
    jaccard = (p[road].sum() + 1) / (p.sum() + road.sum() - p[road].sum() + 1)
    assert float(bce_jaccard_loss(labels, prediction)) == pytest.approx(bce + 1 - jaccard, rel=1e-5)
    metric = ValidIoU()
    for half in (slice(0, 1), slice(1, 2)):
        metric.update_state(labels[half], prediction[half])
    found = p > 0.5
    assert float(metric.result()) == pytest.approx((found & road).sum() / (found | road).sum())


def test_a_batch_without_valid_pixels_has_a_finite_loss() -> None:
    labels, prediction, _ = labels_and_prediction()
    labels[..., 1] = 0
    assert float(bce_jaccard_loss(labels, prediction)) == 0.0


def test_the_learning_rate_rises_stays_and_falls_to_zero() -> None:
    options = FitOptions(steps=100, warmup_steps=10, decay_steps=40, peak_rate=0.1, epoch_steps=10)
    assert learning_rate(0, options) == pytest.approx(0.01)
    assert learning_rate(4, options) == pytest.approx(0.05)
    assert [learning_rate(step, options) for step in (9, 30, 60)] == [0.1, 0.1, 0.1]
    assert learning_rate(80, options) == pytest.approx(0.05)
    assert learning_rate(90, options) == pytest.approx(0.1 * (0.5 - 0.5 * np.cos(np.pi / 4)))
    assert learning_rate(100, options) == 0.0
    longer = dataclasses.replace(options, steps=200)
    assert all(learning_rate(s, longer) == learning_rate(s, options) for s in range(61))


@pytest.mark.parametrize(("depth", "margin"), [(4, 160), (5, 320)])
def test_the_receptive_margin_of_a_unet_is_known(depth: int, margin: int) -> None:
    model = build_unet(depth=depth, decoder_filters=(8,) * depth)
    assert receptive_margin(model, 2**depth, limit_px=400) == margin


def test_a_network_that_pools_over_the_tile_has_no_margin() -> None:
    keras = import_keras()
    layers = keras.layers
    image = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same", name="first")(image)
    # Squeeze-and-excitation: a mean over the whole tile weighs the channels.
    weights = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = layers.Multiply()([x, layers.Conv2D(4, 1, activation="sigmoid")(weights)])
    x = layers.Conv2D(1, 1)(layers.UpSampling2D(2)(x))
    model = keras.Model(image, layers.Activation("sigmoid")(x))
    assert receptive_margin(model, 2, limit_px=64) is None


def test_unknown_architectures_are_refused() -> None:
    with pytest.raises(InputError, match="expected one of"):
        build_unet("efficientnetb0")
    with pytest.raises(InputError, match="one for each of the 3 stages"):
        build_unet(depth=3, decoder_filters=(8, 8))


def test_a_later_epoch_gives_the_crops_that_an_uninterrupted_run_would_see() -> None:
    sampler = CropSampler([sample()], crop_px=32, seed=0)
    settings: Any = {"batch": 2, "steps": 3, "mean": (0.5,) * 3, "std": (0.25,) * 3}
    run, resumed = (
        crop_dataset(sampler, **settings),
        crop_dataset(sampler, **settings, first_epoch=2),
    )
    run.on_epoch_end()
    run.on_epoch_end()
    for index in range(3):
        for one, other in zip(run[index], resumed[index], strict=True):
            np.testing.assert_array_equal(one, other)
    images, labels = run[0]
    assert images.shape == (2, 32, 32, 3)
    assert labels.shape == (2, 32, 32, 2)
    assert images.dtype == labels.dtype == np.float32
    np.testing.assert_allclose(
        images[1], (sampler.crop(2 * 3 * 2 + 1)[0] / 255 - 0.5) / 0.25, atol=1e-6
    )


def weights_of(path: Path) -> list[Any]:
    model = import_keras().models.load_model(path, compile=False)
    return list(model.get_weights())


def losses(output: Path) -> list[float]:
    lines = output.with_name(f"{output.stem}.log.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


@pytest.fixture(scope="module")
def uninterrupted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("whole") / "model.keras"
    fit([data], output, SMALL)
    return output


def assert_same_run(output: Path, wanted: Path) -> None:
    assert losses(output) == pytest.approx(losses(wanted), rel=1e-5)
    # Bit-identical where the number of threads is the same; sums over threads may round otherwise.
    for one, other in zip(weights_of(output), weights_of(wanted), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_cancelled_run_goes_on_to_the_same_weights(
    data: Path, tmp_path: Path, uninterrupted: Path
) -> None:
    output = tmp_path / "model.keras"

    def cancel(fraction: float, message: str) -> None:
        raise Cancelled(message)

    with pytest.raises(Cancelled):
        fit([data], output, SMALL, progress=cancel)
    assert not output.exists()
    fit([data], output, SMALL)
    assert_same_run(output, uninterrupted)


_RUN = """
import sys, time
from pathlib import Path
from roadgis.train.fit import FitOptions, fit
def stop(fraction, message):
    Path(sys.argv[3]).write_text(message)
    time.sleep(600)
fit([Path(sys.argv[1])], Path(sys.argv[2]), FitOptions(**eval(sys.argv[4])), progress=stop)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="kill -9 is POSIX")
def test_a_killed_run_goes_on_to_the_same_weights(
    data: Path, tmp_path: Path, uninterrupted: Path
) -> None:
    output, reached = tmp_path / "model.keras", tmp_path / "reached"
    arguments = [str(data), str(output), str(reached), repr(dataclasses.asdict(SMALL))]
    process = subprocess.Popen([sys.executable, "-c", _RUN, *arguments])
    try:
        started = time.monotonic()
        while not reached.exists():
            assert process.poll() is None, "the run ended before its first checkpoint"
            assert time.monotonic() - started < 200
            time.sleep(0.2)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not output.exists()
    assert len(losses(output)) == 1
    fit([data], output, SMALL)
    assert_same_run(output, uninterrupted)


@pytest.mark.slow
def test_a_finished_run_leaves_a_model_with_a_card_that_runs(uninterrupted: Path) -> None:
    card = read_card_file(uninterrupted)
    assert (card.stride, card.local) == (8, True)
    assert card.margin_px % 8 == 0
    assert card.recipe["seed"] == 3
    segmenter = load_model(uninterrupted)
    probability = segmenter.predict(np.zeros((1, 64, 64, 3), np.uint8))
    assert probability.shape == (1, 64, 64)
    assert segmenter.device.startswith("Keras, ")


def test_wrong_settings_and_data_are_refused_before_training(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ends in \.keras"):
        fit([data], tmp_path / "m.onnx", SMALL)
    with pytest.raises(DataError, match="No training data"):
        fit([], tmp_path / "m.keras", SMALL)
    with pytest.raises(DataError, match="no folder of images"):
        fit([tmp_path], tmp_path / "m.keras", SMALL)
    with pytest.raises(InputError, match="multiple of the network's stride"):
        FitOptions(crop_px=100, depth=4)
    with pytest.raises(InputError, match="at least 1"):
        FitOptions(steps=0)


@pytest.mark.slow
def test_a_checkpoint_of_other_settings_and_an_existing_model_are_kept(
    data: Path, tmp_path: Path
) -> None:
    output = tmp_path / "model.keras"

    def cancel(fraction: float, message: str) -> None:
        raise Cancelled(message)

    with pytest.raises(Cancelled):
        fit([data], output, SMALL, progress=cancel)
    with pytest.raises(InputError, match=r"other settings \(seed 3 before, 4 now\)"):
        fit([data], output, dataclasses.replace(SMALL, seed=4))
    output.write_bytes(b"mine")
    with pytest.raises(OutputError, match="--overwrite"):
        fit([data], output, SMALL)
    assert output.read_bytes() == b"mine"
    fit([data], output, dataclasses.replace(SMALL, steps=6), overwrite=True)
    assert len(losses(output)) == 3


@pytest.mark.slow
def test_a_loss_that_is_no_number_stops_the_run_and_saves_nothing(
    data: Path, tmp_path: Path
) -> None:
    output = tmp_path / "model.keras"
    with pytest.raises(RoadgisError, match=r"loss became (nan|inf).*--peak-rate"):
        fit([data], output, dataclasses.replace(SMALL, peak_rate=1e30, warmup_steps=1))
    assert not output.exists()
    assert not list(tmp_path.glob("*.checkpoint.keras"))
