"""A training run: resuming, outputs, rejected settings."""

from __future__ import annotations

import csv
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="needs the train extra")

from roadgis.errors import Cancelled, DataError, InputError, OutputError, RoadgisError
from roadgis.model.card import read_card_file
from roadgis.model.runtime import load_model
from roadgis.options.training import (
    CardSettings,
    NetworkSettings,
    OptimizationSettings,
    TrainSettings,
)
from roadgis.options.training_data import DataSettings
from roadgis.train.architectures.states import encoder_layers
from roadgis.train.fit import fit
from roadgis.train.framework import import_keras
from roadgis.train.run_folder import RunFolder
from roadgis.train.settings import read_settings, write_settings
from tests.factories.pairs import write_class_pair, write_road_pair

pytestmark = [
    pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning"),
    # TensorFlow's variables under NumPy 2.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword"),
    # `eager` is not for tf.data.
    pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_functions"),
]

SMALL = OptimizationSettings(
    steps=6, epoch_steps=2, warmup_steps=2, decay_steps=2, ema=0.5, seed=3, keep="last"
)
TINY = NetworkSettings(architecture="plain-unet", decoder_filters=(8, 8, 16, 16))
# Without batch normalization, whose running means lag behind in runs of so few steps.
PLAIN = NetworkSettings(architecture="plain-unet", decoder_filters=(8, 16, 32), batch_norm=False)


@pytest.fixture(scope="module", autouse=True)
def eager() -> Iterator[None]:
    """Run without graphs: compiling one takes longer than the few steps of most runs here."""
    import tensorflow

    tensorflow.config.run_functions_eagerly(True)
    yield
    tensorflow.config.run_functions_eagerly(False)


@pytest.fixture
def compiled(eager: None) -> Iterator[None]:
    """Run with graphs, as users do."""
    import tensorflow

    tensorflow.config.run_functions_eagerly(False)
    yield
    tensorflow.config.run_functions_eagerly(True)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for seed in range(2):
        write_road_pair(folder, f"scene{seed}", seed=seed)
    return folder


def settings_of(data: Path, **optimization: Any) -> TrainSettings:
    return TrainSettings(
        data=DataSettings(folders=(data,), crop_px=64, batch=2, workers=1),
        network=TINY,
        optimization=dataclasses.replace(SMALL, **optimization),
        card=CardSettings(licence="CC0", attribution=("Imagery: A.",)),
    )


def weights_of(path: Path) -> list[Any]:
    return list(import_keras().models.load_model(path, compile=False).get_weights())


def log_of(run: Path) -> list[dict[str, str]]:
    with (run / "log.csv").open() as file:
        return list(csv.DictReader(file))


def stop_after(epochs: int) -> Any:
    def progress(fraction: float, message: str) -> None:
        if "iou" in message and fraction >= epochs * SMALL.epoch_steps / SMALL.steps:
            raise Cancelled(message)

    return progress


