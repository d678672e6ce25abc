"""Conversion of a Keras model to float32 ONNX, and a check that both agree."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from roadgis.arrays import Singles
from roadgis.errors import InputError, MissingExtraError, ModelError, how_to_install
from roadgis.model.card import ModelCard
from roadgis.model.layout import Scaling
from roadgis.model.onnx_file import open_session
from roadgis.train.framework import import_keras

_OPSET = 17
#: Largest difference in probability between the exported model and Keras, by rounding.
_PARITY = 1e-3
# Minimum side of the test image.
_PROBE_PX = 96


@contextlib.contextmanager
def quiet_converters() -> Iterator[None]:
    """Silence the output and warnings of Keras, tf2onnx and the quantizer."""
    logging_before = logging.getLogger("tf2onnx").level
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.getLogger("tf2onnx").setLevel(logging_before)


def _import_onnx_graph() -> ModuleType:
    try:
        with quiet_converters():
            import tf2onnx  # noqa: F401

            import roadgis.train.export.onnx_graph as onnx_graph
    except ImportError as error:
        raise MissingExtraError(
            f"Export needs onnx and tf2onnx, which are not installed ({error}). "
            f"{how_to_install('train')}"
        ) from error
    return onnx_graph


def check_backend() -> None:
    """Raise InputError if Keras does not run on tensorflow."""
    backend = import_keras().config.backend()
    if backend != "tensorflow":
        raise InputError(
            f"Export needs Keras on tensorflow, and it runs on {backend}. Set "
            "KERAS_BACKEND=tensorflow and try again."
        )


def convert(model: Any, card: ModelCard, output: Path) -> ModelCard:
    """Write the Keras model as a float32 ONNX file with input "image" and output "road".

    Normalization of the input bands moves from the model into the scaling of the returned card.
    """
    onnx_graph = _import_onnx_graph()
    import onnx

    keras = import_keras()
    bands = len(card.bands)
    exportable = _with_resize(model)
    side = _probe_side(card)
    exportable(np.zeros((1, side, side, bands), np.float32))  # builds the graph
    shape = (None, card.tile_px, card.tile_px, bands)
    signature = keras.InputSpec(shape=shape, dtype="float32", name="image")
    try:
        with quiet_converters():
            exportable.export(
                output,
                format="onnx",
                verbose=False,
                opset_version=_OPSET,
                input_signature=[signature],
            )
    # Errors of Keras and tf2onnx for layers that they cannot convert.
    except (TypeError, ValueError, NotImplementedError, RuntimeError) as error:
        raise ModelError(
            f"{model.name}: this model cannot be exported for images of any size ({error}). "
            "Use it as a .keras file, or replace the named layer."
        ) from error
    exported = onnx.load(str(output))
    onnx_graph.fix_upsampling(exported)
    onnx_graph.plain_output(exported)
    card = _scaling_into_card(onnx_graph.take_input_scaling(exported), card)
    onnx_graph.fuse_scale_and_shift(exported)
    onnx_graph.fold_scaling(exported)
    onnx_graph.name_output(exported, "road")
    onnx.checker.check_model(exported)
    output.write_bytes(exported.SerializeToString())
    return card


def _scaling_into_card(taken: tuple[Singles, Singles] | None, card: ModelCard) -> ModelCard:
    """Return the card with ``x * scale + shift`` merged into its scaling."""
    if taken is None:
        return card
    scale, shift = (np.asarray(part, np.float64) for part in taken)
    mean, std = np.asarray(card.mean), np.asarray(card.std)
    return dataclasses.replace(
        card, mean=tuple((mean - shift * std / scale).tolist()), std=tuple((std / scale).tolist())
    )


def _with_resize(model: Any) -> Any:
    """Return the model with upsampling as one operation for any size.

    Keras exports nearest-neighbour upsampling as repeats along each axis, eight operations and two
    transpositions in ONNX, which keep ONNX Runtime from its blocked layout; bilinear upsampling is
    exported with fixed sizes.
    """
    keras = import_keras()
    import tensorflow

    class Upsampling(keras.layers.Layer):  # type: ignore[misc,name-defined]
        def __init__(self, layer: Any) -> None:
            rows, cols = layer.size
            # fix_upsampling reads the factors from the name.
            super().__init__(name=f"upsampling_{rows}x{cols}_{layer.name}")
            self.factors, self.bilinear = (rows, cols), layer.interpolation == "bilinear"

        def call(self, inputs: Any) -> Any:
            size = tensorflow.shape(inputs)[1:3] * tensorflow.constant(self.factors)
            if self.bilinear:
                return tensorflow.raw_ops.ResizeBilinear(
                    images=inputs, size=size, half_pixel_centers=True
                )
            return tensorflow.raw_ops.ResizeNearestNeighbor(images=inputs, size=size)

        def compute_output_shape(self, shape: Any) -> Any:
            sides = zip(shape[1:3], self.factors, strict=True)
            return (shape[0], *(side and side * factor for side, factor in sides), shape[3])

    def replace(layer: Any) -> Any:
        known = ("nearest", "bilinear")
        if isinstance(layer, keras.layers.UpSampling2D) and layer.interpolation in known:
            return Upsampling(layer)
        return layer.__class__.from_config(layer.get_config())

    clone = keras.models.clone_model(model, clone_function=replace)
    clone.set_weights(model.get_weights())
    return clone


def _probe_side(card: ModelCard) -> int:
    """Return the side of a small image that the model accepts, pixels."""
    return card.tile_px or -(-_PROBE_PX // card.stride) * card.stride


def check_parity(model: Any, before: ModelCard, path: Path, after: ModelCard, source: Path) -> None:
    """Compare the exported file with Keras on noise, each with the scaling of its card."""
    side = _probe_side(before)
    shape = (1, side, side, len(before.bands))
    probe = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    wanted = np.asarray(model(Scaling(before)(probe), training=False))
    found = open_session(path).run(None, {"image": Scaling(after)(probe)})[0]
    if found.shape != wanted.shape or not np.abs(found - wanted).max() <= _PARITY:
        raise ModelError(
            f"{source}: the exported model differs from Keras (shapes "
            f"{found.shape} and {wanted.shape}); expected at most {_PARITY} of difference. "
            "Its layers are not supported by the exporter."
        )


def halve_file_weights(path: Path) -> None:
    """Store an ONNX file's large weights in 16 bits."""
    onnx_graph = _import_onnx_graph()
    import onnx

    model = onnx.load(str(path))
    onnx_graph.halve_weights(model)
    path.write_bytes(model.SerializeToString())
