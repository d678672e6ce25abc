"""Scoring of a model on labelled scenes, with an HTML report and JSON."""

from __future__ import annotations

import csv
import dataclasses
import json
import logging
import math
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from roadgis._version import __version__
from roadgis.atomic import atomic_path, check_target
from roadgis.errors import DataError, OutputError
from roadgis.model.catalog import resolve_model
from roadgis.model.runtime import Device, Segmenter, load_model
from roadgis.options.scoring import ReportOptions
from roadgis.progress import Progress, no_progress
from roadgis.report.html import Table, number
from roadgis.train.run_folder import RunFolder
from roadgis.train.scoring.evaluation import PixelEvaluation, evaluate_scenes
from roadgis.train.scoring.overlays import OverlayGallery
from roadgis.train.scoring.page import Chart, chart, gallery, history_charts, pixel_page
from roadgis.train.scoring.plots import (
    histogram_figure,
    precision_recall_figure,
    require_matplotlib,
    threshold_figure,
)
from roadgis.train.scoring.scoring_data import ScoringData, data_names, scenes_to_score

logger = logging.getLogger(__name__)

_HEAD = (
    "IoU", "precision", "recall", "F1",
    "relaxed precision", "relaxed recall", "relaxed F1",
)  # fmt: skip


def _check_outputs(options: ReportOptions) -> None:
    """Check the outputs before the work.

    Raises
    ------
    OutputError
        If an output exists and may not be replaced, or its folder does not exist.
    """
    for path in (options.report, options.scores):
        if path is None:
            continue
        check_target(path, overwrite=options.overwrite)
        if not path.parent.is_dir():
            raise OutputError(f"{path}: the folder does not exist. Create it and run again.")
    if options.report is not None:
        require_matplotlib()


def score_model(
    model: str | Path,
    data: ScoringData,
    options: ReportOptions | None = None,
    *,
    device: Device = "auto",
    threads: int | None = None,
    progress: Progress = no_progress,
) -> PixelEvaluation:
    """Score a model on labelled scenes, and write report and scores.

    Parameters
    ----------
    model : str or Path
        A model file, a run folder, or the name of a bundled model.
    data : ScoringData
        Pair folders at the model's pixel size, or settings of imagery with a road layer. Empty: the
        validation scenes of the run folder.
    device, threads
        See :func:`roadgis.model.runtime.load_model`.
    progress : Progress
        Progress callback, called after each block.
    """
    settings = options or ReportOptions()
    _check_outputs(settings)
    path = resolve_model(model)
    segmenter = load_model(path, device=device, threads=threads)
    scenes = scenes_to_score(model, data, segmenter.card)
    by_class = len(segmenter.card.classes) > 1
    pictures = OverlayGallery(settings.examples if settings.report else 0, by_class=by_class)
    evaluation = evaluate_scenes(
        segmenter,
        scenes,
        settings.threshold,
        buffer_px=settings.buffer_px,
        tile_px=settings.tile_px,
        observer=pictures,
        progress=progress,
    )
    log = _log_of(model, path)
    subject = _Subject(
        segmenter,
        path,
        data_names(data),
        datetime.now(timezone.utc).replace(microsecond=0),
        None if log is None else read_history(log),
    )
    if settings.scores is not None:
        values = {**subject.to_json(), **evaluation.to_json()}
        text = json.dumps(values, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
        _write(settings.scores, text, settings.overwrite)
    if settings.report is not None:
        _write(settings.report, _html(subject, evaluation, pictures), settings.overwrite)
    return evaluation


@dataclass(frozen=True)
class _Subject:
    """Model, data and time of the scores."""

    segmenter: Segmenter
    path: Path
    data: tuple[str, ...]
    made: datetime
    history: dict[str, list[float]] | None

    def to_json(self) -> dict[str, Any]:
        card = self.segmenter.card
        return {
            "model": {
                "name": card.name,
                "version": card.version,
                "file": str(self.path),
                "fingerprint": self.segmenter.fingerprint,
                "device": self.segmenter.device,
                "gsd_m": card.gsd_m,
            },
            "data": list(self.data),
            "date": self.made.isoformat(),
            "roadgis": __version__,
        }


def _write(path: Path, text: str, overwrite: bool) -> None:
    with atomic_path(path, overwrite=overwrite) as partial:
        partial.write_text(text, encoding="utf-8")
    logger.info("wrote %s", path)


def _log_of(model: str | Path, path: Path) -> Path | None:
    """Return the log of the training run that a model belongs to, if it is in its run folder."""
    folder = Path(model) if Path(model).is_dir() else path.parent
    run = RunFolder(folder)
    return run.log if run.log.is_file() and (run.is_run() or folder == Path(model)) else None


def read_history(path: Path) -> dict[str, list[float]]:
    """Read the log of a training run.

    Returns
    -------
    dict of list of float
        Columns by name, NaN if missing.
    """

    def value(text: str | None) -> float:
        try:
            return float(text or "nan")
        except ValueError:
            return math.nan

    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            names = [name for name in reader.fieldnames or () if name]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{path}: the run's log cannot be read ({error}). Repair or remove it."
        ) from error
    return {name: [value(row[name]) for row in rows] for name in names}


