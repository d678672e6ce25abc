"""Detect the input and output of an unknown model from its shapes and by test runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from roadgis.errors import ModelError
from roadgis.model.card import ModelCard
from roadgis.model.layout import Scaling, network_input
from roadgis.model.onnx_fields import last_operation
from roadgis.model.onnx_file import onnxruntime_errors
from roadgis.options.model import MOST_PX, Activation, Layout

#: Types of input that are supported.
INPUT_TYPES: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}
# An axis longer than this is a height or width, not the bands.
_MOST_BANDS = 16
# More bands than any spectrometer in use has.
_LIKELY_BANDS = 1000
#: Strides to try if any size is accepted. Models with a smaller stride accept these too.
_STRIDES = (32, 48, 64, 96, 128)
# Odd, so that a size is not a multiple of twice the stride.
_CELLS = 7
_PROBABILITY_TYPES = frozenset({"Sigmoid", "HardSigmoid", "Softmax"})
_LOGIT_TYPES = frozenset({"Conv", "ConvTranspose", "BatchNormalization"})


@dataclass(frozen=True)
class Signature:
    """Input of a model.

    Attributes
    ----------
    name : str
        Name of the input tensor.
    dtype : numpy type
        Type of the input tensor.
    layout : {"NHWC", "NCHW"} or None
        None if the shape is ambiguous.
    bands : int
        Input channels; 3 if the shape does not fix them.
    tile_px : int or None
        Side of the images, if the shape fixes it.
    """

    name: str
    dtype: Any
    layout: Layout | None
    bands: int
    tile_px: int | None


@dataclass(frozen=True)
class Answer:
    """Output of a model for a test image.

    Attributes
    ----------
    stride : int
        The test image's side is an odd multiple of it; 1 if only one side is accepted.
    layout : {"NHWC", "NCHW"}
        Axis order of the output.
    channels : int
        Channels of the output.
    is_class_map : bool
        True if the values are class numbers.
    low, high : float
        Range of the values.
    """

    stride: int
    layout: Layout
    channels: int
    is_class_map: bool
    low: float
    high: float


def read_signature(session: Any, path: Path, layout: Layout | None) -> Signature:
    """Return the input of the model of an open onnxruntime.InferenceSession.

    Parameters
    ----------
    layout : {"NHWC", "NCHW"} or None
        Axis order given by the user.

    Raises
    ------
    ModelError
        If the model does not turn one image into one map.
    """
    inputs, outputs = session.get_inputs(), session.get_outputs()
    shapes = ", ".join(f"{node.name} {node.type} {node.shape}" for node in (*inputs, *outputs))
    if len(inputs) != 1 or len(outputs) != 1 or inputs[0].type not in INPUT_TYPES:
        raise ModelError(
            f"{path}: found the inputs and outputs {shapes}; expected one image (float or uint8) "
            "and one map of probabilities or classes. Export the model without other outputs."
        )
    shape = inputs[0].shape
    if len(shape) != 4 or (isinstance(shape[0], int) and shape[0] > 1):
        raise ModelError(
            f"{path}: found an input of shape {shape}; expected four axes, with one image at a "
            "time or any number. Export the model with a batch of 1."
        )
    layout = layout or _layout(shape)
    axis = 1 if layout == "NCHW" else 3
    bands = shape[axis] if layout is not None and isinstance(shape[axis], int) else 3
    sides = shape[2:] if layout == "NCHW" else shape[1:3]
    fixed = {side for side in sides if isinstance(side, int)}
    if layout is not None and len(fixed) > 1:
        raise ModelError(
            f"{path}: the model takes only images of {shape}; expected squares, or any size. "
            "Export the model again for square images."
        )
    tile_px = int(fixed.pop()) if layout is not None and fixed else None
    if not 1 <= bands <= _LIKELY_BANDS or not 1 <= (tile_px or 1) <= MOST_PX:
        raise ModelError(
            f"{path}: found an input of shape {shape}; expected 1 to {_LIKELY_BANDS} bands, and "
            f"sides of up to {MOST_PX} px. The file is damaged, or is not a segmentation model."
        )
    return Signature(inputs[0].name, INPUT_TYPES[inputs[0].type], layout, bands, tile_px)


def _layout(shape: list[Any]) -> Layout | None:
    def is_bands(size: Any) -> bool:
        return isinstance(size, int) and size <= _MOST_BANDS

    second, last = is_bands(shape[1]), is_bands(shape[3])
    if second == last:
        return None
    return "NCHW" if second else "NHWC"


def try_out(
    session: Any, path: Path, signature: Signature, card: ModelCard, tile_px: int | None
) -> Answer:
    """Run the model of an open onnxruntime.InferenceSession on a test image.

    Parameters
    ----------
    signature : Signature
        With a layout.
    card : ModelCard
        Scaling and layout of the input; the stride is 1.
    tile_px : int or None
        The only side to try. By default odd multiples of several strides are tried until one
        works.

    Raises
    ------
    ModelError
        If the model fails on all sizes, or its output is not a map of the image's size.
    """
    sides = [(1, tile_px)] if tile_px else [(stride, _CELLS * stride) for stride in _STRIDES]
    said = ""
    for stride, side in sides:
        image = network_input(_test_image(side, signature.bands), Scaling(card), card)
        feed = {signature.name: image.astype(signature.dtype)}
        try:
            output = session.run(None, feed)[0]
        except onnxruntime_errors() as error:
            said = said or str(error).strip().splitlines()[0]
            continue
        answer = _answer(output, stride, side)
        if answer is not None:
            return answer
        said = said or f"an output of shape {output.shape} for {side} x {side} px"
    sizes = ", ".join(f"{side} x {side}" for _, side in sides)
    raise ModelError(
        f"{path}: tried images of {sizes} px with {signature.bands} bands, "
        f"{card.input_layout}, and found {said}; expected a map of the image's size. Name the "
        "size of its input with --model-tile-px, or export it with an output of the input's size."
    )


def _test_image(side: int, bands: int) -> npt.NDArray[np.uint8]:
    """Return patches of all brightnesses with noise, (1, side, side, bands)."""
    rng = np.random.default_rng(0)
    cells = -(-side // 16)
    patches = rng.integers(0, 256, (cells, cells, bands)).repeat(16, 0).repeat(16, 1)
    noise = rng.integers(-30, 31, (side, side, bands))
    values = np.clip(patches[:side, :side] + noise, 0, 255)
    return np.asarray(values[None], np.uint8)


def _answer(output: Any, stride: int, side: int) -> Answer | None:
    shape = output.shape
    layout: Layout
    if shape == (1, side, side):
        layout, channels = "NHWC", 1
    elif len(shape) == 4 and shape[:3] == (1, side, side):
        layout, channels = "NHWC", shape[3]
    elif len(shape) == 4 and shape[0] == 1 and shape[2:] == (side, side):
        layout, channels = "NCHW", shape[1]
    else:
        return None
    is_class_map = output.dtype.kind in "iub"
    if is_class_map and channels != 1:
        return None
    return Answer(stride, layout, channels, is_class_map, float(output.min()), float(output.max()))


def find_activation(path: Path, answer: Answer) -> tuple[Activation, str]:
    """Return the activation to apply to a model's output, and the reason in words.

    Several channels of logits get a softmax.
    """
    missing: Activation = "sigmoid" if answer.channels == 1 else "softmax"
    if answer.is_class_map:
        return "none", "its output is a map of classes"
    kind = last_operation(path)
    if kind in _PROBABILITY_TYPES:
        return "none", f"its last operation is {kind}"
    if kind in _LOGIT_TYPES:
        return missing, f"its last operation is {kind}"
    values = f"its values on a test image were {answer.low:.3g} to {answer.high:.3g}"
    if answer.low < 0 or answer.high > 1:
        return missing, values
    return "none", values
