"""Export of a trained Keras model: ONNX with its card, or a small file for fine-tuning."""

from __future__ import annotations

import dataclasses
import logging
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from roadgis.atomic import atomic_path
from roadgis.errors import DataError, InputError
from roadgis.model.card import ModelCard, read_card_file, write_card_file
from roadgis.model.catalog import resolve_model
from roadgis.model.onnx_file import write_onnx_card
from roadgis.options.export import ExportOptions, Precision
from roadgis.progress import Progress, no_progress, scaled
from roadgis.train.architectures import as_float32
from roadgis.train.export.convert import (
    check_backend,
    check_parity,
    convert,
    halve_file_weights,
    quiet_converters,
)
from roadgis.train.export.decoder_window import crop_decoder
from roadgis.train.export.quantize import (
    QuantizationError,
    calibration_crops,
    copy_pixels,
    feed_bytes,
    quantize,
)
from roadgis.train.framework import load_keras_model
from roadgis.train.scoring.scoring_data import has_data
from roadgis.train.scoring.threshold import set_threshold
from roadgis.train.starting_model import load_trained

logger = logging.getLogger(__name__)

#: "auto" keeps 8 bits if the IoU on validation drops by less than this.
_LARGEST_DROP = 0.005


def chosen_precision(options: ExportOptions, run: Path | None) -> Precision:
    """Return the precision to export in; `run` is the exported run folder, if any.

    Raises
    ------
    DataError
        If required data is missing.
    """
    precision = options.precision
    if precision is None:
        precision = "int8" if options.calibration else "float16-weights"
        if has_data(options.validation) and (options.calibration or run is not None):
            precision = "auto"
    if precision in ("auto", "int8") and not options.calibration and run is None:
        raise DataError(
            "int8 needs crops of training images to find the ranges of the activations: name "
            "a folder with --data, or export with --precision float16-weights."
        )
    if precision == "auto" and not has_data(options.validation) and run is None:
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
        The folder of a run, or a ``.keras`` file with its card next to it.
    progress : Progress
        Progress callback for scoring on validation.

    Returns
    -------
    ModelCard
        The card as written; its recipe holds the precision, and after "auto" its scores hold the
        IoU of both.

    Raises
    ------
    ModelError
        If the model or its card cannot be read, or the exported model disagrees with Keras.
    DataError
        If required data is missing or cannot be used.
    InputError
        If the output is not named .onnx, or the model is not a Keras model.
    """
    settings = options or ExportOptions()
    if output.suffix.lower() != ".onnx":
        raise InputError(f"{output}: expected an output name that ends in .onnx.")
    source = resolve_model(model)
    if source.suffix.lower() != ".keras":
        raise InputError(f"{source}: expected a .keras file, or the folder of a training run.")
    run = model if model.is_dir() else None
    precision = chosen_precision(settings, run)
    check_backend()
    card = dataclasses.replace(read_card_file(source), **dict(settings.card_updates))
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="roadgis-export-") as scratch:
        whole = Path(scratch) / "whole.onnx"
        keras_model = as_float32(load_keras_model(source))
        before, card = card, convert(keras_model, card, whole)
        check_parity(keras_model, before, whole, card, source)
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
    """Writes one float32 file in several precisions, into its folder."""

    whole: Path
    card: ModelCard
    settings: ExportOptions
    run: Path | None

    def make(self, precision: Precision) -> tuple[Path, ModelCard]:
        """Return a file of a precision, and its card."""
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
                halve_file_weights(made)
        crop_decoder(made, card)
        if precision == "int8":
            copy_pixels(made)
        card = dataclasses.replace(card, recipe={**card.recipe, "export": export})
        write_onnx_card(made, card, made)
        return made, card

    def cheapest(self, progress: Progress) -> tuple[Path, ModelCard]:
        """Return the int8 file, or the float16 one if 8 bits lose too much or cannot run."""
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


def write_compact(source: Path, output: Path) -> ModelCard:
    """Write a trained model with weights rounded to 16 bits, about a third of the size.

    The file remains an ordinary ``.keras`` file with float32 weights; the bits emptied by rounding
    compress well.

    Parameters
    ----------
    source : Path
        A ``.keras`` file with its card.
    output : Path
        Another one; its card is written next to it.
    """
    model, card = load_trained(source)
    for variable in model.variables:
        values = np.asarray(variable)
        if np.issubdtype(values.dtype, np.floating):
            variable.assign(_rounded(values))
    with tempfile.TemporaryDirectory(prefix="roadgis-compact-") as scratch:
        whole = Path(scratch) / "model.keras"
        model.save(whole)
        with atomic_path(output) as partial:
            _compress(whole, partial)
    write_card_file(card, output)
    return card


def _rounded(values: Any) -> Any:
    half = values.astype(np.float16)
    # Numbers outside the range of 16 bits (a variance may be) are kept.
    fits = np.isfinite(half) & ((half != 0) | (values == 0))
    return np.where(fits, half.astype(values.dtype), values)


def _compress(source: Path, output: Path) -> None:
    with (
        zipfile.ZipFile(source) as before,
        zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as after,
    ):
        for name in before.namelist():
            after.writestr(name, before.read(name))
