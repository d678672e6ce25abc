"""Gaps are bridged where shape and evidence support it only."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from roadgis.errors import InputError
from roadgis.network.bridging.bridge import bridge_gaps
from roadgis.network.centerlines import Centerlines
from roadgis.network.edit import merge_interstitial
from roadgis.options.cleaning import BridgeOptions
from roadgis.options.vectorization import VectorizeOptions
from roadgis.probability.source import NO_DATA
from roadgis.vectorization import trace_centerlines
from tests.factories.roads import ArraySource, ring, road
from tests.network.test_invariance import scattered

SHAPE = (200, 200)
TRACE = VectorizeOptions(closing_m=0, rim_m=0, max_road_width_m=20)
OPTIONS = BridgeOptions()
Stroke = tuple[float, float, float, float, float]


def with_faint(
    array: npt.NDArray[np.uint8], *strokes: Stroke, level: int = 60
) -> npt.NDArray[np.uint8]:
    """Return the raster with faint bands where it was 0."""
    faint = np.where(road(array.shape, *strokes) > 0, np.uint8(level), np.uint8(0))
    return np.where(array > 0, array, faint).astype(np.uint8)


def traced(array: npt.NDArray[np.uint8]) -> Centerlines:
    return merge_interstitial(trace_centerlines(ArraySource(array), TRACE))


def bridged(array: npt.NDArray[np.uint8], options: BridgeOptions = OPTIONS) -> Centerlines:
    return bridge_gaps(traced(array), options, ArraySource(array))


TWO_ENDS = road(SHAPE, (10, 100, 80, 100, 7), (100, 100, 190, 100, 7))


def test_bridge_gaps_closes_a_gap_with_faint_evidence_by_one_straight_edge() -> None:
    lines = bridged(with_faint(TWO_ENDS, (75, 100, 105, 100, 7)))
    assert lines.bridged.tolist().count(True) == 1
    assert len(lines) == 3
    bridge = lines.pixel_lines()[lines.bridged][0]
    # The gap, and half a road's width that thinning took from each end.
    assert bridge.length == pytest.approx(27, abs=1.5)
    assert bridge.length == pytest.approx(shapely.length(bridge.envelope) / 2, abs=0.6)
    vertex = lines.bridged[lines.edge_of_vertex]
    assert set(lines.probability[vertex].tolist()) == {60, 254}
    assert np.median(lines.probability[vertex]) == 60
    assert lines.width_px[vertex] == pytest.approx(6, abs=0.5)
    assert sorted(lines.degree[np.unique([lines.start, lines.end])].tolist()) == [1, 1, 2, 2]


def mask_bridged(array: npt.NDArray[np.uint8]) -> Centerlines:
    source = ArraySource(array)
    source.is_mask = True
    return bridge_gaps(traced(array), OPTIONS, source)


def test_bridge_gaps_judges_a_gap_in_a_mask_by_its_shape() -> None:
    lines = mask_bridged(TWO_ENDS)
    assert lines.bridged.sum() == 1
    vertex = lines.bridged[lines.edge_of_vertex]
    # A bridge without evidence has only its ends, which are vertices of the roads.
    assert np.median(lines.probability[vertex]) == 0


def test_bridge_gaps_continues_roads_that_leave_a_mask_across_nodata_only() -> None:
    # Both turn towards the raster edge and would face each other along it.
    rails = road(SHAPE, (20, 3, 85, 3, 5), (103, 3, 180, 3, 5))
    rails = np.maximum(rails, road(SHAPE, (85, 3, 90, -2, 5), (103, 3, 98, -2, 5)))
    assert mask_bridged(rails).bridged.sum() == 0
    strip = TWO_ENDS.copy()
    strip[:, 82:98] = NO_DATA
    strip[97:104, 80:82] = strip[97:104, 98:100] = 254
    assert mask_bridged(strip).bridged.sum() == 1


def test_bridge_gaps_leaves_a_gap_without_evidence_open() -> None:
    lines = bridged(TWO_ENDS)
    assert not lines.bridged.any()
    assert len(lines) == 2


def test_bridge_gaps_rejects_evidence_interrupted_by_water() -> None:
    array = with_faint(TWO_ENDS, (75, 100, 105, 100, 7))
    array[:, 86:94] = 0
    assert not bridged(array).bridged.any()


@pytest.mark.parametrize(("level", "count"), [(28, 0), (36, 1)])
def test_bridge_gaps_needs_less_evidence_where_the_shape_supports_it(
    level: int, count: int
) -> None:
    # Straight, and 20 of at most 30 m long: a support of 2/3. It needs 0.15 * (1.5 - 2/3) * 254.
    lines = bridged(with_faint(TWO_ENDS, (75, 100, 105, 100, 7), level=level))
    assert lines.bridged.sum() == count


@pytest.mark.parametrize(("max_gap_m", "count"), [(19.0, 0), (21.0, 1), (0.0, 0)])
def test_max_gap_is_measured_between_the_borders_of_the_roads(max_gap_m: float, count: int) -> None:
    lines = bridged(
        with_faint(TWO_ENDS, (75, 100, 105, 100, 7)), BridgeOptions(max_gap_m=max_gap_m)
    )
    assert lines.bridged.sum() == count


def test_max_gap_is_in_metres_for_any_pixel_size() -> None:
    array = with_faint(TWO_ENDS, (75, 100, 105, 100, 7))
    source = ArraySource(array, gsd_m=2.0)
    lines = merge_interstitial(trace_centerlines(source, dataclasses.replace(TRACE, closing_m=0)))
    assert not bridge_gaps(lines, BridgeOptions(max_gap_m=39), source).bridged.any()
    assert bridge_gaps(lines, BridgeOptions(max_gap_m=41), source).bridged.sum() == 1


def test_bridge_gaps_follows_a_curve() -> None:
    full = ring(SHAPE, 100, 100, 60, 7)
    angle = np.degrees(np.arctan2(*(np.mgrid[:200, :200] + 0.5 - 100)))
    array = np.where((np.abs(angle) < 10) & (full > 0), np.uint8(60), full)
    lines = bridged(array)
    assert lines.bridged.sum() == 1
    at = lines.bridged[lines.edge_of_vertex]
    radius = np.hypot(lines.row[at] - 99.5, lines.col[at] - 99.5)
    assert radius == pytest.approx(60, abs=2)


def test_bridge_gaps_follows_the_evidence_around_an_obstacle() -> None:
    array = with_faint(TWO_ENDS, (78, 100, 90, 104, 5), (90, 104, 102, 100, 5))
    lines = bridged(array)
    assert lines.bridged.sum() == 1
    assert lines.row[lines.bridged[lines.edge_of_vertex]].max() > 100.8


def test_bridge_gaps_splits_the_road_ahead_of_a_dead_end() -> None:
    array = road(SHAPE, (0, 50, 200, 50, 7), (100, 70, 100, 190, 7))
    lines = bridged(with_faint(array, (100, 45, 100, 75, 7)))
    assert len(lines) == 4
    assert lines.bridged.sum() == 1
    edge = int(np.flatnonzero(lines.bridged)[0])
    ends = sorted(lines.degree[[lines.start[edge], lines.end[edge]]].tolist())
    assert ends == [2, 3]
    node = int(np.flatnonzero(lines.degree == 3)[0])
    assert (lines.node_row[node], lines.node_col[node]) == pytest.approx((49.5, 99.5), abs=1)
    assert len(np.unique(lines.key)) == 4
    assert (np.diff(lines.node_key) > 0).all()


def test_bridge_gaps_leaves_edge_ends_at_nodes_and_edges_simple() -> None:
    array = road(
        SHAPE, (0, 50, 200, 60, 7), (100, 75, 110, 190, 7), (60, 40, 55, 5, 7), (150, 0, 150, 38, 7)
    )
    faint = with_faint(array, (0, 0, 199, 199, 400))
    lines = bridged(faint)
    assert lines.bridged.sum() == 3
    for vertex, node in ((lines.offsets[:-1], lines.start), (lines.offsets[1:] - 1, lines.end)):
        assert np.array_equal(lines.row[vertex], lines.node_row[node])
        assert np.array_equal(lines.col[vertex], lines.node_col[node])
    drawn = lines.pixel_lines()
    assert shapely.is_simple(drawn).all()
    assert not len(shapely.STRtree(drawn).query(drawn, predicate="crosses")[0])


def test_bridge_gaps_does_not_join_the_ends_of_parallel_carriageways() -> None:
    array = road(SHAPE, (0, 90, 100, 90, 7), (0, 110, 100, 110, 7))
    assert not bridged(with_faint(array, (0, 100, 200, 100, 60))).bridged.any()


def test_bridge_gaps_continues_each_of_two_carriageways() -> None:
    array = road(SHAPE, *((x0, y, x1, y, 7) for y in (93, 107) for x0, x1 in ((0, 90), (110, 200))))
    lines = bridged(with_faint(array, (80, 100, 120, 100, 40)))
    assert lines.bridged.sum() == 2
    drawn = lines.pixel_lines()[lines.bridged]
    assert all(abs(line.bounds[3] - line.bounds[1]) < 1.5 for line in drawn)


def test_bridge_gaps_ignores_gaps_with_a_short_detour() -> None:
    # A road that turns back: around is 120 px, across 27.
    array = road(SHAPE, (0, 50, 200, 50, 7), (60, 50, 60, 110, 7), (57, 107, 90, 107, 7))
    array = np.maximum(array, road(SHAPE, (87, 110, 87, 70, 7)))
    faint = with_faint(array, (87, 80, 87, 45, 7))
    assert not bridged(faint, BridgeOptions(detour_factor=8)).bridged.any()
    assert bridged(faint, BridgeOptions(detour_factor=3)).bridged.sum() == 1


def test_bridge_gaps_makes_no_overpass_and_a_crossing_only_with_evidence() -> None:
    array = road(SHAPE, (0, 100, 200, 100, 7), (100, 0, 100, 85, 7), (100, 115, 100, 200, 7))
    assert not bridged(array).bridged.any()
    lines = bridged(with_faint(array, (100, 80, 100, 120, 7)))
    assert lines.bridged.sum() == 2
    # Both end at the same node.
    assert sorted(lines.degree.tolist())[-1] == 4


def test_bridge_gaps_joins_a_third_end_to_the_bridge_of_two_others() -> None:
    array = np.maximum(TWO_ENDS, road(SHAPE, (90, 114, 90, 190, 7)))
    faint = with_faint(array, (75, 100, 105, 100, 7), (90, 100, 90, 118, 7))
    lines = bridged(faint)
    assert lines.bridged.sum() == 3  # the bridge of two, split, and that of the third
    assert sorted(lines.degree.tolist())[-1] == 3
    assert len(np.unique(lines.key)) == len(lines)


def test_bridge_gaps_crosses_a_nodata_sliver_between_facing_roads() -> None:
    array = road(SHAPE, (0, 100, 200, 100, 7))
    array[:, 95:107] = NO_DATA
    lines = bridged(array)
    assert lines.bridged.sum() == 1
    at = lines.bridged[lines.edge_of_vertex]
    assert (lines.probability[at] == 0).sum() == pytest.approx(12, abs=1)
    # Staggered by two widths, they are not the same road.
    array = road(SHAPE, (0, 92, 95, 92, 7), (105, 107, 200, 107, 7))
    array[:, 95:107] = NO_DATA
    assert not bridged(array).bridged.any()


def test_bridge_gaps_ignores_roads_that_leave_the_raster() -> None:
    array = road(SHAPE, (0, 100, 200, 100, 7), (0, 120, 200, 120, 7))
    assert not bridged(with_faint(array, (0, 110, 200, 110, 40))).bridged.any()


def test_bridge_gaps_without_a_raster_joins_aligned_ends_only() -> None:
    aligned = bridge_gaps(traced(TWO_ENDS), OPTIONS, None)
    assert aligned.bridged.sum() == 1
    bent = road(SHAPE, (10, 100, 80, 100, 7), (100, 110, 160, 170, 7))
    assert not bridge_gaps(traced(bent), OPTIONS, None).bridged.any()
    junction = road(SHAPE, (0, 50, 200, 50, 7), (100, 70, 100, 190, 7))
    assert not bridge_gaps(traced(junction), OPTIONS, None).bridged.any()


def test_bridge_gaps_returns_a_network_without_dead_ends_unchanged() -> None:
    for array in (np.zeros(SHAPE, np.uint8), ring(SHAPE, 100, 100, 60, 7)):
        lines = traced(array)
        assert bridge_gaps(lines, OPTIONS, ArraySource(array)) is lines


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10_000))
def test_bridge_gaps_changes_nothing_but_the_bridged_edges(seed: int) -> None:
    array = scattered(seed)
    before = traced(array)
    after = bridge_gaps(before, OPTIONS, ArraySource(array))
    assert len(np.unique(after.key)) == len(after)
    # Two bridges may meet a road within one pixel: such nodes differ by their place.
    places = np.stack([after.node_key, after.node_row, after.node_col], axis=1)
    assert len(np.unique(places, axis=0)) == len(after.node_key)
    removed = merge_interstitial(after.select(~after.bridged))
    assert len(removed) == len(before)
    # Except for ends that were extended to the start of a bridge.
    assert removed.length_px.sum() == pytest.approx(
        before.length_px.sum(), abs=0.01 + 3 * 2 * after.bridged.sum()
    )
    drawn = after.pixel_lines()[after.bridged]
    assert shapely.is_simple(drawn).all()
    crossing = shapely.STRtree(drawn).query(drawn, predicate="crosses")
    assert not crossing.size


def test_bridge_gaps_splits_an_edge_of_two_vertices() -> None:
    array = road(SHAPE, (0, 50, 200, 50, 7), (100, 70, 100, 190, 7))
    lines = traced(array)
    ends = np.stack([lines.offsets[:-1], lines.offsets[1:] - 1], axis=1).reshape(-1)
    # Lines from a file have vertices at bends only.
    coarse = dataclasses.replace(
        lines,
        offsets=np.arange(len(lines) + 1) * 2,
        **{
            name: getattr(lines, name)[ends]
            for name in ("row", "col", "d_row", "d_col", "width_px", "probability")
        },
    )
    out = bridge_gaps(coarse, OPTIONS, ArraySource(with_faint(array, (100, 45, 100, 75, 7))))
    assert len(out) == 4
    assert np.diff(out.offsets)[~out.bridged].tolist() == [2, 2, 2]
    assert out.length_px[~out.bridged].sum() == pytest.approx(lines.length_px.sum(), abs=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_gap_m", -1), ("max_turn_deg", 90), ("min_evidence", 2), ("detour_factor", np.nan)],
)
def test_bridge_options_out_of_range_are_rejected_by_name(name: str, value: float) -> None:
    with pytest.raises(InputError, match=name):
        BridgeOptions(**{name: value})
