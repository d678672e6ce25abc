"""Calibration of probabilities along predicted roads."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
from scipy import special

pytest.importorskip("keras", reason="needs the train extra")

from roadgis.errors import DataError, InputError, ModelError
from roadgis.model.card import ModelCard, read_card_file, write_card_file
from roadgis.options.training import TrainSettings
from roadgis.options.training_data import DataSet, DataSettings
from roadgis.train.architectures import ArchitectureOptions, build_model
from roadgis.train.framework import import_keras
from roadgis.train.scoring.calibrated_run import calibrate_run
from roadgis.train.scoring.calibration import (
    Calibration,
    CentrelineSamples,
    apply_calibration,
    fit_calibration,
    reliability,
    sample_centrelines,
)
from roadgis.train.settings import write_settings
from tests.train.test_data_sets import SIDE, flat, write_tile

pytestmark = [
    pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


def found(scale: float, offset: float, count: int = 60_000) -> CentrelineSamples:
    """Return samples that are correct as often as a calibration says."""
    rng = np.random.default_rng(3)
    probability = rng.uniform(0.2, 0.99, count)
    return CentrelineSamples(
        probability, rng.random(count) < Calibration(scale, offset)(probability)
    )


class Fixed:
    """Predicts a road in rows 40 to 46 at 0.9, and one in rows 90 to 96 at 0.6."""

    card = ModelCard("fixed", "1", stride=4, threshold=0.5)

    def predict(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        answer = np.zeros(images.shape[:3], np.float32)
        answer[:, 40:47] = 0.9
        answer[:, 90:97] = 0.6
        return answer

    def predict_classes(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return self.predict(images)[..., None]


def network(kernel: float, bias: float) -> object:
    """Return a Keras model: sigmoid of kernel * red + bias."""
    keras = import_keras()
    image = keras.layers.Input((None, None, 3))
    last = keras.layers.Conv2D(1, 1, activation="sigmoid", name="head")
    model = keras.Model(image, last(image))
    weights = np.zeros((1, 1, 3, 1), np.float32)
    weights[0, 0, 0] = kernel
    last.set_weights([weights, np.array([bias], np.float32)])
    return model


def test_sample_centrelines_is_correct_within_three_metres_of_a_road() -> None:
    scene = flat(90, road=slice(50, 60))  # the line at row 43 is 7 px away, that at 93 far
    near, far = (sample_centrelines(Fixed(), [scene], [gsd], threshold=0.5) for gsd in (0.4, 1.0))
    sure = near.probability > 0.8
    assert near.probability[sure] == pytest.approx(0.9)
    assert near.probability[~sure] == pytest.approx(0.6)
    assert near.correct[sure].mean() > 0.95  # 2.8 m; the ends of the line are within the scene
    assert not near.correct[~sure].any()
    assert not far.correct.any()  # 7 m


def test_fit_calibration_finds_scale_and_offset() -> None:
    made = fit_calibration({"a": found(0.7, -0.4), "b": found(0.7, -0.4, 500)})
    assert made.scale == pytest.approx(0.7, abs=0.05)
    assert made.offset == pytest.approx(-0.4, abs=0.1)


def test_fit_calibration_needs_correct_and_wrong_roads() -> None:
    with pytest.raises(DataError, match="right and wrong"):
        fit_calibration({"a": CentrelineSamples(np.array([0.9, 0.8]), np.array([True, True]))})


def test_reliability_bins_are_tenths() -> None:
    table = reliability(
        CentrelineSamples(np.array([0.55, 0.58, 0.91, 1.0]), np.array([True, False, True, True]))
    )
    assert table.count.tolist() == [0, 0, 0, 0, 0, 2, 0, 0, 0, 2]
    assert table.correct[[5, 9]].tolist() == [0.5, 1.0]
    assert table.probability[[5, 9]] == pytest.approx([0.565, 0.955])
    assert table.error == pytest.approx((0.065 + 0.045) / 2)


def test_apply_calibration_changes_the_logits() -> None:
    model = network(3.0, -1.0)
    image = np.random.default_rng(1).random((1, 4, 4, 3)).astype(np.float32)
    apply_calibration(model, Calibration(0.5, 0.25))
    expected = special.expit(0.5 * (3 * image[..., :1] - 1) + 0.25)
    np.testing.assert_allclose(np.asarray(model(image)), expected, atol=1e-6)  # type: ignore[operator]


def test_apply_calibration_changes_the_logits_of_subpixel_models() -> None:
    model = build_model(
        ArchitectureOptions(depth=3, decoder_filters=(8, 8), subpixel=True, crop_px=64)
    )
    # Training changes the sub-pixel layout too.
    layout = model.get_layer("final_conv")
    kernel = np.asarray(layout.kernel)
    rng = np.random.default_rng(2)
    layout.kernel.assign(kernel + rng.normal(0, 0.1, kernel.shape))
    image = rng.random((1, 64, 64, 3)).astype(np.float32)
    before = np.asarray(model(image, training=False))
    apply_calibration(model, Calibration(0.6, -0.3))
    after = np.asarray(model(image, training=False))
    np.testing.assert_allclose(after, Calibration(0.6, -0.3)(before), atol=1e-4)


def test_apply_calibration_rejects_several_classes() -> None:
    keras = import_keras()
    image = keras.layers.Input((None, None, 3))
    with pytest.raises(ModelError, match="gives 2 classes"):
        apply_calibration(
            keras.Model(image, keras.layers.Conv2D(2, 1)(image)), Calibration(1.0, 0.0)
        )


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return a finished run on scenes with a labelled road and a stripe of the same colour."""
    for number in range(2):
        write_tile(tmp_path / "data", f"t{number}", value=40)
        with rasterio.open(tmp_path / f"data/images/t{number}.tif", "r+") as dataset:
            image = dataset.read()
            image[2, 90:100] = 140  # as bright as the road, and not labelled
            dataset.write(image)
    folder = tmp_path / "run"
    folder.mkdir()
    data = DataSettings(sets=(DataSet("town", (tmp_path / "data",), hold_out_every=2, gsd_m=1.0),))
    write_settings(TrainSettings(data), folder / "settings.yaml")
    model = network(0.0, -6.0)  # road where blue is above 0.3, at 0.996
    model.get_layer("head").kernel.assign(np.array([0, 0, 21.0]).reshape(1, 1, 3, 1))  # type: ignore[attr-defined]
    model.save(folder / "model.keras")  # type: ignore[attr-defined]
    write_card_file(ModelCard("m", "1", threshold=0.5, stride=4), folder / "model.keras")
    return folder


