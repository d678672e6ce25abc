"""Dual carriageways whose masks have grown together for a stretch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from roadgis.network.carriageways import part_carriageways
from roadgis.network.clean import CleanOptions, clean_network, cleaned_lines
from roadgis.network.network import RoadNetwork
from roadgis.network.options import ParallelOptions
from roadgis.vectorization import VectorizeOptions, trace_centerlines, vectorize
from tests.drawings import ArraySource, same

WIDTH, MEDIAN = 8.0, 3.0
HALF = (WIDTH + MEDIAN) / 2
SIDE = 400.0
OFF = ParallelOptions(part_carriageways=False)


class Drawing:
    """A square of 400 m around the origin (x to the right, y up), in metres."""

    def __init__(self, gsd_m: float = 1.0, turn_deg: float = 0.0) -> None:
        self.gsd_m = gsd_m
        count = round(SIDE / gsd_m)
        y, x = ((np.mgrid[:count, :count] + 0.5) * gsd_m - SIDE / 2) * np.array([-1, 1])[
            :, None, None
        ]
        turn = np.deg2rad(turn_deg)
        self.x, self.y = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        self.turn = turn
        self.mask = np.zeros(x.shape, bool)

    def line(self, *points: tuple[float, float], width: float = WIDTH) -> Drawing:
        """Draw a road along a line."""
        place = shapely.points(self.x, self.y)
        self.mask |= shapely.distance(place, shapely.LineString(points)) < width / 2
        return self

    def carriageways(
        self, gaps: Sequence[tuple[float, float]], radius: float = 0.0, length: float = SIDE
    ) -> Drawing:
        """Draw both, around a median with gaps (from, to); with a radius the middle is an arc."""
        along, across = self.x, self.y
        if radius:
            along = radius * np.arctan2(self.x, radius - self.y)
            across = radius - np.hypot(self.x, radius - self.y)
        aside = np.abs(across)
        in_gap = np.any([(along > low) & (along < high) for low, high in gaps], axis=0)
        road = (aside < WIDTH + MEDIAN / 2) & ((aside > MEDIAN / 2) | in_gap)
        self.mask |= road & (np.abs(along) < length / 2)
        return self

    def source(self) -> ArraySource:
        """Return it as a raster."""
        return ArraySource(np.where(self.mask, 254, 0).astype(np.uint8), self.gsd_m)

    def network(self, **parallels: float) -> RoadNetwork:
        """Vectorize it."""
        options = ParallelOptions(**parallels)  # type: ignore[arg-type]
        return vectorize(self.source(), clean=CleanOptions(parallels=options))

    def placed(self, xy: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return places of a network as (x, y) of the drawing."""
        x, y = (xy - [500_000.0 + SIDE / 2, 5_000_000.0 - SIDE / 2]).T
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        return np.stack([x * cos + y * sin, y * cos - x * sin], axis=1)


def unchanged(drawing: Drawing) -> bool:
    """Return whether the step leaves a drawing alone."""
    return same(drawing.network(), drawing.network(part_carriageways=False))


@pytest.mark.parametrize("gsd_m", [1.0, 0.5])
@pytest.mark.parametrize("turn_deg", [0.0, 30.0])
@pytest.mark.parametrize("length", [30.0, 120.0])
def test_a_stretch_without_median_becomes_two_straight_lines(
    gsd_m: float, turn_deg: float, length: float
) -> None:
    drawing = Drawing(gsd_m, turn_deg).carriageways([(-length / 2, length / 2)])
    assert len(drawing.network(part_carriageways=False)) > 3
    network = drawing.network()
    assert network.degree.tolist() == [1, 1, 1, 1]
    assert len(network) == 2
    for edge in network.edges:
        place = drawing.placed(shapely.get_coordinates(shapely.segmentize(edge, 2.0)))
        place = place[np.abs(place[:, 0]) < 150]
        assert np.abs(np.abs(place[:, 1]) - HALF).max() < 1.0
        assert np.ptp(np.sign(place[:, 1])) == 0
    assert network.width_m == pytest.approx([WIDTH, WIDTH], abs=1)


