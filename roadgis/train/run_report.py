"""The end of a training run: outcome and report."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from itertools import pairwise

import numpy as np

from roadgis._version import __version__
from roadgis.atomic import atomic_path
from roadgis.errors import MissingExtraError, RoadgisError
from roadgis.imagery.grid import Window
from roadgis.imagery.size import duration
from roadgis.options.training import TrainSettings
from roadgis.report.html import Table, number
from roadgis.train.data.amount import LabelledAmount
from roadgis.train.data.holdout import ScenePart
from roadgis.train.data.labelled_scene import LabelledScene
from roadgis.train.data.training_data import TrainingData, output_classes
from roadgis.train.run_folder import RunFolder
from roadgis.train.scoring.evaluation import evaluate_scenes
from roadgis.train.scoring.overlays import OverlayGallery, SceneOverlay
from roadgis.train.scoring.page import Gallery, gallery, history_charts, pixel_page
from roadgis.train.scoring.plots import require_matplotlib
from roadgis.train.scoring.report import read_history
from roadgis.train.scoring.scene_prediction import KerasPredictor
from roadgis.train.scoring.threshold import warn_if_undertrained
from roadgis.train.starting_model import load_trained, resolve_trained
from roadgis.train.validation import THRESHOLD, Outcome, outcome_of, score_changes

logger = logging.getLogger(__name__)

# Scenes shown, largest side shown, and scenes considered.
_SHOWN = 2
_SHOWN_PX = 1024
_CONSIDERED = 60


def finish_run(
    settings: TrainSettings, folder: RunFolder, data: TrainingData, amount: LabelledAmount
) -> None:
    """Log whether a finished run helped, and write its report.

    A report that cannot be written is a warning: the model is kept.
    """
    checkpoint = folder.load_checkpoint()
    history = checkpoint.state.history if checkpoint is not None else []
    keeps_best = bool(data.validation) and settings.optimization.keep == "best"
    outcome = outcome_of(history, keeps_best=keeps_best)
    logger.log(logging.WARNING if outcome.is_worse else logging.INFO, "%s", outcome)
    if THRESHOLD in outcome.after:
        warn_if_undertrained(outcome.after[THRESHOLD])
    try:
        require_matplotlib()
        text = _page(settings, folder, data, amount, outcome, history)
        with atomic_path(folder.report, overwrite=True) as partial:
            partial.write_text(text, encoding="utf-8")
    except MissingExtraError as error:
        logger.warning("no report of the run: %s", error)
    except RoadgisError as error:
        logger.warning("no report of the run, but the model is kept: %s", error)
    else:
        logger.info("report: %s", folder.report)


def _page(
    settings: TrainSettings,
    folder: RunFolder,
    data: TrainingData,
    amount: LabelledAmount,
    outcome: Outcome,
    history: Sequence[Mapping[str, float]],
) -> str:
    return pixel_page(
        f"Training of {settings.card.name} {settings.card.version} ({folder.path.name})",
        str(outcome),
        _facts(settings, amount, outcome, history),
        scores=_score_table(outcome),
        charts=history_charts(read_history(folder.log)),
        galleries=_galleries(settings, folder, data, outcome),
    )


def _facts(
    settings: TrainSettings,
    amount: LabelledAmount,
    outcome: Outcome,
    history: Sequence[Mapping[str, float]],
) -> dict[str, str]:
    data, optimization = settings.data, settings.optimization
    sizes = data.gsd_range_m or (() if data.sets else (data.gsd_m,))
    steps = history[-1]["step"] if history else 0
    seconds = history[-1]["seconds"] if history else 0.0
    return {
        "Started from": settings.network.init or "",
        "Labelled": str(amount),
        "Pixel size": " to ".join(f"{size:g}" for size in sizes) + (" m" if sizes else ""),
        "Crops": f"{data.batch} of {data.crop_px} px a step",
        "Trained": f"{steps:.0f} of {optimization.steps} steps in {duration(seconds)}",
        "Kept": f"weights of epoch {outcome.after['epoch']:.0f}" if outcome.after else "",
        "Made": f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC with roadgis {__version__}",
    }


def _score_table(outcome: Outcome) -> Table | None:
    rows = [
        [
            name.removeprefix("validation_").replace("_", " ").replace("iou", "IoU"),
            number(before),
            number(after),
            "" if before is None else f"{after - before:+.3f}",
        ]
        for name, before, after in score_changes(outcome)
    ]
    caption = "Validation scores before the first step and of the kept weights"
    return Table(caption, ["score", "before", "after", "change"], rows) if rows else None


def _galleries(
    settings: TrainSettings, folder: RunFolder, data: TrainingData, outcome: Outcome
) -> list[Gallery]:
    """Return pictures of validation scenes before training, if possible, and after it."""
    names, road = output_classes(settings.data)
    by_class = len(names) > 1
    scenes = choose_scenes(data.validation, road if by_class else 1)
    models = [("after", folder.model, outcome.after)]
    if settings.network.init is not None:
        models.insert(0, ("before", resolve_trained(settings.network.init), outcome.before))
    shown: list[list[SceneOverlay]] = [[] for _ in scenes]
    for when, path, scores in models if scenes else []:
        predictor = KerasPredictor(*load_trained(path))
        for scene, overlays in zip(scenes, shown, strict=True):
            pictures = OverlayGallery(1, by_class=by_class)
            evaluate_scenes(
                predictor, [scene], scores.get(THRESHOLD), tile_px=_SHOWN_PX, observer=pictures
            )
            overlays += [
                SceneOverlay(
                    dataclasses.replace(one.scores, name=f"{scene.name} {when}"), one.picture
                )
                for one in pictures.best
            ]
    return [
        gallery(scene.name, overlays, by_class=by_class)
        for scene, overlays in zip(scenes, shown, strict=True)
    ]


def choose_scenes(scenes: Sequence[LabelledScene], road_class: int) -> list[LabelledScene]:
    """Return the scenes with the most labelled road, each cut to the square with most of it.

    Parameters
    ----------
    scenes : sequence of LabelledScene
        Validation scenes; a regular sample of them is considered if there are many.
    """
    spread = scenes[:: max(1, -(-len(scenes) // _CONSIDERED))]
    fullest = [(*_fullest_square(scene, road_class), scene) for scene in spread]
    # A stable sort: of equal scenes the first ones.
    fullest.sort(key=lambda one: one[0], reverse=True)
    return [
        scene
        if (window.height, window.width) == (scene.height, scene.width)
        # For pictures only: a model that normalizes scenes sees the statistics of this part.
        else ScenePart(scene, window)
        for road_px, window, scene in fullest[:_SHOWN]
        if road_px
    ]


def _fullest_square(scene: LabelledScene, road_class: int) -> tuple[int, Window]:
    """Return the window with the most labelled road, on a regular division of the scene."""
    rows, cols = (
        np.linspace(0, size, -(-size // _SHOWN_PX) + 1).astype(int).tolist()
        for size in (scene.height, scene.width)
    )
    windows = [
        Window(row, col, bottom - row, right - col)
        for row, bottom in pairwise(rows)
        for col, right in pairwise(cols)
    ]

    def road_px(window: Window) -> int:
        labels = scene.read_labels(window.row, window.col, window.height, window.width)
        return int((labels == road_class).sum())

    counts = [road_px(window) for window in windows]
    most = max(counts)
    return most, windows[counts.index(most)]
