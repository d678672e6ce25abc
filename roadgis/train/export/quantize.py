"""Quantization of an ONNX file to 8 bits, with activation ranges from training crops."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from roadgis.arrays import Singles
from roadgis.errors import DataError, ModelError
from roadgis.model.card import ModelCard
from roadgis.model.layout import Scaling
from roadgis.model.onnx_file import open_session
from roadgis.train.data.derived_scenes import normalize_scenes
from roadgis.train.data.labelled_scene import LabelledScene
from roadgis.train.data.mixed_sampling import MixedSampler
from roadgis.train.data.open_data_set import OpenDataSet
from roadgis.train.data.pair_scene import open_pairs
from roadgis.train.data.sampling import CropSampler, CropSource
from roadgis.train.export.onnx_graph import double_by_copies, take_bytes
from roadgis.train.export.weight_rounding import round_weights

_ELEMENTWISE = ("Add", "Div", "Mul", "Sub")


class QuantizationError(ModelError):
    """A model cannot be run in 8 bits."""


def calibration_crops(
    folders: Sequence[Path],
    run: Path | None,
    card: ModelCard,
    *,
    count: int,
    crop_px: int,
    seed: int,
) -> list[Singles]:
    """Draw crops of training data, scaled for the model.

    Parameters
    ----------
    folders : sequence of Path
        Pair folders.
    run : Path or None
        A run folder, whose training data is used if no folder is given.
    card : ModelCard
        Gives scaling, classes, stride and a fixed tile size.
    crop_px : int
        Side of the crops, rounded up to the stride; smaller if a scene is smaller.

    Raises
    ------
    DataError
        If the data cannot be read, or no longer exists.
    """
    scenes, sets = (
        (open_pairs(folders, classes=card.classes), ())
        if folders or run is None
        else _training_data(run)
    )
    smallest = min((min(scene.height, scene.width) for scene in scenes), default=crop_px)
    rounded = min(-(-crop_px // card.stride), max(smallest // card.stride, 1)) * card.stride
    side = card.tile_px or rounded
    road = 1 if len(card.classes) == 1 else card.road_class
    sampler: CropSource
    if sets:
        sampler = MixedSampler(sets, crop_px=side, seed=seed, normalize_to=card.normalize_to)
    else:
        scenes = normalize_scenes(scenes, card.normalize_to)
        sampler = CropSampler(scenes, crop_px=side, seed=seed, road_class=road)
    scaling = Scaling(card)
    return [scaling(sampler.crop(number)[0][None]) for number in range(count)]


def _training_data(run: Path) -> tuple[Sequence[LabelledScene], Sequence[OpenDataSet]]:
    """Return the training scenes of a run, and its data sets if it had several."""
    from roadgis.train.data.training_data import open_training_data
    from roadgis.train.settings import read_settings

    settings = read_settings(run / "settings.yaml")
    # Only the images are needed; teachers change labels.
    sets = tuple(dataclasses.replace(one, teacher=None) for one in settings.data.sets)
    data = dataclasses.replace(settings.data, sets=sets)
    folders = [folder for one in sets for folder in one.folders]
    roads = [] if data.roads is None else [data.roads]
    missing = [
        str(path) for path in (*data.folders, *data.images, *roads, *folders) if not path.exists()
    ]
    if missing:
        raise DataError(
            f"{run}: was trained on {', '.join(missing)}, which no longer exists. Name "
            "training pairs to calibrate on with --data, or export with --precision "
            "float16-weights."
        )
    opened = open_training_data(data, settings.optimization.seed)
    return opened.training, opened.sets


def quantize(source: Path, crops: list[Singles], output: Path) -> None:
    """Quantize a model to 8 bits: weights per output channel, activations by their range.

    Weights use 7 of the 8 bits, -64 to 64. x86 CPUs without VNNI add pairs of products in 16 bits,
    which two full weights can overflow: two of 255 times 64 cannot.
    They are rounded by :func:`roadgis.train.export.weight_rounding.round_weights`.

    Parameters
    ----------
    source : Path
        A float32 ONNX file with the input "image".
    crops : list of ndarray of float32, shape (1, P, P, B)
        Source of the activation ranges.

    Raises
    ------
    QuantizationError
        If ONNX Runtime cannot load the quantized model, as with some EfficientNets.
    """
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

        def get_next(self) -> dict[str, Singles] | None:
            crop = next(self._left, None)
            return None if crop is None else {"image": crop}

    prepared = output.with_name(f"{output.stem}-prepared.onnx")
    # Symbolic shape inference needs sympy, and does not help without transformers.
    quant_pre_process(source, prepared, skip_symbolic_shape=True)
    round_weights(prepared, crops, prepared)
    quantize_static(
        prepared,
        output,
        Crops(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
        reduce_range=True,
        nodes_to_exclude=_scaled_per_channel(prepared),
    )
    try:
        open_session(output)
    except ModelError as error:
        raise QuantizationError(
            "ONNX Runtime cannot run this model in 8 bits. Export it with --precision "
            f"float16-weights. ({error})"
        ) from error


def feed_bytes(path: Path, card: ModelCard) -> ModelCard:
    """Let a quantized ONNX file take bytes, if it answers the same then; return its card.

    Parameters
    ----------
    path : Path
        The file; rewritten in place.
    card : ModelCard
        With the scaling that the network was quantized with.
    """
    import onnx

    model = onnx.load(str(path))
    bands = len(card.bands)
    every_byte = np.repeat(np.arange(256, dtype=np.uint8), bands).reshape(1, 1, 256, bands)
    if not take_bytes(model, Scaling(card).scaled(every_byte)[0, 0]):
        return card
    onnx.save(model, str(path))
    return dataclasses.replace(card, mean=(0.0,) * bands, std=(1 / 255,) * bands)


def copy_pixels(path: Path) -> None:
    """Let a quantized ONNX file double sizes by copies, see :func:`double_by_copies`; in place."""
    import onnx

    model = onnx.load(str(path))
    double_by_copies(model)
    onnx.save(model, str(path))


def _scaled_per_channel(path: Path) -> list[str]:
    """Return the elementwise nodes with a constant per channel.

    Quantized per channel, they become operations that ONNX Runtime cannot load.
    """
    import onnx

    graph = onnx.load(str(path)).graph
    constants = {tensor.name for tensor in graph.initializer if math.prod(tensor.dims) > 1}
    return [
        node.name
        for node in graph.node
        if node.op_type in _ELEMENTWISE and not constants.isdisjoint(node.input)
    ]
