"""Losses and metrics: by hand, and against segmentation-models."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("tensorflow", reason="needs the train extra")

import keras
import tensorflow as tf

from roadgis.errors import InputError
from roadgis.train.framework import import_segmentation_models
from roadgis.train.losses import (
    LOSSES,
    RoadIoU,
    SegmentationLoss,
    build_loss,
    check_loss,
    cldice,
)

pytestmark = [
    # Keras reads its variables in this way.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword"),
]

Floats = npt.NDArray[np.float32]
CATEGORICAL = sorted(name for name in LOSSES if name.startswith(("cat", "cce")))
ANY = ["dice", "focal", "focal_dice", "focal_jaccard", "jaccard"]
BINARY = sorted(set(LOSSES) - set(CATEGORICAL))


def batch(classes: int = 1, valid: float = 1.0) -> tuple[Floats, Floats, Floats]:
    """Return random labels and probabilities (2, 8, 8, K), and a mask of valid pixels (2, 8, 8)."""
    rng = np.random.default_rng(classes)
    shape = (2, 8, 8)
    if classes == 1:
        labels = rng.integers(0, 2, (*shape, 1))
        probability = rng.uniform(0.05, 0.95, (*shape, 1))
    else:
        labels = np.eye(classes)[rng.integers(0, classes, shape)]
        probability = rng.dirichlet(np.full(classes, 2.0), shape)
        probability = np.clip(probability, 0.02, 1)
        probability /= probability.sum(axis=-1, keepdims=True)
    weight = (rng.random(shape) < valid).astype(np.float32)
    labels = (labels * weight[..., None]).astype(np.float32)
    return labels, probability.astype(np.float32), weight


def value(
    name: str, labels: Floats, probability: Floats, valid: Floats | None = None, **options: Any
) -> float:
    return float(build_loss(name, **options)(labels, probability, valid))


def first_default_loss(road: Floats, probability: Floats, valid: Floats) -> float:
    """Return the loss of the first default model."""
    probability = tf.clip_by_value(probability, 1e-6, 1 - 1e-6)
    entropy = -(road * tf.math.log(probability) + (1 - road) * tf.math.log(1 - probability))
    valid = valid[..., None]
    bce = tf.reduce_sum(entropy * valid) / (tf.reduce_sum(valid) + 1.0)
    hit = tf.reduce_sum(probability * road * valid)
    union = tf.reduce_sum((probability + road) * valid) - hit
    return float(bce + 1 - (hit + 1.0) / (union + 1.0))


@pytest.mark.parametrize("valid", [1.0, 0.6, 0.0])
def test_bce_jaccard_equals_the_loss_of_the_first_default_model(valid: float) -> None:
    arrays = batch(valid=valid)
    assert value("bce_jaccard", *arrays) == pytest.approx(first_default_loss(*arrays), abs=1e-6)


def test_build_loss_by_hand() -> None:
    # One road pixel at 0.8, one other at 0.4, and an ignored invalid one.
    labels = np.array([[[[1], [0], [0]]]], np.float32)
    probability = np.array([[[[0.8], [0.4], [0.9]]]], np.float32)
    valid = np.array([[[1, 1, 0]]], np.float32)
    bce = -(np.log(0.8) + np.log(0.6)) / 3
    focal = -(0.25 * 0.04 * np.log(0.8) + 0.75 * 0.16 * np.log(0.6)) / 3
    jaccard = 1 - 1.8 / (2.2 - 0.8 + 1)
    dice = 1 - (1.6 + 1) / (2.2 + 1)
    for name, expected in {
        "bce": bce,
        "binary_crossentropy_loss": bce,
        "focal": focal,
        "binary_focal": focal,
        "jaccard": jaccard,
        "dice": dice,
        "bce_dice": bce + dice,
        "focal_jaccard": focal + jaccard,
    }.items():
        assert value(name, labels, probability, valid) == pytest.approx(expected, abs=1e-6), name
    # The pair (other, road) scaled to (0.5, 1.5).
    weighted = -(1.5 * np.log(0.8) + 0.5 * np.log(0.6)) / 3
    found = value("bce", labels, probability, valid, class_weights=[1, 3])
    assert found == pytest.approx(weighted)


def test_build_loss_of_several_classes_by_hand() -> None:
    labels = np.array([[[[1, 0], [0, 1], [0, 0]]]], np.float32)
    probability = np.array([[[[0.7, 0.3], [0.4, 0.6], [0.9, 0.1]]]], np.float32)
    valid = np.array([[[1, 1, 0]]], np.float32)
    entropy = -(np.log(0.7) + np.log(0.6)) / 5
    jaccard = 1 - (1.7 / (2.1 - 0.7 + 1) + 1.6 / (1.9 - 0.6 + 1)) / 2
    for name, expected in {
        "categorical_crossentropy": entropy,
        "jaccard": jaccard,
        "cce_jaccard": entropy + jaccard,
        "focal": -0.25 * (0.09 * np.log(0.7) + 0.16 * np.log(0.6)) / 5,
    }.items():
        assert value(name, labels, probability, valid) == pytest.approx(expected, abs=1e-6), name
    weighted = 1 - (0.5 * 1.7 / 2.4 + 1.5 * 1.6 / 2.3) / 2
    found = value("jaccard", labels, probability, valid, class_weights=[1, 3])
    assert found == pytest.approx(weighted)


@pytest.mark.parametrize("name", sorted(set(LOSSES) - {n for n in LOSSES if "cldice" in n}))
def test_build_loss_equals_segmentation_models_if_all_is_valid(name: str) -> None:
    losses = import_segmentation_models().losses
    terms = {
        "bce": losses.BinaryCELoss(),
        "binary_focal": losses.BinaryFocalLoss(),
        "categorical_crossentropy": losses.CategoricalCELoss(),
        "categorical_focal": losses.CategoricalFocalLoss(),
        "jaccard": losses.JaccardLoss(smooth=1.0),
        "dice": losses.DiceLoss(smooth=1.0),
    }
    for classes in (1, 3):
        if (classes == 1 and name in CATEGORICAL) or (
            classes > 1 and name not in CATEGORICAL + ANY
        ):
            continue
        labels, probability, _ = batch(classes)
        pixels = labels[..., 0].size
        # Ours divides by one pixel more, so that no batch divides by zero.
        rate = pixels * classes / (pixels * classes + 1)
        expected = 0.0
        for term in LOSSES[name]:
            theirs = {"focal": "binary_focal" if classes == 1 else "categorical_focal"}.get(
                term, term
            )
            found = float(terms[theirs](tf.constant(labels), tf.constant(probability)))
            expected += found if term in ("jaccard", "dice") else found * rate
        assert value(name, labels, probability) == pytest.approx(expected, rel=2e-5)


def test_check_loss_knows_the_names_of_segmentation_models() -> None:
    losses = import_segmentation_models().losses
    theirs = [name for name in dir(losses) if name.endswith("_loss")]
    assert len(theirs) > 8
    for name in theirs:
        assert check_loss(name) in LOSSES


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize("kind", ["random", "invalid", "road", "other", "certain"])
def test_build_loss_has_finite_gradients_and_ignores_invalid_pixels(name: str, kind: str) -> None:
    classes = 3 if name in CATEGORICAL else 1
    labels, probability, valid = batch(classes, valid=0.0 if kind == "invalid" else 0.6)
    if kind in ("road", "other"):
        labels[:] = 0
        labels[..., 1 if classes > 1 else 0] = valid if kind == "road" else 0
        if classes > 1 and kind == "other":
            labels[..., 0] = valid
    if kind == "certain":
        best = np.eye(classes, dtype=np.float32)[probability.argmax(axis=-1)]
        probability = best if classes > 1 else np.rint(probability)
    loss = build_loss(name, edge_smoothing=0.1)
    predicted = tf.Variable(probability)
    with tf.GradientTape() as tape:
        result = loss(labels, predicted, valid)
    gradient = tape.gradient(result, predicted).numpy()
    assert np.isfinite(float(result))
    assert np.isfinite(gradient).all()
    assert (gradient[valid == 0] == 0).all()
    if kind == "random":
        assert np.abs(gradient[valid == 1]).max() > 0
    changed = np.where(valid[..., None] == 1, probability, 1 - probability)
    assert float(loss(labels, changed, valid)) == pytest.approx(float(result), abs=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_build_loss_sums_in_float32(dtype: str) -> None:
    # 70,000 pixels exceed float16.
    labels = np.ones((1, 256, 288, 1), np.float32)
    probability = tf.cast(tf.fill((1, 256, 288, 1), 0.5), dtype)
    result = build_loss("bce_jaccard")(labels, probability)
    assert result.dtype == tf.float32
    assert float(result) == pytest.approx(np.log(2) + 0.5, abs=1e-3)


def test_build_loss_of_a_perfect_prediction_is_near_zero() -> None:
    for name in LOSSES:
        labels, *_ = batch(3 if name in CATEGORICAL else 1)
        assert value(name, labels, labels) < 1e-4, name


def lines(*gaps: tuple[int, int]) -> Floats:
    """Return a road 7 px wide across 64 px, cut at the given columns."""
    road = np.zeros((1, 64, 64, 1), np.float32)
    road[:, 28:35] = 1
    for start, stop in gaps:
        road[:, :, start:stop] = 0
    return road


def test_cldice_is_zero_for_equal_lines_and_grows_with_each_cut() -> None:
    ones = np.ones((1, 64, 64, 1), np.float32)
    whole = lines()
    costs = [
        float(cldice(whole, road, ones))
        for road in (whole, lines((30, 34)), lines((30, 40)), lines((10, 20), (30, 40)))
    ]
    assert costs[0] == pytest.approx(0, abs=1e-6)
    assert all(low + 0.01 < high for low, high in pairwise(costs))


def test_cldice_weighs_cuts_more_than_width() -> None:
    ones = np.ones((1, 64, 64, 1), np.float32)
    thin = lines()
    thin[:, 28:30] = thin[:, 33:35] = 0
    # The narrow road misses four sevenths of the pixels, the cut one an eighth.
    assert float(cldice(lines(), thin, ones)) < float(cldice(lines(), lines((30, 38)), ones)) / 2


def test_cldice_ignores_invalid_pixels() -> None:
    valid = np.ones((1, 64, 64, 1), np.float32)
    valid[:, :, 30:34] = 0
    assert float(cldice(lines(), lines((30, 34)), valid)) == pytest.approx(0, abs=1e-6)


def test_build_loss_weighs_cldice() -> None:
    cut = lines((30, 40)) * 0.9
    plain = value("bce_jaccard", lines(), cut)
    extra = float(cldice(lines(), cut, np.ones_like(cut), iterations=3))
    found = value("bce_jaccard_cldice", lines(), cut, cldice_weight=2.0, cldice_iterations=3)
    assert found == pytest.approx(plain + 2 * extra, rel=1e-5)


def test_build_loss_smooths_labels_at_edges_only() -> None:
    labels = np.zeros((1, 9, 9, 1), np.float32)
    labels[:, :, 4:8] = 1
    # The border of an invalid area is not an edge.
    valid = np.ones((1, 9, 9), np.float32)
    valid[:, :, 8] = 0
    best = labels.copy()
    best[:, :, 3], best[:, :, 4] = 0.1, 0.9
    predicted = tf.Variable(np.clip(best, 1e-4, 1 - 1e-4))
    with tf.GradientTape() as tape:
        result = build_loss("bce", edge_smoothing=0.1)(labels, predicted, valid)
    gradient = np.abs(tape.gradient(result, predicted).numpy())[0, ..., 0]
    # At the edge a probability of 0.9 is best, elsewhere 1.
    assert gradient[:, 3:5].max() < 1e-5
    assert gradient[:, [0, 1, 2, 5, 6, 7]].min() > 0.01


def test_build_loss_smooths_labels_towards_neighbouring_classes() -> None:
    index = np.zeros((1, 5, 6), int)
    index[:, :, 3:] = 2
    labels = np.eye(3)[index].astype(np.float32)
    sure = np.full((1, 5, 6, 3), 1e-6, np.float32)
    sure[..., 0], sure[..., 1] = np.where(index == 0, 0.8, 1e-6), 0.0
    sure[..., 2] = np.where(index == 2, 0.8, 1e-6)
    right, wrong = sure.copy(), sure.copy()
    right[:, :, 2, 2] = right[:, :, 3, 0] = 0.2
    wrong[:, :, 2, 1] = wrong[:, :, 3, 1] = 0.2
    name = "categorical_crossentropy"
    assert value(name, labels, right, edge_smoothing=0.2) < value(
        name, labels, wrong, edge_smoothing=0.2
    )


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("bce_jacard", {}, "'bce_jacard'.* Did you mean bce_jaccard"),
        ("bce_jaccard", {"classes": 3}, "found 3 classes.* cce_jaccard"),
        ("cce_dice", {"classes": 1}, "found one.* bce_jaccard"),
        ("bce", {"edge_smoothing": 0.5}, "edge smoothing 0.5, expected"),
        ("bce", {"class_weights": [0, 0]}, "class weights"),
        ("bce_jaccard_cldice", {"cldice_iterations": 0}, "0 iterations"),
    ],
)
def test_build_loss_rejects_wrong_options(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_loss(name, **options)


def test_build_loss_rejects_mismatched_models() -> None:
    labels, probability, _ = batch(3)
    with pytest.raises(InputError, match="found 3 classes"):
        build_loss("bce_jaccard")(labels, probability)
    with pytest.raises(InputError, match="labels of 2 channels for predictions of 3"):
        build_loss("jaccard")(labels[..., 1:], probability)
    with pytest.raises(InputError, match="2 class weights, expected 3"):
        build_loss("jaccard", class_weights=[1, 2])(labels, probability)


def test_build_loss_is_saved_and_loaded_with_the_model(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(1, 1)])
    model.add(keras.layers.Activation("sigmoid"))
    loss = build_loss("bce_jaccard", class_weights=[1, 2], edge_smoothing=0.1)
    model.compile("sgd", loss=loss, weighted_metrics=[RoadIoU()])
    labels, _, valid = batch(valid=0.6)
    images = np.random.default_rng(0).random((2, 8, 8, 3)).astype(np.float32)
    history = model.fit(images, labels, sample_weight=valid, verbose=0).history
    assert set(history) == {"loss", "iou"}
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(again.loss, SegmentationLoss)
    assert again.loss.get_config() == loss.get_config()
    scores = again.evaluate(images, labels, sample_weight=valid, verbose=0)
    assert scores == pytest.approx(model.evaluate(images, labels, sample_weight=valid, verbose=0))


def test_road_iou_by_hand() -> None:
    # Labels may be probabilities, and a model may have more output channels than road.
    labels = np.array([[[[1], [0.7], [0], [0.4], [1], [0]]]], np.float32)
    road = np.array([[[[0.9], [0.2], [0.8], [0.3], [0.9], [0.9]]]], np.float32)
    valid = np.array([[[1, 1, 1, 1, 0, 0]]], np.float32)
    metric = RoadIoU()
    assert float(metric.result()) == 0
    for _ in range(2):
        metric.update_state(labels, np.concatenate([road, 1 - road], axis=-1), valid)
    assert float(metric.result()) == pytest.approx(1 / 3)
    assert RoadIoU.from_config(metric.get_config()).name == "iou"
