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
    SegmentationLoss,
    bce_jaccard_loss,
    build_loss,
    check_loss,
    cldice,
)
from roadgis.train.metrics import (
    ClassIoU,
    MeanIoU,
    ValidIoU,
    ValidPrecision,
    ValidRecall,
    build_metrics,
)

pytestmark = [
    # Keras reads its variables so; nothing to be done about it here.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword"),
]

Floats = npt.NDArray[np.float32]
CATEGORICAL = sorted(name for name in LOSSES if name.startswith(("cat", "cce")))
ANY = ["dice", "focal", "focal_dice", "focal_jaccard", "jaccard"]
BINARY = sorted(set(LOSSES) - set(CATEGORICAL))


def batch(classes: int = 1, valid: float = 1.0, side: int = 8) -> tuple[Floats, Floats]:
    """Random labels (2, side, side, K + 1) and probabilities (2, side, side, K)."""
    rng = np.random.default_rng(classes)
    shape = (2, side, side)
    if classes == 1:
        labels = rng.integers(0, 2, (*shape, 1))
        probability = rng.uniform(0.05, 0.95, (*shape, 1))
    else:
        labels = np.eye(classes)[rng.integers(0, classes, shape)]
        probability = rng.dirichlet(np.full(classes, 2.0), shape)
        probability = np.clip(probability, 0.02, 1)
        probability /= probability.sum(axis=-1, keepdims=True)
    counts = (rng.random((*shape, 1)) < valid).astype(np.float32)
    return np.concatenate([labels * counts, counts], -1).astype(np.float32), np.asarray(
        probability, np.float32
    )


def value(name: str, labels: Floats, probability: Floats, **options: Any) -> float:
    return float(build_loss(name, **options)(labels, probability))


def before(y_true: Floats, y_pred: Floats) -> float:
    """The loss that the first default model was trained with."""
    road, valid = tf.constant(y_true[..., 0]), tf.constant(y_true[..., 1])
    probability = tf.clip_by_value(y_pred[..., 0], 1e-6, 1 - 1e-6)
    entropy = -(road * tf.math.log(probability) + (1 - road) * tf.math.log(1 - probability))
    bce = tf.reduce_sum(entropy * valid) / (tf.reduce_sum(valid) + 1.0)
    hit = tf.reduce_sum(probability * road * valid)
    union = tf.reduce_sum((probability + road) * valid) - hit
    return float(bce + 1 - (hit + 1.0) / (union + 1.0))


@pytest.mark.parametrize("valid", [1.0, 0.6, 0.0])
def test_bce_jaccard_is_the_loss_that_models_were_trained_with_before(valid: float) -> None:
    labels, probability = batch(valid=valid)
    expected = pytest.approx(before(labels, probability), abs=1e-6)
    assert value("bce_jaccard", labels, probability) == expected
    assert float(bce_jaccard_loss(labels, probability)) == expected


def test_losses_by_hand() -> None:
    # One road pixel at 0.8, one other at 0.4, and an invalid one that must not matter.
    labels = np.array([[[[1, 1], [0, 1], [0, 0]]]], np.float32)
    probability = np.array([[[[0.8], [0.4], [0.9]]]], np.float32)
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
        assert value(name, labels, probability) == pytest.approx(expected, abs=1e-6), name
    # The pair (other, road) scaled to (0.5, 1.5).
    weighted = -(1.5 * np.log(0.8) + 0.5 * np.log(0.6)) / 3
    assert value("bce", labels, probability, class_weights=[1, 3]) == pytest.approx(weighted)


def test_categorical_losses_by_hand() -> None:
    labels = np.array([[[[1, 0, 1], [0, 1, 1], [0, 0, 0]]]], np.float32)
    probability = np.array([[[[0.7, 0.3], [0.4, 0.6], [0.9, 0.1]]]], np.float32)
    entropy = -(np.log(0.7) + np.log(0.6)) / 5
    jaccard = 1 - (1.7 / (2.1 - 0.7 + 1) + 1.6 / (1.9 - 0.6 + 1)) / 2
    for name, expected in {
        "categorical_crossentropy": entropy,
        "jaccard": jaccard,
        "cce_jaccard": entropy + jaccard,
        "focal": -0.25 * (0.09 * np.log(0.7) + 0.16 * np.log(0.6)) / 5,
    }.items():
        assert value(name, labels, probability) == pytest.approx(expected, abs=1e-6), name
    weighted = 1 - (0.5 * 1.7 / 2.4 + 1.5 * 1.6 / 2.3) / 2
    assert value("jaccard", labels, probability, class_weights=[1, 3]) == pytest.approx(weighted)


