"""Small models for tests: local models with exact arithmetic.

Images have grey roads, :data:`ROAD`, on green ground, :data:`GROUND`. All sums are of
integers that float32 holds exactly, and nothing but ``Clip`` follows, so the output does not depend
on how a scene is tiled, as long as tiles start on multiples of the stride and their margin is
cropped.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from roadgis.model.card import CARD_KEY, ModelCard
from tests.factories.roads import GROUND, ROAD

__all__ = [
    "GROUND",
    "MAGENTA",
    "ROAD",
    "failing_model",
    "foreign_model",
    "save_model",
    "tiny_card",
    "tiny_model",
]

#: One pixel of this colour makes :func:`failing_model` fail.
MAGENTA = (255, 0, 255)

_BOX_PX = 5


def tiny_card(
    *, gsd_m: float = 1.0, stride: int = 4, margin_px: int | None = None, **fields: Any
) -> ModelCard:
    """Return the card of :func:`tiny_model`."""
    reach = max(_BOX_PX // 2, stride - 1)
    values: dict[str, Any] = {
        "name": "tiny",
        "version": "1",
        "std": (1 / 255,) * 3,  # so that the model gets the integers 0..255
        "gsd_m": gsd_m,
        "stride": stride,
        "margin_px": -(-reach // stride) * stride if margin_px is None else margin_px,
        "training_data": "none: made in code",
        "licence": "MIT",
    }
    return ModelCard(**(values | fields))


def tiny_model(
    path: Path,
    *,
    gsd_m: float = 1.0,
    stride: int = 4,
    margin_px: int | None = None,
    card: bool = True,
    **fields: Any,
) -> Path:
    """Write a local road model and return its path.

    A straight road at least 5 px wide along rows or columns has a probability of at least 0.5 on
    exactly its own pixels; it falls from 1 to 0 within 2 px of the edge. The slope depends slightly
    on the mean over the cell of the stride grid, so tiles off that grid give other values.

    Parameters
    ----------
    path : Path
        The ``.onnx`` file to write.
    gsd_m, stride, margin_px
        Values of the card; stride: a power of two up to 16; default margin: the receptive field.
    card : bool
        False leaves the card out.
    **fields
        Other fields of the card.
    """
    save_model(
        path,
        [*_contrast(), *_probability(stride), *_to_output("probability")],
        tiny_card(gsd_m=gsd_m, stride=stride, margin_px=margin_px, **fields) if card else None,
    )
    return path


def failing_model(
    path: Path, kind: Literal["error", "nan", "shape", "range"] = "error", **fields: Any
) -> Path:
    """Write a model like :func:`tiny_model` that fails, and return its path.

    Parameters
    ----------
    path : Path
        The ``.onnx`` file to write.
    kind : {"error", "nan", "shape", "range"}
        "error": an operation fails on tiles with a :data:`MAGENTA` pixel. "nan": the output for
        such tiles is NaN. "shape": the output is always too small. "range": the output is never
        between 0 and 1.
    **fields
        Fields of the card.
    """
    tail: list[Any]
    if kind in ("error", "nan"):
        tail = [
            # 1 if there is a magenta pixel (contrast 510), else 0.
            helper.make_node("ReduceMax", ["contrast"], ["highest"], keepdims=0),
            _constant("limit", np.float32(500)),
            helper.make_node("Greater", ["highest", "limit"], ["is_magenta"]),
            *(_gather_out_of_bounds() if kind == "error" else _zero_by_zero()),
            helper.make_node("Mul", ["probability", "one"], ["result"]),
        ]
    elif kind == "shape":
        tail = [
            helper.make_node(
                "MaxPool", ["probability"], ["result"], kernel_shape=[2, 2], strides=[2, 2]
            )
        ]
    else:
        tail = [
            _constant("nine", np.float32(9)),
            helper.make_node("Sub", ["probability", "nine"], ["result"]),
        ]
    card = tiny_card(**fields)
    save_model(path, [*_contrast(), *_probability(card.stride), *tail, *_to_output("result")], card)
    return path


def foreign_model(
    path: Path,
    head: Literal["logits", "sigmoid", "softmax", "two logits", "argmax"] = "logits",
    *,
    layout: Literal["NCHW", "NHWC"] = "NCHW",
    sides: Sequence[Any] = ("H", "W"),
    batch: Any = "N",
    dtype: Literal["float", "float16", "uint8"] = "float",
    mean: float = 0.0,
    std: float = 1.0,
    stride: int = 1,
    metadata: Mapping[str, Any] | None = None,
) -> Path:
    """Write a road model without a card, as another program would, and return its path.

    Its probability is above 0.99 on :data:`ROAD` and below 0.01 on :data:`GROUND`, pixel by pixel.

    Parameters
    ----------
    path : Path
        The ``.onnx`` file to write.
    head : {"logits", "sigmoid", "softmax", "two logits", "argmax"}
        Output: one channel without and with activation; the channels ground and road with softmax
        and without; a uint8 map (N, H, W) of 0 and 1.
    layout : {"NCHW", "NHWC"}
        Layout of input and output.
    sides, batch
        Input size: numbers, or names if free.
    dtype : {"float", "float16", "uint8"}
        Type of the input.
    mean, std : float
        Expected scaling of the input; ignored for uint8.
    stride : int
        Sides must be multiples of this.
    metadata : mapping, optional
        Written as JSON.
    """
    kind = {"float": "FLOAT", "float16": "FLOAT16", "uint8": "UINT8"}[dtype]
    gain, shift = (1.0, 0.0) if dtype == "uint8" else (255 * std, 255 * mean)
    nodes = [helper.make_node("Cast", ["picture"], ["image"], to=TensorProto.FLOAT)]
    if layout == "NCHW":
        nodes = [
            *nodes[:1],
            helper.make_node("Transpose", ["image"], ["rows_first"], perm=[0, 2, 3, 1]),
        ]
        nodes += [_renamed(node, "image", "rows_first") for node in _contrast()]
    else:
        nodes += _contrast()
    nodes += [
        _constant("gain", np.float32(gain / 8)),
        helper.make_node("Mul", ["contrast", "gain"], ["grey"]),
        _constant("shift", np.float32((shift - 60) / 8)),
        helper.make_node("Add", ["grey", "shift"], ["evidence"]),
        *_on_the_stride(stride),
        *_head(head, layout),
    ]
    shape = [batch, 3, *sides] if layout == "NCHW" else [batch, *sides, 3]
    output = TensorProto.UINT8 if head == "argmax" else TensorProto.FLOAT
    axes = ["n", "h", "w"] if head == "argmax" else ["n", "a", "b", "c"]
    graph = helper.make_graph(
        nodes,
        "foreign",
        [helper.make_tensor_value_info("picture", getattr(TensorProto, kind), shape)],
        [helper.make_tensor_value_info("mask", output, axes)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    for key, value in (metadata or {}).items():
        model.metadata_props.add(key=key, value=json.dumps(value))
    path.write_bytes(model.SerializeToString())
    return path


def _renamed(node: Any, old: str, new: str) -> Any:
    node.input[:] = [new if name == old else name for name in node.input]
    return node


def _on_the_stride(stride: int) -> list[Any]:
    """Return zero times the mean over cells, which needs complete cells."""
    if stride == 1:
        return [helper.make_node("Identity", ["evidence"], ["logits"])]
    side = [stride, stride]
    return [
        helper.make_node("AveragePool", ["evidence"], ["means"], kernel_shape=side, strides=side),
        _constant("factors", np.array([1, 1, *side], np.float32)),
        helper.make_node("Resize", ["means", "", "factors"], ["spread"], mode="nearest"),
        _constant("nothing", np.float32(0)),
        helper.make_node("Mul", ["spread", "nothing"], ["zeros"]),
        helper.make_node("Add", ["evidence", "zeros"], ["logits"]),
    ]


def _head(head: str, layout: str) -> list[Any]:
    if head in ("logits", "sigmoid"):
        kind = "Identity" if head == "logits" else "Sigmoid"
        nodes = [helper.make_node(kind, ["logits"], ["planes_out"])]
    else:
        nodes = [
            helper.make_node("Neg", ["logits"], ["against"]),
            helper.make_node("Concat", ["against", "logits"], ["both"], axis=1),
        ]
        if head == "argmax":
            return [
                *nodes,
                helper.make_node("ArgMax", ["both"], ["best"], axis=1, keepdims=0),
                helper.make_node("Cast", ["best"], ["mask"], to=TensorProto.UINT8),
            ]
        kind = "Identity" if head == "two logits" else "Softmax"
        axis = {} if head == "two logits" else {"axis": 1}
        nodes.append(helper.make_node(kind, ["both"], ["planes_out"], **axis))
    last = (
        helper.make_node("Identity", ["planes_out"], ["mask"])
        if layout == "NCHW"
        else helper.make_node("Transpose", ["planes_out"], ["mask"], perm=[0, 2, 3, 1])
    )
    return [*nodes, last]


def _gather_out_of_bounds() -> list[Any]:
    return [
        helper.make_node("Cast", ["is_magenta"], ["index"], to=TensorProto.INT64),
        _constant("ones", np.ones(1, np.float32)),
        helper.make_node("Gather", ["ones", "index"], ["one"]),
    ]


def _zero_by_zero() -> list[Any]:
    return [
        helper.make_node("Not", ["is_magenta"], ["is_fine"]),
        helper.make_node("Cast", ["is_fine"], ["fine"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["fine", "fine"], ["one"]),
    ]


def _constant(name: str, value: Any) -> Any:
    tensor = numpy_helper.from_array(np.asarray(value), name)
    return helper.make_node("Constant", [], [name], value=tensor)


def _contrast() -> list[Any]:
    """Return red - green + blue, (N, 1, H, W): 120 on roads, 0 on ground."""
    return [
        helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2]),
        _constant("colours", np.array([1, -1, 1], np.float32).reshape(1, 3, 1, 1)),
        helper.make_node("Conv", ["planes", "colours"], ["contrast"]),
    ]


def _probability(stride: int) -> list[Any]:
    """Return a ramp of the mean over a box, and a little of the mean over the stride's cell."""
    shift = 13 + 2 * int(math.log2(stride))
    half = _BOX_PX // 2
    area, cell = _BOX_PX**2, stride**2
    return [
        _constant("box_sum", np.full((1, 1, _BOX_PX, _BOX_PX), 8 * cell, np.float32)),
        helper.make_node("Conv", ["contrast", "box_sum"], ["box"], pads=[half] * 4),
        _constant("cell_sum", np.full((1, 1, stride, stride), area, np.float32)),
        helper.make_node("Conv", ["contrast", "cell_sum"], ["cell"], strides=[stride] * 2),
        _constant("factors", np.array([1, 1, stride, stride], np.float32)),
        helper.make_node(
            "Resize",
            ["cell", "", "factors"],
            ["cells"],
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        ),
        helper.make_node("Add", ["box", "cells"], ["evidence"]),
        # Half of the pixels are road: the value is 0.5.
        _constant("middle", np.float32(60 * area * cell * 9)),
        helper.make_node("Sub", ["evidence", "middle"], ["above"]),
        _constant("slope", np.float32(2.0**-shift)),
        helper.make_node("Mul", ["above", "slope"], ["ramp"]),
        _constant("offset", np.float32(0.5)),
        helper.make_node("Add", ["ramp", "offset"], ["raised"]),
        _constant("low", np.float32(0)),
        _constant("high", np.float32(1)),
        helper.make_node("Clip", ["raised", "low", "high"], ["probability"]),
    ]


def _to_output(name: str) -> list[Any]:
    return [helper.make_node("Transpose", [name], ["road"], perm=[0, 2, 3, 1])]


def noise(height: int, width: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Return random pixels (1, height, width, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (1, height, width, 3), np.uint8)


def save_model(
    path: Path,
    nodes: Sequence[Any],
    card: ModelCard | None,
    *,
    inputs: Sequence[Any] = ("N", "H", "W", 3),
) -> None:
    """Write an ONNX file of nodes from "image" to "road", with its card."""
    graph = helper.make_graph(
        list(nodes),
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, list(inputs))],
        [helper.make_tensor_value_info("road", TensorProto.FLOAT, ["n", "h", "w", "c"])],
    )
    # Supported by every ONNX Runtime in use.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    if card is not None:
        model.metadata_props.add(key=CARD_KEY, value=card.to_json())
    path.write_bytes(model.SerializeToString())