def _html(subject: _Subject, evaluation: PixelEvaluation, pictures: OverlayGallery) -> str:
    card = subject.segmenter.card
    several = len(card.classes) > 1
    scores = evaluation.scores
    meeting = evaluation.curve.break_even()
    return pixel_page(
        f"{card.name} {card.version} on {', '.join(Path(f).name for f in subject.data)}",
        f"IoU of road {number(scores.iou)}, relaxed F1 at {evaluation.buffer_px} px "
        f"{number(scores.relaxed_f1)}, over {len(evaluation.scenes)} scenes.",
        _facts(subject, evaluation),
        scores=_score_table(evaluation),
        break_even=(
            f"{meeting.value:.3f}, at threshold {meeting.threshold:.3f}" if meeting else "none"
        ),
        classes=_class_table(evaluation, several=several),
        confusion=(evaluation.class_names, evaluation.confusion.tolist()),
        charts=[*_charts(evaluation), *history_charts(subject.history)],
        galleries=[
            gallery("The best", pictures.best, by_class=several),
            gallery("The worst", pictures.worst, by_class=several),
        ],
    )


def _facts(subject: _Subject, evaluation: PixelEvaluation) -> dict[str, str]:
    card = subject.segmenter.card
    default = " (the model card's)" if evaluation.threshold == card.threshold else ""
    return {
        "Model": f"{card.name} {card.version}, {subject.path.name}",
        "Classes": ", ".join(card.classes),
        "Trained on": card.training_data,
        "Fingerprint": subject.segmenter.fingerprint,
        "Ran on": subject.segmenter.device,
        "Data": ", ".join(subject.data),
        "Scenes": (
            f"{len(evaluation.scenes)}; {evaluation.counts.pixels:,} valid pixels, "
            f"{int(evaluation.counts.road.sum()):,} of them road"
        ),
        "Pixel size": f"{card.gsd_m:g} m",
        "Threshold": f"{evaluation.threshold:.4f}{default}",
        "Made": f"{subject.made:%Y-%m-%d %H:%M} UTC with roadgis {__version__}",
    }


def _score_table(evaluation: PixelEvaluation) -> Table:
    parts = [("all pixels", evaluation.scores)]
    parts += [(scene.name, scene.scores) for scene in evaluation.scenes]
    return Table(
        f"Scores of road at threshold {evaluation.threshold:.3f}. Relaxed: a pixel within "
        f"{evaluation.buffer_px} px of a pixel of the other mask counts as correct.",
        ["scene", *_HEAD],
        [[name, *map(number, dataclasses.astuple(scores))] for name, scores in parts],
        total=True,
    )


def _class_table(evaluation: PixelEvaluation, *, several: bool) -> Table:
    how = "by the most probable class" if several else "at the threshold"
    return Table(
        f"Scores of each class, {how}; mean IoU {number(evaluation.mean_iou)}",
        ["class", "IoU", "precision", "recall", "F1", "pixels"],
        [list(map(number, dataclasses.astuple(scores))) for scores in evaluation.classes],
    )


def _charts(evaluation: PixelEvaluation) -> list[Chart]:
    curve, threshold = evaluation.curve, evaluation.threshold
    return [
        chart(
            "Threshold",
            threshold_figure(curve, threshold),
            "threshold",
            "IoU, precision, recall and F1 of road at every threshold; IoU "
            f"{number(evaluation.scores.iou)} at {threshold:.3f}.",
        ),
        chart(
            "Precision and recall",
            precision_recall_figure(curve, threshold, evaluation.buffer_px),
            "recall",
            "Precision over recall at every threshold, exact and relaxed; the break-even is where "
            "relaxed precision equals relaxed recall.",
        ),
        chart(
            "Probability",
            histogram_figure(evaluation.counts, threshold),
            "histogram",
            "Road pixels and other pixels by predicted probability of road; the vertical line is "
            "the threshold.",
        ),
    ]
