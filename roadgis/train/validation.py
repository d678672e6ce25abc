"""Scores of a network in training, on the scenes that it does not learn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from roadgis.model.card import ModelCard
from roadgis.train.callbacks import MONITOR
from roadgis.train.evaluation import evaluate_scenes
from roadgis.train.scene_prediction import NetworkPredictor
from roadgis.train.scenes import LabelledScene
from roadgis.train.threshold import histograms, iou_curve

__all__ = ["validation_scores"]

# Smaller than for a finished model: the training holds memory as well.
_TILE_PX = 1024


def validation_scores(
    model: Any, card: ModelCard, scenes: Sequence[LabelledScene]
) -> dict[str, float]:
    """Score a network.

    Parameters
    ----------
    model : keras.Model
        In memory.
    card : ModelCard
        Describes it.
    scenes : sequence of LabelledScene
        To score on.

    Returns
    -------
    dict
        ``validation_iou``: of road at probability 0.5; for several classes the mean IoU.
        ``validation_best_iou``: of road at the threshold that suits these scenes best.
    """
    predictor = NetworkPredictor(model, card)
    if len(card.classes) > 1:
        found = evaluate_scenes(predictor, scenes, buffer_px=0, tile_px=_TILE_PX)
        return {MONITOR: found.mean_iou}
    curve = iou_curve(*histograms(predictor, scenes, tile_px=_TILE_PX))
    return {MONITOR: float(curve[127]), "validation_best_iou": float(curve[1:].max())}
