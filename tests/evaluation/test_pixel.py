"""Layers drawn as lines and compared pixel by pixel: exact counts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from roadgis.evaluation import pixel
from roadgis.evaluation.pixel import pixel_scores
from tests.factories.geometries import lines

Lines = npt.NDArray[np.object_]
SQUARE = shapely.box(0, -50, 100, 50)


ROAD = lines([(-20, 0), (120, 0)])


def test_pixel_iou_of_a_shifted_road_is_its_overlap() -> None:
    # 7 m wide, moved by 2 m: 5 rows of both, 2 of each alone.
    scores = pixel_scores(ROAD, moved(ROAD, 0, 2), aoi=SQUARE)
    counts = (scores.true_positive, scores.false_positive, scores.false_negative)
    assert counts == (500, 200, 200)
    assert scores.iou == 5 / 9
    assert scores.precision == scores.recall == 5 / 7
    assert scores.f1 == pytest.approx(5 / 7)


def moved(drawn: Lines, x: float, y: float) -> Lines:
    return np.asarray(shapely.transform(drawn, lambda xy: xy + np.array([x, y])), object)


def test_pixel_is_road_if_its_centre_is_within_half_the_width() -> None:
    # Centres at 0.25, 1.25, 2.25, 3.25 m to one side, at 0.75, 1.75, 2.75, 3.75 m to the other.
    for width, rows in ((0.4, 0), (1, 1), (2, 2), (3, 3), (7, 7), (7.6, 8)):
        scores = pixel_scores(ROAD, ROAD, width_m=width, aoi=SQUARE)
        assert scores.true_positive == 100 * rows


def test_pixel_counts_grow_with_finer_pixels() -> None:
    scores = pixel_scores(ROAD, ROAD, gsd_m=0.5, aoi=SQUARE)
    assert scores.true_positive == 200 * 14


@given(st.integers(-3000, 3000), st.integers(-3000, 3000))
@settings(max_examples=10)
def test_pixel_scores_ignore_block_boundaries(x: int, y: int) -> None:
    truth = lines([(0.3, 0.2), (150.6, 93.4), (80.1, 170.9)], [(40.7, 60.2), (40.9, -80.4)])
    proposal = moved(truth, 1.4, -2.3)
    first = pixel_scores(truth, proposal)
    assert pixel_scores(moved(truth, x, y), moved(proposal, x, y)) == first


def test_pixel_scores_cover_layers_far_larger_than_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = lines([(0, 0), (9000, 7000)], [(9000, 7000), (9100, 0.5)])
    proposal = moved(truth, 1, 1)
    first = pixel_scores(truth, proposal)
    monkeypatch.setattr(pixel, "_BLOCK_PX", 300)
    assert pixel_scores(truth, proposal) == first


def test_pixel_scores_of_a_layer_against_itself_are_exactly_one() -> None:
    drawn = lines([(0.3, 0.7), (99.1, 61.3)], [(17.7, 80.2), (60.9, 3.3)])
    scores = pixel_scores(drawn, drawn[::-1])
    assert (scores.iou, scores.precision, scores.recall, scores.f1) == (1.0, 1.0, 1.0, 1.0)


def test_pixel_scores_are_zero_without_proposal_and_undefined_without_truth() -> None:
    scores = pixel_scores(ROAD, lines())
    assert (scores.iou, scores.precision, scores.recall, scores.f1) == (0.0, 0.0, 0.0, 0.0)
    scores = pixel_scores(lines(), ROAD)
    assert (scores.iou, scores.precision, scores.recall, scores.f1) == (None, None, None, None)
    assert pixel_scores(lines(), lines()).iou is None


def test_pixel_scores_ignore_invalid_pixels() -> None:
    scores = pixel_scores(
        ROAD, moved(ROAD, 0, 2), aoi=SQUARE, valid=lambda x, y: (x < 10) & (y < 1.6)
    )
    # Below 1.6 m there are five rows of the truth, the upper three of the proposal too.
    counts = (scores.true_positive, scores.false_positive, scores.false_negative)
    assert counts == (30, 0, 20)


def test_pixel_rows_are_stable_for_coordinates_on_whole_and_half_metres() -> None:
    for y in (0.0, 0.5):
        straight = moved(ROAD, 0, y)
        assert pixel_scores(straight, moved(straight, 0, 1e-7), aoi=SQUARE).iou == 1.0
        assert pixel_scores(straight, moved(straight, 0, -1e-7), aoi=SQUARE).iou == 1.0


def test_pixel_scores_ignore_an_area_that_only_touches_a_block() -> None:
    area = shapely.box(-1024, -1024, 0, 1024)
    assert pixel_scores(moved(ROAD, 24, 500), moved(ROAD, 24, 500), aoi=area).iou is None
