"""A window of the tile as an input of the network: its decoder computes nothing else.

A tile's margin is there for the encoder, whose deep features see far. The decoder sees a few
pixels only, so most of the margin is lost work for it. The model's input :data:`WINDOW_INPUT`
says which part of the tile to compute; it has a default, the whole tile, so that programs that do
not know it use the file as before.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from roadgis.model.card import ModelCard
from roadgis.model.layout import Scaling, network_input
from roadgis.model.onnx_file import (
    WINDOW_INPUT,
    WINDOW_MARGIN_KEY,
    onnxruntime_errors,
    open_session_for_reading,
)
from roadgis.model.probe import INPUT_TYPES

logger = logging.getLogger(__name__)

_UPSAMPLING = ("Resize", "ConvTranspose")
#: An end that lies behind any tile.
_FAR = 2**40


def crop_decoder(path: Path, card: ModelCard) -> None:
    """Give an ONNX file a decoder window, if it answers the same with it; rewritten in place.

    Parameters
    ----------
    path : Path
        The file.
    card : ModelCard
        Card of the model.
    """
    model = onnx.load(str(path))
    margin = add_decoder_window(model, card.stride) if card.local else None
    if margin is None or margin >= card.margin_px:
        return
    before = open_session_for_reading(path)
    after = path.with_name(f"{path.stem}-window.onnx")
    onnx.save(model, str(after))
    try:
        if _same_inside(before, open_session_for_reading(after), card, margin):
            after.replace(path)
        else:
            logger.info("%s: its decoder sees more than its convolutions: left whole", path.name)
    finally:
        after.unlink(missing_ok=True)


def _same_inside(before: Any, after: Any, card: ModelCard, margin: int) -> bool:
    """Whether a window gives what the whole tile gives, bit by bit."""
    inset = card.margin_px // card.stride * card.stride
    side = 2 * inset + 8 * card.stride
    bands = len(card.bands)
    image = np.random.default_rng(0).integers(0, 256, (1, side, side, bands), np.uint8)
    (node,) = before.get_inputs()
    values = network_input(image, Scaling(card), card, INPUT_TYPES[node.type])
    window = np.array([0, inset - margin, side - inset + margin, side], np.int64)
    (whole,) = before.run(None, {node.name: values})
    try:
        (part,) = after.run(None, {node.name: values, WINDOW_INPUT: window})
    except onnxruntime_errors():
        return False
    kept = whole[:, : side - inset, inset:]
    return np.array_equal(kept, part[:, : side - inset, margin:])


def add_decoder_window(model: onnx.ModelProto, stride: int) -> int | None:
    """Crop what enters the decoder to a window that is an input of the network.

    Parameters
    ----------
    model : onnx.ModelProto
        Computes in (N, C, H, W) between an encoder that halves sizes and a decoder that doubles
        them; quantized or not. Changed in place.
    stride : int
        The network's total downsampling.

    Returns
    -------
    int or None
        Width of the invalid edge of the window, pixels; None for another kind of model,
        which is left alone.
    """
    graph = model.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    scales = _scales(graph, constants)
    decoder = _decoder(graph)
    if scales is None or not decoder:
        return None
    margin = _reach(graph, decoder, scales, constants, stride)
    made_by = {name: node for node in graph.node for name in node.output}
    entering = {
        name
        for node in graph.node
        if any(out in decoder for out in node.output)
        for name in node.input
        if name in scales and name in made_by and name not in decoder
    }
    if margin is None or not entering:
        return None
    added: dict[str, list[Any]] = defaultdict(list)
    replaced: dict[str, str] = {}
    for name in sorted(entering):
        source, nodes = _cropped(name, scales[name], made_by)
        added[source] += nodes
        replaced[name] = nodes[-1].output[0]
    for node in graph.node:
        # A transposed convolution may be cut to twice the shape of what enters it.
        if node.op_type == "Shape" or any(out in decoder for out in node.output):
            node.input[:] = [replaced.get(name, name) for name in node.input]
    _insert(graph, added, sorted({scales[name] for name in entering}))
    entry = model.metadata_props.add()
    entry.key, entry.value = WINDOW_MARGIN_KEY, str(margin)
    return margin


def _decoder(graph: Any) -> set[str]:
    """Return the names of all tensors that depend on an upsampling."""
    found: set[str] = set()
    for node in graph.node:
        if node.op_type in _UPSAMPLING or not found.isdisjoint(node.input):
            found.update(node.output)
    return found


def _scales(graph: Any, constants: dict[str, npt.NDArray[Any]]) -> dict[str, int] | None:
    """Return how many pixels of the image make one of each tensor; None where it is not known."""
    scales = {graph.input[0].name: 1}
    for node in graph.node:
        known = {scales[name] for name in node.input if name in scales}
        if not known or node.op_type == "Shape":
            continue
        if len(known) > 1:
            return None
        scale = known.pop()
        attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        if node.op_type in ("Conv", "MaxPool", "AveragePool"):
            across, down = attributes.get("strides", [1, 1])
            if across != down:
                return None
            scale *= across
        elif node.op_type == "Resize":
            factors = constants.get(node.input[2]) if len(node.input) > 2 else None
            if factors is None or factors.tolist()[2:] != [2.0, 2.0]:
                return None
            scale //= 2
        elif node.op_type == "ConvTranspose":
            scale //= attributes.get("strides", [1, 1])[0]
        if scale < 1:
            return None
        scales.update(dict.fromkeys(node.output, scale))
    return scales


def _reach(
    graph: Any,
    decoder: set[str],
    scales: dict[str, int],
    constants: dict[str, npt.NDArray[Any]],
    stride: int,
) -> int | None:
    """Return how many pixels beyond its window the decoder needs, a multiple of the stride."""
    reach_at: dict[int, int] = defaultdict(int)
    shapes = {name: value.shape for name, value in constants.items()}
    for node in graph.node:  # weights may be stored in 8 bits or as halves, and be converted
        if node.op_type in ("DequantizeLinear", "Cast") and node.input[0] in shapes:
            shapes[node.output[0]] = shapes[node.input[0]]
    for node in graph.node:
        if decoder.isdisjoint(node.output):
            continue
        if node.op_type in ("MaxPool", "AveragePool"):
            return None
        if node.op_type == "Conv":
            scale = scales[node.output[0]]
            if scales[node.input[0]] != scale or node.input[1] not in shapes:
                return None
            reach_at[scale] += shapes[node.input[1]][-1] // 2 * scale
    reach = 0
    for scale in sorted({*reach_at, *(s for s in scales.values() if s <= stride)}):
        reach = -(-reach // scale) * scale + reach_at[scale]
    return -(-reach // stride) * stride


def _cropped(name: str, scale: int, made_by: dict[str, Any]) -> tuple[str, list[Any]]:
    """Return what a cropped tensor is made from, and the nodes that make it."""
    maker = made_by[name]
    quantized = maker.op_type == "DequantizeLinear"
    source = maker.input[0] if quantized else name
    limits = [f"window_start_{scale}", f"window_end_{scale}", "window_axes"]
    part = f"{source}_window"
    nodes = [helper.make_node("Slice", [source, *limits], [part], name=part)]
    if quantized:
        whole = f"{name}_window"
        nodes.append(
            helper.make_node("DequantizeLinear", [part, *maker.input[1:]], [whole], name=whole)
        )
        nodes[-1].attribute.extend(maker.attribute)
    return source, nodes


def _insert(graph: Any, added: dict[str, list[Any]], scales: list[int]) -> None:
    """Add the window's input, what is computed from it, and the crops where they are due."""
    default = np.array([0, 0, _FAR, _FAR], np.int64)
    constants = {
        WINDOW_INPUT: default,
        "window_axes": np.array([2, 3], np.int64),
        "window_zero": np.array([0], np.int64),
        "window_two": np.array([2], np.int64),
        "window_four": np.array([4], np.int64),
    }
    nodes = []
    for scale in scales:
        constants[f"window_scale_{scale}"] = np.array([scale], np.int64)
        scaled = f"window_{scale}"
        nodes.append(helper.make_node("Div", [WINDOW_INPUT, f"window_scale_{scale}"], [scaled]))
        for part, low, high in (("start", "zero", "two"), ("end", "two", "four")):
            limits = [f"window_{low}", f"window_{high}"]
            made = f"window_{part}_{scale}"
            nodes.append(helper.make_node("Slice", [scaled, *limits], [made], name=made))
    for node in graph.node:
        nodes.append(node)
        for name in node.output:
            nodes += added.pop(name, [])
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)
    graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in constants.items()
    )
    # An input with a value of that name is one that may be left out.
    graph.input.append(helper.make_tensor_value_info(WINDOW_INPUT, onnx.TensorProto.INT64, [4]))
    del graph.value_info[:]
