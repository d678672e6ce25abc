"""Tests of quantization: which layers stay in float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from roadgis.train.export.quantize import quantize


def _network(path: Path) -> Path:
    """Write a stem and three blocks, each of a depthwise convolution and one of 1x1."""
    rng = np.random.default_rng(0)
    constants = [
        numpy_helper.from_array(np.float32(0), "low"),
        numpy_helper.from_array(np.float32(6), "high"),
    ]
    nodes: list[Any] = [helper.make_node("Transpose", ["image"], ["x"], perm=[0, 3, 1, 2])]

    def convolution(name: str, source: str, shape: tuple[int, ...], groups: int = 1) -> str:
        values = rng.normal(size=shape).astype(np.float32)
        constants.append(numpy_helper.from_array(values, f"{name}_weights"))
        padding = [shape[-1] // 2] * 4
        inputs, output = [source, f"{name}_weights"], f"{name}_output"
        nodes.append(helper.make_node("Conv", inputs, [output], name, group=groups, pads=padding))
        return output

    x = convolution("stem", "x", (4, 3, 3, 3))
    for block in range(3):
        x = convolution(f"depthwise{block}", x, (4, 1, 3, 3), 4)
        nodes.append(helper.make_node("Clip", [x, "low", "high"], [f"clipped{block}"]))
        x = convolution(f"project{block}", f"clipped{block}", (4, 4, 1, 1))
    nodes.append(helper.make_node("Sigmoid", [x], ["road"]))
    graph = helper.make_graph(
        nodes,
        "blocks",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [None, None, None, 3])],
        [helper.make_tensor_value_info("road", TensorProto.FLOAT, [None, 4, None, None])],
        constants,
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), str(path))
    return path


def test_quantize_keeps_the_first_two_depthwise_blocks_in_float32(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    crops = [rng.random((1, 16, 16, 3), np.float32) for _ in range(2)]
    quantize(_network(tmp_path / "whole.onnx"), crops, tmp_path / "int8.onnx")
    graph = onnx.load(str(tmp_path / "int8.onnx")).graph
    whole = {tensor.name for tensor in graph.initializer if tensor.data_type == 1}
    kept = [node.name for node in graph.node if node.op_type == "Conv" and node.input[1] in whole]
    assert kept == ["depthwise0", "project0", "depthwise1", "project1"]
