"""Rounding of convolution weights to 8 bits by the error that it makes in the output.

Rounding each weight to its nearest level changes sums: where the kernel of an edge filter should
add up to 0, a bright surface then looks like an edge. Rounding some weights to the other side
makes up for it, at no cost when the network runs. Levels are chosen by coordinate descent on the
mean squared error of the output on sample inputs, as in AdaRound (Nagel et al. 2020) and Optimal
Brain Compression (Frantar and Alistarh 2022).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from roadgis.arrays import Floats, Singles
from roadgis.model.onnx_file import open_session

#: Largest level of a weight in 7 bits; see :func:`roadgis.train.export.quantize.quantize`.
LEVELS = 64
# Convolutions with more weights for each output channel have an average over many rounding errors,
# and take long.
_MOST_WEIGHTS = 256
_PATCHES_PER_CROP = 300
# Added to the diagonal, whose mean is 1: few samples do not separate all weights.
_DAMPING = 1e-3


def round_weights(source: Path, crops: list[Singles], output: Path) -> None:
    """Round the weights of a network's small convolutions, so that outputs change least.

    Parameters
    ----------
    source : Path
        A float32 ONNX file with the input "image".
    crops : list of ndarray of float32, shape (1, P, P, B)
        Samples of the input.
    output : Path
        Written: the same network. In each channel the largest weight is kept and the others are
        multiples of its 64th part, so that quantization to 7 bits changes nothing.
    """
    import onnx
    from onnx import numpy_helper

    model = onnx.load(str(source))
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    convolutions = [
        node
        for node in model.graph.node
        if node.op_type == "Conv"
        and node.input[1] in tensors
        and np.prod(tensors[node.input[1]].dims[1:]) <= _MOST_WEIGHTS
    ]
    moments = _second_moments(source, convolutions, tensors, crops, output)
    for node in convolutions:
        tensor = tensors[node.input[1]]
        weights = numpy_helper.to_array(tensor)
        flat = weights.reshape(len(weights), -1).astype(np.float64)
        values = rounded(flat, moments[node.output[0]]).reshape(weights.shape)
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), tensor.name))
    onnx.save(model, str(output))


def rounded(weights: Floats, moments: Floats) -> Floats:
    """Round weights to levels, each channel with the least mean squared error of its output.

    Parameters
    ----------
    weights : ndarray of float64, shape (C, N)
        Weights of each output channel.
    moments : ndarray of float64, shape (N, N) or (C, N, N)
        Mean products of the inputs, for all channels or for each.

    Returns
    -------
    ndarray of float64, shape (C, N)
        Multiples of a 64th of the channel's largest weight. The error is at most that of rounding
        to the nearest; no change of a single weight by one level towards its other side lowers it.
    """
    scale = np.abs(weights).max(axis=1, keepdims=True) / LEVELS
    exact = weights / np.where(scale == 0, 1, scale)
    levels = np.round(exact)
    error = levels - exact
    moments = np.broadcast_to(moments, (len(weights), *moments.shape[-2:]))
    gradient = np.einsum("cij,cj->ci", moments, error)
    diagonal = np.diagonal(moments, axis1=1, axis2=2)
    channels = np.arange(len(weights))
    while True:
        step = np.where(error > 0, -1.0, 1.0)
        change = 2 * step * gradient + diagonal
        # The largest weight gives the scale.
        change[np.abs(exact) >= LEVELS * (1 - 1e-9)] = np.inf
        change[np.abs(levels + step) > LEVELS] = np.inf
        best = change.argmin(axis=1)
        better = np.flatnonzero(change[channels, best] < -1e-9)
        if not len(better):
            return np.asarray(levels * scale)
        chosen = best[better]
        steps = step[better, chosen]
        levels[better, chosen] += steps
        error[better, chosen] += steps
        gradient[better] += steps[:, None] * moments[better, chosen]


def _second_moments(
    source: Path, convolutions: list[Any], tensors: dict[str, Any], crops: list[Singles], path: Path
) -> dict[str, Floats]:
    """Return the mean products of the inputs of each convolution, by the name of its output."""
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load(str(source))
    known = {value.name for value in (*model.graph.input, *model.graph.output)}
    names = list(dict.fromkeys(node.input[0] for node in convolutions))
    model.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in names
        if name not in known
    )
    onnx.save(model, str(path))
    session = open_session(path)
    rng = np.random.default_rng(0)
    sums: dict[str, Floats] = {}
    for crop in crops:
        values = dict(zip(names, session.run(names, {"image": crop}), strict=True))
        for node in convolutions:
            side = tensors[node.input[1]].dims[2:]
            inputs = _patches(values[node.input[0]][0], node, side, rng)
            products = (
                np.einsum("pci,pcj->cij", inputs, inputs)
                if _attribute(node, "group", 1) > 1
                else np.tensordot(flat := inputs.reshape(len(inputs), -1), flat, (0, 0))
            )
            sums[node.output[0]] = sums.get(node.output[0], 0) + products
    return {name: _normalized(total) for name, total in sums.items()}


def _patches(values: Singles, node: Any, side: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Return inputs of a convolution at random places, (places, channels, weights a channel)."""
    top, left, bottom, right = _attribute(node, "pads", (0, 0, 0, 0))
    padded = np.pad(values, ((0, 0), (top, bottom), (left, right)))
    offsets = np.mgrid[: side[0], : side[1]].reshape(2, -1)
    rows, cols = (
        rng.integers(0, -(-(size - dilation * (length - 1)) // stride), (_PATCHES_PER_CROP, 1))
        * stride
        + dilation * along
        for size, length, stride, dilation, along in zip(
            padded.shape[1:],
            side,
            _attribute(node, "strides", (1, 1)),
            _attribute(node, "dilations", (1, 1)),
            offsets,
            strict=True,
        )
    )
    found = padded[:, rows, cols]
    return np.asarray(found.swapaxes(0, 1), np.float64)


def _normalized(moments: Floats) -> Floats:
    size = moments.shape[-1]
    mean = np.trace(moments, axis1=-2, axis2=-1).mean() / size
    return np.asarray(moments / (mean or 1.0) + _DAMPING * np.eye(size))


def _attribute(node: Any, name: str, default: Any) -> Any:
    from onnx import helper

    for attribute in node.attribute:
        if attribute.name == name:
            return helper.get_attribute_value(attribute)
    return default
