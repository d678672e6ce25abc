"""Whether training helped: the sentence, the comparison, and the warning of a low threshold."""

from __future__ import annotations

import logging
from typing import Any

import pytest

pytest.importorskip("tensorflow", reason="needs the train extra")

from roadgis.train.outcome import compared, outcome_of
from roadgis.train.threshold import warn_if_undertrained


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


def test_outcome_compares_the_epoch_that_was_kept_with_epoch_0() -> None:
    best = outcome_of(HISTORY, keeps_best=True)
    assert str(best) == "Validation IoU 0.412 before, 0.566 after (+0.154)."
    assert not best.is_worse
    last = outcome_of(HISTORY, keeps_best=False)
    assert str(last) == "Validation IoU 0.412 before, 0.501 after (+0.089)."
    assert compared(last) == [
        ("validation_iou", 0.3, 0.4),
        ("validation_best_iou", 0.412, 0.501),
        ("validation_threshold", 0.5, 0.3),
    ]


def test_outcome_that_is_worse_says_what_to_do() -> None:
    worse = outcome_of([record(0, 0.5, 0.6), record(1, 0.4, 0.5)], keeps_best=True)
    assert worse.is_worse
    assert str(worse).startswith(
        "Validation IoU 0.600 before, 0.500 after (-0.100). Training made it worse: keep using"
    )
    assert "--preview" in str(worse)


def test_outcome_of_data_sets_compares_each_of_them() -> None:
    before = {"epoch": 0, "validation_iou": 0.5, "a_iou": 0.4}
    after = {"epoch": 1, "validation_iou": 0.6, "a_iou": 0.7, "loss": 1.0, "iou": 0.2}
    outcome = outcome_of([before, after], keeps_best=True)
    assert str(outcome) == "Validation IoU 0.500 before, 0.600 after (+0.100)."
    assert compared(outcome) == [("validation_iou", 0.5, 0.6), ("a_iou", 0.4, 0.7)]


def test_outcome_without_a_start_or_validation() -> None:
    assert str(outcome_of(HISTORY[1:], keeps_best=True)) == "Validation IoU 0.566."
    none = outcome_of([{"epoch": 1, "loss": 0.5}], keeps_best=False)
    assert str(none).startswith("There was no validation data")
    assert compared(none) == []


def test_warn_if_undertrained_is_silent_from_a_threshold_of_a_fifth(
    caplog: pytest.LogCaptureFixture,
) -> None:
    warn_if_undertrained(0.2)
    assert not caplog.records
    warn_if_undertrained(0.19)
    (one,) = caplog.records
    assert one.levelno == logging.WARNING
    assert one.getMessage().startswith("The best threshold is 0.19, under 0.2")
    assert "--steps" in one.getMessage()
