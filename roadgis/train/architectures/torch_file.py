"""Tensors of an old-format (before PyTorch 1.6) torch file, read without torch.

The format is a sequence of pickles (magic number, protocol version, system info, the object, the
keys of its storages) followed by the storages, each an int64 element count and raw values. The
unpickler resolves the few names that a dictionary of tensors needs and rejects all others, so a
file cannot run code.
"""

from __future__ import annotations

import collections
import pickle
import struct
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from roadgis.errors import ModelError

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}

Tensor = npt.NDArray[Any]


def read_torch_tensors(path: Path) -> dict[str, Tensor]:
    """Read a state dictionary saved by torch in its old format.

    Returns
    -------
    dict of str to ndarray
        Tensors by name, in torch's layout, float32 or int64.

    Raises
    ------
    ModelError
        If the file has another format, is damaged, or holds anything but tensors.
    """
    try:
        with path.open("rb") as file:
            return _read(file)
    except (
        *(OSError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError),
        *(struct.error, pickle.UnpicklingError),
    ) as error:
        raise ModelError(
            f"{path}: cannot be read as weights ({error}). Expected a torch file of the format "
            "before version 1.6 that holds tensors only. Reinstall the package it belongs to."
        ) from error


def _read(file: IO[bytes]) -> dict[str, Tensor]:
    if _load(file) != _MAGIC or _load(file) != _PROTOCOL:
        raise ValueError("the magic number or protocol version is wrong")
    _load(file)  # system info
    described = _load(file)
    storages = {}
    for key in _load(file):
        dtype = _storage_dtype(described, key)
        (count,) = struct.unpack("<q", file.read(8))
        data = file.read(count * dtype.itemsize)
        storages[key] = np.frombuffer(data, dtype, count)
    return {name: tensor.view_of(storages) for name, tensor in described.items()}


def _storage_dtype(described: dict[str, _Tensor], key: str) -> np.dtype[Any]:
    return next(tensor.dtype for tensor in described.values() if tensor.key == key)


def _load(file: IO[bytes]) -> Any:
    return _TensorUnpickler(file).load()


class _Tensor:
    """A tensor as described in the file: a strided view of a storage."""

    def __init__(
        self,
        storage: tuple[str, np.dtype[Any], str],
        offset: int,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        *_: Any,
    ) -> None:
        self.dtype, self.key = storage[1:]
        self._offset, self._shape, self._strides = offset, shape, strides

    def view_of(self, storages: dict[str, Tensor]) -> Tensor:
        storage = storages[self.key]
        last = sum((n - 1) * step for n, step in zip(self._shape, self._strides, strict=True))
        if self._offset < 0 or min(self._strides, default=0) < 0:
            raise ValueError("a tensor has a negative offset or stride")
        if self._offset + last >= len(storage):
            raise ValueError("a tensor reaches beyond its storage")
        steps = [step * storage.itemsize for step in self._strides]
        values = np.lib.stride_tricks.as_strided(storage[self._offset :], self._shape, steps)
        return np.array(values)


class _TensorUnpickler(pickle.Unpickler):
    """Unpickles ordered dictionaries and tensors; rejects other types."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Tensor
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> tuple[str, np.dtype[Any], str]:
        kind, dtype, key = pid[:3]
        return kind, dtype, key
