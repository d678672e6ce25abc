"""Sample a probability raster at points."""

from __future__ import annotations

import numpy as np

from roadgis.arrays import Bytes, Floats
from roadgis.imagery.grid import Window
from roadgis.probability.source import NO_DATA, ProbabilitySource

_BLOCK_PX = 1024


def sampled_levels(source: ProbabilitySource, row: Floats, col: Floats) -> Bytes:
    """Return the stored probability of the pixels at points; each block is read once.

    Parameters
    ----------
    source : ProbabilitySource
        The raster.
    row, col : ndarray of float64, shape (V,)
        Points on its grid; integers are pixel centres. They may lie outside.

    Returns
    -------
    ndarray of uint8, shape (V,)
        0..254 = p * 254, 255 = nodata or outside.
    """
    out: Bytes = np.full(len(row), NO_DATA, np.uint8)
    grid = source.grid
    r, c = np.rint(row).astype(np.int64), np.rint(col).astype(np.int64)
    inside = np.flatnonzero((r >= 0) & (r < grid.height) & (c >= 0) & (c < grid.width))
    if not len(inside):
        return out
    across = -(-grid.width // _BLOCK_PX)
    block = r[inside] // _BLOCK_PX * across + c[inside] // _BLOCK_PX
    rank = np.argsort(block, kind="stable")
    numbers, begin = np.unique(block[rank], return_index=True)
    parts = np.split(inside[rank], begin[1:])
    for number, members in zip(numbers.tolist(), parts, strict=True):
        top, left = (number // across) * _BLOCK_PX, (number % across) * _BLOCK_PX
        values = source.read(Window(top, left, _BLOCK_PX, _BLOCK_PX))
        out[members] = values[r[members] - top, c[members] - left]
    return out
