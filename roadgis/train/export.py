"""Export of a trained Keras model to an ONNX file with its card, whole or compressed."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from roadgis.errors import DataError, InputError, MissingExtraError, ModelError
from roadgis.model.card import ModelCard, read_card_file
from roadgis.model.onnx_file import open_session, write_onnx_card
from roadgis.model.runtime import Scaling
from roadgis.train.dataset import CropSampler, read_samples
from roadgis.train.framework import import_keras

__all__ = ["PRECISIONS", "Precision", "export_onnx"]

logger = logging.getLogger(__name__)

#: How the weights are stored and computed with.
Precision = Literal["float32", "float16-weights", "int8"]
PRECISIONS: tuple[Precision, ...] = ("float32", "float16-weights", "int8")

_OPSET = 17
#: The exported network may differ from Keras by this much in probability: rounding.
_PARITY = 1e-3
# Side of the image for that comparison: a multiple of every stride up to 32, and small.
_PROBE_PX = 96


def export_onnx(
    keras_path: Path,
    output: Path,
    *,
    precision: Precision = "int8",
    calibration: Sequence[Path] = (),
    calibration_crops: int = 24,
    crop_px: int = 256,
    seed: int = 0,
    card_updates: Mapping[str, Any] | None = None,
) -> ModelCard:
    """Write a trained model as an ONNX file with its card inside.

    Parameters
    ----------
    keras_path : Path
        A ``.keras`` file with its card beside it, as ``roadgis train`` writes them.
    output : Path
        The ``.onnx`` file; written beside and renamed, so no half file is ever seen.
    precision : {"float32", "float16-weights", "int8"}
        "float32" keeps the network as trained. "float16-weights" stores the weights in half
        the space and computes as before. "int8" quantizes weights (per channel) and
        activations: a quarter of the space and about twice as fast on CPUs with VNNI. On
        older x86 CPUs the sums of 8-bit products can saturate, and GPUs gain nothing: use a
        float model there.
    calibration : sequence of Path
        Folders of training pairs; int8 takes the ranges of the activations from crops of them.
    calibration_crops, crop_px : int
        How many crops, and their side in pixels.
    seed : int
        Of the choice of crops.
    card_updates : mapping, optional
        Fields of the card to replace, e.g. ``{"threshold": 0.43}``.

    Returns
    -------
    ModelCard
        As written; its recipe tells the precision.

    Raises
    ------
    ModelError
        If the model or its card cannot be read, or the exported network does not give what
        the Keras model gives.
    DataError
        If int8 is asked for without data for calibration.
    InputError
        If the precision or the output's name is unknown.
    MissingExtraError
        If the ``train`` extra is not installed.
    """
    if precision not in PRECISIONS:
        raise InputError(f"precision is {precision!r}, expected one of {PRECISIONS}.")
    if output.suffix.lower() != ".onnx":
        raise InputError(f"{output}: expected an output name that ends in .onnx.")
    if precision == "int8" and not calibration:
        raise DataError(
            "int8 needs crops of training images to find the ranges of the activations: name a "
            "folder with --data, or export with --precision float16-weights."
        )
    card = read_card_file(keras_path)
    card = dataclasses.replace(card, **dict(card_updates or {}))
    export: dict[str, Any] = {"precision": precision}
    if precision == "int8":
        export |= {"crops": calibration_crops, "crop_px": crop_px, "seed": seed}
    card = dataclasses.replace(card, recipe={**card.recipe, "export": export})
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="roadgis-export-") as scratch:
        converted = Path(scratch) / "float32.onnx"
        model = _load_keras(keras_path)
        before, card = card, _convert(model, card, converted)
        _check_parity(model, before, converted, card, keras_path)
        if precision == "float16-weights":
            _halve_weights(converted)
        elif precision == "int8":
            crops = _calibration_crops(calibration, calibration_crops, crop_px, seed, card)
            converted = _quantize(converted, crops, Path(scratch))
        write_onnx_card(converted, card, output)
    logger.info("%s: %.1f MB, %s", output, output.stat().st_size / 1e6, precision)
    return card


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    # Keras, tf2onnx and the quantizer print, and warn of their own use of older numpy names.
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
        with _quiet():
            import tf2onnx  # noqa: F401

            from roadgis.train import onnx_graph
    except ImportError as error:
        raise MissingExtraError(
            f"Export needs onnx and tf2onnx, which are not installed ({error}). "
            "Install them with: pip install 'roadgis[train]'"
        ) from error
    return onnx_graph


def _load_keras(path: Path) -> Any:
    try:
        return import_keras().models.load_model(path, compile=False)
    except (ValueError, OSError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path}: cannot be loaded as a Keras model ({error}). Train it again."
        ) from error


def _convert(model: Any, card: ModelCard, output: Path) -> ModelCard:
    """Write the Keras model as a float32 ONNX file with the input "image" and the output "road".

    A normalization of the input bands moves from the network into the returned card's scaling.
    """
    onnx_graph = _import_onnx_graph()
    import onnx

    keras = import_keras()
    bands = len(card.bands)
    exportable = _with_resize(model)
    exportable(np.zeros((1, _PROBE_PX, _PROBE_PX, bands), np.float32))  # builds the graph
    signature = keras.InputSpec(shape=(None, None, None, bands), dtype="float32", name="image")
    try:
        with _quiet():
            exportable.export(
                output,
                format="onnx",
                verbose=False,
                opset_version=_OPSET,
                input_signature=[signature],
            )
    # What Keras and tf2onnx raise for layers that they cannot convert.
    except (TypeError, ValueError, NotImplementedError, RuntimeError) as error:
        raise ModelError(
            f"{model.name}: this network cannot be exported for images of any size ({error}). "
            "Use it as a .keras file, or replace the layer that is named."
        ) from error
    exported = onnx.load(str(output))
    factors = _upsampling_factors(model)
    if factors is not None:
        onnx_graph.fix_upsampling(exported, factors)
    card = _scaling_into_card(onnx_graph.take_input_scaling(exported), card)
    onnx_graph.fuse_scale_and_shift(exported)
    onnx_graph.name_output(exported, "road")
    onnx.checker.check_model(exported)
    output.write_bytes(exported.SerializeToString())
    return card


def _scaling_into_card(
    taken: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]] | None, card: ModelCard
) -> ModelCard:
    """Return the card with ``x * scale + shift`` after its own scaling made part of it."""
    if taken is None:
        return card
    scale, shift = (np.asarray(part, np.float64) for part in taken)
    mean, std = np.asarray(card.mean), np.asarray(card.std)
    return dataclasses.replace(
        card,
        mean=tuple((mean - shift * std / scale).tolist()),
        std=tuple((std / scale).tolist()),
    )


def _with_resize(model: Any) -> Any:
    """Return the model with nearest-neighbour upsampling written as one operation.

    Keras writes it as repeats along each axis, which become eight operations and two
    transpositions each in ONNX, and keep ONNX Runtime from its blocked layout.
    """
    keras = import_keras()
    import tensorflow

    class NearestResize(keras.layers.Layer):  # type: ignore[misc,name-defined]
        def __init__(self, factors: tuple[int, int], **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.factors = factors

        def call(self, inputs: Any) -> Any:
            size = tensorflow.shape(inputs)[1:3] * tensorflow.constant(self.factors)
            return tensorflow.raw_ops.ResizeNearestNeighbor(images=inputs, size=size)

        def compute_output_shape(self, shape: Any) -> Any:
            return (shape[0], None, None, shape[3])

    def replace(layer: Any) -> Any:
        if isinstance(layer, keras.layers.UpSampling2D) and layer.interpolation == "nearest":
            return NearestResize(tuple(layer.size), name=layer.name)
        return layer.__class__.from_config(layer.get_config())

    clone = keras.models.clone_model(model, clone_function=replace)
    clone.set_weights(model.get_weights())
    return clone


def _upsampling_factors(model: Any) -> tuple[int, int] | None:
    """Return the one factor (rows, columns) of all nearest upsampling, if it is the same."""
    keras = import_keras()
    sizes = {
        tuple(layer.size)
        for layer in model.layers
        if isinstance(layer, keras.layers.UpSampling2D) and layer.interpolation == "nearest"
    }
    return sizes.pop() if len(sizes) == 1 else None


def _check_parity(
    model: Any, before: ModelCard, path: Path, after: ModelCard, source: Path
) -> None:
    """Compare the exported file with Keras on noise, each with the scaling of its card."""
    shape = (1, _PROBE_PX, _PROBE_PX, len(before.bands))
    probe = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    wanted = np.asarray(model(Scaling(before)(probe), training=False))
    found = open_session(path).run(None, {"image": Scaling(after)(probe)})[0]
    if found.shape != wanted.shape or not np.abs(found - wanted).max() <= _PARITY:
        raise ModelError(
            f"{source}: the exported network gives another answer than Keras (shapes "
            f"{found.shape} and {wanted.shape}); expected at most {_PARITY} of difference. "
            "Its layers are not supported by the exporter."
        )


def _halve_weights(path: Path) -> None:
    onnx_graph = _import_onnx_graph()
    import onnx

    model = onnx.load(str(path))
    onnx_graph.halve_weights(model)
    path.write_bytes(model.SerializeToString())


def _calibration_crops(
    folders: Sequence[Path], count: int, crop_px: int, seed: int, card: ModelCard
) -> list[npt.NDArray[np.float32]]:
    """Return scaled crops (1, P, P, B) drawn from training data."""
    sampler = CropSampler(read_samples(folders), crop_px=crop_px, seed=seed)
    scaling = Scaling(card)
    return [scaling(sampler.crop(number)[0][None]) for number in range(count)]


def _quantize(source: Path, crops: list[npt.NDArray[np.float32]], scratch: Path) -> Path:
    """Quantize to 8 bits: weights per output channel, activations by the range seen in `crops`."""
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Crops(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = iter(crops)

        def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
            crop = next(self._left, None)
            return None if crop is None else {"image": crop}

    prepared, output = scratch / "prepared.onnx", scratch / "int8.onnx"
    with _quiet():
        # Symbolic shape inference needs sympy, and gives nothing on a network without transformers.
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            output,
            Crops(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
    return output
