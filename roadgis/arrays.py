"""Short names for array types."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["Bools", "Bytes", "Floats", "Ints", "Lines", "Objects", "Singles"]

Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
#: Shapely geometries.
Lines = npt.NDArray[np.object_]
#: Text, with None where missing.
Objects = npt.NDArray[np.object_]
Singles = npt.NDArray[np.float32]
