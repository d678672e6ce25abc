"""The model that a run starts from: a new one, or a trained one for fine-tuning."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from roadgis.errors import InputError, ModelError
from roadgis.model.card import ModelCard, read_card_file
from roadgis.model.catalog import DEFAULT_MODEL
from roadgis.options.training import NetworkSettings
from roadgis.train.architectures import ArchitectureOptions, build_model
from roadgis.train.framework import load_keras_model

logger = logging.getLogger(__name__)

_WEIGHTS = Path(__file__).resolve().parents[1] / "model" / "weights"


def resolve_trained(name: str) -> Path:
    """Return the ``.keras`` file of a trained model's name.

    Parameters
    ----------
    name : str
        "default" for the bundled model, a ``.keras`` file, or the folder of a run.
    """
    path = Path(name)
    if name == DEFAULT_MODEL and not path.exists():
        return _WEIGHTS / f"{DEFAULT_MODEL}.keras"
    if path.is_dir():
        path = path / "model.keras"
    if path.suffix.lower() != ".keras" or not path.is_file():
        raise ModelError(
            f"{name}: found no trained model to start from; expected 'default', a .keras file, "
            "or the folder of a finished run. An .onnx file cannot be trained further."
        )
    return path


def load_trained(path: Path) -> tuple[Any, ModelCard]:
    """Load a ``.keras`` file and its card for training.

    Raises
    ------
    ModelError
        If it cannot be loaded, or has no card.
    """
    card = read_card_file(path)
    return load_keras_model(path), card


def _depth(settings: NetworkSettings) -> int | None:
    """Return the encoder depth; the default for the bundled model's architecture is its own."""
    own = settings.architecture == "unet" and settings.backbone in ("resnet18", "resnet34")
    return 4 if own and settings.depth is None else settings.depth


def initial_model(
    settings: NetworkSettings, *, classes: int, crop_px: int
) -> tuple[Any, ModelCard | None]:
    """Build or load the model in float32.

    Parameters
    ----------
    classes : int
        Output channels.

    Returns
    -------
    card : ModelCard or None
        Card of the model that the run starts from.

    Raises
    ------
    ModelError, InputError
        If it cannot be built or loaded, or does not fit the classes.
    """
    if settings.init is None:
        options = ArchitectureOptions(
            architecture=settings.architecture,
            backbone=settings.backbone,
            depth=_depth(settings),
            encoder_units=settings.encoder_units,
            subpixel=settings.subpixel,
            decoder_filters=settings.decoder_filters,
            batch_norm=settings.batch_norm,
            encoder_weights=settings.encoder_weights,
            classes=classes,
            crop_px=crop_px,
        )
        return build_model(options), None
    path = resolve_trained(settings.init)
    model, card = load_trained(path)
    found = model.output_shape[-1]
    if found != classes:
        raise InputError(
            f"{path}: gives {found} classes ({', '.join(card.classes)}), but the data has "
            f"{classes}. Start from a model with the same classes, or without --init."
        )
    logger.info("starting from %s %s (%s)", card.name, card.version, path.name)
    return model, card
