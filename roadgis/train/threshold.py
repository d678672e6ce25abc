"""Choosing the probability from which a pixel is road, on validation scenes."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from roadgis.errors import DataError
from roadgis.model.card import ModelCard, write_card_file
from roadgis.model.onnx_file import write_onnx_card
from roadgis.model.runtime import Segmenter, load_model
from roadgis.progress import Progress, no_progress
from roadgis.train.dataset import FILL, Sample, read_samples

__all__ = [
    "ThresholdChoice",
    "choose_threshold",
    "histograms",
    "iou_curve",
    "predict_scene",
    "set_threshold",
]

logger = logging.getLogger(__name__)

#: Probability is counted as it is stored: 0..254 is p * 254.
_LEVELS = 255
_TOP = _LEVELS - 1


@dataclass(frozen=True)
class ThresholdChoice:
    """The best threshold and how the others do.

    Attributes
    ----------
    threshold : float
        Halfway between two stored levels of probability, so that it means the same for
        probability as a number and as stored.
    iou : float
        Of the road class at this threshold, over all valid pixels.
    curve : tuple of (float, float)
        (threshold, IoU) for all thresholds, rising.
    """

    threshold: float
    iou: float
    curve: tuple[tuple[float, float], ...]


def iou_curve(road: npt.NDArray[np.int64], other: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the IoU of the road class for each lowest level that is taken for road.

    Parameters
    ----------
    road, other : ndarray of int64, shape (255,)
        Numbers of pixels by stored probability: those that are road, and those that are not.

    Returns
    -------
    ndarray of float64, shape (255,)
        Item k is the IoU when pixels of level k and above are road; 0 where there is neither
        road nor pixels taken for it.
    """
    found_road = np.cumsum(road[::-1])[::-1]
    found_other = np.cumsum(other[::-1])[::-1]
    union = road.sum() + found_other
    return np.asarray(found_road / np.maximum(union, 1), np.float64)


def choose_threshold(road: npt.NDArray[np.int64], other: npt.NDArray[np.int64]) -> ThresholdChoice:
    """Choose the threshold of the highest IoU; of several, the middle one.

    Parameters
    ----------
    road, other : ndarray of int64, shape (255,)
        See :func:`iou_curve` and :func:`histograms`.

    Raises
    ------
    DataError
        If there is no road pixel at all.
    """
    if road.shape != (_LEVELS,) or other.shape != (_LEVELS,):
        raise DataError(
            f"Found histograms of shape {road.shape} and {other.shape}, expected ({_LEVELS},)."
        )
    if road.sum() == 0:
        raise DataError(
            "The validation scenes hold no road pixel, so no threshold can be chosen on them. "
            "Name scenes with roads."
        )
    # Level 0 is left out: a threshold below it would take every pixel for road.
    curve = iou_curve(road, other)[1:]
    thresholds = np.round((np.arange(1, _LEVELS) - 0.5) / _TOP, 4)
    best = np.flatnonzero(curve == curve.max())
    chosen = int(best[len(best) // 2])
    return ThresholdChoice(
        threshold=float(thresholds[chosen]),
        iou=float(curve[chosen]),
        curve=tuple(zip(thresholds.tolist(), curve.tolist(), strict=True)),
    )


def predict_scene(
    segmenter: Segmenter, image: npt.NDArray[np.uint8], *, tile_px: int = 1024
) -> npt.NDArray[np.float32]:
    """Return road probability of a whole image, tile by tile.

    Tiles start on multiples of the stride, and their margin is cropped.

    Parameters
    ----------
    segmenter : Segmenter
        The model.
    image : ndarray of uint8, shape (H, W, B)
        Any size; surrounded by :data:`roadgis.train.dataset.FILL`.
    tile_px : int
        Side of a tile with its margins; taken up to what the card's margin and stride need.

    Returns
    -------
    ndarray of float32, shape (H, W)
        Probability of road.
    """
    margin, stride = segmenter.card.margin_px, segmenter.card.stride
    core = max(tile_px - 2 * margin, stride) // stride * stride
    height, width, _ = image.shape
    rows, cols = (-(-size // core) * core for size in (height, width))
    padded = np.pad(
        image,
        ((margin, margin + rows - height), (margin, margin + cols - width), (0, 0)),
        constant_values=FILL,
    )
    result = np.empty((rows, cols), np.float32)
    side = core + 2 * margin
    inside = slice(margin, margin + core)
    for row in range(0, rows, core):
        for col in range(0, cols, core):
            tile = segmenter.predict(padded[None, row : row + side, col : col + side])[0]
            result[row : row + core, col : col + core] = tile[inside, inside]
    return result[:height, :width]


def histograms(
    segmenter: Segmenter,
    samples: Sequence[Sample],
    *,
    tile_px: int = 1024,
    progress: Progress = no_progress,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Count the valid pixels of scenes by probability.

    Parameters
    ----------
    segmenter : Segmenter
        The model.
    samples : sequence of Sample
        Scenes with labels, as :func:`roadgis.train.dataset.read_samples` gives them.
    tile_px : int
        See :func:`predict_scene`.
    progress : Progress
        Told after each scene.

    Returns
    -------
    road, other : ndarray of int64, shape (255,)
        Counts of pixels that are road and that are not, by probability as stored.
    """
    road, other = np.zeros(_LEVELS, np.int64), np.zeros(_LEVELS, np.int64)
    for number, sample in enumerate(samples, 1):
        probability = predict_scene(segmenter, sample.image, tile_px=tile_px)
        level = np.rint(probability * np.float32(_TOP)).astype(np.uint8)
        for counts, which in ((road, sample.road), (other, ~sample.road)):
            counts += np.bincount(level[sample.valid & which], minlength=_LEVELS)
        progress(number / len(samples), f"scored {sample.name}")
    return road, other


def set_threshold(
    model: Path,
    folders: Sequence[Path],
    *,
    tile_px: int = 1024,
    progress: Progress = no_progress,
) -> ModelCard:
    """Choose a model's threshold on validation scenes and write it into its card.

    Parameters
    ----------
    model : Path
        An ``.onnx`` or ``.keras`` file with its card.
    folders : sequence of Path
        Folders of pairs that the model was not trained on.
    tile_px : int
        See :func:`predict_scene`.
    progress : Progress
        Told after each scene.

    Returns
    -------
    ModelCard
        With the threshold, and its IoU and that at 0.5 among the scores.

    Raises
    ------
    ModelError
        If the model cannot be used.
    DataError
        If the data cannot be used, or holds no road.
    """
    samples = read_samples(folders)
    segmenter = load_model(model)
    choice = choose_threshold(*histograms(segmenter, samples, tile_px=tile_px, progress=progress))
    at_half = min(choice.curve, key=lambda point: abs(point[0] - 0.5))[1]
    names = ", ".join(folder.name for folder in folders)
    scores = {
        "validation": f"{names}: {len(samples)} scenes",
        "iou": round(choice.iou, 4),
        "iou_at_half": round(at_half, 4),
    }
    card = dataclasses.replace(
        segmenter.card,
        threshold=choice.threshold,
        scores={**segmenter.card.scores, **scores},
    )
    logger.info("threshold %.4f: IoU %.4f on %s", choice.threshold, choice.iou, names)
    if model.suffix.lower() == ".keras":
        write_card_file(card, model)
    else:
        write_onnx_card(model, card, model)
    return card