def test_calibrate_run_keeps_the_road_pixels_and_lowers_the_error(run: Path) -> None:
    keras = import_keras()
    image = np.random.default_rng(1).random((1, SIDE, SIDE, 3)).astype(np.float32)
    before = np.asarray(keras.models.load_model(run / "model.keras")(image))
    made = calibrate_run(run)
    card = read_card_file(run / "model.keras")
    after = np.asarray(keras.models.load_model(run / "model.keras")(image))
    # Two stripes are predicted, both at 0.996, and one is correct.
    np.testing.assert_array_equal(before >= 0.5, after >= card.threshold)
    assert made.places == ("town",)
    assert made.error_before == pytest.approx(0.5, abs=0.02)
    assert made.error < 0.05
    assert card.threshold == made.threshold
    with (run / "reliability.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["place"] for row in rows} == {"town"}
    assert (run / "reliability.svg").read_text().startswith("<?xml")
    with pytest.raises(InputError, match="calibrated already"):
        calibrate_run(run)


def test_calibrate_run_needs_a_finished_run(run: Path) -> None:
    (run / "model.keras").unlink()
    with pytest.raises(DataError, match="found no finished run"):
        calibrate_run(run)
    shutil.rmtree(run)
    with pytest.raises(DataError, match="found no finished run"):
        calibrate_run(run)
