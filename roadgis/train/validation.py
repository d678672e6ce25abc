"""Validation scores of a run: before its first step, after each epoch, of the model it keeps."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from roadgis.model.card import ModelCard
from roadgis.train.callbacks import MONITOR, Validate
from roadgis.train.data.labelled_scene import LabelledScene
from roadgis.train.data.open_data_set import OpenDataSet
from roadgis.train.run_folder import RunFolder, RunState
from roadgis.train.scoring.curves import middle_of_best
from roadgis.train.scoring.evaluation import PixelEvaluation, evaluate_scenes
from roadgis.train.scoring.scene_prediction import KerasPredictor

logger = logging.getLogger(__name__)

_BEST_IOU = "validation_best_iou"
#: Best threshold in a run's history.
THRESHOLD = "validation_threshold"
# Smaller differences are noise.
_NOTEWORTHY = 0.0005
# Smaller than for a finished model, as training needs memory as well.
_TILE_PX = 1024


def validation_scores(
    model: Any, card: ModelCard, scenes: Sequence[LabelledScene]
) -> dict[str, float]:
    """Score a model.

    Returns
    -------
    dict
        ``validation_iou``: road IoU at probability 0.5, or mean IoU of several classes.
        ``validation_best_iou``: road IoU at the best threshold; ``validation_threshold``: that
        threshold.
    """
    found = _evaluate(model, card, scenes)
    if len(card.classes) > 1:
        return {MONITOR: found.mean_iou}
    curve = found.curve
    best = middle_of_best(np.nan_to_num(curve.iou))
    return {
        MONITOR: curve.at(0.5).iou,
        _BEST_IOU: float(curve.iou[best]),
        THRESHOLD: float(curve.threshold[best]),
    }


def data_set_scores(
    model: Any, card: ModelCard, data_sets: Sequence[OpenDataSet]
) -> dict[str, float]:
    """Score a road model on each of several data sets, at one common threshold.

    Parameters
    ----------
    data_sets : sequence of OpenDataSet
        Those without validation scenes are left out.

    Returns
    -------
    dict
        ``validation_iou``: mean IoU of the data sets at the best common threshold;
        ``validation_threshold``: that threshold; ``NAME_iou``: IoU of each data set.
    """
    sets = [data for data in data_sets if data.validation]
    curves = [_evaluate(model, card, data.validation).curve for data in sets]
    iou = np.nan_to_num([curve.iou for curve in curves])
    best = middle_of_best(iou.mean(axis=0))
    scores = {MONITOR: float(iou[:, best].mean()), THRESHOLD: float(curves[0].threshold[best])}
    names = [f"{data.settings.name}_iou" for data in sets]
    return {**scores, **dict(zip(names, iou[:, best].tolist(), strict=True))}


def _evaluate(model: Any, card: ModelCard, scenes: Sequence[LabelledScene]) -> PixelEvaluation:
    predictor = KerasPredictor(model, card)
    return evaluate_scenes(predictor, scenes, buffer_px=0, tile_px=_TILE_PX)


@dataclass(frozen=True)
class Outcome:
    """Outcome of a run: validation scores before and after.

    Attributes
    ----------
    before : dict
        Scores of the starting model; empty without one.
    after : dict
        Record of the epoch whose weights were kept; empty without validation.
    """

    before: Mapping[str, float]
    after: Mapping[str, float]

    @property
    def gain(self) -> float | None:
        """Change of the IoU; None if one is missing."""
        if not self.before or not self.after:
            return None
        return _iou(self.after) - _iou(self.before)

    @property
    def is_worse(self) -> bool:
        """Whether the run made the model worse."""
        return self.gain is not None and self.gain < -_NOTEWORTHY

    def __str__(self) -> str:
        if not self.after:
            return "There was no validation data, so the quality of the model is unknown."
        after = f"{_iou(self.after):.3f}"
        if self.gain is None:
            return f"Validation IoU {after}."
        text = f"Validation IoU {_iou(self.before):.3f} before, {after} after ({self.gain:+.3f})."
        if not self.is_worse:
            return text
        return (
            f"{text} Training made the model worse: keep using the starting model. Check the "
            "labels with --preview for missing roads and shifted lines, add labelled area, or "
            "lower --peak-rate."
        )


def score_start(validate: Validate, model: Any, state: RunState, folder: RunFolder) -> None:
    """Score the model that a run starts from, as epoch 0 of its history."""
    logger.info("scoring the starting model")
    started = time.monotonic()
    scores = {name: float(value) for name, value in validate(model).items()}
    seconds = round(time.monotonic() - started, 1)
    state.history.append({"epoch": 0, "step": 0, **scores, "seconds": seconds})
    folder.write_log(state.history)
    text = ", ".join(f"{name} {value:.4f}" for name, value in scores.items())
    logger.info("before the first step: %s", text)


def outcome_of(history: Sequence[Mapping[str, float]], *, keeps_best: bool) -> Outcome:
    """Return the outcome of a run.

    Parameters
    ----------
    history : sequence of dict
        One record per epoch; see :class:`roadgis.train.run_folder.RunState`.
    keeps_best : bool
        Whether the weights of the best epoch were kept, or the last ones.
    """
    before = next((record for record in history if record["epoch"] == 0), {})
    records = [record for record in history if record["epoch"] > 0 and MONITOR in record]
    if not records:
        return Outcome(before, {})
    return Outcome(before, max(records, key=lambda r: r[MONITOR]) if keeps_best else records[-1])


def score_changes(outcome: Outcome) -> list[tuple[str, float | None, float]]:
    """Return name, score before and score after of each validation IoU and the threshold."""
    names = [name for name in outcome.after if name.endswith("_iou")]
    names += [THRESHOLD] if THRESHOLD in outcome.after else []
    return [(name, outcome.before.get(name), outcome.after[name]) for name in names]


def _iou(scores: Mapping[str, float]) -> float:
    """Return the IoU at the best threshold if known, else at 0.5."""
    return scores.get(_BEST_IOU, scores[MONITOR])
