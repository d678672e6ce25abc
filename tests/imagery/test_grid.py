"""Arithmetic of windows."""

from __future__ import annotations

import numpy as np
import pytest

from roadgis.imagery.grid import Window

WHOLE = Window(0, 0, 100, 200)


@pytest.mark.parametrize(
    ("window", "shared"),
    [
        (Window(10, 20, 30, 40), Window(10, 20, 30, 40)),
        (Window(-10, -20, 30, 40), Window(0, 0, 20, 20)),
        (Window(90, 190, 30, 40), Window(90, 190, 10, 10)),
        (Window(-5, -5, 500, 500), WHOLE),
    ],
)
def test_window_intersection_is_the_common_part(window: Window, shared: Window) -> None:
    assert window.intersection(WHOLE) == WHOLE.intersection(window) == shared
    assert WHOLE.contains(window) == (window == shared)


@pytest.mark.parametrize(
    "window", [Window(100, 0, 5, 5), Window(0, -5, 5, 5), Window(300, 300, 5, 5)]
)
def test_window_intersection_is_empty_where_windows_do_not_meet(window: Window) -> None:
    shared = window.intersection(WHOLE)
    assert shared.is_empty
    assert np.zeros((100, 200))[shared.slices_in(WHOLE)].size == 0
    assert not WHOLE.contains(window)


def test_window_slices_in_cuts_a_window_out_of_an_array() -> None:
    rows, cols = np.mgrid[40:60, 30:70]
    here = Window(50, 35, 5, 6).slices_in(Window(40, 30, 20, 40))
    assert (rows[here][:, 0] == np.arange(50, 55)).all()
    assert (cols[here][0] == np.arange(35, 41)).all()


def test_window_between_shifted_and_buffered_agree() -> None:
    window = Window.between(3, 4, 10, 14)
    assert window == Window(3, 4, 7, 10)
    assert (window.end_row, window.end_col) == (10, 14)
    assert window.shifted(-3, 2) == Window(0, 6, 7, 10)
    assert window.buffered(1) == Window.between(2, 3, 11, 15)
