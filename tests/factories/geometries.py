"""Lines of literal coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely


def lines(*paths: Sequence[Any] | shapely.LineString) -> Any:
    """Return an array of LineStrings."""
    out = np.empty(len(paths), object)
    out[:] = [shapely.LineString(path) for path in paths]
    return out
