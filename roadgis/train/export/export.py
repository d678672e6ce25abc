"""Export of a trained Keras model to an ONNX file with its card, whole or compressed."""

from __future__ import annotations

import dataclasses
import logging
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from roadgis.atomic import atomic_path
from roadgis.errors import DataError, InputError
from roadgis.model.card import ModelCard, read_card_file
from roadgis.model.catalog import resolve_model
from roadgis.model.onnx_file import write_onnx_card
from roadgis.progress import Progress, no_progress, scaled
from roadgis.train.architectures import as_float32
from roadgis.train.export.convert import (
    check_parity,
    convert,
    halve_weights,
    load_keras,
    quiet_converters,
)
from roadgis.train.export.decoder_window import crop_decoder
from roadgis.train.export.quantize import (
    QuantizationError,
    calibration_crops,
    feed_bytes,
    quantize,
)
from roadgis.train.scoring.scoring_data import ScoredOn, has_data
from roadgis.train.scoring.threshold import set_threshold

__all__ = ["PRECISIONS", "ExportOptions", "Precision", "export_onnx"]

logger = logging.getLogger(__name__)

#: How the weights are stored and computed with; "auto" measures what 8 bits cost.
Precision = Literal["auto", "float32", "float16-weights", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

#: "auto" keeps 8 bits where the IoU on validation drops by less than this.
_LARGEST_DROP = 0.005


@dataclass(frozen=True)
class ExportOptions:
    """How a trained model becomes an ONNX file.

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
        Of a run folder that is exported, what it was trained on by default.
    validation : sequence of Path, or DataSettings
        Folders of pairs, or imagery with a road layer, to choose the threshold on, which goes
        into the card with its scores. Where "auto" is asked for and nothing is named, of a run
        folder its own validation scenes.
    calibration_crops, crop_px : int
        How many crops, and their side in pixels.
    seed : int
        Of the choice of crops.
    card_updates : mapping
        Fields of the card to replace, e.g. ``{"threshold": 0.43}``.
    """

    precision: Precision | None = None
    calibration: tuple[Path, ...] = ()
    validation: ScoredOn = ()
    calibration_crops: int = 24
    crop_px: int = 256
    seed: int = 0
    card_updates: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.precision is not None and self.precision not in PRECISIONS:
            raise InputError(f"precision is {self.precision!r}, expected one of {PRECISIONS}.")

    def chosen(self, run: Path | None) -> Precision:
        """Return the precision to export in; `run` is the run folder that is exported, if any.

        Raises
        ------
        DataError
            If it needs data that is not named.
        """
        precision = self.precision
        if precision is None:
            precision = "int8" if self.calibration else "float16-weights"
            if has_data(self.validation) and (self.calibration or run is not None):
                precision = "auto"
        if precision in ("auto", "int8") and not self.calibration and run is None:
            raise DataError(
                "int8 needs crops of training images to find the ranges of the activations: name "
                "a folder with --data, or export with --precision float16-weights."
            )
        if precision == "auto" and not has_data(self.validation) and run is None:
            raise DataError(
                "auto compares the IoU in 8 and 16 bits on scenes that the model was not trained "
                "on: name them with --validation, or imagery with --images and its roads with "
                "--labels, or choose another --precision."
            )
        return precision


def export_onnx(
    model: Path,
    output: Path,
    options: ExportOptions | None = None,
    *,
    progress: Progress = no_progress,
) -> ModelCard:
    """Write a trained model as an ONNX file with its card inside.

    Parameters
    ----------
    model : Path
        The folder of a training run, or a ``.keras`` file with its card beside it. Weights of a
        network that was trained in mixed precision are float32 too, and are exported so.
    output : Path
        The ``.onnx`` file; written beside and renamed, so no half file is ever seen.
    options : ExportOptions, optional
        Precision and data.
    progress : Progress
        Told while it is scored on validation.

    Returns
    -------
    ModelCard
        As written; its recipe tells the precision, and after "auto" its scores hold the IoU of
        both.

    Raises
    ------
    ModelError
        If the model or its card cannot be read, or the exported network does not give what
        the Keras model gives.
    DataError
        If data is needed that is not named or cannot be used.
    InputError
        If the output's name is unknown, or the model is no Keras model.
    MissingExtraError
        If the ``train`` extra is not installed.
    """
    settings = options or ExportOptions()
    if output.suffix.lower() != ".onnx":
        raise InputError(f"{output}: expected an output name that ends in .onnx.")
    source = resolve_model(model)
    if source.suffix.lower() != ".keras":
        raise InputError(f"{source}: expected a .keras file, or the folder of a training run.")
    run = model if model.is_dir() else None
    precision = settings.chosen(run)
    card = dataclasses.replace(read_card_file(source), **dict(settings.card_updates))
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="roadgis-export-") as scratch:
        whole = Path(scratch) / "whole.onnx"
        network = as_float32(load_keras(source))
        before, card = card, convert(network, card, whole)
        check_parity(network, before, whole, card, source)
        maker = _Maker(whole, card, settings, run)
        if precision == "auto":
            made, card = maker.cheapest(progress)
        else:
            made, card = maker.make(precision)
            if has_data(settings.validation):
                card = set_threshold(made, settings.validation, progress=progress)
        with atomic_path(output) as partial:
            shutil.copyfile(made, partial)
    kept = card.recipe["export"]["precision"]
    logger.info("%s: %.1f MB, %s", output, output.stat().st_size / 1e6, kept)
    return card


