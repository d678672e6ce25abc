"""Settings of the export of a trained model to ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from roadgis.errors import InputError
from roadgis.options.option import Option, setting
from roadgis.options.training_data import ScoredOn

#: How the weights are stored and computed with; "auto" measures what 8 bits cost.
Precision = Literal["auto", "float32", "float16-weights", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


@dataclass(frozen=True)
class ExportOptions:
    """Settings of the export of a trained model to ONNX.

    Attributes
    ----------
    precision : {"auto", "float32", "float16-weights", "int8"} or None
        "float32" keeps the network as trained. "float16-weights" stores the weights in half the
        space and computes as before. "int8" quantizes weights (per channel) and activations: a
        quarter of the space and about twice as fast on CPUs with VNNI. GPUs gain nothing: use a
        float model there. "auto" makes both compressed files, scores each at its best threshold on
        `validation`, and keeps int8 if its IoU is less than 0.5 points lower. None is "auto" where
        data for calibration and `validation` are named, "int8" where there is `calibration` only,
        else "float16-weights".
    calibration : tuple of Path
        Folders of training pairs; int8 takes the ranges of the activations from crops of them.
        By default the training data of the exported run.
    validation : sequence of Path, or DataSettings
        Folders of pairs, or imagery with a road layer, to choose the threshold on, which goes
        into the card with its scores. Where "auto" is asked for and nothing is named, of a run
        folder its own validation scenes.
    calibration_crops, crop_px : int
        How many crops, and their side in pixels.
    seed : int
        Seed of the choice of crops.
    card_updates : mapping
        Fields of the card to replace, e.g. ``{"threshold": 0.43}``.
    """

    precision: Precision | None = setting(
        None,
        Option(
            "Number format of the weights. int8 needs --data to calibrate on. auto also needs "
            "--validation (or --images), or a run's own validation scenes, measures both "
            "compressed formats, and keeps int8 if its IoU is less than 0.5 points lower.",
            default_text="auto with --data or a run, and --validation or --images; int8 with "
            "--data only, else float16-weights",
        ),
    )
    calibration: tuple[Path, ...] = setting(
        (),
        Option(
            "Folder of training pairs, for the calibration of int8; may be repeated.",
            flags=("--data",),
            path=("in", "folder"),
            repeat=True,
            default_text="the training data of a run folder",
        ),
    )
    validation: ScoredOn = ()
    calibration_crops: int = 24
    crop_px: int = 256
    seed: int = 0
    card_updates: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.precision is not None and self.precision not in PRECISIONS:
            raise InputError(f"precision is {self.precision!r}, expected one of {PRECISIONS}.")
