"""Settings of the scores of a model and of the choice of its threshold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from roadgis.errors import InputError
from roadgis.options.option import OVERWRITE, Option, setting

#: Maximum distance between matching pixels in relaxed scores.
BUFFER_PX = 3
#: Side of the tiles that scenes are scored in, pixels.
TILE_PX = 2048
#: Score that the best threshold maximizes.
Criterion = Literal["iou", "f1", "relaxed-f1"]
CRITERIA: tuple[Criterion, ...] = get_args(Criterion)


@dataclass(frozen=True)
class ReportOptions:
    """Settings of the scores of a model and their report.

    Attributes
    ----------
    tile_px : int
        See :class:`roadgis.train.scoring.scene_prediction.ScenePrediction`.
    """

    threshold: float | None = setting(
        None,
        Option(
            "Probability from which a pixel is road, between 0 and 1.",
            metavar="P",
            default_text="the model card's",
        ),
    )
    buffer_px: int = setting(
        BUFFER_PX,
        Option(
            "Maximum distance between matching pixels in relaxed scores.",
            "scores",
            unit="px",
            low=0,
        ),
    )
    tile_px: int = TILE_PX
    examples: int = setting(
        3,
        Option(
            "Number of best scenes and of worst scenes to show in the report.",
            "scores",
            metavar="N",
            low=0,
        ),
    )
    report: Path | None = setting(None, Option("HTML report to write.", path=("out", "html")))
    scores: Path | None = setting(
        None,
        Option(
            "JSON file to write all scores to.",
            flags=("scores", "--json"),
            path=("out", "json"),
        ),
    )
    overwrite: bool = setting(False, OVERWRITE)

    def __post_init__(self) -> None:
        if self.examples < 0:
            raise InputError(f"examples is {self.examples}, expected 0 or more.")
        if self.report is not None and self.report == self.scores:
            raise InputError(f"{self.report}: found one name for the report and the scores.")


@dataclass(frozen=True)
class ThresholdOptions:
    """Settings of the choice of a threshold, and outputs for its curve.

    Attributes
    ----------
    criterion : {"iou", "f1", "relaxed-f1"}
        IoU and F1 choose the same threshold.
    tile_px : int
        See :class:`roadgis.train.scoring.scene_prediction.ScenePrediction`.
    """

    criterion: Criterion = setting("iou", Option("Score that the threshold maximizes."))
    buffer_px: int = setting(
        BUFFER_PX,
        Option(
            "Maximum distance between matching pixels in relaxed scores.",
            "scores",
            unit="px",
            low=0,
        ),
    )
    tile_px: int = TILE_PX
    plot: Path | None = setting(
        None,
        Option(
            "Plot of the scores at all thresholds, .svg, .png or .pdf.",
            path=("out", "picture"),
            default_text="threshold.svg in a run folder",
        ),
    )
    table: Path | None = setting(
        None,
        Option(
            "Table of the scores at all thresholds, .csv or .json.",
            flags=("--curve",),
            path=("out", "table"),
            default_text="threshold.csv in a run folder",
        ),
    )

    def __post_init__(self) -> None:
        if self.criterion not in CRITERIA:
            raise InputError(
                f"The criterion is {self.criterion!r}, expected one of {', '.join(CRITERIA)}."
            )
        for path, known in ((self.plot, (".svg", ".png", ".pdf")), (self.table, (".csv", ".json"))):
            if path is not None and path.suffix.lower() not in known:
                raise InputError(f"{path}: expected a name that ends in {', '.join(known)}.")
