"""Probability in memory."""

from __future__ import annotations

import numpy as np
import pytest

from roadgis.imagery.grid import Window
from roadgis.probability.source import NO_DATA, ArrayProbability
from tests.factories.roads import ArraySource


@pytest.mark.parametrize(
    "window",
    [
        Window(0, 0, 4, 5),
        Window(1, 2, 2, 2),
        Window(-2, -1, 4, 3),
        Window(3, 4, 5, 5),
        Window(-9, 0, 3, 3),
        Window(0, 50, 3, 3),
    ],
)
def test_array_probability_has_nodata_beyond_its_grid(window: Window) -> None:
    values = np.arange(20, dtype=np.uint8).reshape(4, 5)
    around = np.pad(values, 60, constant_values=NO_DATA)
    rows = slice(60 + window.row, 60 + window.row + window.height)
    cols = slice(60 + window.col, 60 + window.col + window.width)
    found = ArrayProbability(ArraySource(values).grid, values).read(window)
    np.testing.assert_array_equal(found, around[rows, cols])
