"""Choosing the road threshold of a model on validation scenes."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from roadgis.arrays import Ints
from roadgis.atomic import atomic_path
from roadgis.errors import DataError, InputError, MissingExtraError, ModelError
from roadgis.model.card import ModelCard, read_card_file, write_card_file
from roadgis.model.catalog import read_card, resolve_model
from roadgis.model.onnx_file import write_onnx_card
from roadgis.model.runtime import load_model
from roadgis.options.scoring import Criterion, ThresholdOptions
from roadgis.progress import Progress, no_progress
from roadgis.train.run_folder import RunFolder
from roadgis.train.scoring.curves import Curve, LevelCounts, middle_of_best
from roadgis.train.scoring.evaluation import PixelEvaluation, evaluate_scenes, finite_values
from roadgis.train.scoring.plots import require_matplotlib, save_figure, threshold_figure
from roadgis.train.scoring.scene_prediction import TOP_LEVEL
from roadgis.train.scoring.scoring_data import ScoringData, data_names, scenes_to_score

logger = logging.getLogger(__name__)

# Models that are confident about roads have a higher best threshold.
_LOWEST_THRESHOLD = 0.2
_LEVELS = TOP_LEVEL + 1
#: Exported model in a run folder.
_EXPORTED = "model.onnx"


@dataclass(frozen=True)
class ThresholdChoice:
    """The best threshold, and the scores of the others.

    Attributes
    ----------
    threshold : float
        Halfway between two stored levels of probability, so that it has the same effect on exact
        and stored probability.
    iou : float
        Road IoU at this threshold, over all valid pixels.
    criterion : {"iou", "f1", "relaxed-f1"}
        The maximized score.
    """

    threshold: float
    iou: float
    criterion: Criterion
    curve: Curve


def choose_threshold(
    road: Ints,
    other: Ints,
    *,
    near: Ints | None = None,
    reached: Ints | None = None,
    criterion: Criterion = "iou",
) -> ThresholdChoice:
    """Choose the threshold with the highest score; of several, the middle one.

    Parameters
    ----------
    road, other : ndarray of int64, shape (255,)
        Pixel counts by stored probability.
    near, reached : ndarray of int64, shape (255,), optional
        See :class:`roadgis.train.scoring.curves.LevelCounts`; needed for relaxed scores.

    Raises
    ------
    DataError
        If there is no road pixel.
    """
    relaxed = [
        part if part is not None else np.zeros(_LEVELS, np.int64) for part in (near, reached)
    ]
    counts = LevelCounts(road, other, *relaxed)
    shapes = [part.shape for part in (road, other, *relaxed)]
    if any(shape != (_LEVELS,) for shape in shapes):
        raise DataError(f"Found histograms of shape {shapes}, expected ({_LEVELS},) each.")
    if criterion == "relaxed-f1" and (near is None or reached is None):
        raise InputError("The criterion relaxed-f1 needs the counts within the buffer.")
    if road.sum() == 0:
        raise DataError(
            "The validation scenes hold no road pixel, so no threshold can be chosen on them. "
            "Name scenes with roads."
        )
    curve = counts.curve()
    score = np.nan_to_num(getattr(curve, criterion.replace("-", "_")))
    chosen = middle_of_best(score)
    return ThresholdChoice(
        float(curve.threshold[chosen]), float(curve.iou[chosen]), criterion, curve
    )


def set_threshold(
    model: Path,
    data: ScoringData,
    options: ThresholdOptions | None = None,
    *,
    run: Path | None = None,
    progress: Progress = no_progress,
) -> ModelCard:
    """Choose a model's threshold on validation scenes and write it into its card.

    Parameters
    ----------
    model : Path
        An ``.onnx`` or ``.keras`` file with its card, or a run folder: its ``model.keras`` is
        scored, and its ``model.onnx`` gets the same threshold.
    data : ScoringData
        Data that the model was not trained on: pair folders at its pixel size, or settings of
        imagery with a road layer. Empty: the validation scenes of the run folder.
    run : Path, optional
        Run folder of the validation scenes if `data` is empty. Default: `model`.
    progress : Progress
        Progress callback, called after each block.

    Returns
    -------
    ModelCard
        With the threshold, its scores and the IoU at 0.5.

    Raises
    ------
    ModelError
        If the model cannot be used, or is a bundled model.
    DataError
        If the data cannot be used, or holds no road.
    OutputError
        If a card, the plot or the table cannot be written.
    """
    settings = options or ThresholdOptions()
    path = resolve_model(model)
    if not model.exists():
        raise ModelError(
            f"{model}: is a bundled model, whose card cannot be changed. Copy {path} and name the "
            "copy, or use another --threshold."
        )
    if settings.plot is not None:
        require_matplotlib()  # before the work
    segmenter = load_model(path)
    scenes = scenes_to_score(run or model, data, segmenter.card)
    evaluation = evaluate_scenes(
        segmenter, scenes, buffer_px=settings.buffer_px, tile_px=settings.tile_px, progress=progress
    )
    counts = evaluation.counts
    choice = choose_threshold(
        counts.road,
        counts.other,
        near=counts.near,
        reached=counts.reached,
        criterion=settings.criterion,
    )
    names = ", ".join(Path(name).name for name in data_names(data))
    scores = _card_scores(evaluation, choice, f"{names}: {len(scenes)} scenes")
    warn_if_undertrained(choice.threshold)
    logger.info("threshold %.4f: IoU %.4f on %s", choice.threshold, choice.iou, names)
    card = _write_card(path, choice.threshold, scores)
    if model.is_dir() and (model / _EXPORTED).is_file():
        _write_card(model / _EXPORTED, choice.threshold, scores)
    _write_outputs(choice, settings, model)
    return card


def warn_if_undertrained(threshold: float) -> None:
    """Warn if the best threshold is so low that the model is hardly confident about any road."""
    if threshold < _LOWEST_THRESHOLD:
        logger.warning(
            "The best threshold is %.2f, under %g: the model is hardly confident about any road, "
            "usually because it was trained too little. Train longer, with a larger --steps, "
            "and check that the labels are complete.",
            threshold,
            _LOWEST_THRESHOLD,
        )


def _card_scores(
    evaluation: PixelEvaluation, choice: ThresholdChoice, data: str
) -> dict[str, str | float]:
    at = choice.curve.at(choice.threshold)
    numbers = {
        "iou": choice.iou,
        "iou_at_half": choice.curve.at(0.5).iou,
        "f1": at.f1,
        f"relaxed_f1_{evaluation.buffer_px}px": at.relaxed_f1,
    }
    return {"validation": data} | {key: round(value, 4) for key, value in numbers.items()}


def _write_card(path: Path, threshold: float, scores: dict[str, str | float]) -> ModelCard:
    is_keras = path.suffix.lower() == ".keras"
    before = read_card_file(path) if is_keras else read_card(path)
    card = dataclasses.replace(before, threshold=threshold, scores={**before.scores, **scores})
    if is_keras:
        write_card_file(card, path)
    else:
        write_onnx_card(path, card, path)
    return card


def _write_outputs(choice: ThresholdChoice, options: ThresholdOptions, model: Path) -> None:
    plot, table = options.plot, options.table
    if model.is_dir():
        plot = plot or RunFolder(model).threshold_plot
        table = table or model / "threshold.csv"
    if table is not None:
        write_curve(choice, table)
    if plot is None:
        return
    try:
        save_figure(threshold_figure(choice.curve, choice.threshold), plot)
    except MissingExtraError as error:
        if options.plot is not None:
            raise
        logger.warning("no plot of the threshold: %s", error)


def write_curve(choice: ThresholdChoice, path: Path) -> None:
    """Write the scores at all thresholds as a table.

    Parameters
    ----------
    path : Path
        ``.csv``: one row per threshold, empty if undefined. ``.json``: the chosen threshold and a
        list per score, null if undefined.
    """
    columns = {
        field.name: getattr(choice.curve, field.name).tolist()
        for field in dataclasses.fields(choice.curve)
    }
    if path.suffix.lower() == ".json":
        chosen = {"threshold": choice.threshold, "criterion": choice.criterion, "iou": choice.iou}
        text = (
            json.dumps(finite_values({**chosen, "curve": columns}), allow_nan=False, indent=1)
            + "\n"
        )
    else:
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(columns)
        for row in zip(*columns.values(), strict=True):
            writer.writerow(["" if value != value else round(value, 6) for value in row])
        text = buffer.getvalue()
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")
