"""Which edges come near some places: told from boxes on a coarse raster, for all at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from roadgis.network.centerlines import Centerlines

__all__ = ["edges_near"]

#: Side of a cell, pixels; larger where there would be more cells than this.
_CELL_PX, _CELLS = 16.0, 4_000_000


def edges_near(
    lines: Centerlines, low: npt.NDArray[np.float64], high: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Tell which edges may touch one of some boxes, (E,).

    An edge that is left out touches none: its box shares no cell of a coarse raster with
    any of them. The time is proportional to vertices and boxes.

    Parameters
    ----------
    lines : Centerlines
        The network.
    low, high : ndarray of float64, shape (B, 2)
        Least and largest (row, col) of each box.
    """
    if not len(lines) or not len(low):
        return np.zeros(len(lines), bool)
    first = lines.offsets[:-1]
    edge_low, edge_high = (
        np.stack([one.reduceat(lines.row, first), one.reduceat(lines.col, first)], axis=1)
        for one in (np.minimum, np.maximum)
    )
    origin, extent = edge_low.min(axis=0), np.ptp(np.stack([edge_low, edge_high]), axis=(0, 1))
    side = max(_CELL_PX, float(np.sqrt(extent[0] / _CELLS * extent[1])))
    # Long and narrow networks, too.
    side = max(side, float(extent.max()) / _CELLS)
    shape = (extent / side).astype(np.int64) + 1

    def cells(at: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Return rows and columns of cells; what is beyond the edges counts to the last."""
        at = np.clip(np.floor((at - origin) / side), 0, shape - 1)
        return at.astype(np.int64)

    (r0, c0), (r1, c1) = cells(low).T, cells(high).T + 1
    steps = np.zeros(shape + 1, np.int64)
    for row, col, step in ((r0, c0, 1), (r1, c1, 1), (r0, c1, -1), (r1, c0, -1)):
        np.add.at(steps, (row, col), step)
    marked = steps.cumsum(axis=0).cumsum(axis=1) > 0
    # How many marked cells there are above and left of each corner.
    count = np.zeros(shape + 1, np.int64)
    count[1:, 1:] = marked[:-1, :-1].cumsum(axis=0).cumsum(axis=1)
    (r0, c0), (r1, c1) = cells(edge_low).T, cells(edge_high).T + 1
    near = count[r1, c1] - count[r0, c1] - count[r1, c0] + count[r0, c0] > 0
    return np.asarray(near, bool)
