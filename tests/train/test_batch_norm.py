"""Fused batch normalization: the same numbers as Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="needs the train extra")

import tensorflow as tf

from roadgis.train.architectures import ArchitectureOptions, as_float32, build_model, with_precision
from roadgis.train.batch_norm import fuse_batch_normalization
from roadgis.train.framework import import_keras

# TensorFlow's variables under NumPy 2.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword"
)
keras = import_keras()
IMAGES = np.random.default_rng(1).random((3, 64, 64, 3), np.float32)


def small_model() -> Any:
    keras.utils.set_random_seed(2)
    return build_model(ArchitectureOptions(depth=3, decoder_filters=(8, 8, 8)))


def step(model: Any) -> tuple[Any, list[Any]]:
    """Return the output and the gradients of a training step."""
    with tf.GradientTape() as tape:
        found = model(IMAGES, training=True)
        loss = tf.reduce_mean(tf.square(found - 0.3))
    return np.asarray(found), [np.asarray(g) for g in tape.gradient(loss, model.trainable_weights)]


def operations(model: Any) -> set[str]:
    graph = tf.function(lambda x: model(x, training=True)).get_concrete_function(IMAGES).graph
    return {operation.type for operation in graph.get_operations()}


def test_step_is_the_same_up_to_rounding() -> None:
    plain, fused = small_model(), small_model()
    fuse_batch_normalization(fused)
    assert "FusedBatchNormV3" in operations(fused) - operations(plain)
    plain.set_weights(fused.get_weights())  # the moving means
    for _ in range(2):
        (found, gradients), (wanted, wanted_gradients) = step(fused), step(plain)
        np.testing.assert_allclose(found, wanted, atol=1e-5)
        for one, other in zip(gradients, wanted_gradients, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3 * np.abs(other).max())
    for one, other in zip(fused.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_frozen_layers_keep_their_stored_means() -> None:
    model = small_model()
    model.trainable = False
    fuse_batch_normalization(model)
    before = model.get_weights()
    np.testing.assert_array_equal(model(IMAGES, training=True), model(IMAGES, training=False))
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_half_precision_trains() -> None:
    model = with_precision(small_model(), "mixed_bfloat16")
    fuse_batch_normalization(model)
    found, gradients = step(model)
    assert np.isfinite(found).all()
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_files_and_copies_are_plain_keras(tmp_path: Path) -> None:
    model = small_model()
    fuse_batch_normalization(model)
    step(model)
    model.save(tmp_path / "model.keras")
    for other in (keras.models.load_model(tmp_path / "model.keras"), as_float32(model)):
        assert "FusedBatchNormV3" not in operations(other)
        np.testing.assert_array_equal(other(IMAGES), model(IMAGES))
