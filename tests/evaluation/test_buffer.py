"""Lengths within a buffer, the classes of error, and junctions: exact on drawings."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely import LineString

from roadgis.errors import InputError
from roadgis.evaluation.buffer import break_even, buffer_curve, buffer_scores
from roadgis.evaluation.errors import PROPOSAL_KINDS, TRUTH_KINDS, classify_errors
from roadgis.evaluation.junctions import junction_scores, junctions
from roadgis.evaluation.within_distance import cover
from roadgis.lines.linear_reference import LineAxis
from tests.factories.geometries import lines

Lines = npt.NDArray[np.object_]


NONE = lines()
ROAD = lines([(0, 0), (100, 0)])
PLACES = st.tuples(st.integers(0, 40), st.integers(0, 40))
LAYERS = st.lists(st.lists(PLACES, min_size=2, max_size=5, unique=True), min_size=1, max_size=5)


# --- buffer ----------------------------------------------------------------------------------


@given(LAYERS)
def test_buffer_scores_of_a_layer_against_itself_are_exactly_one(
    paths: list[list[tuple[int, int]]],
) -> None:
    drawn = lines(*paths)
    drawn = shapely.transform(drawn, lambda xy: xy / 7 + np.array([312345.6, 4_876_543.2]))
    scores = buffer_scores(drawn, drawn)
    for value in (
        scores.relaxed_precision,
        scores.relaxed_recall,
        scores.relaxed_f1,
        scores.completeness,
        scores.correctness,
        scores.quality,
    ):
        assert value == 1.0
    assert scores.redundancy == 0.0
    assert scores.rmse_m == 0.0


@given(LAYERS, LAYERS, st.floats(0.5, 9))
def test_cover_is_the_length_within_the_true_buffer(
    one: list[list[tuple[int, int]]], two: list[list[tuple[int, int]]], reach: float
) -> None:
    axis, others = LineAxis(lines(*one)), LineAxis(lines(*two))
    buffered = shapely.union_all(shapely.buffer(lines(*two), reach, quad_segs=128))
    # One straight part at a time: shapely would count repeated parts once.
    parts = lines(*(part for line in one for part in pairwise(line) if part[0] != part[1]))
    expected = shapely.length(shapely.intersection(parts, buffered)).sum()
    assert cover(axis, others, reach).length_m == pytest.approx(expected, abs=0.1)


def test_buffer_scores_lengths_are_exact() -> None:
    # With an offset of 2 m, the buffer of 3 m reaches sqrt(5) m beyond the proposal's end.
    scores = buffer_scores(ROAD, lines([(0, 2), (60, 2)], [(0, 50), (40, 50)]), buffer_m=3)
    assert scores.relaxed_recall == pytest.approx((60 + math.sqrt(5)) / 100, abs=1e-7)
    assert scores.relaxed_precision == pytest.approx(0.6, abs=1e-7)
    assert scores.quality == pytest.approx(60 / (100 + 40 - math.sqrt(5)), abs=1e-7)
    assert scores.rmse_m == 2.0


def test_buffer_scores_count_a_distance_of_exactly_the_buffer() -> None:
    assert buffer_scores(ROAD, lines([(0, 3), (100, 3)]), buffer_m=3).relaxed_f1 == 1.0
    assert buffer_scores(ROAD, lines([(0, 3.001), (100, 3.001)]), buffer_m=3).relaxed_f1 == 0.0


def test_rmse_of_a_slanted_line_is_the_integral() -> None:
    scores = buffer_scores(ROAD, lines([(10, 0), (90, 3)]), buffer_m=3)
    assert scores.rmse_m == pytest.approx(math.sqrt(3), abs=1e-6)


@given(LAYERS, LAYERS)
def test_rmse_agrees_with_points_sampled_along_the_line(
    one: list[list[tuple[int, int]]], two: list[list[tuple[int, int]]]
) -> None:
    truth, proposal = lines(*one), lines(*two)
    at = [np.arange(0.01, line.length, 0.02) for line in proposal]
    points = np.concatenate(
        [shapely.line_interpolate_point(p, a) for p, a in zip(proposal, at, strict=True)]
    )
    distance = shapely.distance(points, shapely.union_all(truth))
    near = distance[distance <= 5]
    rmse = buffer_scores(truth, proposal, buffer_m=5).rmse_m
    if len(near) > 100:
        assert rmse == pytest.approx(math.sqrt((near**2).mean()), rel=0.01, abs=0.01)


@given(LAYERS)
def test_buffer_scores_ignore_splitting_and_direction_of_lines(
    paths: list[list[tuple[int, int]]],
) -> None:
    whole = lines(*paths)
    cut = lines(*(list(part) for path in paths for part in pairwise(path)))
    other = shapely.transform(whole, lambda xy: xy * 0.97 + 1)
    one, two = buffer_scores(other, whole), buffer_scores(other, shapely.reverse(cut)[::-1])
    assert one.relaxed_f1 == pytest.approx(two.relaxed_f1, abs=1e-9)
    assert one.matched_proposal_m == pytest.approx(two.matched_proposal_m, abs=1e-5)
    assert one.rmse_m == pytest.approx(two.rmse_m, abs=0.01)


def test_cover_is_the_same_over_several_chunks() -> None:
    x = np.arange(0, 45_001.0)
    long = lines(list(zip(x, np.sin(x), strict=True)))
    shifted = shapely.transform(long, lambda xy: xy + np.array([0, 1]))
    assert buffer_scores(long, shifted, buffer_m=1).relaxed_f1 == 1.0


def test_buffer_scores_count_a_line_drawn_twice_as_redundant() -> None:
    once = buffer_scores(ROAD, lines([(0, 1), (50, 1)]))
    twice = buffer_scores(ROAD, lines([(0, 1), (50, 1)], [(0, -1), (50, -1)]))
    assert twice.relaxed_recall == once.relaxed_recall
    assert twice.redundancy == pytest.approx((100 - 50 - math.sqrt(8)) / 100, abs=1e-7)


def test_buffer_scores_are_zero_without_proposal_and_undefined_without_truth() -> None:
    empty = buffer_scores(ROAD, NONE)
    assert (empty.relaxed_precision, empty.relaxed_recall, empty.relaxed_f1) == (0, 0, 0)
    assert (empty.completeness, empty.correctness, empty.quality) == (0, 0, 0)
    assert empty.rmse_m is None
    assert buffer_scores(NONE, ROAD).relaxed_f1 is None


def test_buffer_scores_clip_to_the_area_but_not_the_counterparts() -> None:
    # The proposal runs just outside the area, the truth just inside.
    area = shapely.box(-10, -0.5, 50, 40)
    scores = buffer_scores(ROAD, lines([(0, -1), (100, -1)], [(20, 20), (30, 20)]), aoi=area)
    assert scores.truth_m == 50
    assert scores.proposal_m == 10
    assert scores.relaxed_recall == 1.0
    assert scores.relaxed_precision == 0.0


def test_buffer_scores_accept_heights_multiparts_and_lines_without_length() -> None:
    odd = np.empty(4, object)
    odd[:] = [
        shapely.MultiLineString([[(0, 0), (40, 0)], [(40, 0), (100, 0)]]),
        LineString([(5, 5), (5, 5)]),
        None,
        LineString([(0, 0, 7), (100, 0, 9)]),
    ]
    assert buffer_scores(ROAD, odd).relaxed_f1 == 1.0
    assert buffer_scores(ROAD, odd).proposal_m == 200


def test_buffer_scores_reject_polygons_and_nan_coordinates() -> None:
    with pytest.raises(InputError, match="Found Polygon where lines"):
        buffer_scores(ROAD, np.array([shapely.box(0, 0, 1, 1)], object))
    with pytest.raises(InputError, match="not finite numbers"):
        buffer_scores(ROAD, lines([(0, 0), (math.inf, 0)]))


# --- break-even ------------------------------------------------------------------------------

SURE = lines([(0, 0), (50, 0)], [(50, 0), (100, 0)], [(0, 50), (100, 50)])


def test_buffer_curve_adds_lines_by_confidence() -> None:
    curve = buffer_curve(ROAD, SURE, np.array([0.9, 0.5, 0.7]), buffer_m=3)
    assert curve.confidence.tolist() == [0.9, 0.7, 0.5]
    assert curve.precision == pytest.approx([1, 1 / 3, 1 / 2])
    assert curve.recall == pytest.approx([0.53, 0.53, 1])


def test_break_even_is_where_precision_falls_to_recall() -> None:
    # From (0.53, 1) to (0.53, 1/3): equal at 0.53.
    assert break_even(ROAD, SURE, np.array([0.9, 0.5, 0.7])) == pytest.approx(0.53)
    assert break_even(ROAD, SURE[:2], np.array([0.9, 0.5])) == 1.0


def test_break_even_is_undefined_without_confidence_or_if_precision_stays_ahead() -> None:
    assert break_even(ROAD, SURE, np.full(3, np.nan)) is None
    assert break_even(ROAD, SURE[:1], np.array([0.5])) is None
    assert break_even(ROAD, NONE, np.empty(0)) is None
    assert break_even(NONE, SURE, np.ones(3)) is None


def test_buffer_curve_adds_lines_without_confidence_last() -> None:
    curve = buffer_curve(ROAD, SURE, np.array([0.5, np.nan, 0.7]))
    assert curve.confidence.tolist() == [0.7, 0.5, -np.inf]
    assert curve.recall[-1] == 1.0


@given(LAYERS, LAYERS, st.randoms(use_true_random=False))
def test_buffer_curve_ends_at_the_score_of_all_lines(
    one: list[list[tuple[int, int]]], two: list[list[tuple[int, int]]], draw: object
) -> None:
    truth, proposal = lines(*one), lines(*two)
    confidence = np.array([draw.random() for _ in two])  # type: ignore[attr-defined]
    curve, scores = buffer_curve(truth, proposal, confidence), buffer_scores(truth, proposal)
    assert curve.precision[-1] == pytest.approx(scores.relaxed_precision, abs=1e-6)
    assert curve.recall[-1] == pytest.approx(scores.relaxed_recall, abs=1e-6)
    assert (np.diff(curve.recall) >= 0).all()


# --- classes of error ------------------------------------------------------------------------


@given(LAYERS, LAYERS)
def test_classify_errors_lengths_add_up_to_both_layers(
    one: list[list[tuple[int, int]]], two: list[list[tuple[int, int]]]
) -> None:
    truth, proposal = lines(*one), lines(*two)
    errors = classify_errors(truth, proposal, buffer_m=2, displaced_m=6)
    scores = buffer_scores(truth, proposal, buffer_m=2)
    for pieces, layer in ((errors.truth, truth), (errors.proposal, proposal)):
        total = shapely.length(layer).sum()
        assert sum(pieces.length_by_kind().values()) == pytest.approx(total, abs=1e-6)
        assert shapely.length(pieces.lines) == pytest.approx(pieces.length_m, abs=1e-6)
        by_line = np.bincount(pieces.source, weights=pieces.length_m, minlength=len(layer))
        assert by_line == pytest.approx(shapely.length(layer), abs=1e-6)
    lengths = errors.proposal.length_by_kind()
    assert lengths["hit"] + lengths["duplicate"] == pytest.approx(
        scores.matched_proposal_m, abs=1e-4
    )
    assert errors.truth.length_by_kind()["hit"] == pytest.approx(scores.matched_truth_m, abs=1e-4)


def test_classify_errors_calls_a_break_a_gap_but_not_a_missing_end() -> None:
    errors = classify_errors(ROAD, lines([(0, 0), (40, 0)], [(60, 0), (80, 0)]), buffer_m=3)
    assert errors.truth.kind.tolist() == ["hit", "gap", "hit", "missed"]
    assert errors.truth.length_m == pytest.approx([43, 14, 26, 17], abs=1e-5)
    assert errors.truth.of("gap")[0].equals_exact(LineString([(43, 0), (57, 0)]), 1e-5)
    assert set(errors.proposal.kind) == {"hit"}


def test_classify_errors_joins_gaps_across_line_ends() -> None:
    parts = lines([(0, 0), (50, 0)], [(100, 0), (50, 0)])
    errors = classify_errors(parts, lines([(0, 0), (40, 0)], [(60, 0), (100, 0)]))
    assert errors.truth.length_by_kind()["gap"] == pytest.approx(14, abs=1e-5)


def test_classify_errors_does_not_call_a_whole_street_a_gap() -> None:
    avenues = [[(0, 0), (100, 0)], [(0, 60), (100, 60)]]
    errors = classify_errors(lines(*avenues, [(50, 0), (50, 60)]), lines(*avenues))
    assert errors.truth.length_by_kind()["gap"] == 0
    assert errors.truth.length_by_kind()["missed"] == pytest.approx(54, abs=1e-5)


def test_classify_errors_does_not_call_a_long_stretch_a_gap() -> None:
    found = lines([(0, 0), (30, 0)], [(70, 0), (100, 0)])
    assert classify_errors(ROAD, found, gap_m=30).truth.length_by_kind()["gap"] == 0


def test_classify_errors_calls_parallel_roads_displaced_but_not_crossing_ones() -> None:
    errors = classify_errors(ROAD, lines([(0, 5), (100, 5)], [(50, 4), (50, 60)]))
    assert errors.truth.length_by_kind()["displaced"] == pytest.approx(100)
    assert errors.proposal.length_by_kind()["displaced"] == pytest.approx(100)
    assert errors.proposal.length_by_kind()["false"] == pytest.approx(56)


def test_classify_errors_keeps_a_missed_carriageway_next_to_a_found_one() -> None:
    both = lines([(0, 0), (100, 0)], [(0, 7), (100, 7)])
    errors = classify_errors(both, both[:1])
    assert errors.truth.length_by_kind() == {"hit": 100, "displaced": 0, "gap": 0, "missed": 100}


def test_classify_errors_finds_duplicates_in_any_order() -> None:
    drawn = lines([(0, 0), (100, 0)], [(10, 1.5), (70, 1.5)])
    for proposal in (drawn, drawn[::-1]):
        errors = classify_errors(ROAD, proposal)
        assert errors.proposal.length_by_kind()["duplicate"] == pytest.approx(60)
        assert errors.proposal.length_by_kind()["hit"] == pytest.approx(100)


def test_classify_errors_does_not_call_forks_duplicates() -> None:
    fork = lines([(0, 0), (100, 0)], [(0, 0), (80, 40)])
    assert classify_errors(fork, fork).proposal.length_by_kind()["duplicate"] == 0


def test_classify_errors_of_empty_layers_is_empty() -> None:
    errors = classify_errors(ROAD, NONE)
    assert errors.truth.length_by_kind()["missed"] == 100
    assert errors.proposal.length_by_kind() == dict.fromkeys(PROPOSAL_KINDS, 0.0)
    assert classify_errors(NONE, ROAD).truth.length_by_kind() == dict.fromkeys(TRUTH_KINDS, 0.0)


def test_classify_errors_keeps_the_bends_of_lines() -> None:
    bent = lines([(0, 0), (20, 0), (20, 20), (60, 20)])
    errors = classify_errors(bent, lines([(30, 20), (60, 20)]))
    assert errors.truth.of("missed")[0].equals_exact(
        LineString([(0, 0), (20, 0), (20, 20), (27, 20)]), 1e-5
    )


# --- junctions -------------------------------------------------------------------------------


def test_junctions_are_where_three_roads_meet_however_they_are_drawn() -> None:
    crossing = lines([(0, 0), (50, 0), (100, 0)], [(50, -40), (50, 0), (50, 40)])
    end_on_line = lines([(0, 0), (100, 0)], [(50, 0), (50, 40)])
    for drawn in (crossing, end_on_line, shapely.reverse(end_on_line)[::-1]):
        assert junctions(drawn).tolist() == [[50, 0]]


def test_junctions_exclude_overpasses_bends_and_repeated_lines() -> None:
    overpass = lines([(0, 0), (100, 0)], [(50, -40), (50, 40)])
    joined = lines([(0, 0), (50, 0)], [(50, 0), (100, 30)], [(100, 30), (50, 0)])
    ring = lines([(0, 0), (10, 0), (10, 10), (0, 0)])
    for drawn in (overpass, joined, ring, NONE):
        assert len(junctions(drawn)) == 0


def test_junctions_include_a_line_ending_on_itself() -> None:
    assert junctions(lines([(0, 0), (50, 0), (50, 50), (20, 50), (20, 0)])).tolist() == [[20, 0]]


def test_junctions_are_matched_one_to_one() -> None:
    def crosses(*at: float) -> Lines:
        return lines([(-50, 0), *((x, 0) for x in at), (200, 0)], *([(x, 0), (x, 60)] for x in at))

    scores = junction_scores(crosses(0, 100), crosses(4, 8, 96), radius_m=10)
    assert (scores.precision, scores.recall) == (2 / 3, 1.0)
    assert scores.f1 == pytest.approx(0.8)
    # The nearest one is matched.
    assert scores.proposal_matched.tolist() == [True, False, True]
    # A chain in which taking the nearest first would leave one of two alone.
    assert junction_scores(crosses(0, 11), crosses(10, 20), radius_m=10).f1 == 1.0


@given(LAYERS)
def test_junctions_of_a_layer_and_itself_score_one(paths: list[list[tuple[int, int]]]) -> None:
    drawn = lines(*paths, [(50, 0), (60, 0)], [(60, 0), (70, 0)], [(60, 0), (60, 9)])
    scores = junction_scores(drawn, drawn[::-1])
    assert (scores.precision, scores.recall, scores.f1) == (1.0, 1.0, 1.0)


def test_junction_scores_are_undefined_without_true_junctions() -> None:
    cross = lines([(0, 0), (100, 0)], [(50, 0), (50, 40)])
    assert junction_scores(ROAD, cross).f1 is None
    assert junction_scores(cross, ROAD).f1 == 0.0
    assert junction_scores(cross, NONE).f1 == 0.0


def test_junctions_outside_the_area_do_not_count() -> None:
    cross = lines([(0, 0), (100, 0)], [(20, 0), (20, 40)], [(80, 0), (80, 40)])
    scores = junction_scores(cross, cross[:2], aoi=shapely.box(0, -1, 50, 50))
    assert (scores.f1, len(scores.truth)) == (1.0, 1)
