"""Blocks of the lattice, spread evenly over a scene, to estimate its statistics from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from roadgis.imagery.grid import Window
from roadgis.imagery.resampling import BLOCK_PX

#: Multiples of it, modulo one, are evenly spread whatever their number.
_GOLDEN = 0.6180339887498949


def spread_blocks(extent: Window, count: int) -> list[Window]:
    """Return up to `count` blocks of the absolute lattice, evenly spread over a window."""
    top, left = extent.row // BLOCK_PX, extent.col // BLOCK_PX
    rows = -(-extent.end_row // BLOCK_PX) - top
    cols = -(-extent.end_col // BLOCK_PX) - left
    side = (count / (rows * cols)) ** 0.5
    down = min(rows, max(1, round(rows * side)))
    across = min(cols, max(1, count // down))
    return [
        _block(top + int(r), left + int(c))
        for r in (np.arange(down) + 0.5) * rows // down
        for c in (np.arange(across) + 0.5) * cols // across
    ]


def blocks_of_inputs(
    extent: Window, boxes: Sequence[npt.NDArray[np.int64]], count: int
) -> list[Window]:
    """Return up to `count` blocks that inputs touch, evenly spread over them.

    They depend on the ground that the inputs cover, and not on how it is cut into inputs.

    Parameters
    ----------
    extent : Window
        Window around all inputs.
    boxes : sequence of ndarray, each shape (N, 4)
        First row, first column, end row and end column of inputs.
    count : int
        Largest number of blocks.
    """
    blocks = spread_blocks(extent, count)
    ends = np.concatenate(boxes)
    if all(_touched(block, ends) for block in blocks):
        return blocks
    first = ends[:, :2] // BLOCK_PX
    end = -(-ends[:, 2:] // BLOCK_PX)
    touched = sorted(
        {
            (row, col)
            for (top, left), (bottom, right) in zip(first.tolist(), end.tolist(), strict=True)
            for row in range(top, bottom)
            for col in range(left, right)
        }
    )
    number = min(count, len(touched))
    chosen = range(number)
    if number < len(touched):
        places = (np.arange(number) * _GOLDEN) % 1.0
        chosen = np.unique((places * len(touched)).astype(np.int64)).tolist()
    return [_block(*touched[at]) for at in chosen]


def _block(row: int, col: int) -> Window:
    return Window(row * BLOCK_PX, col * BLOCK_PX, BLOCK_PX, BLOCK_PX)


def _touched(window: Window, ends: npt.NDArray[np.int64]) -> bool:
    return bool(
        (
            (ends[:, 0] < window.end_row)
            & (ends[:, 2] > window.row)
            & (ends[:, 1] < window.end_col)
            & (ends[:, 3] > window.col)
        ).any()
    )
