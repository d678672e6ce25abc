"""Networks of drawn roads: counts, degrees, lengths, widths."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import shapely

from roadgis.errors import Cancelled, InputError
from roadgis.imagery.grid import Grid, Window
from roadgis.network.network import RoadNetwork
from roadgis.options.cleaning import BridgeOptions, CleanOptions
from roadgis.options.vectorization import VectorizeOptions
from roadgis.probability.source import NO_DATA
from roadgis.raster_pipeline import vectorize
from roadgis.vectorization import trace_centerlines
from roadgis.vectorization.radii import strong_level
from tests.factories.roads import UTM, ArraySource, pixel_xy, ring, road

SIZE = (200, 200)


NO_BRIDGES = CleanOptions(bridge=BridgeOptions(max_gap_m=0))


def network_of(
    array: npt.NDArray[np.uint8], gsd_m: float = 1.0, clean: CleanOptions | None = None
) -> RoadNetwork:
    return vectorize(ArraySource(array, gsd_m), clean=clean, block_px=64)


def lengths(network: RoadNetwork) -> list[float]:
    return sorted(shapely.length(network.edges).tolist())


def test_vectorize_a_straight_road_gives_one_line_of_its_length() -> None:
    network = network_of(road(SIZE, (20, 50, 180, 50, 8)))
    assert len(network) == 1
    assert shapely.get_num_points(network.edges).tolist() == [2]
    assert network.edges[0].length == pytest.approx(160, abs=0.6)
    assert pixel_xy(network)[:, 1] == pytest.approx([50, 50], abs=0.1)
    assert network.confidence.tolist() == [1.0]
    assert network.confidence_min.tolist() == [1.0]


@pytest.mark.parametrize("degrees", [5, 20, 33, 45, 60, 85, 110, 160])
def test_vectorize_straight_roads_is_within_half_a_pixel_in_any_direction(degrees: float) -> None:
    angle = math.radians(degrees)
    x, y = 70 * math.cos(angle), 70 * math.sin(angle)
    network = network_of(road(SIZE, (100 - x, 100 - y, 100 + x, 100 + y, 7)))
    assert len(network) == 1
    xy = shapely.get_coordinates(network.edges[0]) - (500_000.0, 5_000_000.0)
    across = (xy[:, 0] - 100) * math.sin(angle) - (-xy[:, 1] - 100) * math.cos(angle)
    inside = np.hypot(xy[:, 0] - 100, -xy[:, 1] - 100) < 60
    assert np.abs(across).max() < 1.0
    assert np.abs(across[inside]).max(initial=0) < 0.5
    # A flat end across pixels may look like a half circle, whose line ends half a width earlier.
    assert network.edges[0].length == pytest.approx(140, abs=3.6)
    # Half a pixel each for drawing and measuring.
    assert network.width_m[0] == pytest.approx(7, abs=1.0)


@pytest.mark.parametrize("width", range(3, 15))
def test_width_is_the_number_of_pixels_across(width: int) -> None:
    middle = 100 + (width % 2) / 2
    across = network_of(road(SIZE, (0, middle, 200, middle, width)))
    down = network_of(road(SIZE, (middle, 0, middle, 200, width)))
    assert across.width_m.tolist() == [width]
    assert down.width_m.tolist() == [width]
    assert across.edges[0].length == 200
    assert pixel_xy(across)[:, 1] == pytest.approx([middle, middle], abs=1e-6)


def test_width_and_length_are_metres() -> None:
    network = network_of(road((400, 400), (0, 200, 400, 200, 24)), gsd_m=0.25)
    assert network.width_m.tolist() == [6.0]
    assert network.edges[0].length == pytest.approx(100)
    # On the ground, not on the map: the scale of UTM on its central meridian is 0.9996.
    assert network.length_m[0] == pytest.approx(100 / 0.9996, rel=1e-6)


def test_vectorize_a_bend_gives_one_edge() -> None:
    network = network_of(road(SIZE, (20, 50, 120, 50, 7), (116.5, 46.5, 116.5, 180, 7)))
    assert sorted(network.degree.tolist()) == [1, 1]
    # The corner is cut by less than the road width.
    assert network.edges[0].length == pytest.approx(96.5 + 130, abs=4)


def test_vectorize_a_t_junction_gives_one_node_on_the_straight_road() -> None:
    network = network_of(road(SIZE, (0, 50, 200, 50, 8), (100, 50, 100, 200, 8)))
    assert sorted(network.degree.tolist()) == [1, 1, 1, 3]
    at = pixel_xy(network)[network.degree == 3][0]
    assert at == pytest.approx([100, 50], abs=0.6)
    assert lengths(network) == pytest.approx([100, 100, 150], abs=0.6)


@pytest.mark.parametrize("degrees", [90, 70, 53, 40, 30])
def test_vectorize_a_crossing_at_any_angle_gives_one_node_of_degree_four(degrees: float) -> None:
    angle = math.radians(degrees)
    x, y = 90 * math.cos(angle), 90 * math.sin(angle)
    array = road(SIZE, (0, 100, 200, 100, 8), (100 - x, 100 - y, 100 + x, 100 + y, 8))
    network = network_of(array)
    assert sorted(network.degree.tolist()) == [1, 1, 1, 1, 4]
    at = pixel_xy(network)[network.degree == 4][0]
    assert at == pytest.approx([100, 100], abs=1.0)


def test_vectorize_staggered_side_roads_gives_two_junctions() -> None:
    array = road(SIZE, (0, 100, 200, 100, 8), (85, 0, 85, 100, 8), (115, 100, 115, 200, 8))
    network = network_of(array)
    assert sorted(network.degree.tolist()) == [1, 1, 1, 1, 3, 3]


def test_vectorize_a_ring_gives_one_closed_edge() -> None:
    network = network_of(ring(SIZE, 100, 100, 50, 7))
    assert network.degree.tolist() == [2]
    assert network.start.tolist() == network.end.tolist() == [0]
    assert network.edges[0].is_ring
    assert network.edges[0].length == pytest.approx(2 * math.pi * 50, rel=0.01)


def test_vectorize_a_ring_with_one_arm_gives_ring_and_arm() -> None:
    array = np.maximum(ring(SIZE, 100, 100, 50, 7), road(SIZE, (0, 100, 50, 100, 7)))
    network = network_of(array)
    assert sorted(network.degree.tolist()) == [1, 3]
    assert (network.start == network.end).sum() == 1


@pytest.mark.parametrize("radius", [14, 20, 30])
def test_vectorize_a_roundabout_gives_its_ring_and_four_arms(radius: float) -> None:
    array = ring(SIZE, 100, 100, radius, 7)
    for x, y in ((0, 100), (200, 100), (100, 0), (100, 200)):
        inner_x, inner_y = (100 + radius * np.sign(v - 100) for v in (x, y))
        array = np.maximum(array, road(SIZE, (x, y, inner_x, inner_y, 7)))
    network = network_of(array)
    assert sorted(network.degree.tolist()) == [1, 1, 1, 1, 3, 3, 3, 3]
    circle = [
        i
        for i in range(len(network))
        if network.degree[[network.start[i], network.end[i]]].min() == 3
    ]
    assert len(circle) == 4
    total = shapely.length(network.edges[circle]).sum()
    assert total == pytest.approx(2 * math.pi * radius, rel=0.1)


def test_vectorize_parallel_roads_gives_two_lines() -> None:
    network = network_of(road(SIZE, (0, 50, 200, 50, 8), (0, 62, 200, 62, 8)))
    assert len(network) == 2
    assert network.degree.tolist() == [1, 1, 1, 1]
    assert lengths(network) == [200, 200]


def test_vectorize_keeps_two_edges_between_the_same_junctions() -> None:
    array = np.maximum(
        ring(SIZE, 100, 100, 40, 7), road(SIZE, (0, 100, 60, 100, 7), (140, 100, 200, 100, 7))
    )
    network = network_of(array)
    assert sorted(network.degree.tolist()) == [1, 1, 3, 3]
    ends = sorted(zip(network.start.tolist(), network.end.tolist(), strict=True))
    assert len(ends) == 4
    assert max(ends.count(pair) for pair in ends) == 2


def test_vectorize_a_cluster_of_junction_pixels_gives_one_node() -> None:
    array = np.zeros((121, 121), np.uint8)
    array[60] = array[:, 60] = 254
    array[range(121), range(121)] = 254
    lines = trace_centerlines(ArraySource(array), VectorizeOptions(closing_m=0))
    assert sorted(lines.degree.tolist()) == [1] * 6 + [4, 4]
    network = vectorize(ArraySource(array))
    assert sorted(network.degree.tolist()) == [1] * 6 + [6]
    assert pixel_xy(network)[network.degree == 6][0] == pytest.approx([60.5, 60.5], abs=0.7)


def test_vectorize_drops_a_wide_car_park_and_keeps_its_access_road() -> None:
    array = road((400, 400), (0, 200, 200, 200, 8), (200, 200, 320, 200, 120))
    network = network_of(array)
    assert network.degree.tolist() == [1, 1]
    # Up to the margin around areas that are too wide.
    assert network.edges[0].length == pytest.approx(193, abs=2)


def test_vectorize_drops_a_spur_shorter_than_the_road_width() -> None:
    network = network_of(road(SIZE, (0, 100, 200, 100, 8), (100, 100, 100, 114, 6)))
    assert network.degree.tolist() == [1, 1]
    assert lengths(network) == pytest.approx([200], abs=0.2)


def test_vectorize_extends_roads_to_the_raster_edge_at_any_angle() -> None:
    network = network_of(road(SIZE, (-20, 100, 280, 100, 9), (30, -60, 170, 340, 9)))
    assert sorted(network.degree.tolist()) == [1, 1, 1, 1, 4]
    xy = pixel_xy(network)[network.degree == 1]
    on_edge = np.isclose(xy, 0) | np.isclose(xy, 200)
    assert on_edge.any(axis=1).all()


def test_vectorize_keeps_a_road_along_the_raster_edge() -> None:
    network = network_of(road(SIZE, (0, 3.5, 200, 3.5, 7)))
    assert lengths(network) == [200]
    assert network.width_m.tolist() == [7]


def test_vectorize_extends_a_road_to_nodata_on_both_sides() -> None:
    array = road((300, 300), (0, 150, 300, 150, 8))
    array[:, 140:150] = NO_DATA
    network = network_of(array, clean=NO_BRIDGES)
    assert lengths(network) == pytest.approx([140, 150], abs=1)


def test_vectorize_bridges_a_sliver_of_nodata_by_an_edge_of_its_own() -> None:
    array = road((300, 300), (0, 150, 300, 150, 8))
    array[:, 140:150] = NO_DATA
    network = network_of(array)
    assert sorted(network.degree.tolist()) == [1, 1, 2, 2]
    assert shapely.length(network.edges[network.bridged]).tolist() == pytest.approx([10], abs=1.5)
    assert shapely.length(network.edges).sum() == pytest.approx(300, abs=0.1)
    assert shapely.get_coordinates(network.edges)[:, 1] == pytest.approx(5e6 - 150, abs=0.1)


def test_vectorize_drops_a_false_road_along_nodata_and_keeps_one_that_ends_there() -> None:
    array = road((300, 300), (0, 150, 300, 150, 8), (150, 0, 150, 300, 8))
    array[:, 150:] = NO_DATA
    network = network_of(array)
    assert network.degree.tolist() == [1, 1]
    assert pixel_xy(network)[:, 1] == pytest.approx([150, 150], abs=0.1)
    assert 140 < network.edges[0].length <= 150


def test_vectorize_draws_no_road_over_nodata() -> None:
    array = road((300, 300), (0, 150, 300, 150, 8), (0, 0, 300, 280, 8))
    array[100:200, 100:102] = NO_DATA
    network = network_of(array, clean=NO_BRIDGES)
    assert len(network) >= 3
    # The first and last points lie on the border of the raster or of valid data.
    points = [
        shapely.line_interpolate_point(edge, np.arange(0.05, edge.length - 0.05, 0.1))
        for edge in network.edges
    ]
    xy = shapely.get_coordinates(np.concatenate(points)) - (500_000.0, 5_000_000.0)
    assert (array[(-xy[:, 1]).astype(int), xy[:, 0].astype(int)] != NO_DATA).all()


def test_confidence_is_the_probability_along_the_centreline() -> None:
    array = road(SIZE, (0, 100, 200, 100, 8))
    array[array > 0] = 200
    array[:, 150:][array[:, 150:] > 0] = 150
    network = network_of(array)
    assert network.confidence_min.tolist() == [150 / 254]
    assert network.confidence[0] == pytest.approx((0.75 * 200 + 0.25 * 150) / 254, abs=0.002)


@pytest.mark.parametrize("value", [0, NO_DATA])
def test_vectorize_a_blank_raster_gives_an_empty_network(value: int) -> None:
    network = network_of(np.full(SIZE, value, np.uint8))
    assert len(network) == 0
    assert network.nodes.shape == (0, 2)
    assert network.crs == UTM
    assert network.length_m.shape == (0,)


@pytest.mark.parametrize("shape", [(1, 1), (1, 90), (90, 1), (2, 2)])
@pytest.mark.parametrize("value", [0, 254])
def test_vectorize_tiny_rasters(shape: tuple[int, int], value: int) -> None:
    network = vectorize(ArraySource(np.full(shape, value, np.uint8)))
    assert len(network) in (0, 1)


@pytest.mark.parametrize("threshold", [0, -0.1, 1.01, 50, math.nan])
def test_vectorize_options_reject_thresholds_outside_0_to_1(threshold: float) -> None:
    with pytest.raises(InputError, match="threshold"):
        VectorizeOptions(threshold=threshold)


def test_vectorize_options_reject_impossible_values() -> None:
    with pytest.raises(InputError, match="weak"):
        VectorizeOptions(threshold=0.4, weak_threshold=0.5)
    with pytest.raises(InputError, match="max_road_width_m"):
        VectorizeOptions(max_road_width_m=0)
    with pytest.raises(InputError, match="rim_m"):
        VectorizeOptions(rim_m=-1)
    with pytest.raises(InputError, match="block_px"):
        trace_centerlines(ArraySource(np.zeros((9, 9), np.uint8)), block_px=0)


@pytest.mark.parametrize(("threshold", "level"), [(0.3, 77), (0.5, 127), (1.0, 254), (0.001, 1)])
def test_threshold_is_compared_as_stored_number(threshold: float, level: int) -> None:
    assert strong_level(VectorizeOptions(threshold=threshold)) == level
    drawn = road(SIZE, (0, 100, 200, 100, 8)) > 0
    below = np.where(drawn, level - 1, 0).astype(np.uint8)
    at = np.where(drawn, level, 0).astype(np.uint8)
    options = VectorizeOptions(threshold=threshold, weak_threshold=threshold)
    assert len(vectorize(ArraySource(below), options)) == 0
    assert len(vectorize(ArraySource(at), options)) == 1


def test_weak_stretches_stay_only_on_strong_roads() -> None:
    array = road(SIZE, (0, 50, 200, 50, 8), (0, 150, 200, 150, 8))
    array[array > 0] = 254 * 4 // 10
    array[:100, :80][array[:100, :80] > 0] = 254
    network = vectorize(ArraySource(array), VectorizeOptions(threshold=0.5))
    assert lengths(network) == [200]
    assert pixel_xy(network)[:, 1] == pytest.approx([50, 50])


class SparseSource:
    """A raster that exists by windows only: one diagonal road over empty land."""

    def __init__(self, width: int, height: int) -> None:
        self.grid = Grid(UTM, 500_000.0, 5_000_000.0, 1.0, width, height)
        self.pixels_read = 0

    def read(self, window: Window) -> npt.NDArray[np.uint8]:
        rows = np.arange(window.row, window.row + window.height)[:, None]
        self.pixels_read += window.height * window.width
        cols = np.arange(window.col, window.col + window.width)[None, :]
        if window.col + window.width < 49_000:
            out = np.zeros((window.height, window.width), np.uint8)
        else:
            out = np.where((np.abs(rows - 300) < 4) & (cols >= 49_500), 254, 0).astype(np.uint8)
        out[(rows < 0)[:, 0] | (rows >= self.grid.height)[:, 0]] = NO_DATA
        out[:, (cols < 0)[0] | (cols >= self.grid.width)[0]] = NO_DATA
        return out


def test_vectorize_beyond_32767_pixels_has_exact_coordinates() -> None:
    source = SparseSource(50_000, 60_000)
    source.grid = Grid(UTM, 500_000.0, 5_000_000.0, 1.0, 50_000, 700)
    network = vectorize(source, block_px=2048)
    assert len(network) == 1
    assert network.edges[0].length == pytest.approx(500, abs=0.5)
    assert pixel_xy(network) == pytest.approx(np.array([[49_500, 300.5], [50_000, 300.5]]), abs=0.5)


def test_vectorize_beyond_2_to_the_31_pixels_has_exact_ids() -> None:
    class Far(SparseSource):
        def read(self, window: Window) -> npt.NDArray[np.uint8]:
            out = np.zeros((window.height, window.width), np.uint8)
            row = 59_900 - window.row
            if 0 <= row < window.height - 8:
                out[row : row + 8] = 254
            rows = np.arange(window.row, window.row + window.height)
            cols = np.arange(window.col, window.col + window.width)
            out[(rows < 0) | (rows >= self.grid.height)] = NO_DATA
            out[:, (cols < 0) | (cols >= self.grid.width)] = NO_DATA
            return out

    # 3e9 pixels; empty blocks cost little more than their reading.
    network = vectorize(Far(50_000, 60_000), VectorizeOptions(max_road_width_m=20), block_px=8192)
    assert len(network) == 1
    assert network.edges[0].length == pytest.approx(50_000, abs=1e-6)
    assert pixel_xy(network)[:, 1] == pytest.approx([59_904, 59_904])


def test_vectorize_reports_progress_and_can_be_cancelled() -> None:
    source = ArraySource(road(SIZE, (0, 100, 200, 100, 8)))
    seen: list[float] = []
    vectorize(source, block_px=50, progress=lambda share, _: seen.append(share))
    assert seen == sorted(seen)
    assert seen[-1] == 1

    def stop(share: float, _: str) -> None:
        if share > 0.3:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        vectorize(source, block_px=50, workers=2, progress=stop)


def test_vectorize_fails_if_a_read_fails() -> None:
    class Broken(ArraySource):
        def read(self, window: Window) -> npt.NDArray[np.uint8]:
            raise OSError("disk gone")

    for workers in (1, 2):
        with pytest.raises(OSError, match="disk gone"):
            vectorize(Broken(np.zeros((300, 300), np.uint8)), block_px=100, workers=workers)


def test_vectorize_without_cleaning_keeps_everything() -> None:
    array = road(SIZE, (0, 100, 200, 100, 8), (100, 100, 100, 114, 6))
    keep_all = CleanOptions(dangle_factor=0, junction_factor=0, min_component_m=0, min_strong_m=0)
    network = vectorize(ArraySource(array), clean=keep_all)
    assert len(network) >= 3
