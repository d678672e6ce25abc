"""Short names for array types, and tables whose columns are arrays."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
#: Shapely geometries.
Lines = npt.NDArray[np.object_]
#: Text, with None where missing.
Objects = npt.NDArray[np.object_]
Singles = npt.NDArray[np.float32]

Table = TypeVar("Table", bound=Any)


def take_rows(table: Table, index: Ints | Bools) -> Table:
    """Return some of the rows of a dataclass of arrays, or of such dataclasses."""
    rows = {
        name: value[index] if isinstance(value, np.ndarray) else take_rows(value, index)
        for name, value in vars(table).items()
    }
    return type(table)(**rows)  # type: ignore[no-any-return]


def first_of_each(group: npt.NDArray[Any]) -> Bools:
    """Return the first item of each run of equal numbers, (K,)."""
    return np.concatenate([[True], group[1:] != group[:-1]])[: len(group)]
