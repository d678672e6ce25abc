"""Affine maps: applied to arrays, and composed."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from affine import Affine

#: Smallest area of a pixel, as a share of the square over its longer side.
_LEAST_AREA = 1e-6

T = TypeVar("T", float, npt.NDArray[np.float64])


def mapped(affine: Affine, x: T, y: T) -> tuple[T, T]:
    """Return coordinates, numbers or arrays, under an affine map."""
    return affine.a * x + affine.b * y + affine.c, affine.d * x + affine.e * y + affine.f


def has_area(affine: Affine) -> bool:
    """Return whether a raster's transform is finite, with pixels that are not as thin as lines."""
    side = max(math.hypot(affine.a, affine.d), math.hypot(affine.b, affine.e))
    # NaN fails the comparison.
    is_wide = abs(affine.determinant) > _LEAST_AREA * side * side
    return is_wide and math.isfinite(affine.c) and math.isfinite(affine.f)


def composed(outer: Affine, inner: Affine) -> Affine:
    """Return the map that applies `inner`, then `outer`."""
    # Spelled out, as affine 2 and 3 want different operators for it.
    c, f = mapped(outer, inner.c, inner.f)
    return Affine(
        outer.a * inner.a + outer.b * inner.d,
        outer.a * inner.b + outer.b * inner.e,
        c,
        outer.d * inner.a + outer.e * inner.d,
        outer.d * inner.b + outer.e * inner.e,
        f,
    )
