"""Edge ends: direction, curvature and width at the nodes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from roadgis.network.edge_ends import chord_ends, fitted_ends
from tests.factories.lines import made_lines

ANGLE = np.linspace(0, 1.2, 61)
ARC = [(50 - 50 * float(np.cos(a)), 50 * float(np.sin(a))) for a in ANGLE]


def test_fitted_ends_of_a_straight_road_point_out_of_it() -> None:
    lines = made_lines([(10.0, float(col)) for col in range(61)])
    ends = fitted_ends(lines, np.array([4.0]))
    assert ends.edge.tolist() == [0, 0]
    assert ends.at_end.tolist() == [False, True]
    assert ends.direction == pytest.approx(np.array([[0.0, -1.0], [0.0, 1.0]]))
    assert ends.bend.tolist() == [0, 0]
    assert ends.node_ahead(lines) == pytest.approx(np.ceil(ends.cut))


def test_fitted_ends_of_an_arc_have_its_curvature() -> None:
    ends = fitted_ends(made_lines(ARC), np.array([6.0]))
    assert np.abs(ends.bend) == pytest.approx([1 / 50, 1 / 50], rel=0.05)
    # The same arc from both ends: one turns left, the other right.
    assert np.sign(ends.bend).sum() == 0


def test_fitted_ends_are_vague_on_an_edge_that_is_hardly_longer_than_its_junctions() -> None:
    spokes = [[(10.0, 12.0), (30.0, float(col))] for col in (0, 24)]
    spokes += [[(10.0, 20.0), (30.0, float(col))] for col in (8, 32)]
    lines = made_lines([(10.0, float(col)) for col in range(12, 21)], *spokes, width=8.0)
    ends = fitted_ends(lines, np.full(5, 8.0))
    assert ends.vague.tolist()[0::5] == [True, True]


def test_chord_ends_are_interpolated_in_the_middle_or_vertices_of_the_skeleton() -> None:
    lines = made_lines([(10.0, float(col)) for col in range(0, 61, 2)])
    lines = dataclasses.replace(lines, d_row=lines.d_row + np.float32(0.5))
    edge, at_end = np.array([0, 0]), np.array([False, True])
    near, far, width = np.full(2, 5.0), np.full(2, 20.0), np.full(2, 4.0)
    ends = chord_ends(lines, edge, at_end, near, far, width)
    assert ends.foot == pytest.approx(np.array([[10.5, 5.0], [10.5, 55.0]]))
    assert ends.direction == pytest.approx(np.array([[0.0, -1.0], [0.0, 1.0]]))
    assert ends.span == pytest.approx([15, 15])
    on_skeleton = chord_ends(lines, edge, at_end, near, far, width, on_skeleton=True)
    assert on_skeleton.foot == pytest.approx(np.array([[10.0, 6.0], [10.0, 54.0]]))
