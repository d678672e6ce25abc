"""CANet: receptive field of its context, chained flows, any tile size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="needs the train extra")

from roadgis.train.architectures import (
    ArchitectureOptions,
    build_model,
    model_stride,
    receptive_margin,
)
from roadgis.train.architectures.canet import aggregate_context
from roadgis.train.framework import import_keras, upsample_bilinear

# TensorFlow's variables under NumPy 2.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword"
)


@pytest.fixture(scope="module")
def model() -> Any:
    return build_model(ArchitectureOptions(architecture="canet", decoder_filters=(16, 8, 4)))


@pytest.fixture(scope="module")
def context() -> Any:
    keras = import_keras()
    features = keras.Input((None, None, 4))
    return keras.Model(features, aggregate_context(features, norm=False))


def parents(model: Any, name: str) -> set[str]:
    tensors = model.get_layer(name).input
    tensors = tensors if isinstance(tensors, list) else [tensors]
    return {tensor._keras_history.operation.name for tensor in tensors}


def test_canet_flows_are_chained(model: Any) -> None:
    features = "context_input_relu"
    assert parents(model, "context_flow3_input") == {features, "context_global_conv"}
    assert parents(model, "context_flow5_input") == {features, "context_flow3_gated"}
    assert parents(model, "context_flow7_input") == {features, "context_flow5_gated"}
    flows = {"context_flow3_gated", "context_flow5_gated", "context_flow7_gated"}
    assert parents(model, "context_sum") == flows
    assert parents(model, "context_sum_global") == {"context_sum", "context_global_conv"}


@pytest.mark.parametrize(("scale", "reach"), [(3, 1 + 2 * 3), (5, 2 + 2 * 5), (7, 3 + 2 * 7)])
def test_canet_flow_reach_follows_its_scale(context: Any, scale: int, reach: int) -> None:
    keras = import_keras()
    flow = keras.Model(
        context.get_layer(f"context_flow{scale}_mean").input,
        context.get_layer(f"context_flow{scale}b_relu").output,
    )
    for layer in flow.layers:
        layer.set_weights(
            [np.ones_like(w) if w.ndim == 4 else np.zeros_like(w) for w in layer.get_weights()]
        )
    image = np.zeros((1, 3, 61, 4), np.float32)
    image[0, 1, 30] = 1
    seen = np.flatnonzero(np.asarray(flow(image)).max(axis=(0, 1, 3)))
    assert (seen[0], seen[-1]) == (30 - reach, 30 + reach)


def test_canet_context_keeps_the_size(context: Any) -> None:
    for height, width in ((1, 1), (2, 5), (13, 8)):
        assert context(np.ones((1, height, width, 4), np.float32)).shape == (1, height, width, 4)


def test_canet_accepts_multiples_of_the_stride(model: Any) -> None:
    assert model_stride(model) == 16
    for height, width in ((16, 16), (48, 80)):
        found = np.asarray(model(np.zeros((1, height, width, 3), np.float32)))
        assert found.shape == (1, height, width, 1)


def test_canet_sees_the_whole_tile(model: Any) -> None:
    assert receptive_margin(model, 16, limit_px=64) is None


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
def test_upsample_bilinear_equals_resize(factor: int) -> None:
    keras = import_keras()
    features = keras.Input((None, None, 2))
    upsample = keras.Model(features, upsample_bilinear(features, factor, "up"))
    image = np.random.default_rng(0).normal(size=(2, 3, 5, 2)).astype(np.float32)
    wanted = keras.ops.image.resize(image, (3 * factor, 5 * factor), interpolation="bilinear")
    np.testing.assert_allclose(np.asarray(upsample(image)), np.asarray(wanted), atol=1e-5)


@pytest.mark.parametrize("architecture", ["canet", "fpn"])
def test_canet_graph_accepts_any_size(architecture: str) -> None:
    import tensorflow

    filters = (16, 8, 4) if architecture == "canet" else (16, 8)
    model = build_model(ArchitectureOptions(architecture=architecture, decoder_filters=filters))
    signature = tensorflow.TensorSpec((None, None, None, 3), tensorflow.float32)
    graph = tensorflow.function(model, input_signature=[signature])
    image = np.random.default_rng(0).normal(size=(1, 64, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(np.asarray(graph(image)), np.asarray(model(image)), atol=1e-5)


def test_canet_of_depth_5_has_stride_32() -> None:
    options = ArchitectureOptions(
        architecture="canet", backbone="mobilenetv2", depth=5, decoder_filters=(16, 8, 4)
    )
    deep = build_model(options)
    assert model_stride(deep) == model_stride(options) == 32
    assert np.asarray(deep(np.zeros((1, 64, 32, 3), np.float32))).shape == (1, 64, 32, 1)
