"""Affine maps: applied to arrays, and composed."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt
from affine import Affine

__all__ = ["composed", "mapped"]

T = TypeVar("T", float, npt.NDArray[np.float64])


def mapped(affine: Affine, x: T, y: T) -> tuple[T, T]:
    """Return coordinates, numbers or arrays, under an affine map."""
    return affine.a * x + affine.b * y + affine.c, affine.d * x + affine.e * y + affine.f


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
