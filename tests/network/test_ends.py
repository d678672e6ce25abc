"""Ends and junctions of lines lie at the ends of roads in the mask, not where thinning stops."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import shapely

from benchmarks.geometry_synthetic import found_lines, nodes_of
from roadgis.network.centerlines import Centerlines
from roadgis.network.shape.dead_ends import Arcs, place_measured_ends
from roadgis.vectorization import trace_centerlines
from tests.factories.networks import drawn_network
from tests.factories.roads import ArraySource


def traced(kind: str, width: float, caps: str, seed: int) -> Centerlines:
    return trace_centerlines(ArraySource(drawn_network(kind, width, caps, seed).mask))


@pytest.mark.parametrize("caps", ["flat", "round"])
@pytest.mark.parametrize("width", [6.0, 10.0, 14.0])
def test_road_ends_are_the_ends_of_curved_roads(width: float, caps: str) -> None:
    drawn = drawn_network("curves", width, caps, 3)
    ends = trace_centerlines(ArraySource(drawn.mask)).road_ends
    row, col = np.divmod(ends.id, 500)
    measured = np.stack([col + ends.col + 0.5, row + ends.row + 0.5], axis=1)
    _, tips = nodes_of(drawn.truth)
    away = np.hypot(*(tips[:, None] - measured[None]).transpose(2, 0, 1)).min(axis=1)
    assert away.max() < 2.5
    assert np.hypot(ends.d_row, ends.d_col) == pytest.approx(1.0)


def test_place_measured_ends_moves_dead_ends_to_the_ends_in_the_mask() -> None:
    lines = traced("dead_ends", 10.0, "flat", 0)
    width = np.full(len(lines), 10.0)
    placed = place_measured_ends(lines, width)
    moved = np.flatnonzero(placed.node)
    number = np.searchsorted(lines.road_ends.id, lines.node_key[moved])
    assert len(moved) >= 14
    assert np.array_equal(
        placed.lines.node_row[moved], lines.node_row[moved] + lines.road_ends.row[number]
    )
    # Other coordinates are equal to the last bit.
    assert np.array_equal(placed.lines.row[~placed.vertex], lines.row[~placed.vertex])


def test_place_measured_ends_keeps_dead_ends_that_are_held_cut_or_leave_the_raster() -> None:
    lines = traced("dead_ends", 10.0, "flat", 0)
    width = np.full(len(lines), 10.0)
    some = np.flatnonzero(place_measured_ends(lines, width).node)[0]
    one = np.arange(len(lines.node_key)) == some
    assert not place_measured_ends(lines, width, one).node[some]
    cut = dataclasses.replace(lines, node_row=lines.node_row + one)
    assert not place_measured_ends(cut, width).node[some]
    exits = dataclasses.replace(lines, node_leaves_raster=lines.node_leaves_raster | one)
    assert not place_measured_ends(exits, width).node[some]


def test_junctions_of_acute_crossings_lie_where_the_roads_meet() -> None:
    drawn = drawn_network("acute", 12.0, "flat", 0)
    junctions, _ = nodes_of(found_lines(drawn))
    true, _ = nodes_of(drawn.truth)
    away = np.hypot(*(true[:, None] - junctions[None]).transpose(2, 0, 1)).min(axis=1)
    assert away.max() < 2.5


def test_with_corners_restores_all_corners_of_a_ring() -> None:
    drawn = drawn_network("bends", 14.0, "flat", 3)
    found = shapely.multilinestrings(found_lines(drawn))
    ring = next(line for line in drawn.truth if line.is_closed)
    corners = shapely.points(shapely.get_coordinates(ring))
    assert shapely.distance(corners, found).max() < 2.0


def test_arcs_nearest_place_to_a_point() -> None:
    arc = Arcs(np.zeros((1, 2)), np.array([[0.0, 1.0]]), np.array([0.05]))
    row, col = arc.points(np.array([[7.0]]), np.array([[0.0]]))
    assert arc.along_of(row[:, 0, 0], col[:, 0, 0]) == pytest.approx([7.0])
    moved = arc.moved(np.array([7.0]), *np.zeros((3, 1)))
    again, there = (
        moved.points(np.array([[3.0]]), np.array([[2.0]])),
        arc.points(np.array([[10.0]]), np.array([[2.0]])),
    )
    assert np.ravel(again) == pytest.approx(np.ravel(there))
    assert math.hypot(*moved.unit[0]) == pytest.approx(1.0)
