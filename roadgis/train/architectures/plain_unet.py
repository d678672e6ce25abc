"""The U-Net of Ronneberger, Fischer and Brox (2015), with same padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from roadgis.train.architectures.options import ArchitectureOptions
from roadgis.train.framework import import_keras

__all__ = ["build_plain_unet"]


def build_plain_unet(options: ArchitectureOptions) -> Any:
    """Build the plain U-Net: two convolutions at each resolution, pooling down, transposed up.

    Differs from arXiv 1505.04597 in that the convolutions pad, so that the answer has the size of
    the image, in the batch normalization that may follow them, and in leaving out the dropout at
    the bottom. The contracting path's layers are named ``encoder_...``.
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
