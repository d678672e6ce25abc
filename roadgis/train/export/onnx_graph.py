"""Rewrites of an exported ONNX graph: same output, in operations that run fast and quantize well.

The functions change the given ``onnx.ModelProto``.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from roadgis.arrays import Singles

#: Rows and columns in the names of upsampling nodes.
_FACTORS = re.compile(r"upsampling_(\d+)x(\d+)_")
# Smaller tensors (biases, scales) stay in 32 bits.
_SMALL = 256


def name_output(model: onnx.ModelProto, name: str) -> None:
    """Rename the graph's only output."""
    graph = model.graph
    old = graph.output[0].name
    for node in graph.node:
        node.input[:] = [name if item == old else item for item in node.input]
        node.output[:] = [name if item == old else item for item in node.output]
    graph.output[0].name = name


def plain_output(model: onnx.ModelProto) -> None:
    """End the graph of a one-channel model with a transposition.

    The exporter converts (N, 1, H, W) to (N, H, W, 1) as a reshape to (1, N, H, W, 1) and a
    squeeze, which sometimes gets lost.
    """
    graph = model.graph
    made_by = {name: node for node in graph.node for name in node.output}
    target = graph.output[0].name
    last = made_by[target]
    reshape = made_by.get(last.input[0]) if last.op_type == "Squeeze" else last
    if reshape is None or reshape.op_type != "Reshape":
        return
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    shape = constants.get(reshape.input[1])
    if shape is None or shape.tolist() != [1, -1, 0, 0, 1]:
        return
    plain = helper.make_node("Transpose", [reshape.input[0]], [target], perm=[0, 2, 3, 1])
    last.CopyFrom(plain)
    drop_unused(model)


def fix_upsampling(model: onnx.ModelProto) -> None:
    """Replace the computed size of each ``Resize`` by its constant factor.

    The exporter computes sizes at run time; ONNX Runtime needs a constant factor for its fast path
    and its blocked layout. Other resizes are not changed.

    Parameters
    ----------
    model : onnx.ModelProto
        Upsamples in (N, C, H, W); the names of the nodes that compute the size contain
        ``upsampling_ROWSxCOLUMNS_``.
    """
    graph = model.graph
    made_by = {name: node for node in graph.node for name in node.output}
    constants: dict[tuple[int, int], str] = {}
    for node in graph.node:
        factors = _named_factors(node, made_by) if node.op_type == "Resize" else None
        if factors is not None:
            name = constants.setdefault(factors, f"upsampling_{factors[0]}x{factors[1]}")
            node.input[:] = [node.input[0], "", name]
    for factors, name in constants.items():
        values = np.array([1, 1, *factors], np.float32)
        graph.initializer.append(numpy_helper.from_array(values, name))
    drop_unused(model)


def _named_factors(resize: Any, made_by: dict[str, Any]) -> tuple[int, int] | None:
    """Return the factors in the names of the nodes that compute a resize's size."""
    waiting = [*resize.input[3:4]]
    while waiting:
        node = made_by.get(waiting.pop(0))
        if node is None:
            continue
        match = _FACTORS.search(node.name)
        if match is not None:
            return int(match[1]), int(match[2])
        if node.op_type != "Shape":  # before that comes the image, not its size
            waiting += node.input
    return None


def fuse_scale_and_shift(model: onnx.ModelProto) -> None:
    """Turn ``x * scale + shift`` per channel into one depthwise convolution.

    This remains of a batch normalization before a convolution. As one operation it is quantized
    once instead of twice.
    """
    graph = model.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    users: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            users[name].append(node)
    for index, node in enumerate(graph.node):
        following = users[node.output[0]]
        if node.op_type != "Mul" or len(following) != 1 or following[0].op_type != "Add":
            continue
        scale, shift = (_per_channel(n, constants) for n in (node, following[0]))
        if scale is None or shift is None or len(scale) != len(shift):
            continue
        source = next(name for name in node.input if name not in constants)
        target = following[0].output[0]
        weight, bias = f"{target}_scale", f"{target}_shift"
        graph.initializer.append(numpy_helper.from_array(scale.reshape(-1, 1, 1, 1), weight))
        graph.initializer.append(numpy_helper.from_array(shift, bias))
        conv = helper.make_node(
            "Conv", [source, weight, bias], [target], group=len(scale), kernel_shape=[1, 1]
        )
        graph.node[index].CopyFrom(conv)
        graph.node.remove(following[0])
    drop_unused(model)