def assert_same_run(run: Path, wanted: Path) -> None:
    for column in ("epoch", "step", "loss", "iou", "learning_rate"):
        found, expected = ([float(r[column]) for r in log_of(path)] for path in (run, wanted))
        assert found == pytest.approx(expected, rel=1e-5), column
    # Bit-identical with the same number of threads; sums over threads may round differently.
    for one, other in zip(
        weights_of(run / "model.keras"), weights_of(wanted / "model.keras"), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def uninterrupted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("whole") / "run"
    fit(settings_of(data), run)
    return run


@pytest.mark.slow
def test_fit_resumes_a_cancelled_run_to_the_same_weights(
    data: Path, tmp_path: Path, uninterrupted: Path
) -> None:
    run = tmp_path / "run"
    for epoch in (1, 2):
        with pytest.raises(Cancelled):
            fit(settings_of(data), run, progress=stop_after(epoch))
        assert len(log_of(run)) == epoch
    assert not (run / "model.keras").exists()
    fit(settings_of(data), run)
    assert_same_run(run, uninterrupted)


_RUN = """
import sys, time
from pathlib import Path
import tensorflow
from roadgis.train.fit import fit
from roadgis.train.settings import read_settings
def stop(fraction, message):
    if "iou" in message:
        Path(sys.argv[3]).write_text(message)
        time.sleep(600)
tensorflow.config.run_functions_eagerly(True)
fit(read_settings(Path(sys.argv[1])), Path(sys.argv[2]), progress=stop)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="kill -9 is POSIX")
def test_fit_resumes_a_killed_run_to_the_same_weights(
    data: Path, tmp_path: Path, uninterrupted: Path
) -> None:
    run, reached = tmp_path / "run", tmp_path / "reached"
    write_settings(settings_of(data), tmp_path / "settings.yaml")
    arguments = [str(tmp_path / "settings.yaml"), str(run), str(reached)]
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
    assert not (run / "model.keras").exists()
    # With the settings written by the run.
    fit(read_settings(run / "settings.yaml"), run)
    assert_same_run(run, uninterrupted)


@pytest.mark.slow
def test_fit_names_a_checkpoint_of_another_version(
    data: Path, tmp_path: Path, uninterrupted: Path
) -> None:
    run = Path(shutil.copytree(uninterrupted, tmp_path / "run"))
    checkpoint = RunFolder(run).load_checkpoint()
    assert checkpoint is not None
    with zipfile.ZipFile(checkpoint.model) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(checkpoint.model, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content.replace(b"RoadIoU", b"ValidIoU"))
    with pytest.raises(InputError, match=r"cannot be loaded .*older roadgis wrote it"):
        fit(settings_of(data, steps=8), run)


@pytest.mark.slow
def test_fit_resumes_after_the_frozen_epochs(data: Path, tmp_path: Path) -> None:
    settings = settings_of(data)
    settings = dataclasses.replace(
        settings, network=dataclasses.replace(settings.network, frozen_epochs=1)
    )
    fit(settings, tmp_path / "whole")
    with pytest.raises(Cancelled):
        fit(settings, tmp_path / "cut", progress=stop_after(1))
    frozen = RunFolder(tmp_path / "cut").load_checkpoint()
    assert frozen is not None
    model = import_keras().models.load_model(frozen.model)
    assert not any(layer.trainable for layer in encoder_layers(model) if layer.weights)
    fit(settings, tmp_path / "cut")
    assert_same_run(tmp_path / "cut", tmp_path / "whole")


@pytest.mark.slow
def test_fit_with_directions_resumes_and_saves_the_probability_only(
    data: Path, tmp_path: Path, uninterrupted: Path
) -> None:
    settings = settings_of(data, direction_weight=0.5, keep="best")
    settings = dataclasses.replace(
        settings, data=dataclasses.replace(settings.data, validation=(data,))
    )
    fit(settings, tmp_path / "whole")
    with pytest.raises(Cancelled):
        fit(settings, tmp_path / "cut", progress=stop_after(1))
    checkpoint = RunFolder(tmp_path / "cut").load_checkpoint()
    assert checkpoint is not None
    assert import_keras().models.load_model(checkpoint.model).output_shape[-1] == 3
    fit(settings, tmp_path / "cut")
    assert_same_run(tmp_path / "cut", tmp_path / "whole")
    # The same start and crops, but an additional loss.
    found, without = (float(log_of(run)[0]["loss"]) for run in (tmp_path / "whole", uninterrupted))
    assert found > without + 0.1
    saved = import_keras().models.load_model(tmp_path / "whole" / "model.keras", compile=False)
    assert saved.output_shape[-1] == 1
    assert not [layer.name for layer in saved.layers if layer.name.startswith("direction")]
    load_model(tmp_path / "whole" / "model.keras")


@pytest.mark.slow
def test_fit_resumes_a_reduced_rate_and_the_count_of_early_stopping(
    data: Path, tmp_path: Path
) -> None:
    # At this rate the weights do not change, so the score never improves.
    settings = settings_of(
        data, schedule="constant", peak_rate=1e-30, plateau_epochs=1, plateau_factor=0.5, steps=20,
        stop_epochs=3, keep="best",
    )  # fmt: skip
    settings = dataclasses.replace(
        settings, network=PLAIN, data=dataclasses.replace(settings.data, validation=(data,))
    )

    def cancel(fraction: float, message: str) -> None:
        if "iou" in message and fraction >= 2 * 2 / 20:
            raise Cancelled(message)

    fit(settings, tmp_path / "whole")
    with pytest.raises(Cancelled):
        fit(settings, tmp_path / "cut", progress=cancel)
    assert len(log_of(tmp_path / "cut")) == 2
    fit(settings, tmp_path / "cut")
    for run in ("whole", "cut"):
        rates = [float(record["learning_rate"]) for record in log_of(tmp_path / run)]
        assert rates == pytest.approx([1e-30, 5e-31, 2.5e-31, 1.25e-31], rel=1e-6, abs=0), run
    assert (tmp_path / "cut" / "model.keras").is_file()


@pytest.mark.slow
def test_fit_saves_a_model_with_a_card(uninterrupted: Path) -> None:
    card = read_card_file(uninterrupted / "model.keras")
    assert (card.stride, card.local) == (8, True)
    assert card.margin_px % 8 == 0
    assert card.recipe["optimization"]["seed"] == 3
    assert (card.licence, card.attribution) == ("CC0", ("Imagery: A.",))
    checkpoint = RunFolder(uninterrupted).load_checkpoint()
    assert checkpoint is not None
    # The optimizer holds three numbers per weight, the saved model none; both files hold names.
    size = (uninterrupted / "model.keras").stat().st_size
    assert size < 0.7 * checkpoint.model.stat().st_size
    segmenter = load_model(uninterrupted)
    probability = segmenter.predict(np.zeros((1, 64, 64, 3), np.uint8))
    assert probability.shape == (1, 64, 64)
    assert segmenter.device.startswith("Keras, ")


@pytest.mark.slow
def test_fit_starts_from_the_weights_of_a_run(
    data: Path, tmp_path: Path, uninterrupted: Path
) -> None:
    settings = settings_of(data, peak_rate=1e-30, weight_decay=0.0, steps=2)
    network = NetworkSettings(init=str(uninterrupted))
    settings = dataclasses.replace(settings, network=network, card=CardSettings(name="mine"))
    card = fit(settings, tmp_path / "run")
    assert (card.name, card.licence, card.attribution) == ("mine", "CC0", ("Imagery: A.",))
    assert card.training_data == f"{data.name}; before that, as roads 1: {data.name}"
    trainable = [v.name.split("/")[-1] for v in _model(tmp_path / "run").trainable_variables]
    assert trainable
    for one, other in zip(
        _model(tmp_path / "run").trainable_variables,
        _model(uninterrupted).trainable_variables,
        strict=True,
    ):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), atol=1e-6)
    several = dataclasses.replace(
        settings, data=dataclasses.replace(settings.data, classes=("other", "road", "car"))
    )
    with pytest.raises(InputError, match="gives 1 classes"):
        fit(several, tmp_path / "other")


@pytest.mark.slow
def test_fit_scores_the_starting_model_and_reports_before_and_after(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fresh = dataclasses.replace(settings_of(data, steps=2), network=PLAIN)
    fit(fresh, tmp_path / "start")
    assert [row["epoch"] for row in log_of(tmp_path / "start")] == ["1"]
    page = (tmp_path / "start" / "report.html").read_text()
    assert "There was no validation data" in page
    assert "before" not in page.split("<main>")[1]
    # At this rate the weights do not change, so both scores are equal.
    settings = settings_of(data, peak_rate=1e-30, weight_decay=0.0, steps=4, keep="best")
    settings = dataclasses.replace(
        settings,
        data=dataclasses.replace(settings.data, validation=(data,)),
        network=NetworkSettings(init=str(tmp_path / "start")),
    )
    run = tmp_path / "run"
    with pytest.raises(Cancelled), caplog.at_level("INFO", "roadgis"):
        fit(settings, run, progress=stop_before_the_first_step)
    assert not RunFolder(run).has_checkpoint()
    (start,) = log_of(run)
    assert (start["epoch"], start["step"]) == ("0", "0")
    caplog.clear()
    with caplog.at_level("INFO", "roadgis"):
        fit(settings, run)
    start, first, _last = log_of(run)
    assert (start["epoch"], start["loss"], first["epoch"]) == ("0", "", "1")
    # The best trained epoch is kept even if the starting model was as good.
    assert (run / "model.keras").is_file()
    before, after = (float(row["validation_best_iou"]) for row in (start, first))
    said = "\n".join(caplog.messages)
    assert f"Validation IoU {before:.3f} before, {after:.3f} after (" in said
    assert "labelled: about 0.15 km of road on 0.013 km²" in said
    assert "epoch 2 of 2, step 4 of 4: " in said
    page = (run / "report.html").read_text()
    names = ["scene0 before", "scene0 after", "scene1 before", "scene1 after"]
    assert [name for name in names if f"<figcaption>{name}: IoU" in page] == names
    # Resuming a longer run keeps epoch 0.
    longer = dataclasses.replace(
        settings, optimization=dataclasses.replace(settings.optimization, steps=6)
    )
    fit(longer, run)
    assert [row["epoch"] for row in log_of(run)] == ["0", "1", "2", "3"]


def stop_before_the_first_step(fraction: float, message: str) -> None:
    if message.startswith("step 1 "):
        raise Cancelled(message)


def _model(run: Path) -> Any:
    return import_keras().models.load_model(run / "model.keras", compile=False)


@pytest.mark.slow
def test_fit_learns_the_road_of_a_scene(data: Path, tmp_path: Path, compiled: None) -> None:
    settings = settings_of(
        data, steps=60, epoch_steps=30, peak_rate=3e-3, decay_steps=30, ema=0.8, keep="best"
    )
    settings = dataclasses.replace(
        settings, network=PLAIN, data=dataclasses.replace(settings.data, validation=(data,))
    )
    fit(settings, tmp_path / "run")
    assert max(float(r["validation_best_iou"]) for r in log_of(tmp_path / "run")) > 0.8


@pytest.mark.slow
def test_fit_learns_several_classes(tmp_path: Path, compiled: None) -> None:
    for seed in range(2):
        write_class_pair(tmp_path / "data", f"s{seed}", seed=seed)
    settings = settings_of(
        tmp_path / "data", steps=60, epoch_steps=30, peak_rate=3e-3, decay_steps=30, ema=0.8
    )
    settings = dataclasses.replace(
        settings,
        data=dataclasses.replace(
            settings.data, classes=("other", "road", "car"), validation=(tmp_path / "data",)
        ),
        network=PLAIN,
    )
    card = fit(settings, tmp_path / "run")
    assert (card.classes, card.road_class) == (("other", "road", "car"), 1)
    assert float(log_of(tmp_path / "run")[-1]["validation_iou"]) > 0.8


@pytest.mark.slow
def test_fit_in_mixed_precision_saves_float32(data: Path, tmp_path: Path, compiled: None) -> None:
    fit(settings_of(data, precision="mixed_bfloat16", steps=4), tmp_path / "run")
    model = _model(tmp_path / "run")
    assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}
    assert all(np.isfinite(weights).all() for weights in model.get_weights())


def test_fit_rejects_wrong_settings_and_data(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "m.keras"
    file.touch()
    with pytest.raises(OutputError, match="expected the name of a folder"):
        fit(settings_of(data), file)
    with pytest.raises(DataError, match="No training data"):
        fit(TrainSettings(optimization=SMALL), tmp_path / "run")
    with pytest.raises(DataError, match="no folder of images"):
        fit(settings_of(tmp_path), tmp_path / "run")
    odd = settings_of(data)
    odd = dataclasses.replace(odd, data=dataclasses.replace(odd.data, crop_px=60))
    with pytest.raises(InputError, match="multiple of the model's stride 8"):
        fit(odd, tmp_path / "run")
    assert not (tmp_path / "run" / "model.keras").exists()


@pytest.mark.slow
def test_fit_passes_settings_to_the_loss(data: Path, tmp_path: Path, uninterrupted: Path) -> None:
    def first_loss(name: str, **loss: Any) -> float:
        with pytest.raises(Cancelled):
            fit(settings_of(data, **loss), tmp_path / name, progress=stop_after(1))
        return float(log_of(tmp_path / name)[0]["loss"])

    found = {
        "plain": float(log_of(uninterrupted)[0]["loss"]),
        "even": first_loss("even", class_weights=(3.0, 3.0)),
        "road": first_loss("road", class_weights=(1.0, 3.0)),
        "soft": first_loss("soft", edge_smoothing=0.3),
    }
    assert found["even"] == pytest.approx(found["plain"], rel=1e-5), found
    assert found["road"] != pytest.approx(found["plain"], rel=1e-4), found
    assert found["soft"] != pytest.approx(found["plain"], rel=1e-4), found
    with pytest.raises(InputError, match="Found 3 class weights, expected 2"):
        first_loss("wrong", class_weights=(1.0, 1.0, 1.0))


@pytest.mark.slow
def test_fit_does_not_replace_other_or_finished_runs(data: Path, tmp_path: Path) -> None:
    own = tmp_path / "data"
    for seed in range(2):
        write_road_pair(own, f"scene{seed}", seed=seed)
    run = tmp_path / "run"
    fit(settings_of(own), run)
    with pytest.raises(InputError, match=r"other settings \(optimization.seed 3 before, 4 now\)"):
        fit(settings_of(own, seed=4), run)
    flips = tmp_path / "augmentation.yaml"
    flips.write_text("- HorizontalFlip: {p: 0.5}\n")
    listed = settings_of(own)
    listed = dataclasses.replace(listed, data=dataclasses.replace(listed.data, augmentation=flips))
    with pytest.raises(Cancelled):
        fit(listed, tmp_path / "listed", progress=stop_after(1))
    flips.write_text("- HorizontalFlip: {p: 0.6}\n")
    with pytest.raises(InputError, match="another augmentation list"):
        fit(listed, tmp_path / "listed")
    write_road_pair(own, "scene1", side=96, seed=5)
    with pytest.raises(InputError, match="on other training data or with another"):
        fit(settings_of(own, steps=8), run)
    with pytest.raises(Cancelled):
        fit(settings_of(own), run, overwrite=True, progress=stop_after(1))
    assert not (run / "model.keras").exists()
    fit(settings_of(own), run)
    with pytest.raises(OutputError, match="holds a finished run of 6 steps"):
        fit(settings_of(own), run)
    # The old run is removed only when the new one can begin.
    with pytest.raises(DataError, match="no folder of images"):
        fit(settings_of(tmp_path / "nothing"), run, overwrite=True)
    assert (run / "model.keras").is_file()
    checkpoint = next(run.glob("checkpoint-*"))
    checkpoint.rename(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="without a checkpoint to resume from"):
        fit(settings_of(own), run)
    (tmp_path / "elsewhere").rename(checkpoint)
    fit(settings_of(own, steps=8), run)
    assert [record["epoch"] for record in log_of(run)] == ["1", "2", "3", "4"]


@pytest.mark.slow
def test_fit_stops_at_a_loss_that_is_not_a_number(data: Path, tmp_path: Path) -> None:
    with pytest.raises(
        RoadgisError, match=r"loss became (nan|inf) at step \d+\. Start anew .*--peak-rate"
    ):
        fit(settings_of(data, peak_rate=1e30, warmup_steps=1), tmp_path / "run")
    assert not (tmp_path / "run" / "model.keras").exists()
    assert RunFolder(tmp_path / "run").load_checkpoint() is None


_LIMITED = """
import resource, sys
from pathlib import Path
import tensorflow
from roadgis.errors import OutputError
from roadgis.train.fit import fit
from roadgis.train.settings import read_settings
def limit(fraction, message):
    if "iou" in message:
        # As on a full disk: no file may grow beyond what a checkpoint needs.
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
tensorflow.config.run_functions_eagerly(True)
try:
    fit(read_settings(Path(sys.argv[1])), Path(sys.argv[2]), progress=limit)
except OutputError as error:
    print(error)
    sys.exit(7)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="resource limits are POSIX")
def test_fit_keeps_the_previous_checkpoint_if_writing_fails(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    write_settings(settings_of(data), tmp_path / "settings.yaml")
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(tmp_path / "settings.yaml"), str(run)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 7, done.stderr
    assert "The previous checkpoint is kept" in done.stdout
    kept = RunFolder(run).load_checkpoint()
    assert kept is not None
    assert kept.state.epoch == 1
    assert int(import_keras().models.load_model(kept.model).optimizer.iterations) == 2
