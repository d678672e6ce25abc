"""Metadata and last operation of an ONNX file, read without the onnx package or a runtime.

An ONNX file is one protocol buffer message. Only its fields that have a length are read; the
numbers below are those of the fields in ONNX's messages.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

from roadgis.errors import ModelError

# ModelProto, GraphProto, NodeProto, ValueInfoProto, StringStringEntryProto.
_GRAPH, _METADATA_PROPS = 7, 14
_NODE, _OUTPUT = 1, 12
_NODE_INPUT, _NODE_OUTPUT, _NODE_TYPE = 1, 2, 4
_NAME = 1
_KEY, _VALUE = 1, 2
#: Operations that move or store values without changing them.
_MOVING = {"Flatten", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"}
_STORING = {"Cast", "DequantizeLinear", "QuantizeLinear"}
_PASSING = _MOVING | _STORING | {"Resize", "Upsample"}


def read_metadata(path: Path) -> dict[str, str]:
    """Read the metadata properties of an ONNX file: quick enough for a list of models.

    Raises
    ------
    ModelError
        If it is not an ONNX file, or is truncated.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return {
                _text(data, start, stop, _KEY) or "": _text(data, start, stop, _VALUE) or ""
                for field, start, stop in _fields(data, 0, len(data))
                if field == _METADATA_PROPS
            }
    except (OSError, ValueError, IndexError) as error:
        raise ModelError(
            f"{path}: found no readable ONNX file ({error}). Get the file again."
        ) from error


def last_operation(path: Path) -> str | None:
    """Return the type of the operation that computes the graph's first output.

    Operations after it that only move values (``Transpose``, ``Resize``) are skipped.

    Returns
    -------
    str or None
        Such as ``"Sigmoid"``; None when it cannot be determined.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            return _last(data)
        except (IndexError, ValueError):
            return None


def _last(data: mmap.mmap) -> str | None:
    made_by: dict[str, tuple[str, str | None]] = {}
    name: str | None = None
    for field, start, stop in _fields(data, 0, len(data)):
        if field != _GRAPH:
            continue
        for part, begin, end in _fields(data, start, stop):
            if part == _NODE:
                made_by |= _node(data, begin, end)
            elif part == _OUTPUT and name is None:
                name = _text(data, begin, end, _NAME)
    while name in made_by:
        # Removed, so that a damaged graph with a cycle ends.
        kind, source = made_by.pop(name)
        if kind not in _PASSING:
            return kind
        name = source
    return None


def _node(data: mmap.mmap, start: int, stop: int) -> dict[str, tuple[str, str | None]]:
    """Return the node's type and first input by the names of its outputs."""
    kind = _text(data, start, stop, _NODE_TYPE) or ""
    source = _text(data, start, stop, _NODE_INPUT)
    return {
        data[begin:end].decode(): (kind, source)
        for field, begin, end in _fields(data, start, stop)
        if field == _NODE_OUTPUT
    }


def _text(data: mmap.mmap, start: int, stop: int, wanted: int) -> str | None:
    for field, begin, end in _fields(data, start, stop):
        if field == wanted:
            return data[begin:end].decode()
    return None


def _fields(data: mmap.mmap, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Yield number, begin and end of the fields of a message that have a length."""
    at = start
    while at < stop:
        key, at = _varint(data, at)
        kind = key & 7
        begin = at
        if kind == 0:
            _, at = _varint(data, at)
        elif kind == 2:
            length, begin = _varint(data, at)
            at = begin + length
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if at > stop:
            raise ValueError("it is truncated")
        if kind == 2:
            yield key >> 3, begin, at


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number has no end")