def fold_scaling(model: onnx.ModelProto) -> None:
    """Multiply the scale per channel after a convolution into its weights.

    This remains of a batch normalization after a depthwise convolution, and makes what it scales
    be written, quantized and read once more.

    Parameters
    ----------
    model : onnx.ModelProto
        With scales as :func:`fuse_scale_and_shift` leaves them: depthwise convolutions of one
        pixel.
    """
    graph = model.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    made_by = {name: node for node in graph.node for name in node.output}
    used = Counter(name for node in graph.node for name in node.input)
    for node in [node for node in graph.node if node.op_type == "Conv"]:
        conv, scale = made_by.get(node.input[0]), constants.get(node.input[1])
        if conv is None or conv.op_type != "Conv" or used[node.input[0]] > 1 or scale is None:
            continue
        weights = constants.get(conv.input[1])
        if weights is None or scale.shape != (len(weights), 1, 1, 1):
            continue
        name = node.output[0]
        values = {f"{name}_weights": weights * scale}
        shift = sum(
            constants[one.input[2]] * factor
            for one, factor in ((conv, scale.reshape(-1)), (node, np.float32(1)))
            if len(one.input) > 2
        )
        values[f"{name}_shifts"] = np.broadcast_to(np.asarray(shift, np.float32), len(weights))
        graph.initializer.extend(
            numpy_helper.from_array(np.ascontiguousarray(value), key)
            for key, value in values.items()
        )
        conv.input[:] = [conv.input[0], *values]
        conv.output[:] = [name]
        graph.node.remove(node)
    drop_unused(model)


def double_by_copies(model: onnx.ModelProto) -> None:
    """Let a quantized network double the size of images by copying whole pixels and rows.

    ONNX Runtime computes 8-bit convolutions with channels last, where its ``Resize`` looks each
    value up on its own: an eighth of the time of a U-Net.

    Parameters
    ----------
    model : onnx.ModelProto
        Its ``Resize`` nodes lie between the same quantization; others are not changed.
    """
    graph = model.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    made_by = {name: node for node in graph.node for name in node.output}
    users: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            users[name].append(node)
    nodes = []
    for node in graph.node:
        following = users[node.output[0]]
        before = made_by.get(node.input[0])
        if not (
            _doubles(node, constants)
            and before is not None
            and before.op_type == "DequantizeLinear"
            and [one.op_type for one in following] == ["QuantizeLinear"]
            and _same_values(before.input[1:], following[0].input[1:], constants)
        ):
            nodes.append(node)
            continue
        nodes += _copies(before.input[0], following[0].output[0])
        following[0].output[:] = [f"{following[0].output[0]}_unused"]
    if len(nodes) == len(graph.node):
        return
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)
    for name, value in _COPY_SHAPES.items():
        graph.initializer.append(numpy_helper.from_array(np.array(value, np.int64), name))
    drop_unused(model)


#: Constants of :func:`_copies`: rows as one axis, and the sides of the result over those before.
_COPY_SHAPES = {"copied_rows": [0, 0, -1], "copied_sides": [1, 2, 2, 1]}


def _doubles(node: Any, constants: dict[str, npt.NDArray[Any]]) -> bool:
    """Whether a node repeats each pixel twice, down and across."""
    if node.op_type != "Resize" or len(node.input) != 3:
        return False
    options = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    modes = [options.get(key) for key in ("mode", "coordinate_transformation_mode", "nearest_mode")]
    factors = constants.get(node.input[2])
    return (
        modes == [b"nearest", b"asymmetric", b"floor"]
        and factors is not None
        and factors.tolist() == [1, 1, 2, 2]
    )


def _same_values(
    one: Sequence[str], other: Sequence[str], constants: dict[str, npt.NDArray[Any]]
) -> bool:
    return len(one) == len(other) and all(
        a in constants and b in constants and np.array_equal(constants[a], constants[b])
        for a, b in zip(one, other, strict=True)
    )


def _copies(source: str, target: str) -> list[onnx.NodeProto]:
    """Return the nodes that double the sides of an (N, C, H, W) tensor."""

    def node(kind: str, inputs: list[str], part: str, **options: Any) -> onnx.NodeProto:
        name = f"{target}_{part}" if part else target
        return helper.make_node(kind, inputs, [name], name=f"{target}_{part}", **options)

    last, wide, rows = f"{target}_last", f"{target}_wide", f"{target}_rows"
    return [
        node("Transpose", [source], "last", perm=[0, 2, 3, 1]),
        node("Concat", [last, last], "wide", axis=3),
        node("Reshape", [wide, "copied_rows"], "rows"),
        node("Concat", [rows, rows], "high", axis=2),
        node("Shape", [last], "size"),
        node("Mul", [f"{target}_size", "copied_sides"], "sides"),
        node("Reshape", [f"{target}_high", f"{target}_sides"], "doubled"),
        node("Transpose", [f"{target}_doubled"], "", perm=[0, 3, 1, 2]),
    ]


