"""The metadata of an ONNX file, without a runtime: quick enough for a list of models.

An ONNX file is one protocol buffer message. Its fields are skipped one by one; only the pairs of
``metadata_props`` are read.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

from roadgis.errors import ModelError

__all__ = ["read_metadata"]

# Field number of ModelProto.metadata_props, and of key and value in its StringStringEntryProto.
_METADATA_PROPS = 14
_KEY, _VALUE = 1, 2
# Wire types of protocol buffers, with the bytes that those of fixed size take.
_VARINT, _BYTES = 0, 2
_FIXED = {1: 8, 5: 4}


def read_metadata(path: Path) -> dict[str, str]:
    """Read the metadata properties of an ONNX file.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    dict of str
        Empty when there are none.

    Raises
    ------
    ModelError
        If it is no ONNX file, or is cut short.
    """
    properties: dict[str, str] = {}
    try:
        with path.open("rb") as file:
            end = path.stat().st_size
            while file.tell() < end:
                entry = _field(file, end, wanted=_METADATA_PROPS)
                if entry is not None:
                    properties.update([_pair(entry)])
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path}: found no readable ONNX file ({error}). Get the file again."
        ) from error
    return properties


def _field(file: BinaryIO, end: int, *, wanted: int) -> bytes | None:
    """Return the content of the next field if it is the one wanted, else skip it."""
    tag = _varint(file)
    number, kind = tag >> 3, tag & 7
    if kind == _VARINT:
        _varint(file)
        return None
    if kind != _BYTES and kind not in _FIXED:
        raise ValueError(f"wire type {kind}")
    length = _varint(file) if kind == _BYTES else _FIXED[kind]
    if file.tell() + length > end:
        raise ValueError("it is cut short")
    if kind == _BYTES and number == wanted:
        return file.read(length)
    file.seek(length, 1)
    return None


def _pair(entry: bytes) -> tuple[str, str]:
    parts = {}
    for number in (_KEY, _VALUE):
        file = io.BytesIO(entry)
        while file.tell() < len(entry):
            text = _field(file, len(entry), wanted=number)
            if text is not None:
                parts[number] = text.decode("utf-8")
    return parts.get(_KEY, ""), parts.get(_VALUE, "")


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("it is cut short")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("a number without an end")
