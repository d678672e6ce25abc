"""Places, parts and stations on lines laid end to end on one axis."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from shapely import LineString

from roadgis.lines.linear_reference import LineAxis, merged, stations

Path = list[tuple[float, float]]

#: Two lines: an L of 3 + 4 m with a repeated vertex, and 10 m to the east from (100, 0).
BENT: Path = [(0, 0), (3, 0), (3, 0), (3, 4)]
STRAIGHT: Path = [(100, 0), (110, 0)]


def axis_of(*paths: Path) -> LineAxis:
    lines = np.empty(len(paths), object)
    lines[:] = [LineString(path) for path in paths]
    return LineAxis(lines)


def paths_of(lines: np.ndarray) -> list[list[tuple[float, ...]]]:
    return [[tuple(xy) for xy in shapely.get_coordinates(line).tolist()] for line in lines]


def test_line_axis_lays_lines_end_to_end_a_metre_apart() -> None:
    axis = axis_of(BENT, STRAIGHT)
    assert axis.at.tolist() == [0, 3, 3, 7, 8, 18]
    assert axis.line_start.tolist() == [0, 8]
    assert axis.line_stop.tolist() == [7, 18]
    assert axis.length_m.tolist() == [7, 10]
    assert axis.total_m == 17
    # The repeated vertex makes no segment.
    assert axis.first.tolist() == [0, 2, 4]
    assert axis.line.tolist() == [0, 0, 1]
    assert axis.span_m.tolist() == [3, 4, 10]
    assert axis.direction.tolist() == [[1, 0], [0, 1], [1, 0]]


def test_line_axis_without_lines_is_empty() -> None:
    axis = axis_of()
    assert axis.total_m == 0
    assert len(axis.first) == len(axis.segments) == 0
    assert axis.points(np.empty(0)).shape == (0, 2)
    assert [len(part) for part in axis.near(np.zeros((1, 2)), 5.0)] == [0, 0]
    assert len(stations(axis, 5.0).line) == 0


@pytest.mark.parametrize(
    ("line", "arc_m", "place", "xy"),
    [
        (0, 0.0, 0.0, (0, 0)),
        (0, 2.5, 2.5, (2.5, 0)),
        (0, 3.0, 3.0, (3, 0)),
        (0, 5.0, 5.0, (3, 2)),
        (0, 7.0, 7.0, (3, 4)),
        (1, 0.0, 8.0, (100, 0)),
        (1, 2.5, 10.5, (102.5, 0)),
        # What rounding puts past an end of a line stays on the line.
        (0, 7.0 + 1e-9, 7.0, (3, 4)),
        (1, -1e-9, 8.0, (100, 0)),
    ],
)
def test_line_axis_place_and_points(
    line: int, arc_m: float, place: float, xy: tuple[float, float]
) -> None:
    axis = axis_of(BENT, STRAIGHT)
    at = axis.place(np.array([line]), np.array([arc_m]))
    assert at.tolist() == [place]
    assert axis.points(at).tolist() == [list(xy)]
    assert axis.line_at(at).tolist() == [line]


@pytest.mark.parametrize(
    ("at", "segment"), [(0.0, 0), (2.9, 0), (3.0, 1), (6.9, 1), (8.0, 2), (17.0, 2), (18.0, 2)]
)
def test_line_axis_segment_at(at: float, segment: int) -> None:
    assert axis_of(BENT, STRAIGHT).segment_at(np.array([at])).tolist() == [segment]


@pytest.mark.parametrize(
    ("line", "begin_m", "end_m", "expected"),
    [
        (0, 0.0, 7.0, BENT),
        (0, 0.0, 3.0, [(0, 0), (3, 0)]),
        (0, 3.0, 7.0, [(3, 0), (3, 4)]),
        (0, 1.0, 5.0, [(1, 0), (3, 0), (3, 0), (3, 2)]),
        (1, 0.0, 10.0, STRAIGHT),
        (1, 2.0, 4.0, [(102, 0), (104, 0)]),
        (1, 2.0, 10.0 + 1e-9, [(102, 0), (110, 0)]),
    ],
)
def test_line_axis_cut(line: int, begin_m: float, end_m: float, expected: Path) -> None:
    axis = axis_of(BENT, STRAIGHT)
    parts = axis.cut(np.array([line]), np.array([begin_m]), np.array([end_m]))
    assert paths_of(parts) == [expected]


def test_line_axis_pieces_are_the_parts_between_places() -> None:
    axis = axis_of(BENT, STRAIGHT)
    parts = axis.pieces(np.array([9.0, 1.0, 4.0]), np.array([10.0, 4.0, 7.0]))
    assert paths_of(parts) == [
        [(101, 0), (102, 0)],
        [(1, 0), (3, 0), (3, 0), (3, 1)],
        [(3, 1), (3, 4)],
    ]


def test_line_axis_near_and_along() -> None:
    axis = axis_of(BENT, STRAIGHT)
    points = np.array([[99.0, 0.5], [50.0, 0.0], [2.0, 1.0]])
    point, segment = axis.near(points, 1.2)
    assert point.tolist() == [0, 2, 2]
    assert segment.tolist() == [2, 0, 1]
    assert axis.along_m(points[point], segment).tolist() == [-1.0, 2.0, 1.0]


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ([], []),
        ([(0, 2)], [(0, 2)]),
        ([(4, 5), (0, 2)], [(0, 2), (4, 5)]),
        ([(0, 3), (2, 5)], [(0, 5)]),
        ([(0, 9), (2, 5)], [(0, 9)]),
        ([(0, 2), (2 + 1e-9, 5)], [(0, 5)]),
        ([(0, 2), (2 + 1e-3, 5)], [(0, 2), (2 + 1e-3, 5)]),
    ],
)
def test_intervals_merged(
    intervals: list[tuple[float, float]], expected: list[tuple[float, float]]
) -> None:
    start, stop = np.array(intervals, float).reshape(-1, 2).T
    spans = merged(start, stop)
    assert list(zip(spans.start.tolist(), spans.stop.tolist(), strict=True)) == expected
    assert spans.length_m == pytest.approx(sum(b - a for a, b in expected))


@pytest.mark.parametrize(
    ("at", "inside"), [(-1.0, False), (0.0, True), (1.9, True), (2.0, False), (4.5, True)]
)
def test_intervals_contain_their_starts_but_not_their_stops(at: float, inside: bool) -> None:
    spans = merged(np.array([0.0, 4.0]), np.array([2.0, 5.0]))
    assert spans.contains(np.array([at])).tolist() == [inside]


@pytest.mark.parametrize(
    ("spacing_m", "arc_m", "xy", "direction"),
    [
        (20.0, [5.0], [(105, 0)], [(1, 0)]),
        (5.0, [2.5, 7.5], [(102.5, 0), (107.5, 0)], [(1, 0)] * 2),
        (
            4.0,
            [10 / 6, 5.0, 50 / 6],
            [(100 + 10 / 6, 0), (105, 0), (100 + 50 / 6, 0)],
            [(1, 0)] * 3,
        ),
    ],
)
def test_stations_lie_at_equal_steps(
    spacing_m: float, arc_m: list[float], xy: Path, direction: Path
) -> None:
    cells = stations(axis_of(STRAIGHT), spacing_m)
    assert cells.line.tolist() == [0] * len(arc_m)
    assert cells.arc_m == pytest.approx(arc_m)
    assert cells.cell_m == pytest.approx(10 / len(arc_m))
    assert cells.xy == pytest.approx(np.array(xy, float))
    assert cells.direction == pytest.approx(np.array(direction, float))
    assert cells.begin_m[0] == pytest.approx(0.0)


def test_stations_of_a_closed_line_have_no_direction() -> None:
    square = axis_of([(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)])
    assert stations(square, 10.0).direction.tolist() == [[0.0, 0.0]]
