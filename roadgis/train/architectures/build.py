"""Build a Keras model from settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from roadgis.errors import InputError
from roadgis.train.architectures.canet import build_canet
from roadgis.train.architectures.decoders import build_segmentation_model
from roadgis.train.architectures.encoders import copy_weights_by_name
from roadgis.train.architectures.options import ArchitectureOptions
from roadgis.train.architectures.states import encoder_layers
from roadgis.train.framework import import_keras, load_keras_model


def build_model(options: ArchitectureOptions | None = None) -> Any:
    """Build a model.

    Parameters
    ----------
    options : ArchitectureOptions, optional
        Default: a U-Net on ResNet-18.

    Returns
    -------
    keras.Model
        Input (N, H, W, bands) float32, H and W multiples of
        :func:`~roadgis.train.architectures.model_stride`, or exactly
        :func:`~roadgis.train.architectures.fixed_tile` if that is a number; output (N, H, W,
        classes) float32 probabilities. The last layer is the activation, float32 under any
        precision policy: sigmoid for one class, else softmax. It loads with
        ``keras.models.load_model`` alone.

    Raises
    ------
    InputError, ModelError
        If the encoder weights do not exist or do not fit.
    ReadError
        If they cannot be downloaded.
    """
    settings = options or ArchitectureOptions()
    if settings.architecture == "plain-unet":
        model = _plain_unet(settings)
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


def _plain_unet(options: ArchitectureOptions) -> Any:
    """Build the plain U-Net: two convolutions at each resolution, pooling down, transposed up.

    Unlike arXiv 1505.04597, convolutions are padded (the output has the size of the image), may be
    followed by batch normalization, and there is no dropout at the bottom. Layers of the
    contracting path are named ``encoder_...``.
    """
    keras = import_keras()
    layers = keras.layers
    *widths, bottom = options.filters
    x = image = keras.Input((None, None, options.bands), name="image")
    skips = []
    for stage, width in enumerate(widths, start=1):
        x = _convolutions(x, width, f"encoder_stage{stage}", options.batch_norm)
        skips.append(x)
        x = layers.MaxPooling2D(2, name=f"encoder_stage{stage}_pool")(x)
    x = _convolutions(x, bottom, f"encoder_stage{len(widths) + 1}", options.batch_norm)
    for stage, width, skip in _upwards(widths, skips):
        name = f"decoder_stage{stage}"
        x = layers.Conv2DTranspose(
            width, 2, strides=2, kernel_initializer="he_normal", name=f"{name}_up"
        )(x)
        x = layers.Concatenate(name=f"{name}_concat")([skip, x])
        x = _convolutions(x, width, name, options.batch_norm)
    x = layers.Conv2D(options.classes, 1, name="final_conv")(x)
    x = layers.Activation(options.activation, dtype="float32", name=options.activation)(x)
    return keras.Model(image, x)


def _upwards(widths: Sequence[int], skips: Sequence[Any]) -> Any:
    stages = range(1, len(widths) + 1)
    return reversed(list(zip(stages, widths, skips, strict=True)))


def _convolutions(x: Any, width: int, name: str, batch_norm: bool) -> Any:
    """Two 3 by 3 convolutions with ReLU."""
    layers = import_keras().layers
    for part in "ab":
        x = layers.Conv2D(
            width,
            3,
            padding="same",
            use_bias=not batch_norm,
            kernel_initializer="he_normal",
            name=f"{name}{part}_conv",
        )(x)
        if batch_norm:
            x = layers.BatchNormalization(name=f"{name}{part}_bn")(x)
        x = layers.Activation("relu", name=f"{name}{part}_relu")(x)
    return x
