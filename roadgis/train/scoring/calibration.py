"""Calibration of the probability along predicted roads to the share that is correct.

The output of a model ranks pixels well but is seldom a probability: at 0.8, six or nine of ten
metres may be road. A scale and an offset of its logits, fitted on validation scenes (Platt 1999),
correct that; both go into the weights of its last convolution, so nothing else changes.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage, optimize, special

from roadgis.arrays import Bools, Floats, Ints
from roadgis.atomic import atomic_path
from roadgis.errors import DataError, ModelError
from roadgis.progress import Progress, no_progress
from roadgis.train.data.labelled_scene import IGNORE, LabelledScene
from roadgis.train.scoring.scene_prediction import Predictor, predict_scene

#: A predicted metre is correct if a labelled road is within this distance.
_NEAR_M = 3.0
_BINS = 10
_LEAST = 1e-4
# Keeps the order of the probabilities.
_LEAST_SCALE = 0.05


class CentrelineSamples(NamedTuple):
    """Predicted centrelines of some scenes, pixel by pixel.

    Attributes
    ----------
    probability : ndarray of float64, shape (N,)
        Predicted probability at the centreline.
    correct : ndarray of bool, shape (N,)
        Whether a labelled road is within 3 m.
    """

    probability: Floats
    correct: Bools


class Calibration(NamedTuple):
    """Logit of the calibrated probability = `scale` * logit + `offset`."""

    scale: float
    offset: float

    def __call__(self, probability: npt.ArrayLike) -> Floats:
        """Return calibrated probabilities."""
        clipped = np.clip(np.asarray(probability, np.float64), _LEAST, 1 - _LEAST)
        return np.asarray(
            special.expit(self.scale * special.logit(clipped) + self.offset), np.float64
        )


@dataclass(frozen=True)
class Reliability:
    """Share of correct roads by predicted probability, in bins of equal width over 0..1.

    Attributes
    ----------
    probability, correct : ndarray of float64, shape (B,)
        Mean probability and correct share; NaN if a bin is empty.
    count : ndarray of int64, shape (B,)
        Centreline pixels in each bin.
    error : float
        Expected calibration error: mean of the difference, weighted by `count`.
    """

    probability: Floats
    correct: Floats
    count: Ints
    error: float


def sample_centrelines(
    predictor: Predictor,
    scenes: Sequence[LabelledScene],
    gsd_m: Sequence[float],
    *,
    threshold: float,
    progress: Progress = no_progress,
) -> CentrelineSamples:
    """Trace centrelines at a threshold and compare each of their pixels with the labels.

    Parameters
    ----------
    scenes : sequence of LabelledScene
        With binary labels, at pixel sizes that suit the model.
    progress : Progress
        Progress callback, called after each scene.
    """
    from skimage import morphology

    thinned: Callable[..., Bools] = morphology.skeletonize
    probabilities, corrects = [np.empty(0)], [np.empty(0, np.bool_)]
    for number, (scene, gsd) in enumerate(zip(scenes, gsd_m, strict=True)):
        probability = predict_scene(predictor, scene)
        labels = scene.read_labels(0, 0, scene.height, scene.width)
        line = thinned(probability >= threshold) & (labels != IGNORE)
        away = (
            np.asarray(ndimage.distance_transform_edt(labels != 1)) * gsd
            if (labels == 1).any()
            else np.full(labels.shape, np.inf)
        )
        probabilities.append(probability[line].astype(np.float64))
        corrects.append(away[line] <= _NEAR_M)
        progress((number + 1) / len(scenes), scene.name)
    return CentrelineSamples(np.concatenate(probabilities), np.concatenate(corrects))


def fit_calibration(places: Mapping[str, CentrelineSamples]) -> Calibration:
    """Fit scale and offset; each place has the same weight.

    Parameters
    ----------
    places : mapping of str to CentrelineSamples
        Predicted centrelines of each place.

    Raises
    ------
    DataError
        If no place has both correct and wrong roads.
    """
    used = [found for found in places.values() if found.correct.any() and not found.correct.all()]
    if not used:
        raise DataError(
            "No place of the validation scenes has both correct and wrong roads, which calibration "
            "needs. Use more scenes."
        )
    logit = [special.logit(np.clip(found.probability, _LEAST, 1 - _LEAST)) for found in used]

    def loss(values: Floats) -> float:
        return float(
            sum(
                np.logaddexp(0, np.where(found.correct, -1, 1) * (values[0] * x + values[1])).mean()
                for found, x in zip(used, logit, strict=True)
            )
        )

    scale, offset = optimize.minimize(
        loss,
        np.array([1.0, 0.0]),
        method="Nelder-Mead",
        bounds=[(_LEAST_SCALE, None), (None, None)],
    ).x
    return Calibration(float(scale), float(offset))


def reliability(found: CentrelineSamples) -> Reliability:
    """Return the share of correct roads in each bin of probability."""
    bins = np.minimum((found.probability * _BINS).astype(np.int64), _BINS - 1)
    count = np.bincount(bins, minlength=_BINS)
    with np.errstate(invalid="ignore"):
        probability = np.bincount(bins, found.probability, _BINS) / count
        correct = np.bincount(bins, found.correct, _BINS) / count
    error = np.nansum(np.abs(probability - correct) * count) / max(count.sum(), 1)
    return Reliability(probability, correct, count, float(error))


def apply_calibration(model: Any, calibration: Calibration) -> None:
    """Apply scale and offset to the weights of a binary model's last convolution.

    Parameters
    ----------
    model : keras.Model
        Ends in a convolution and a sigmoid.

    Raises
    ------
    ModelError
        If it has several classes or no such convolution.
    """
    weighted = [layer for layer in model.layers if layer.weights]
    # The last layer with a bias: the last one, or the one before a sub-pixel layout layer.
    tail = weighted[-2:] if weighted and weighted[-1].bias is None else weighted[-1:]
    if model.output_shape[-1] != 1 or not tail or tail[0].bias is None:
        raise ModelError(
            f"{model.name}: gives {model.output_shape[-1]} classes or does not end in a "
            "convolution with a bias; expected a model of one class that does."
        )
    first, last = tail[0], tail[-1]
    kernel = np.asarray(last.kernel) * calibration.scale
    last.kernel.assign(kernel)
    if first is last:
        first.bias.assign(np.asarray(first.bias) * calibration.scale + calibration.offset)
        return
    # Kernel (h, w, 1, sub-pixels): solve for the sub-pixel biases that add the offset to each
    # pixel.
    rows = kernel.reshape(-1, kernel.shape[-1])
    added = np.linalg.lstsq(rows, np.full(len(rows), calibration.offset), rcond=None)[0]
    first.bias.assign(np.asarray(first.bias) + added)


def write_reliability(places: Mapping[str, CentrelineSamples], path: Path) -> None:
    """Write the reliability of each place as CSV: place, probability, right, count."""
    with atomic_path(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["place", "probability", "right", "count"])
        for name, found in places.items():
            table = reliability(found)
            for row in zip(table.probability, table.correct, table.count, strict=True):
                if row[2]:
                    writer.writerow([name, round(row[0], 4), round(row[1], 4), row[2]])
