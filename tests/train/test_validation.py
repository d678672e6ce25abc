"""Outcome of training: message, comparison, warning of a low threshold."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="needs the train extra")

from roadgis.model.card import ModelCard
from roadgis.train.run_report import choose_scenes
from roadgis.train.scoring.threshold import warn_if_undertrained
from roadgis.train.validation import outcome_of, score_changes, validation_scores
from tests.factories.pairs import ArrayScene


def record(epoch: int, iou: float, best: float, threshold: float = 0.5) -> dict[str, Any]:
    return {
        "epoch": epoch,
        "validation_iou": iou,
        "validation_best_iou": best,
        "validation_threshold": threshold,
    }


HISTORY = [
    record(0, 0.3, 0.412),
    record(1, 0.5, 0.566, 0.4),
    record(2, 0.4, 0.501, 0.3),
]


def test_outcome_compares_the_kept_epoch_with_epoch_0() -> None:
    best = outcome_of(HISTORY, keeps_best=True)
    assert str(best) == "Validation IoU 0.412 before, 0.566 after (+0.154)."
    assert not best.is_worse
    last = outcome_of(HISTORY, keeps_best=False)
    assert str(last) == "Validation IoU 0.412 before, 0.501 after (+0.089)."
    assert score_changes(last) == [
        ("validation_iou", 0.3, 0.4),
        ("validation_best_iou", 0.412, 0.501),
        ("validation_threshold", 0.5, 0.3),
    ]


def test_outcome_that_is_worse_names_the_remedy() -> None:
    worse = outcome_of([record(0, 0.5, 0.6), record(1, 0.4, 0.5)], keeps_best=True)
    assert worse.is_worse
    assert str(worse).startswith(
        "Validation IoU 0.600 before, 0.500 after (-0.100). Training made the model worse: "
    )
    assert "--preview" in str(worse)


def test_score_changes_of_each_data_set() -> None:
    before = {"epoch": 0, "validation_iou": 0.5, "a_iou": 0.4}
    after = {"epoch": 1, "validation_iou": 0.6, "a_iou": 0.7, "loss": 1.0, "iou": 0.2}
    outcome = outcome_of([before, after], keeps_best=True)
    assert str(outcome) == "Validation IoU 0.500 before, 0.600 after (+0.100)."
    assert score_changes(outcome) == [("validation_iou", 0.5, 0.6), ("a_iou", 0.4, 0.7)]


def test_outcome_without_starting_model_or_validation() -> None:
    assert str(outcome_of(HISTORY[1:], keeps_best=True)) == "Validation IoU 0.566."
    none = outcome_of([{"epoch": 1, "loss": 0.5}], keeps_best=False)
    assert str(none).startswith("There was no validation data")
    assert score_changes(none) == []


def test_validation_scores_choose_the_middle_of_the_best_thresholds() -> None:
    labels = np.zeros((40, 40), np.uint8)
    labels[10:20] = 1
    scene = ArrayScene("s", np.repeat(200 * labels[..., None], 3, axis=2), labels)

    def network(images: Any, training: bool) -> Any:
        # Stored as levels 76 and 25: all thresholds between them are equally good.
        return np.where(images[..., :1] > 0.5, 0.3, 0.1)

    scores = validation_scores(network, ModelCard("m", "1"), [scene])
    assert scores == {
        "validation_iou": 0.0,
        "validation_best_iou": 1.0,
        "validation_threshold": (51 - 0.5) / 254,
    }


def test_warn_if_undertrained_below_a_threshold_of_a_fifth(
    caplog: pytest.LogCaptureFixture,
) -> None:
    warn_if_undertrained(0.2)
    assert not caplog.records
    warn_if_undertrained(0.19)
    (one,) = caplog.records
    assert one.levelno == logging.WARNING
    assert one.getMessage().startswith("The best threshold is 0.19, under 0.2")
    assert "--steps" in one.getMessage()


def test_choose_scenes_prefers_most_road_and_cuts_a_square() -> None:
    def scene(name: str, side: int, rows: slice) -> ArrayScene:
        labels = np.zeros((side, side), np.uint8)
        labels[rows, :500] = 1
        return ArrayScene(name, np.zeros((side, side, 3), np.uint8), labels)

    scenes = [
        scene("few", 600, slice(0, 5)),
        scene("large", 2000, slice(1900, 1990)),
        scene("none", 600, slice(0, 0)),
        scene("small", 600, slice(0, 20)),
    ]
    large, small = choose_scenes(scenes, 1)
    assert (large.name, large.height, large.width) == ("large@1000,0", 1000, 1000)
    assert (large.read_labels(900, 0, 90, 500) == 1).all()
    assert small is scenes[3]
    assert choose_scenes(scenes[2:3], 1) == []
    assert choose_scenes([], 1) == []
