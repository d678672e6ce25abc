"""Scores of scenes: equal to brute force, independent of tiling."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import ndimage

from roadgis.errors import DataError, InputError
from roadgis.model.card import ModelCard
from roadgis.model.runtime import OnnxSegmenter
from roadgis.train.data.labelled_scene import IGNORE
from roadgis.train.scoring.curves import LevelCounts, count_levels, disc_maximum, level_of
from roadgis.train.scoring.evaluation import PixelEvaluation, class_scores, evaluate_scenes
from roadgis.train.scoring.scene_prediction import ScenePrediction, predict_scene
from tests.factories.models import GROUND, ROAD, tiny_card, tiny_model
from tests.factories.pairs import ArrayScene

Bytes = npt.NDArray[np.uint8]


class Painted:
    """Reads the prediction off the image: each channel is a class's stored probability."""

    def __init__(self, classes: tuple[str, ...] = ("road",), **fields: Any) -> None:
        self.card: ModelCard = tiny_card(classes=classes, **fields)
        self.tiles: list[tuple[int, ...]] = []

    def predict_classes(self, images: Bytes) -> npt.NDArray[np.float32]:
        self.tiles.append(images.shape)
        return (images[..., : len(self.card.classes)] / np.float32(254)).astype(np.float32)

    def predict(self, images: Bytes) -> npt.NDArray[np.float32]:
        road: npt.NDArray[np.float32] = self.predict_classes(images)[..., self.card.road_class]
        return road


def painted_scene(levels: Bytes, labels: Bytes, name: str = "scene") -> ArrayScene:
    """Return a scene for which :class:`Painted` predicts `levels` (H, W) or (H, W, C)."""
    channels = levels.reshape(*labels.shape, -1)
    image = np.zeros((*labels.shape, 3), np.uint8)
    image[..., : channels.shape[2]] = channels
    return ArrayScene(name, image, labels)


def brute(levels: Bytes, labels: Bytes, level: int, buffer_px: int) -> dict[str, float]:
    """Score by comparing every pixel with every other one."""
    valid = labels != IGNORE
    truth, found = labels == 1, (levels >= level) & valid
    cells = np.indices(labels.shape).reshape(2, -1).T
    near = ((cells[:, None] - cells) ** 2).sum(axis=2) <= buffer_px**2

    def share(part: npt.NDArray[np.bool_], of: npt.NDArray[np.bool_]) -> float:
        reach = (near @ of.ravel().astype(int)) > 0
        return float((part.ravel() & reach).sum() / part.sum()) if part.any() else math.nan

    def ratio(a: int, b: int) -> float:
        return float(a / b) if b else math.nan

    hit = int((truth & found).sum())
    precision, recall = share(found, truth), share(truth, found)
    p, r = np.nan_to_num([precision, recall])
    nothing = not truth.any() and not found.any()
    return {
        "iou": ratio(hit, int((truth | found).sum())),
        "precision": ratio(hit, int(found.sum())),
        "recall": ratio(hit, int(truth.sum())),
        "f1": ratio(2 * hit, int(truth.sum() + found.sum())),
        "relaxed_precision": precision,
        "relaxed_recall": recall,
        "relaxed_f1": math.nan if nothing else 2 * p * r / (p + r) if p + r else 0.0,
    }