@pytest.mark.parametrize("name", sorted(set(LOSSES) - {n for n in LOSSES if "cldice" in n}))
def test_losses_are_those_of_segmentation_models_where_all_is_valid(name: str) -> None:
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
        labels, probability = batch(classes)
        pixels = labels[..., 0].size
        # Ours divides by one pixel more, so that no batch divides by zero.
        rate = pixels * classes / (pixels * classes + 1)
        expected = 0.0
        for term in LOSSES[name]:
            theirs = {"focal": "binary_focal" if classes == 1 else "categorical_focal"}.get(
                term, term
            )
            found = float(terms[theirs](tf.constant(labels[..., :-1]), tf.constant(probability)))
            expected += found if term in ("jaccard", "dice") else found * rate
        assert value(name, labels, probability) == pytest.approx(expected, rel=2e-5)


def test_names_of_segmentation_models_are_known() -> None:
    losses = import_segmentation_models().losses
    theirs = [name for name in dir(losses) if name.endswith("_loss")]
    assert len(theirs) > 8
    for name in theirs:
        assert check_loss(name) in LOSSES


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize("kind", ["random", "invalid", "road", "other", "certain"])
def test_value_and_gradient_are_finite_and_leave_invalid_pixels_out(name: str, kind: str) -> None:
    classes = 3 if name in CATEGORICAL else 1
    labels, probability = batch(classes, valid=0.0 if kind == "invalid" else 0.6)
    valid = labels[..., -1]
    if kind in ("road", "other"):
        labels[..., :-1] = 0
        labels[..., 1 if classes > 1 else 0] = valid if kind == "road" else 0
        if classes > 1 and kind == "other":
            labels[..., 0] = valid
    if kind == "certain":
        probability = np.rint(probability)
    loss = build_loss(name, edge_smoothing=0.1)
    predicted = tf.Variable(probability)
    with tf.GradientTape() as tape:
        result = loss(labels, predicted)
    gradient = tape.gradient(result, predicted).numpy()
    assert np.isfinite(float(result))
    assert np.isfinite(gradient).all()
    assert (gradient[valid == 0] == 0).all()
    if kind == "random":
        assert np.abs(gradient[valid == 1]).max() > 0
    changed = np.where(valid[..., None] == 1, probability, 1 - probability)
    assert float(loss(labels, changed)) == pytest.approx(float(result), abs=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_sums_are_taken_in_float32_when_the_network_is_not(dtype: str) -> None:
    # 70,000 pixels are more than float16 can count.
    labels = np.ones((1, 256, 288, 2), np.float32)
    probability = tf.cast(tf.fill((1, 256, 288, 1), 0.5), dtype)
    result = build_loss("bce_jaccard")(labels, probability)
    assert result.dtype == tf.float32
    assert float(result) == pytest.approx(np.log(2) + 0.5, abs=1e-3)


def test_perfect_prediction_costs_next_to_nothing() -> None:
    for name in LOSSES:
        labels, _ = batch(3 if name in CATEGORICAL else 1)
        assert value(name, labels, labels[..., :-1]) < 1e-4, name


def lines(*gaps: tuple[int, int]) -> Floats:
    """A road 7 px wide across 64 px, cut at the given columns."""
    road = np.zeros((1, 64, 64, 1), np.float32)
    road[:, 28:35] = 1
    for start, stop in gaps:
        road[:, :, start:stop] = 0
    return road


def test_cldice_is_zero_for_the_same_lines_and_grows_with_each_cut() -> None:
    ones = np.ones((1, 64, 64, 1), np.float32)
    whole = lines()
    costs = [
        float(cldice(whole, road, ones))
        for road in (whole, lines((30, 34)), lines((30, 40)), lines((10, 20), (30, 40)))
    ]
    assert costs[0] == pytest.approx(0, abs=1e-6)
    assert all(low + 0.01 < high for low, high in pairwise(costs))


def test_cldice_minds_cuts_more_than_width() -> None:
    ones = np.ones((1, 64, 64, 1), np.float32)
    thin = lines()
    thin[:, 28:30] = thin[:, 33:35] = 0
    # The narrow road misses four sevenths of the pixels, the cut one an eighth.
    assert float(cldice(lines(), thin, ones)) < float(cldice(lines(), lines((30, 38)), ones)) / 2


def test_cldice_leaves_invalid_pixels_out() -> None:
    valid = np.ones((1, 64, 64, 1), np.float32)
    valid[:, :, 30:34] = 0
    assert float(cldice(lines(), lines((30, 34)), valid)) == pytest.approx(0, abs=1e-6)


def test_cldice_term_has_its_weight() -> None:
    labels = np.concatenate([lines(), np.ones((1, 64, 64, 1), np.float32)], -1)
    cut = lines((30, 40)) * 0.9
    plain = value("bce_jaccard", labels, cut)
    extra = float(cldice(lines(), cut, labels[..., 1:], iterations=3))
    found = value("bce_jaccard_cldice", labels, cut, cldice_weight=2.0, cldice_iterations=3)
    assert found == pytest.approx(plain + 2 * extra, rel=1e-5)


def test_edge_smoothing_changes_pixels_beside_the_edge_only() -> None:
    labels = np.ones((1, 9, 9, 2), np.float32)
    labels[..., 0] = 0
    labels[:, :, 4:, 0] = 1
    # What is next to an invalid pixel is not at an edge.
    labels[:, :, 8] = 0
    best = labels[..., :1].copy()
    best[:, :, 3], best[:, :, 4] = 0.1, 0.9
    predicted = tf.Variable(np.clip(best, 1e-4, 1 - 1e-4))
    with tf.GradientTape() as tape:
        result = build_loss("bce", edge_smoothing=0.1)(labels, predicted)
    gradient = np.abs(tape.gradient(result, predicted).numpy())[0, ..., 0]
    # Being 0.9 sure is best at the edge, and being quite sure elsewhere.
    assert gradient[:, 3:5].max() < 1e-5
    assert gradient[:, [0, 1, 2, 5, 6, 7]].min() > 0.01


def test_edge_smoothing_of_several_classes_goes_to_the_neighbours_classes() -> None:
    index = np.zeros((1, 5, 6), int)
    index[:, :, 3:] = 2
    labels = np.concatenate([np.eye(3)[index], np.ones((1, 5, 6, 1))], -1).astype(np.float32)
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
def test_loss_that_cannot_be_built(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_loss(name, **options)


def test_loss_and_network_that_do_not_go_together() -> None:
    labels, probability = batch(3)
    with pytest.raises(InputError, match="found 3 classes"):
        build_loss("bce_jaccard")(labels, probability)
    with pytest.raises(InputError, match="labels of 3 channels for predictions of 3"):
        build_loss("jaccard")(labels[..., 1:], probability)
    with pytest.raises(InputError, match="2 class weights, expected 3"):
        build_loss("jaccard", class_weights=[1, 2])(labels, probability)


def test_loss_and_metrics_are_saved_and_loaded_with_the_model(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(3, 1)])
    model.add(keras.layers.Softmax())
    loss = build_loss("cce_jaccard", class_weights=[1, 2, 3], edge_smoothing=0.1)
    model.compile("sgd", loss=loss, metrics=build_metrics(["other", "road", "sidewalk"]))
    labels, _ = batch(3)
    images = np.random.default_rng(0).random((2, 8, 8, 3)).astype(np.float32)
    history = model.fit(images, labels, verbose=0).history
    assert set(history) == {"loss", "iou", "iou_other", "iou_road", "iou_sidewalk"}
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(again.loss, SegmentationLoss)
    assert again.loss.get_config() == loss.get_config()
    assert again.evaluate(images, labels, verbose=0) == pytest.approx(
        model.evaluate(images, labels, verbose=0)
    )


def test_binary_metrics_by_hand() -> None:
    labels = np.array([[[[1, 1], [1, 1], [0, 1], [0, 1], [1, 0], [0, 0]]]], np.float32)
    probability = np.array([[[[0.9], [0.2], [0.8], [0.5], [0.9], [0.9]]]], np.float32)
    for metric, expected in ((ValidIoU(), 1 / 3), (ValidPrecision(), 0.5), (ValidRecall(), 0.5)):
        assert float(metric.result()) == 0
        metric.update_state(labels, probability)
        metric.update_state(labels, probability)
        assert float(metric.result()) == pytest.approx(expected), metric.name
        clone = type(metric).from_config(metric.get_config())
        assert clone.name == metric.name


def test_class_metrics_by_hand() -> None:
    truth, found = [0, 0, 1, 1, 1, 0], [0, 1, 1, 1, 0, 1]
    valid = np.array([1, 1, 1, 1, 1, 0])[None, None, :, None]
    labels = np.concatenate([np.eye(3)[truth][None, None], valid], -1).astype(np.float32)
    probability = (np.eye(3)[found][None, None] * 0.5 + 0.1).astype(np.float32)
    mean = MeanIoU(3)
    mean.update_state(labels, probability)
    # Class 2 never occurs and is left out.
    assert float(mean.result()) == pytest.approx((1 / 3 + 2 / 4) / 2)
    assert np.asarray(mean.per_class()) == pytest.approx([1 / 3, 0.5, 0.0])
    road = ClassIoU(1, 3, name="iou_road")
    road.update_state(labels, probability)
    assert float(road.result()) == pytest.approx(0.5)
    clone = ClassIoU.from_config(road.get_config())
    assert (clone.index, clone.classes, clone.name) == (1, 3, "iou_road")


def test_metrics_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError, match="1 classes"):
        MeanIoU(1)
    with pytest.raises(InputError, match="class 3, expected 0 to 2"):
        ClassIoU(3, 3)
    assert [m.name for m in build_metrics(["road"])] == ["iou", "precision", "recall"]
