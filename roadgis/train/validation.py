"""Scores of a network in training, on the scenes that it does not learn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from roadgis.model.card import ModelCard
from roadgis.train.callbacks import MONITOR
from roadgis.train.data.open_data_set import OpenDataSet
from roadgis.train.data.scenes import LabelledScene
from roadgis.train.scoring.evaluation import evaluate_scenes
from roadgis.train.scoring.scene_prediction import TOP_LEVEL, NetworkPredictor
from roadgis.train.scoring.threshold import histograms, iou_curve

__all__ = ["data_set_scores", "validation_scores"]

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
        ``validation_best_iou``: of road at the threshold that suits these scenes best;
        ``validation_threshold``: that threshold.
    """
    predictor = NetworkPredictor(model, card)
    if len(card.classes) > 1:
        found = evaluate_scenes(predictor, scenes, buffer_px=0, tile_px=_TILE_PX)
        return {MONITOR: found.mean_iou}
    curve = iou_curve(*histograms(predictor, scenes, tile_px=_TILE_PX))
    best, threshold = _best(curve)
    return {
        MONITOR: float(curve[127]),
        "validation_best_iou": float(curve[best]),
        "validation_threshold": threshold,
    }


def data_set_scores(
    model: Any, card: ModelCard, data_sets: Sequence[OpenDataSet]
) -> dict[str, float]:
    """Score a road network on each of several data sets, at one threshold for all of them.

    Parameters
    ----------
    model, card
        See :func:`validation_scores`.
    data_sets : sequence of OpenDataSet
        Those without scenes to score on are left out.

    Returns
    -------
    dict
        ``validation_iou``: mean of the IoU of the data sets at the threshold that is best for
        that mean; ``validation_threshold``: that threshold; ``NAME_iou``: of each data set.
    """
    predictor = NetworkPredictor(model, card)
    scored = [data for data in data_sets if data.validation]
    curves = np.array(
        [iou_curve(*histograms(predictor, data.validation, tile_px=_TILE_PX)) for data in scored]
    )
    best, threshold = _best(curves.mean(axis=0))
    scores = {MONITOR: float(curves[:, best].mean()), "validation_threshold": threshold}
    names = [f"{data.settings.name}_iou" for data in scored]
    return {**scores, **dict(zip(names, curves[:, best].tolist(), strict=True))}


def _best(curve: npt.NDArray[np.float64]) -> tuple[int, float]:
    """Return the level with the highest IoU, of several the middle one, and its threshold.

    The threshold lies halfway to the level below; see
    :class:`roadgis.train.scoring.threshold.ThresholdChoice`.
    """
    levels = np.flatnonzero(curve[1:] == curve[1:].max()) + 1
    best = int(levels[len(levels) // 2])
    return best, (best - 0.5) / TOP_LEVEL