@dataclass(frozen=True)
class _Maker:
    """Makes files of several precisions from one float32 file, in its folder."""

    whole: Path
    card: ModelCard
    settings: ExportOptions
    run: Path | None

    def make(self, precision: Precision) -> tuple[Path, ModelCard]:
        """Return a file of a precision, and the card that is in it."""
        settings, made, card = self.settings, self.whole.with_name(f"{precision}.onnx"), self.card
        export: dict[str, Any] = {"precision": precision}
        if precision == "int8":
            crops = calibration_crops(
                settings.calibration,
                self.run,
                self.card,
                count=settings.calibration_crops,
                crop_px=settings.crop_px,
                seed=settings.seed,
            )
            with quiet_converters():
                quantize(self.whole, crops, made)
                card = feed_bytes(made, card)
            export |= {"crops": len(crops), "crop_px": crops[0].shape[1], "seed": settings.seed}
        else:
            shutil.copyfile(self.whole, made)
            if precision == "float16-weights":
                halve_weights(made)
        crop_decoder(made, card)
        card = dataclasses.replace(card, recipe={**card.recipe, "export": export})
        write_onnx_card(made, card, made)
        return made, card

    def cheapest(self, progress: Progress) -> tuple[Path, ModelCard]:
        """Return the int8 file, or the float16 one if 8 bits cost too much or cannot be run."""
        made: dict[Precision, Path] = {}
        cards: dict[Precision, ModelCard] = {}
        compared: tuple[Precision, ...] = ("float16-weights", "int8")
        for number, precision in enumerate(compared):
            try:
                made[precision], _ = self.make(precision)
            except QuantizationError as error:
                logger.warning("16-bit weights are kept: %s", error)
                return made["float16-weights"], cards["float16-weights"]
            part = scaled(progress, number / len(compared), (number + 1) / len(compared))
            cards[precision] = set_threshold(
                made[precision], self.settings.validation, run=self.run, progress=part
            )
        iou = {precision: float(card.scores["iou"]) for precision, card in cards.items()}
        drop = iou["float16-weights"] - iou["int8"]
        kept: Precision = "int8" if drop < _LARGEST_DROP else "float16-weights"
        logger.info(
            "IoU %.4f with 16-bit weights and %.4f in 8 bits: %s is kept",
            iou["float16-weights"], iou["int8"], kept,
        )  # fmt: skip
        both = {f"iou_{precision}": value for precision, value in iou.items()}
        card = dataclasses.replace(cards[kept], scores={**cards[kept].scores, **both})
        write_onnx_card(made[kept], card, made[kept])
        return made[kept], card
