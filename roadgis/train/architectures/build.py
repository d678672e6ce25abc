"""From settings to a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from roadgis.errors import InputError
from roadgis.train.architectures.canet import build_canet
from roadgis.train.architectures.decoders import build_segmentation_model
from roadgis.train.architectures.encoders import copy_weights_by_name, load_keras_model
from roadgis.train.architectures.options import ArchitectureOptions
from roadgis.train.architectures.plain_unet import build_plain_unet
from roadgis.train.architectures.states import encoder_layers

__all__ = ["build_model", "build_unet"]

# Encoders without whole-tile averaging, whose answer depends on a pixel's surroundings only.
_LOCAL_BACKBONES = ("resnet18", "resnet34")


def build_model(options: ArchitectureOptions | None = None) -> Any:
    """Build a network.

    Parameters
    ----------
    options : ArchitectureOptions, optional
        Which one; the defaults are a U-Net on ResNet-18.

    Returns
    -------
    keras.Model
        Input (N, H, W, bands) float32, H and W multiples of
        :func:`~roadgis.train.architectures.model_stride`, or exactly
        :func:`~roadgis.train.architectures.fixed_tile` where that is a number; output
        (N, H, W, classes) float32 probabilities. Its last layer is the activation alone, float32
        under any precision policy: sigmoid for one class, else softmax. It loads with
        ``keras.models.load_model`` alone.

    Raises
    ------
    InputError, ModelError
        If the encoder weights do not exist or fit.
    ReadError
        If they cannot be downloaded.
    MissingExtraError
        If the ``train`` extra is not installed.
    """
    settings = options or ArchitectureOptions()
    if settings.architecture == "plain-unet":
        model = build_plain_unet(settings)
        _load_plain_encoder(model, settings.encoder_weights)
    elif settings.architecture == "canet":
        model = build_canet(settings)
    else:
        model = build_segmentation_model(settings)
    backbone = "" if settings.architecture == "plain-unet" else f"_{settings.backbone}"
    model.name = f"{settings.architecture.replace('-', '_')}{backbone}_s{2**settings.stages}"
    return model


def _load_plain_encoder(model: Any, weights: str | None) -> None:
    if weights is None:
        return
    path = Path(weights)
    if path.suffix != ".keras" or not path.is_file():
        raise InputError(
            f"Found {weights} as the encoder weights of a plain-unet, expected the .keras file of "
            "another plain-unet."
        )
    copy_weights_by_name(load_keras_model(path), encoder_layers(model), path)


def build_unet(
    backbone: str = "resnet18",
    *,
    depth: int = 4,
    decoder_filters: tuple[int, ...] = (128, 64, 32, 16),
    bands: int = 3,
    encoder_weights: str | None = None,
) -> Any:
    """Build segmentation-models' U-Net on a local encoder: :func:`build_model` for road models.

    Parameters
    ----------
    backbone : {"resnet18", "resnet34"}
        An encoder without whole-tile averaging, so that the answer for a pixel depends only
        on its surroundings.
    depth : {3, 4, 5}
        Encoder stages kept; the stride is ``2 ** depth``. Five is the usual U-Net; leaving the
        deepest stage out halves the reach of a pixel, and so the margin that tiles must overlap.
    decoder_filters : tuple of int
        One per decoder block, deepest first; `depth` of them.
    bands : int
        Input channels.
    encoder_weights : str, optional
        See :class:`ArchitectureOptions`.

    Returns
    -------
    keras.Model
        Input (N, H, W, bands) float32, H and W multiples of the stride; output (N, H, W, 1)
        road probability.

    Raises
    ------
    InputError
        If such a network cannot be built.
    """
    if backbone not in _LOCAL_BACKBONES:
        raise InputError(
            f"Found backbone {backbone!r}; expected one of {_LOCAL_BACKBONES}, or build_model."
        )
    return build_model(
        ArchitectureOptions(
            backbone=backbone,
            depth=depth,
            decoder_filters=decoder_filters,
            bands=bands,
            encoder_weights=encoder_weights,
        )
    )