def take_input_scaling(model: onnx.ModelProto) -> tuple[Singles, Singles] | None:
    """Remove ``image * scale + shift`` per band from the start of the graph.

    With three channels it cannot be vectorized: it takes a tenth of the time of an 8-bit model, and
    rounds the image twice. The caller moves it into the card's scaling.

    Returns
    -------
    (scale, shift) : ndarrays of float32, shape (B,)
        None if the graph does not begin so, or a scale is not positive.
    """
    graph = model.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    image = graph.input[0].name
    steps = []
    for kind in ("Mul", "Add"):
        users = [node for node in graph.node if image in node.input]
        values = [constants[name] for node in users for name in node.input if name in constants]
        if len(users) != 1 or users[0].op_type != kind or len(values) != 1:
            return None
        if values[0].size != values[0].shape[-1]:
            return None
        # A card's standard deviation is positive.
        if kind == "Mul" and not (values[0] > 0).all():
            return None
        steps.append(values[0].reshape(-1))
        image = users[0].output[0]
    for node in graph.node:
        node.input[:] = [graph.input[0].name if name == image else name for name in node.input]
    drop_unused(model)
    return steps[0], steps[1]


def take_bytes(model: onnx.ModelProto, scaled: Singles) -> bool:
    """Let a quantized model take the image's bytes, where quantizing returns the same bytes.

    Scaling the bytes to floats and quantizing them again is then left out, with the same answers.

    Parameters
    ----------
    model : onnx.ModelProto
        Its input is float.
    scaled : ndarray of float32, shape (256, B)
        Input of the model for each byte of each band.

    Returns
    -------
    bool
        Whether the input is uint8 now.
    """
    graph = model.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    name = graph.input[0].name
    users = [node for node in graph.node if name in node.input]
    while len(users) == 1 and users[0].op_type == "Transpose":
        name = users[0].output[0]
        users = [node for node in graph.node if name in node.input]
    if len(users) != 1 or users[0].op_type != "QuantizeLinear":
        return False
    scale, zero = (constants[item] for item in users[0].input[1:3])
    if zero.dtype != np.uint8 or scale.size != 1:
        return False
    # As ONNX defines the operation: halves are rounded to even.
    levels = np.clip(np.rint(scaled / scale) + zero, 0, 255)
    if not (levels == np.arange(256)[:, None]).all():
        return False
    quantized = users[0].output[0]
    graph.node.remove(users[0])
    for node in graph.node:
        node.input[:] = [name if item == quantized else item for item in node.input]
    graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    del graph.value_info[:]  # it says float of what is bytes now
    drop_unused(model)
    return True


def _per_channel(node: Any, constants: dict[str, npt.NDArray[Any]]) -> Singles | None:
    """Return the constant operand (C,) of an elementwise node if it has one value per channel."""
    found = [constants[name] for name in node.input if name in constants]
    if len(found) != 1 or found[0].ndim != 4 or found[0].shape[0] != 1:
        return None
    value: Singles = found[0]
    return value.reshape(-1) if value.shape[2:] == (1, 1) and value.shape[1] > 1 else None


def drop_unused(model: onnx.ModelProto) -> None:
    """Remove nodes and constants without effect on the outputs."""
    graph = model.graph
    needed = {output.name for output in graph.output}
    # The nodes are sorted, so one backward pass suffices.
    for node in reversed(list(graph.node)):
        if needed.isdisjoint(node.output):
            graph.node.remove(node)
        else:
            needed.update(node.input)
    for tensor in list(graph.initializer):
        if tensor.name not in needed:
            graph.initializer.remove(tensor)


def halve_weights(model: onnx.ModelProto) -> None:
    """Store the large weights as float16, each followed by a cast to float32.

    ONNX Runtime folds the casts at loading, so the speed does not change.
    """
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < _SMALL:
            continue
        half = numpy_helper.from_array(values.astype(np.float16), f"{tensor.name}_half")
        casts.append(
            helper.make_node("Cast", [half.name], [tensor.name], to=onnx.TensorProto.FLOAT)
        )
        tensor.CopyFrom(half)
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
