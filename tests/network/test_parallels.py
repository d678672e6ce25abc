"""Merging of carriageways, and of the roads attached to them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadgis.network.centerlines import Centerlines
from roadgis.network.clean import clean_network
from roadgis.network.network import RoadNetwork
from roadgis.network.parallels import merge_parallels
from roadgis.options.cleaning import CleanOptions, ParallelOptions
from roadgis.options.vectorization import VectorizeOptions
from roadgis.vectorization import trace_centerlines
from tests.factories.roads import ArraySource, pixel_xy, ring, road

SIZE = (200, 300)


def traced(array: npt.NDArray[np.uint8]) -> Centerlines:
    return trace_centerlines(ArraySource(array), VectorizeOptions())


def cleaned(array: npt.NDArray[np.uint8], **parallels: float) -> RoadNetwork:
    options = CleanOptions(parallels=ParallelOptions(**parallels))  # type: ignore[arg-type]
    return clean_network(traced(array), options)


def test_merge_parallels_merges_carriageways_on_request_only() -> None:
    array = road(SIZE, (0, 90, 300, 90, 8), (0, 112, 300, 112, 8))
    assert len(cleaned(array)) == 2
    network = cleaned(array, merge_carriageways=True)
    assert len(network) == 1
    assert pixel_xy(network)[:, 1] == pytest.approx([101, 101], abs=0.6)
    assert network.width_m == pytest.approx([30], abs=1)
    assert len(cleaned(array, merge_carriageways=True, max_separation_m=20)) == 2


def test_merge_parallels_makes_one_junction_with_a_road_across_both() -> None:
    array = road(SIZE, (0, 90, 300, 90, 8), (0, 112, 300, 112, 8), (150, 0, 150, 200, 7))
    assert sorted(cleaned(array).degree.tolist()) == [1, 1, 1, 1, 1, 1, 4, 4]
    network = cleaned(array, merge_carriageways=True)
    assert sorted(network.degree.tolist()) == [1, 1, 1, 1, 4]
    assert pixel_xy(network)[network.degree == 4] == pytest.approx(
        np.array([[150.0, 101.0]]), abs=1
    )


def test_merge_parallels_joins_side_roads_to_the_line_in_the_middle() -> None:
    array = road(
        SIZE,
        (0, 90, 300, 90, 8),
        (0, 112, 300, 112, 8),
        (80, 0, 80, 90, 7),
        (200, 112, 200, 200, 7),
    )
    network = cleaned(array, merge_carriageways=True)
    assert sorted(network.degree.tolist()) == [1, 1, 1, 1, 3, 3]
    assert network.component.max() == 0


@pytest.mark.parametrize("merge", [False, True])
def test_merge_parallels_keeps_roundabouts(merge: bool) -> None:
    array = np.maximum(
        ring(SIZE, 150, 100, 16, 8), road(SIZE, (0, 100, 134, 100, 8), (166, 100, 300, 100, 8))
    )
    assert sorted(cleaned(array, merge_carriageways=merge).degree.tolist()) == [1, 1, 3, 3]


def test_merge_parallels_keeps_a_loop_next_to_a_road() -> None:
    array = np.maximum(ring(SIZE, 150, 60, 50, 7), road(SIZE, (0, 114, 300, 114, 8)))
    lines = traced(array)
    merged = merge_parallels(lines, ParallelOptions(merge_carriageways=True))
    assert merged.length_px.sum() > lines.length_px.sum() - 100


def test_merge_parallels_keeps_streets_a_block_apart() -> None:
    array = road(SIZE, (0, 60, 300, 60, 8), (0, 110, 300, 110, 8))
    assert len(cleaned(array, merge_carriageways=True)) == 2


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 9999))
def test_merge_parallels_keeps_the_network_valid(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 300, 2)
    strokes = [
        (x[0] + rng.uniform(-30, 30), 0, x[1] + rng.uniform(-30, 30), 200, rng.uniform(4, 9))
        for _ in range(4)
    ]
    strokes += [(0, y, 300, y + rng.uniform(-20, 20), 6) for y in rng.uniform(20, 180, 2)]
    lines = traced(road(SIZE, *strokes))
    merged = merge_parallels(lines, ParallelOptions(merge_carriageways=True))
    assert merged.length_px.sum() <= lines.length_px.sum() * 1.05
    first, last = merged.offsets[:-1], merged.offsets[1:] - 1
    assert np.array_equal(merged.row[first], merged.node_row[merged.start])
    assert np.array_equal(merged.col[last], merged.node_col[merged.end])
    assert len(np.unique(merged.key)) == len(merged)
    used = np.unique(np.concatenate([merged.start, merged.end]))
    assert len(np.unique(merged.node_key[used])) == len(used)
    assert (merged.degree[used] != 2).all() or (merged.start == merged.end).any()