@st.composite
def answers(draw: st.DrawFn) -> tuple[Bytes, Bytes]:
    """Draw levels and labels of up to 14 px a side."""
    shape = draw(st.tuples(st.integers(1, 14), st.integers(1, 14)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = rng.choice(np.array([0, 1, 90, 127, 128, 254], np.uint8), shape)
    shares = draw(st.sampled_from([(0.8, 0.1, 0.1), (1.0, 0.0, 0.0), (0.2, 0.2, 0.6)]))
    labels = rng.choice(np.array([0, 1, IGNORE], np.uint8), shape, p=shares)
    return levels, labels


@given(answers(), st.integers(0, 4), st.sampled_from([12, 20, 64]))
def test_level_counts_curve_equals_brute_force(
    answer: tuple[Bytes, Bytes], buffer_px: int, tile_px: int
) -> None:
    levels, labels = answer
    result = evaluate_scenes(
        Painted(), [painted_scene(levels, labels)], buffer_px=buffer_px, tile_px=tile_px
    )
    curve = result.curve
    for level in (1, 2, 90, 91, 127, 128, 129, 254):
        expected = brute(levels, labels, level, buffer_px)
        scores = curve.at((level - 0.5) / 254)
        for name, value in expected.items():
            assert getattr(scores, name) == pytest.approx(value, nan_ok=True), (name, level)
    assert result.counts.pixels == (labels != IGNORE).sum()


@given(answers(), st.integers(0, 6))
def test_disc_maximum_equals_brute_force(answer: tuple[Bytes, Bytes], radius: int) -> None:
    levels, _ = answer
    rows, cols = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    expected = ndimage.maximum_filter(
        levels, footprint=rows**2 + cols**2 <= radius**2, mode="constant"
    )
    np.testing.assert_array_equal(disc_maximum(levels, radius), expected)


@given(st.lists(answers(), min_size=1, max_size=3))
def test_evaluate_scenes_adds_up_pixels_of_scenes(found: list[tuple[Bytes, Bytes]]) -> None:
    scenes = [painted_scene(*answer, name=str(i)) for i, answer in enumerate(found)]
    result = evaluate_scenes(Painted(), scenes, 0.5)
    hit = sum(int(((ls >= 127) & (y == 1)).sum()) for ls, y in found)
    union = sum(int((((ls >= 127) & (y != IGNORE)) | (y == 1)).sum()) for ls, y in found)
    assert result.scores.iou == pytest.approx(hit / union if union else math.nan, nan_ok=True)
    assert [scene.name for scene in result.scenes] == [scene.name for scene in scenes]
    for scene, (levels, labels) in zip(result.scenes, found, strict=True):
        expected = brute(levels, labels, 127, 3)
        assert scene.scores.iou == pytest.approx(expected["iou"], nan_ok=True)
        assert scene.scores.relaxed_f1 == pytest.approx(expected["relaxed_f1"], nan_ok=True)


@given(st.integers(0, 2**32 - 1))
def test_break_even_interpolates_between_thresholds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = (rng.random((12, 12)) < 0.2).astype(np.uint8)
    levels = np.where(labels == 1, rng.integers(60, 255, (12, 12)), rng.integers(0, 200, (12, 12)))
    curve = evaluate_scenes(
        Painted(), [painted_scene(levels.astype(np.uint8), labels)], buffer_px=1
    ).curve
    gap = curve.relaxed_precision - curve.relaxed_recall
    meeting = curve.break_even()
    crossings = (gap[:-1] * gap[1:] < 0).any() or (gap == 0).any()
    assert (meeting is not None) == crossings
    if meeting is not None:
        # On the straight lines between the points of either curve.
        for line in (curve.relaxed_precision, curve.relaxed_recall):
            assert np.interp(meeting.threshold, curve.threshold, line) == pytest.approx(
                meeting.value, abs=1e-9
            )


def test_break_even_by_hand() -> None:
    # Level 200: 5 of 10 road pixels found, all correct: precision 1, recall 0.5. Level 100: all 10
    # found, with 10 wrong ones: precision 0.5, recall 1.
    labels = np.zeros((3, 10), np.uint8)
    labels[0] = 1
    levels = np.zeros((3, 10), np.uint8)
    levels[0] = [200] * 5 + [100] * 5
    levels[2] = 100
    curve = evaluate_scenes(Painted(), [painted_scene(levels, labels)], buffer_px=0).curve
    meeting = curve.break_even()
    assert meeting is not None
    assert meeting.value == pytest.approx(0.75)
    assert meeting.threshold == pytest.approx(100 / 254, abs=1e-3)


def test_break_even_and_iou_are_undefined_without_road() -> None:
    labels = np.zeros((8, 8), np.uint8)
    result = evaluate_scenes(Painted(), [painted_scene(labels, labels)])
    assert math.isnan(result.scores.iou)
    assert math.isnan(result.scores.relaxed_f1)
    assert result.curve.break_even() is None
    assert result.classes[0].iou == 1.0
    assert result.mean_iou == 1.0  # over the classes that occur
    values = result.to_json()
    assert values["iou"] is None
    json.dumps(values, allow_nan=False)


def test_evaluate_scenes_ignores_invalid_pixels_as_context_too() -> None:
    labels = np.zeros((1, 9), np.uint8)
    labels[0, 4:6] = (IGNORE, 1)
    levels = np.zeros((1, 9), np.uint8)
    levels[0, [2, 4, 8]] = 254
    scores = evaluate_scenes(Painted(), [painted_scene(levels, labels)], buffer_px=3).scores
    # Road at 5; predicted at 2 and 8, both 3 px away. The strong prediction at 4 is ignored, and
    # without it nothing is within 1 px of the road.
    assert scores.relaxed_precision == 1.0
    assert scores.relaxed_recall == 1.0
    near = evaluate_scenes(Painted(), [painted_scene(levels, labels)], buffer_px=1).scores
    assert near.relaxed_precision == 0.0
    assert near.relaxed_recall == 0.0


@given(st.integers(0, 2**32 - 1), st.sampled_from([12, 16, 64]))
@example(seed=0, tile_px=12)
def test_evaluate_scenes_predicts_the_most_probable_class(seed: int, tile_px: int) -> None:
    rng = np.random.default_rng(seed)
    levels = rng.integers(0, 255, (13, 17, 3)).astype(np.uint8)
    labels = rng.choice(np.array([0, 1, 2, IGNORE], np.uint8), (13, 17))
    model = Painted(("other", "road", "sidewalk"), road_class=1)
    result = evaluate_scenes(model, [painted_scene(levels, labels)], 0.5, tile_px=tile_px)
    found = levels.argmax(axis=2)
    expected = np.zeros((3, 3), np.int64)
    for y, x in np.ndindex(labels.shape):
        if labels[y, x] != IGNORE:
            expected[labels[y, x], found[y, x]] += 1
    np.testing.assert_array_equal(result.confusion, expected)
    for at, scores in enumerate(result.classes):
        hit, true, taken = expected[at, at], expected[at].sum(), expected[:, at].sum()
        assert scores.iou == pytest.approx(hit / (true + taken - hit))
        assert scores.precision == pytest.approx(hit / taken)
        assert scores.recall == pytest.approx(hit / true)
        assert scores.pixels == true
    assert result.mean_iou == pytest.approx(np.mean([c.iou for c in result.classes]))
    # Road is scored by its own probability at the threshold.
    binary = np.where(labels == IGNORE, IGNORE, labels == 1).astype(np.uint8)
    assert result.scores.iou == pytest.approx(brute(levels[..., 1], binary, 127, 3)["iou"])


def test_evaluate_scenes_confusion_of_a_road_model_uses_the_threshold() -> None:
    labels = np.array([[1, 1, 0, 0, 0, IGNORE]], np.uint8)
    levels = np.array([[200, 100, 200, 0, 0, 200]], np.uint8)
    result = evaluate_scenes(Painted(), [painted_scene(levels, labels)], 0.5)
    assert result.class_names == ("other", "road")
    assert result.confusion.tolist() == [[2, 1], [1, 1]]
    assert result.classes[1].iou == result.scores.iou == pytest.approx(1 / 3)


def test_class_scores_of_an_absent_class_are_undefined() -> None:
    scores = class_scores(np.array([[5, 0], [0, 0]]), ("other", "road"))
    assert scores[0].iou == 1.0
    assert math.isnan(scores[1].iou)
    assert math.isnan(scores[1].recall)


def test_evaluate_scenes_rejects_wrong_scenes_and_options() -> None:
    scene = painted_scene(np.zeros((4, 4), np.uint8), np.full((4, 4), 2, np.uint8))
    with pytest.raises(DataError, match="no scene"):
        evaluate_scenes(Painted(), [])
    with pytest.raises(DataError, match=r"scene: found the label 2; the model has 2 classes"):
        evaluate_scenes(Painted(), [scene])
    for threshold in (0.0, 1.0, math.nan):
        with pytest.raises(InputError, match="between 0 and 1"):
            evaluate_scenes(Painted(), [scene], threshold)
    with pytest.raises(InputError, match="0 or more"):
        evaluate_scenes(Painted(), [scene], buffer_px=-1)


@given(st.floats(0.001, 0.999))
def test_level_of_matches_exact_probabilities(threshold: float) -> None:
    level = level_of(threshold)
    assert level == max(1, math.ceil(threshold * 254 - 1e-9))
    assert 1 <= level <= 254


def real_scene(height: int, width: int) -> ArrayScene:
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    image[height // 2 - 4 : height // 2 + 4] = ROAD
    image[height // 2 + 4 :] = GROUND
    labels = (image == ROAD).all(axis=2).astype(np.uint8)
    labels[:, :7] = IGNORE
    return ArrayScene("real", image, labels)


def scores_of(model: Any, scene: ArrayScene, tile_px: int) -> LevelCounts:
    result: PixelEvaluation = evaluate_scenes(model, [scene], tile_px=tile_px)
    return result.counts


def test_evaluate_scenes_does_not_depend_on_tiles(tmp_path: Path) -> None:
    segmenter = OnnxSegmenter(tiny_model(tmp_path / "m.onnx"))
    scene = real_scene(83, 101)
    whole = scores_of(segmenter, scene, 512)
    probability = predict_scene(segmenter, scene)
    np.testing.assert_array_equal(predict_scene(segmenter, scene.image), probability)
    direct = count_levels(
        np.rint(probability * 254).astype(np.uint8), scene.labels == 1, scene.labels != IGNORE
    )
    for tile_px in (1, 20, 40):
        cut = scores_of(segmenter, scene, tile_px)
        for name in ("road", "other", "near", "reached"):
            np.testing.assert_array_equal(getattr(cut, name), getattr(whole, name))
            np.testing.assert_array_equal(getattr(direct, name), getattr(whole, name))


def test_scene_prediction_predicts_valid_tiles_once() -> None:
    labels = np.zeros((64, 64), np.uint8)
    scene = painted_scene(np.zeros((64, 64), np.uint8), labels)
    model = Painted()
    evaluate_scenes(model, [scene], tile_px=24)
    assert len(model.tiles) == 16
    assert set(model.tiles) == {(1, 24, 24, 3)}
    blank = painted_scene(np.zeros((64, 64), np.uint8), np.full((64, 64), IGNORE, np.uint8))
    model = Painted()
    assert evaluate_scenes(model, [blank], tile_px=24).counts.pixels == 0
    assert not model.tiles


def test_scene_prediction_respects_a_fixed_tile_size() -> None:
    model = Painted(tile_px=32)
    levels = np.random.default_rng(0).integers(0, 255, (50, 71)).astype(np.uint8)
    labels = np.random.default_rng(1).integers(0, 2, (50, 71)).astype(np.uint8)
    scene = painted_scene(levels, labels)
    result = evaluate_scenes(model, [scene], 0.5)
    assert set(model.tiles) == {(1, 32, 32, 3)}
    assert result.scores.iou == pytest.approx(brute_iou(levels, labels))
    np.testing.assert_allclose(predict_scene(model, scene), levels / 254, atol=1e-6)


def brute_iou(levels: Bytes, labels: Bytes) -> float:
    found, truth = levels >= 127, labels == 1
    return float((found & truth).sum() / (found | truth).sum())


def test_scene_prediction_keeps_few_rows_of_tiles() -> None:
    model = Painted()
    levels = np.zeros((400, 16), np.uint8)
    scene = painted_scene(levels, levels)
    prediction = ScenePrediction(
        model, lambda r, c, h, w: scene.read(r, c, h, w)[0], 400, 16, tile_px=24
    )
    for row, col, height, width in prediction.windows():
        prediction.read(max(row - 3, 0), col, min(height + 3, 400 - max(row - 3, 0)), width)
        assert len(prediction._kept) <= 3
