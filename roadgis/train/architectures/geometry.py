"""Geometry of a model: stride, receptive field, fixed tile size."""

from __future__ import annotations

from typing import Any

import numpy as np

from roadgis.train.architectures.options import ArchitectureOptions
from roadgis.train.architectures.states import as_float32
from roadgis.train.framework import import_keras


def fixed_tile(model: Any) -> int | None:
    """Return the tile side in pixels of a model with fixed input size, or None for any size."""
    side = model.input_shape[1]
    return None if side is None else int(side)


def model_stride(model: Any) -> int:
    """Return the total downsampling in pixels; input sides are multiples of it.

    Parameters
    ----------
    model : keras.Model or ArchitectureOptions
        A model, built or loaded, or its settings.
    """
    if isinstance(model, ArchitectureOptions):
        return int(2**model.stages)
    return round(max(tensor_scales(model).values()))


def tensor_scales(model: Any) -> dict[int, float]:
    """Return the pixel size of each tensor in input pixels, by the tensor's ``id``."""
    scales = {id(tensor): 1.0 for tensor in model.inputs}
    for operation in model.operations:
        for node in operation._inbound_nodes:
            inputs = [scales[id(x)] for x in node.input_tensors if id(x) in scales]
            if inputs:
                scale = max(inputs) * _step(operation)
                scales.update({id(x): scale for x in node.output_tensors})
    return scales


def _step(operation: Any) -> float:
    """Return the factor by which an operation coarsens the grid; below 1 if it refines it."""
    layers = import_keras().layers
    if operation.name.startswith("psp_level"):
        return 1.0  # pooled to a share of the tile and enlarged again
    if isinstance(operation, layers.UpSampling2D):
        return 1.0 / float(operation.size[0])
    strides = getattr(operation, "strides", 1)
    step = float(strides[0] if isinstance(strides, tuple | list) else strides)
    return 1.0 / step if isinstance(operation, layers.Conv2DTranspose) else step


def receptive_margin(model: Any, stride: int, limit_px: int = 1024) -> int | None:
    """Measure the receptive field of a model.

    A copy of the model with positive kernels and zero biases responds to an impulse in one input
    column with values above zero exactly where that column is seen, as contributions cannot cancel.
    One impulse for each phase of the stride finds the longest reach.

    Parameters
    ----------
    model : keras.Model
        A convolutional model; its last layer is the activation.
    stride : int
        Total downsampling, pixels.
    limit_px : int
        A longer reach counts as unbounded.

    Returns
    -------
    int or None
        Reach in pixels, rounded up to a multiple of `stride`; None if the whole tile is seen
        (pooling over the tile) or the tile size is fixed.
    """
    if fixed_tile(model) is not None:
        return None
    keras = import_keras()
    probe = as_float32(model)
    for layer in probe.layers:
        for variable in layer.weights:
            name = variable.name
            shape = variable.shape
            if "kernel" in name:
                # A depthwise kernel sums over pixels only. A smaller kernel would bring the
                # impulse below float32's range after some dozen layers.
                depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
                fan_in = float(np.prod(shape[:2] if depthwise else shape[:-1]))
                variable.assign(np.full(shape, 1.0 / fan_in, np.float32))
            elif "gamma" in name or "variance" in name:
                variable.assign(np.ones(shape, np.float32))
            else:
                variable.assign(np.zeros(shape, np.float32))
    logits = keras.Model(probe.input, probe.layers[-1].input)
    first = _reach(logits, stride, limit_px, phases=1)
    if first is None:
        return None
    # The other phases see at most a stride farther: a narrower tile takes a fraction of the time.
    reach = _reach(logits, stride, min(limit_px, first + 2 * stride), phases=stride)
    return None if reach is None else -(-reach // stride) * stride


def _reach(logits: Any, stride: int, limit_px: int, phases: int) -> int | None:
    """Return how far impulses at the first phases are seen; None if as far as the limit."""
    bands = logits.input_shape[-1]
    width = -(-2 * limit_px // stride) * stride + stride
    if _sees_far(logits, stride, width, bands):
        return None
    reach = 0
    for phase in range(phases):
        image = np.zeros((1, 2 * stride, width, bands), np.float32)
        column = width // 2 // stride * stride + phase
        image[:, :, column] = 1.0
        seen = np.flatnonzero(np.asarray(logits(image)).max(axis=(0, 1, 3)) > 0)
        reach = max(reach, column - int(seen[0]), int(seen[-1]) - column)
    return None if reach >= limit_px else reach


def _sees_far(logits: Any, stride: int, width: int, bands: int) -> bool:
    """Return whether a change at one end of a wide tile is seen at the other end.

    An impulse on zeros does not reveal a gate (squeeze-and-excitation), as zero times any factor is
    zero. A flat image does.
    """
    flat = np.ones((1, 2 * stride, width, bands), np.float32)
    struck = flat.copy()
    struck[:, :, :stride] = 1e6
    far = np.s_[:, :, -stride:]
    before, after = (np.asarray(logits(image))[far] for image in (flat, struck))
    return not np.allclose(before, after, rtol=1e-6, atol=0)