@pytest.mark.parametrize("gsd_m", [1.0, 0.5])
@pytest.mark.parametrize("turn_deg", [0.0, 30.0])
@pytest.mark.parametrize("street", [False, True])
def test_a_short_gap_in_the_median_links_two_straight_lines(
    gsd_m: float, turn_deg: float, street: bool
) -> None:
    drawing = Drawing(gsd_m, turn_deg).carriageways([(-4, 4)])
    if street:
        drawing.line((0, 0), (0, 150), width=7)
    network = drawing.network()
    assert sorted(network.degree.tolist()) == [1] * (4 + street) + [3, 3 + street]
    nodes = drawing.placed(network.nodes[network.degree > 2])
    assert np.sort(nodes[:, 1]) == pytest.approx([-HALF, HALF], abs=1)
    assert nodes[:, 0] == pytest.approx([0, 0], abs=2)


@pytest.mark.parametrize(
    ("half_gap_m", "street", "degrees"),
    [(12, False, [1, 1, 1, 1]), (12, True, [1, 1, 1, 1, 1, 3, 4]), (30, True, [1, 1, 1, 1, 1, 3])],
)
def test_a_street_is_led_across_a_longer_gap_than_none_but_not_across_any(
    half_gap_m: float, street: bool, degrees: list[int]
) -> None:
    drawing = Drawing(1.0, 0.0).carriageways([(-half_gap_m, half_gap_m)])
    if street:
        drawing.line((0, 0), (0, 150), width=7)
    assert sorted(drawing.network().degree.tolist()) == degrees


@pytest.mark.parametrize("gsd_m", [1.0, 0.5])
@pytest.mark.parametrize("turn_deg", [0.0, 30.0])
def test_in_a_curve_the_lines_follow_it(gsd_m: float, turn_deg: float) -> None:
    radius = 250.0
    drawing = Drawing(gsd_m, turn_deg).carriageways([(-30, 30)], radius)
    network = drawing.network()
    assert network.degree.tolist() == [1, 1, 1, 1]
    for edge in network.edges:
        place = drawing.placed(shapely.get_coordinates(shapely.segmentize(edge, 2.0)))
        place = place[np.abs(place[:, 0]) < 140]
        away = radius - np.hypot(place[:, 0], radius - place[:, 1])
        assert np.abs(np.abs(away) - HALF).max() < 1.5


@pytest.mark.parametrize("gsd_m", [1.0, 0.5])
def test_holes_in_the_stretch_make_a_braid_and_go(gsd_m: float) -> None:
    drawing = Drawing(gsd_m, 30.0).carriageways([(-45, -20), (-8, 5), (20, 40)])
    assert len(drawing.network(part_carriageways=False)) > 5
    assert drawing.network().degree.tolist() == [1, 1, 1, 1]


def test_stretches_far_from_each_other_go_one_after_the_other() -> None:
    drawing = Drawing().carriageways([(-115, -85), (-15, 15), (80, 110)])
    assert drawing.network().degree.tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("gsd_m", [1.0, 0.5])
@pytest.mark.parametrize("turn_deg", [0.0, 30.0])
def test_a_side_street_is_joined_to_the_nearer_carriageway(gsd_m: float, turn_deg: float) -> None:
    drawing = Drawing(gsd_m, turn_deg).carriageways([(-20, 20)]).line((5, 0), (5, 150), width=7)
    network = drawing.network()
    assert sorted(network.degree.tolist()) == [1, 1, 1, 1, 1, 3]
    (node,) = drawing.placed(network.nodes[network.degree == 3])
    assert node == pytest.approx([5, HALF], abs=1.5)


@pytest.mark.parametrize("gsd_m", [1.0, 0.5])
@pytest.mark.parametrize("turn_deg", [0.0, 30.0])
def test_a_road_across_gets_a_junction_with_each(gsd_m: float, turn_deg: float) -> None:
    drawing = Drawing(gsd_m, turn_deg).carriageways([(-9, 9)]).line((-20, -150), (20, 150), width=7)
    network = drawing.network()
    assert sorted(network.degree.tolist()) == [1, 1, 1, 1, 1, 1, 4, 4]
    nodes = drawing.placed(network.nodes[network.degree == 4])
    assert np.sort(nodes[:, 1]) == pytest.approx([-HALF, HALF], abs=1.5)
    assert nodes[:, 0] == pytest.approx([0, 0], abs=2.5)
    assert network.bridged.sum() == 0


def test_with_carriageways_merged_there_is_one_line() -> None:
    network = Drawing(turn_deg=30.0).carriageways([(-20, 20)]).network(merge_carriageways=True)
    assert len(network) == 1


