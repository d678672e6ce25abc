"""Trees: crowns on a jittered grid, by the density of the ground."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from roadgis.synthetic.noise import Frame, hashed

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Crowns:
    """Tree crowns over a frame.

    Attributes
    ----------
    height : ndarray of float32, (R, C)
        0 without trees, up to 1 in the middle of a crown.
    tone : ndarray of float32, (R, C)
        One number in 0..1 per tree.
    """

    height: Floats
    tone: Floats


def grow(
    frame: Frame, density: Floats, cell_m: float, radius_m: tuple[float, float], salt: int
) -> Crowns:
    """Grow at most one tree in each cell of a grid.

    Parameters
    ----------
    density : ndarray of float32, (R, C)
        Probability of a tree, 0..1, at its stem.
    cell_m : float
        Grid spacing; crowns are at most twice as wide.
    radius_m : tuple of float
        Smallest and largest radius of a crown.
    salt : int
        Distinguishes kinds of trees.

    Returns
    -------
    Crowns
        The highest crown where crowns overlap.
    """
    rows = np.floor(frame.y[:, 0] / cell_m).astype(np.int64)
    cols = np.floor(frame.x[0] / cell_m).astype(np.int64)
    first_row, first_col = int(rows[0]) - 1, int(cols[0]) - 1
    row_ids = np.arange(first_row, int(rows[-1]) + 2)
    col_ids = np.arange(first_col, int(cols[-1]) + 2)
    wrap = round(frame.wrap_m / cell_m)
    keys = [np.mod(ids, wrap) if wrap else ids for ids in (row_ids, col_ids)]

    def chance(k: int) -> npt.NDArray[np.float64]:
        bits = hashed(frame.seed, salt * 8 + k, keys[0][:, None], keys[1][None, :])
        return np.asarray(bits * 2.0**-32, np.float64)

    stem_y = (row_ids[:, None] + chance(0)) * cell_m
    stem_x = (col_ids[None, :] + chance(1)) * cell_m
    low, high = radius_m
    radius = low + (high - low) * chance(2)
    at_row = np.clip((stem_y / frame.step_m).astype(np.int64) - frame.row, 0, frame.rows - 1)
    at_col = np.clip((stem_x / frame.step_m).astype(np.int64) - frame.col, 0, frame.cols - 1)
    alive = chance(3) < density[at_row, at_col]
    inverse = np.where(alive, radius, 1e-3).astype(np.float32) ** -2
    tone = chance(4).astype(np.float32)

    y, x = frame.y[:, 0].astype(np.float64), frame.x[0].astype(np.float64)
    best = np.zeros((frame.rows, frame.cols), np.float32)
    best_tone = np.zeros_like(best)
    for dr in (-1, 0, 1):
        for dc in (-1, 0, 1):
            cell = np.ix_(rows - first_row + dr, cols - first_col + dc)
            down = (y[:, None] - stem_y[cell]).astype(np.float32)
            right = (x[None, :] - stem_x[cell]).astype(np.float32)
            height = 1 - (down * down + right * right) * inverse[cell]
            higher = height > best
            best = np.where(higher, height, best)
            best_tone = np.where(higher, tone[cell], best_tone)
    return Crowns(best, best_tone)
