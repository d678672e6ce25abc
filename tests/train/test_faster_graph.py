"""Optimizations of exported graphs: outputs are equal bit by bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from roadgis.model.card import ModelCard
from roadgis.model.onnx_file import WINDOW_INPUT, open_session, write_onnx_card
from roadgis.model.runtime import OnnxSegmenter
from roadgis.train.export.decoder_window import add_decoder_window, crop_decoder
from roadgis.train.export.onnx_graph import double_by_copies, fold_scaling
from roadgis.train.export.quantize import feed_bytes
from tests.factories.models import noise, save_model, tiny_card

CARD = tiny_card(stride=4, margin_px=20)


def conv(source: str, name: str, inputs: int, outputs: int, stride: int = 1) -> list[Any]:
    rng = np.random.default_rng(inputs + outputs)
    weights = rng.integers(-2, 3, (outputs, inputs, 3, 3)).astype(np.float32)
    strides = [stride, stride]
    node = helper.make_node(
        "Conv", [source, f"{name}_w"], [name], pads=[1] * 4, strides=strides, kernel_shape=[3, 3]
    )
    return [constant(f"{name}_w", weights), node]


def constant(name: str, value: Any) -> Any:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value, name))


def transposed(source: str, name: str) -> list[Any]:
    """Return a transposed convolution cut to twice the size of its input, as tf2onnx writes it."""
    weights = np.random.default_rng(1).integers(-2, 3, (3, 3, 2, 2)).astype(np.float32)
    return [
        constant(f"{name}_w", weights),
        *(constant(f"{name}_{n}", np.array([n], np.int64)) for n in (2, 4)),
        constant(f"{name}_none", np.array([0, 0], np.int64)),
        constant(f"{name}_axes", np.array([2, 3], np.int64)),
        helper.make_node("Shape", [source], [f"{name}_shape"]),
        helper.make_node("Slice", [f"{name}_shape", f"{name}_2", f"{name}_4"], [f"{name}_half"]),
        helper.make_node("Mul", [f"{name}_half", f"{name}_2"], [f"{name}_size"]),
        helper.make_node("ConvTranspose", [source, f"{name}_w"], [f"{name}_all"], strides=[2, 2]),
        helper.make_node(
            "Slice", [f"{name}_all", f"{name}_none", f"{name}_size", f"{name}_axes"], [name]
        ),
    ]


def doubled(source: str, name: str) -> list[Any]:
    return [helper.make_node("Resize", [source, "", "twice"], [name], mode="nearest")]


def unet(path: Path, *tail: Any, up: Any = doubled) -> Path:
    """Write a U-Net of integers: half, quarter, and back with one skip at each size."""
    nodes = [
        constant("twice", np.array([1, 1, 2, 2], np.float32)),
        constant("low", np.float32(0)),
        constant("high", np.float32(1)),
        constant("small", np.float32(2.0**-20)),
        helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2]),
        *conv("planes", "a", 3, 2),
        *conv("a", "b", 2, 3, stride=2),
        *conv("b", "c", 3, 3, stride=2),
        *up("c", "d"),
        helper.make_node("Concat", ["b", "d"], ["e"], axis=1),
        *conv("e", "f", 6, 2),
        helper.make_node("Resize", ["f", "", "twice"], ["g"], mode="nearest"),
        helper.make_node("Concat", ["a", "g"], ["h"], axis=1),
        *conv("h", "i", 4, 1),
        *tail,
        helper.make_node("Mul", [tail[-1].output[0] if tail else "i", "small"], ["j"]),
        helper.make_node("Clip", ["j", "low", "high"], ["k"]),
        helper.make_node("Transpose", ["k"], ["road"], perm=[0, 2, 3, 1]),
    ]
    return saved(path, nodes, CARD)


def saved(path: Path, nodes: list[Any], card: ModelCard) -> Path:
    """Write a model with its constants as initializers, as exported networks have them."""
    save_model(path, nodes, card)
    model = onnx.load(str(path))
    for node in [node for node in model.graph.node if node.op_type == "Constant"]:
        model.graph.initializer.append(helper.get_attribute_value(node.attribute[0]))
        model.graph.node.remove(node)
    onnx.save(model, str(path))
    return path


@pytest.mark.parametrize(
    ("rows", "cols"),
    [(slice(20, 44), slice(20, 60)), (slice(0, 45), slice(23, 80)), (slice(0, 64), slice(0, 80))],
)
@pytest.mark.parametrize("up", [doubled, transposed])
def test_decoder_window_gives_the_same_part(
    tmp_path: Path, rows: slice, cols: slice, up: Any
) -> None:
    path = unet(tmp_path / "m.onnx", up=up)
    image = noise(64, 80)
    wanted = OnnxSegmenter(path).predict(image)
    assert np.unique(wanted).size > 100
    crop_decoder(path, CARD)
    assert WINDOW_INPUT in [entry.name for entry in onnx.load(str(path)).graph.input]
    cropped = OnnxSegmenter(path)
    found = cropped.predict_part(image, rows, cols)
    np.testing.assert_array_equal(found, wanted[:, rows, cols])
    np.testing.assert_array_equal(cropped.predict(image), wanted)


def test_decoder_window_has_the_margin_that_the_decoder_sees(tmp_path: Path) -> None:
    # One pixel, upsampled to 2, plus 2 for the convolution: 4, a multiple of the stride.
    model = onnx.load(str(unet(tmp_path / "m.onnx")))
    assert add_decoder_window(model, 4) == 4


def test_decoder_window_is_left_out_where_the_decoder_sees_all(tmp_path: Path) -> None:
    mean = helper.make_node("ReduceMean", ["i"], ["mean"], axes=[2, 3])
    path = unet(tmp_path / "m.onnx", mean, helper.make_node("Add", ["i", "mean"], ["sum"]))
    before = path.read_bytes()
    crop_decoder(path, CARD)
    assert path.read_bytes() == before


@pytest.mark.parametrize(("scale", "takes_bytes"), [(1 / 128, True), (1 / 100, False)])
def test_feed_bytes_leaves_out_quantizing_that_gives_the_bytes_back(
    tmp_path: Path, scale: float, takes_bytes: bool
) -> None:
    path = tmp_path / "m.onnx"
    card = tiny_card(mean=(127 / 255,) * 3, std=(128 / 255,) * 3)
    nodes = [
        constant("scale", np.float32(scale)),
        constant("zero", np.uint8(127)),
        helper.make_node("QuantizeLinear", ["image", "scale", "zero"], ["levels"]),
        helper.make_node("DequantizeLinear", ["levels", "scale", "zero"], ["values"]),
        helper.make_node("ReduceMean", ["values"], ["mean"], axes=[3], keepdims=1),
        helper.make_node("Sigmoid", ["mean"], ["road"]),
    ]
    saved(path, nodes, card)
    image = noise(16, 32)
    wanted = OnnxSegmenter(path).predict(image)
    write_onnx_card(path, feed_bytes(path, card), path)
    kind = onnx.load(str(path)).graph.input[0].type.tensor_type.elem_type
    assert (kind == onnx.TensorProto.UINT8) == takes_bytes
    np.testing.assert_array_equal(OnnxSegmenter(path).predict(image), wanted)


def quantized(path: Path, nodes: list[Any], card: ModelCard) -> Path:
    """Write a model of bytes that computes with the levels of one quantization."""
    around = [
        constant("scale", np.float32(1 / 256)),
        constant("zero", np.uint8(0)),
        constant("twice", np.array([1, 1, 2, 2], np.float32)),
        helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("QuantizeLinear", ["planes", "scale", "zero"], ["levels"]),
        helper.make_node("DequantizeLinear", ["levels", "scale", "zero"], ["values"]),
        *nodes,
        helper.make_node("QuantizeLinear", ["doubled", "scale", "zero"], ["more"]),
        helper.make_node("DequantizeLinear", ["more", "scale", "zero"], ["larger"]),
        helper.make_node("Identity", ["larger"], ["road"]),
    ]
    return saved(path, around, card)


def test_double_by_copies_equals_resizing(tmp_path: Path) -> None:
    path, copied = tmp_path / "m.onnx", tmp_path / "copied.onnx"
    resize = helper.make_node(
        "Resize", ["values", "", "twice"], ["doubled"],
        mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor",
    )  # fmt: skip
    model = onnx.load(str(quantized(path, [resize], CARD)))
    model.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("larger", onnx.TensorProto.FLOAT, ["n", 3, "h", "w"])
    )
    onnx.save(model, str(path))
    double_by_copies(model)
    onnx.save(model, str(copied))
    assert "Resize" not in {node.op_type for node in model.graph.node}
    image = np.random.default_rng(1).random((2, 5, 7, 3), np.float32)
    (wanted,) = open_session(path).run(None, {"image": image})
    (found,) = open_session(copied).run(None, {"image": image})
    assert wanted.shape == (2, 3, 10, 14)
    np.testing.assert_array_equal(found, wanted)


def test_double_by_copies_leaves_other_resizing_alone(tmp_path: Path) -> None:
    resize = helper.make_node("Resize", ["values", "", "twice"], ["doubled"], mode="linear")
    model = onnx.load(str(quantized(tmp_path / "m.onnx", [resize], CARD)))
    before = model.SerializeToString()
    double_by_copies(model)
    assert model.SerializeToString() == before


def test_fold_scaling_puts_the_scale_after_a_convolution_into_its_weights() -> None:
    depthwise = np.arange(18, dtype=np.float32).reshape(2, 1, 3, 3)
    scale = np.array([2, -0.5], np.float32).reshape(2, 1, 1, 1)
    shift = np.array([1, 3], np.float32)
    values = {"w": depthwise, "s": scale, "t": shift}
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["a"], group=2, pads=[1] * 4),
        helper.make_node("Conv", ["a", "s", "t"], ["b"], group=2),
        helper.make_node("Relu", ["b"], ["road"]),
    ]
    shape = ["n", 2, "h", "w"]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "m",
            [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("road", onnx.TensorProto.FLOAT, shape)],
            [numpy_helper.from_array(value, name) for name, value in values.items()],
        )
    )
    fold_scaling(model)
    assert [node.op_type for node in model.graph.node] == ["Conv", "Relu"]
    constants = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    _, weights, shifts = model.graph.node[0].input
    np.testing.assert_array_equal(constants[weights], depthwise * scale)
    np.testing.assert_array_equal(constants[shifts], shift)
    onnx.checker.check_model(model)
