"""What vectorizing reads: road probability on a grid."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from roadgis.imagery.grid import Grid, Window

#: Probability is uint8: 0..254 is p * 254, and this value is nodata.
NO_DATA = 255


class ProbabilitySource(Protocol):
    """What vectorizing reads: road probability on a grid; any window, from any thread."""

    @property
    def grid(self) -> Grid:
        """The pixels' grid."""

    def read(self, window: Window) -> npt.NDArray[np.uint8]:
        """Return uint8 (height, width), 0..254 = p * 254, 255 = nodata or beyond the grid."""


def holds_mask(source: ProbabilitySource) -> bool:
    """Return whether a source says, by an attribute `is_mask`, that it has two values only.

    Between the roads of a mask nothing is known, so it is not evidence against a gap being road.
    """
    return bool(getattr(source, "is_mask", False))


class CroppedProbability:
    """A window of a probability source as a source of its own.

    Attributes
    ----------
    grid : Grid
        Of the window.
    """

    def __init__(self, source: ProbabilitySource, window: Window) -> None:
        self.grid = source.grid.part(window)
        self._source = source
        self._window = window

    def read(self, window: Window) -> npt.NDArray[np.uint8]:
        """Return probability of a window; see :class:`ProbabilitySource`."""
        values = self._source.read(window.shifted(self._window.row, self._window.col))
        inside = window.intersection(self.grid.window)
        if inside == window:
            return values
        cropped = np.full_like(values, NO_DATA)
        here = inside.slices_in(window)
        cropped[here] = values[here]
        return cropped


class ArrayProbability:
    """Probability in memory.

    Parameters
    ----------
    grid : Grid
        Its pixels.
    values : ndarray of uint8, shape (height, width)
        0..254 = p * 254, 255 = nodata.
    """

    def __init__(self, grid: Grid, values: npt.NDArray[np.uint8]) -> None:
        self.grid = grid
        self._values = values

    def read(self, window: Window) -> npt.NDArray[np.uint8]:
        """Return probability of a window; see :class:`ProbabilitySource`."""
        out = np.full((window.height, window.width), NO_DATA, np.uint8)
        inside = window.intersection(self.grid.window)
        out[inside.slices_in(window)] = self._values[inside.slices_in(self.grid.window)]
        return out