def test_a_roundabout_and_its_splitter_islands_are_left_alone() -> None:
    drawing = Drawing().line((-200, 0), (200, 0)).line((0, -200), (0, 200))
    away = np.hypot(drawing.x, drawing.y)
    drawing.mask[away < 30] = False
    drawing.mask |= np.abs(away - 20) < 4
    for sign in (-1, 1):
        drawing.line((sign * 45, 0), (sign * 20, 6)).line((sign * 45, 0), (sign * 20, -6))
    assert unchanged(drawing)


def test_a_wide_road_between_junctions_is_left_alone() -> None:
    drawing = Drawing().line((-40, 0), (40, 0), width=18)
    for sign in (-1, 1):
        for turn in (-1, 1):
            drawing.line((sign * 40, 0), (sign * 150, turn * 60))
    assert unchanged(drawing)


def test_an_ordinary_road_between_dual_carriageways_is_left_alone() -> None:
    drawing = Drawing().line((-60, 0), (60, 0))
    for sign in (-1, 1):
        for turn in (-1, 1):
            drawing.line((sign * 60, 0), (sign * 80, turn * HALF), (sign * 200, turn * HALF))
    assert unchanged(drawing)


def test_lane_islands_at_a_crossing_are_left_alone() -> None:
    drawing = Drawing().line((0, -200), (0, 200)).line((-200, 0), (200, 0), width=20)
    for sign in (-1, 1):
        aside = np.abs(drawing.y) < 1.5
        drawing.mask[aside & (np.abs(drawing.x - sign * 25) < 12)] = False
    assert unchanged(drawing)


def test_a_slip_road_is_left_alone() -> None:
    drawing = Drawing().line((-200, 0), (200, 0)).line((-60, 0), (0, 4), (60, 30), (200, 120))
    drawing.line((-200, 90), (-120, 20), (-60, 3), width=7)
    assert unchanged(drawing)


def test_two_roads_that_cross_at_an_acute_angle_are_left_alone() -> None:
    assert unchanged(Drawing().line((-200, -40), (200, 40)).line((-200, 40), (200, -40)))


def test_a_wide_median_with_a_connection_is_left_alone() -> None:
    drawing = Drawing().line((-200, 15), (200, 15)).line((-200, -15), (200, -15))
    assert unchanged(drawing.line((0, -15), (0, 15), width=12))


@settings(deadline=None, max_examples=5)
@given(block_px=st.integers(61, 300), turn_deg=st.floats(0, 90))
def test_cuts_into_blocks_change_nothing(block_px: int, turn_deg: float) -> None:
    drawing = Drawing(1.0, turn_deg).carriageways([(-30, 10)]).line((-8, -150), (8, 150), width=7)
    cut = vectorize(drawing.source(), block_px=block_px)
    assert same(vectorize(drawing.source()), cut)


@settings(deadline=None, max_examples=5)
@given(seed=st.integers(0, 1000))
def test_the_order_of_edges_changes_nothing(seed: int) -> None:
    drawing = Drawing(1.0, 30.0).carriageways([(-60, -30), (-10, 10), (75, 85)])
    lines = trace_centerlines(
        drawing.line((0, -150), (0, 150), width=7).source(), VectorizeOptions()
    )
    order = np.random.default_rng(seed).permutation(len(lines))
    assert same(clean_network(lines), clean_network(lines.take(order)))


def test_the_network_stays_sound() -> None:
    drawing = Drawing(1.0, 30.0).carriageways([(-60, 10)]).line((0, -150), (0, 150), width=7)
    lines = trace_centerlines(drawing.source(), VectorizeOptions())
    lines = cleaned_lines(lines, CleanOptions(parallels=OFF))
    parted = part_carriageways(lines, ParallelOptions())
    assert len(np.unique(parted.key)) == len(parted)
    assert len(np.unique(parted.node_key)) == len(parted.node_key)
    for vertex, node in ((parted.offsets[:-1], parted.start), (parted.offsets[1:] - 1, parted.end)):
        assert np.array_equal(parted.row[vertex], parted.node_row[node])
        assert np.array_equal(parted.col[vertex], parted.node_col[node])
    again = part_carriageways(parted, ParallelOptions())
    assert again is parted
    assert part_carriageways(lines, OFF) is lines
