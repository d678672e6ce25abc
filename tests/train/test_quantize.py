"""Rounding of weights to 8 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from roadgis.arrays import Floats, Singles
from roadgis.model.onnx_file import open_session
from roadgis.train.export.quantize import quantize
from roadgis.train.export.weight_rounding import LEVELS, round_weights, rounded

# An edge filter: zero on even surfaces. Rounded to nearest, its levels sum to -2.
EDGES = np.array([[64, -15.7, -15.7], [-15.7, 7.8, -15.7], [7.8, -15.7, -1.1]]) / LEVELS


def nearest(weights: Floats) -> Floats:
    scale = np.abs(weights).max(axis=1, keepdims=True) / LEVELS
    return np.round(weights / scale) * scale


def mean_error(weights: Floats, exact: Floats, moments: Floats) -> Floats:
    difference = weights - exact
    return np.einsum("ci,ij,cj->c", difference, moments, difference)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 12))
def test_rounded_weights_are_levels_and_no_worse_than_the_nearest(
    seed: int, channels: int, size: int
) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(channels, size))
    inputs = rng.normal(size=(30, size)) + rng.normal() * 3
    moments = inputs.T @ inputs / 30
    found = rounded(weights, moments)
    scale = np.abs(weights).max(axis=1, keepdims=True) / LEVELS
    np.testing.assert_allclose(found / scale, np.round(found / scale), atol=1e-6)
    assert (np.abs(found - weights) <= scale * (1 + 1e-6)).all()
    errors = mean_error(found, weights, moments)
    assert (errors <= mean_error(nearest(weights), weights, moments) * (1 + 1e-9)).all()


def test_rounded_channels_may_have_inputs_of_their_own() -> None:
    rng = np.random.default_rng(3)
    weights = rng.normal(size=(2, 9))
    inputs = rng.normal(size=(2, 50, 9)) + 2
    moments = inputs.swapaxes(1, 2) @ inputs
    together = rounded(weights, moments)
    for channel in range(2):
        alone = rounded(weights[channel : channel + 1], moments[channel])
        np.testing.assert_array_equal(together[channel : channel + 1], alone)


def _edge_network(path: Path) -> Path:
    """Write a network of a depthwise edge filter with stride 2 and a pointwise sum."""
    kernel = np.tile((EDGES - EDGES.mean()).astype(np.float32), (3, 1, 1, 1))
    constants = [
        numpy_helper.from_array(kernel, "edges"),
        numpy_helper.from_array(np.full((1, 3, 1, 1), 0.5, np.float32), "sum"),
    ]
    nodes = [
        helper.make_node("Transpose", ["image"], ["x"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["x", "edges"], ["y"], "depthwise", group=3, strides=[2, 2]),
        helper.make_node("Conv", ["y", "sum"], ["road"], "pointwise"),
    ]
    graph = helper.make_graph(
        nodes,
        "edges",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [None, None, None, 3])],
        [helper.make_tensor_value_info("road", TensorProto.FLOAT, [None, 1, None, None])],
        constants,
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), str(path))
    return path


def _bright_crops() -> list[Singles]:
    rng = np.random.default_rng(1)
    return [rng.normal(20, 0.5, (1, 32, 32, 3)).astype(np.float32) for _ in range(4)]


def test_round_weights_keeps_even_surfaces_without_edges(tmp_path: Path) -> None:
    whole = _edge_network(tmp_path / "whole.onnx")
    round_weights(whole, _bright_crops(), tmp_path / "rounded.onnx")
    even = np.full((1, 9, 9, 3), 20, np.float32)
    kernel = (EDGES - EDGES.mean()).reshape(1, 9)
    plain = abs(float(nearest(kernel).sum())) * 20 * 1.5
    answer = open_session(tmp_path / "rounded.onnx").run(None, {"image": even})[0]
    assert plain > 0.4
    assert np.abs(answer).max() < plain / 4


def test_quantize_changes_no_rounded_weight(tmp_path: Path) -> None:
    whole = _edge_network(tmp_path / "whole.onnx")
    round_weights(whole, _bright_crops(), tmp_path / "rounded.onnx")
    quantize(whole, _bright_crops(), tmp_path / "int8.onnx")
    tensors = {t.name: t for t in onnx.load(str(tmp_path / "int8.onnx")).graph.initializer}
    levels = numpy_helper.to_array(tensors["edges_quantized"])
    known = {t.name: t for t in onnx.load(str(tmp_path / "rounded.onnx")).graph.initializer}
    weights = numpy_helper.to_array(known["edges"])
    scale = np.abs(weights).max(axis=(1, 2, 3), keepdims=True) / LEVELS
    np.testing.assert_array_equal(levels, np.round(weights / scale).astype(np.int8))
