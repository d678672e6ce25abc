"""Parts of a comparison: lines measured and cut, feet on other lines, matched pairs."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import LineString

from roadgis.comparison.feet import feet
from roadgis.comparison.matching import match_lines
from roadgis.comparison.segments import MATCHED, UNMATCHED, cut_pieces
from roadgis.lines.linear_reference import LineAxis, stations
from roadgis.options.comparison import CompareOptions

PLACES = st.tuples(st.integers(0, 60), st.integers(0, 60))


def measured(*lines: list[tuple[float, float]]) -> LineAxis:
    return LineAxis(np.array([LineString(one) for one in lines], object))


@st.composite
def line_sets(draw: st.DrawFn) -> LineAxis:
    count = draw(st.integers(1, 5))
    chosen = [draw(st.lists(PLACES, min_size=2, max_size=7)) for _ in range(count)]
    return measured(*(one if len(set(one)) > 1 else [(0, 0), (9, 5)] for one in chosen))


@given(line_sets(), st.data())
def test_line_axis_cut_parts_join_to_the_line(lines: LineAxis, data: st.DataObject) -> None:
    nth = data.draw(st.integers(0, len(lines.lines) - 1))
    length = lines.length_m[nth]
    assert length == pytest.approx(lines.lines[nth].length)
    shares = data.draw(st.lists(st.floats(0.01, 0.99), max_size=4, unique=True))
    cuts = np.array([0.0, *sorted(shares), 1.0]) * length
    parts = lines.cut(np.full(len(cuts) - 1, nth), cuts[:-1], cuts[1:])
    assert shapely.length(parts) == pytest.approx(np.diff(cuts), abs=1e-9)
    along = np.concatenate([shapely.get_coordinates(part) for part in parts])
    ends = np.stack([along[1:], along[:-1]], axis=1)
    step = np.hypot(*(ends[:, 0] - ends[:, 1]).T)
    # Each part begins where the one before it ends, and all corners are still there.
    assert step.sum() == pytest.approx(length)
    for place in shapely.get_coordinates(lines.lines[nth]):
        assert np.hypot(*(along - place).T).min() < 1e-6
    assert np.hypot(*(along[0] - shapely.get_coordinates(lines.lines[nth])[0])) < 1e-9


@given(line_sets(), st.floats(0.5, 30))
def test_stations_lie_on_their_lines_and_their_cells_fill_them(
    lines: LineAxis, spacing: float
) -> None:
    places = stations(lines, spacing)
    total = np.bincount(places.line, weights=places.cell_m, minlength=len(lines.lines))
    assert total == pytest.approx(lines.length_m)
    assert (places.cell_m <= spacing * (1 + 1e-5)).all()
    distance = shapely.distance(shapely.points(places.xy), lines.lines[places.line])
    assert distance.max() < 1e-9
    exact = shapely.line_interpolate_point(lines.lines[places.line], places.arc_m)
    assert shapely.distance(exact, shapely.points(places.xy)).max() < 1e-6


def test_feet_exclude_a_line_that_ends_before_the_station() -> None:
    east = np.array([[1.0, 0.0]])
    road = measured([(0, 0), (100, 0)])
    for x, y, count in ((50, 3, 1), (99.9, 3, 1), (102, 0, 0), (104, 3, 0), (50, 11, 0)):
        assert len(feet(np.array([[x, y]]), east, road, 10.0, 30.0).station) == count
    north = feet(np.array([[50.0, 3.0]]), east[:, ::-1], road, 10.0, 30.0)
    assert not len(north.station)
    against = feet(np.array([[50.0, 3.0]]), -east, road, 10.0, 30.0)
    assert against.sense.tolist() == [-1]
    assert against.arc_m.tolist() == [50.0]
    assert against.shift.tolist() == [[0.0, -3.0]]


def test_feet_do_not_depend_on_how_stations_are_batched(monkeypatch: pytest.MonkeyPatch) -> None:
    road, other = measured([(0, 0), (40, 5), (100, 0)]), measured([(0, 3), (100, 4)])
    places = stations(other, 1.0)
    whole = feet(places.xy, places.direction, road, 10.0, 30.0, keep="lines")
    monkeypatch.setattr("roadgis.comparison.feet._BATCH", 7)
    again = feet(places.xy, places.direction, road, 10.0, 30.0, keep="lines")
    for one, two in zip(whole, again, strict=True):
        assert np.array_equal(one, two)


def test_match_lines_gives_a_stretch_one_counterpart_only() -> None:
    # Two lines of the base, one of the extraction nearer to the first.
    base = measured([(0, 0), (200, 0)], [(0, 9), (200, 9)])
    road = measured([(0, 4), (200, 4)])
    ours, theirs = match_lines(base, road, CompareOptions())
    assert set(ours.partner[ours.places.line == 0]) == {0}
    assert set(ours.partner[ours.places.line == 1]) == {-1}
    assert set(theirs.partner) == {0}
    assert theirs.distance_m == pytest.approx(4.0)
    assert ours.beside_m[ours.places.line == 1] == pytest.approx(5.0)


def test_match_lines_follows_a_road_from_line_to_line() -> None:
    base = measured([(0, 0), (70, 0)], [(70, 0), (73, 0)], [(73, 0), (200, 0)])
    road = measured([(0, 1), (71, 1)], [(71, 1), (200, 1)])
    options = CompareOptions()
    ours, theirs = match_lines(base, road, options)
    pieces = cut_pieces(base, ours, road, options)
    assert pieces.kind.tolist() == [MATCHED] * 3
    assert pieces.partner.tolist() == [0, 1, 1] or pieces.partner.tolist() == [0, 0, 1]
    assert cut_pieces(road, theirs, base, options).kind.tolist() == [MATCHED] * 2


def test_match_lines_does_not_fold_a_hairpin_onto_a_straight_line() -> None:
    base = measured([(0, 0), (200, 0)])
    road = measured([(0, 0), (200, 0), (200, 10), (0, 10)])
    options = CompareOptions()
    _, theirs = match_lines(base, road, options)
    pieces = cut_pieces(road, theirs, base, options)
    assert pieces.kind.tolist() == [MATCHED, UNMATCHED]
    # Near the bend the way back is close both in distance along the line and in space.
    assert 200 <= pieces.begin_m[1] <= 220


def test_cut_pieces_closes_short_gaps_but_not_long_ones() -> None:
    base = measured([(0, 0), (200, 0)])
    for gap, kinds in ((8.0, [MATCHED]), (16.0, [MATCHED, UNMATCHED, MATCHED])):
        road = measured([(0, 1), (100, 1)], [(100 + gap, 1), (200, 1)])
        options = CompareOptions()
        ours, _ = match_lines(base, road, options)
        pieces = cut_pieces(base, ours, road, options)
        assert pieces.kind.tolist() == kinds
        assert pieces.length_m.sum() == pytest.approx(200)


def test_feet_at_a_vertex_are_on_the_segment_before_it_despite_rounding() -> None:
    # The third vertex is at 0.1 + 0.2 m, which is not 0.3 in binary.
    road = measured([(0, 0), (0.1, 0), (0.3, 0), (100, 9)])
    found = feet(np.array([[0.3, 0.0]]), np.array([[1.0, 0.0]]), road, 5.0, 30.0, keep="lines")
    assert found.arc_m == pytest.approx([0.3])
    assert found.normal.tolist() == [[0.0, 1.0]]
