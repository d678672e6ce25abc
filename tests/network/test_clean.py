"""Cleaning of the graph: dropped, joined and contracted edges; canonical order."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Geod

from roadgis.errors import InputError
from roadgis.network.centerlines import Centerlines
from roadgis.network.clean import clean_network
from roadgis.network.edit import merge_interstitial
from roadgis.network.network import RoadNetwork
from roadgis.network.paths import order_paths
from roadgis.network.prune import drop_dangles
from roadgis.options.cleaning import CleanOptions
from roadgis.options.vectorization import VectorizeOptions
from roadgis.vectorization import trace_centerlines
from tests.factories.roads import UTM, ArraySource, assert_networks_equal, pixel_xy, ring, road

SIZE = (200, 200)


def traced(array: npt.NDArray[np.uint8]) -> Centerlines:
    return trace_centerlines(ArraySource(array), VectorizeOptions(closing_m=0))


def thin_lines(*segments: tuple[int, int, int, int]) -> npt.NDArray[np.uint8]:
    """Draw lines (row, col, row, col) one pixel wide, along rows, columns or diagonals."""
    out = np.zeros(SIZE, np.uint8)
    for row0, col0, row1, col1 in segments:
        steps = max(abs(row1 - row0), abs(col1 - col0)) + 1
        rows, cols = (np.linspace(a, b, steps) for a, b in ((row0, row1), (col0, col1)))
        out[np.rint(rows).astype(int), np.rint(cols).astype(int)] = 254
    return out


@settings(max_examples=60)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 8), st.booleans()), min_size=1, max_size=8),
    seed=st.integers(0, 9999),
)
def test_order_paths_depends_on_keys_alone(sizes: list[tuple[int, bool]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = sum(size for size, _ in sizes)
    vertex, links, expected = rng.permutation(count), [], 0
    for size, closed in sizes:
        members = vertex[expected : expected + size].tolist()
        links += list(itertools.pairwise(members))
        if closed and size > 1:
            links.append((members[-1], members[0]))
        expected += size
    key = rng.permutation(count) + 1000
    pairs = np.array(links, np.int64).reshape(-1, 2)
    shuffled = rng.permutation(pairs)
    shuffled = np.where(rng.random((len(pairs), 1)) < 0.5, shuffled, shuffled[:, ::-1])
    a, b = order_paths(count, pairs, key), order_paths(count, shuffled, key)
    assert np.array_equal(key[a.order], key[b.order])
    assert np.array_equal(a.offsets, b.offsets)
    assert sorted(a.order.tolist()) == list(range(count))
    assert sorted(np.diff(a.offsets).tolist()) == sorted(size for size, _ in sizes)
    assert a.closed.sum() == sum(closed and size > 1 for size, closed in sizes)
    linked = {frozenset(pair) for pair in links}
    for start, stop in zip(a.offsets[:-1], a.offsets[1:], strict=True):
        path = a.order[start:stop].tolist()
        assert all(frozenset(p) in linked for p in itertools.pairwise(path))
        assert key[path[0]] == min(key[path[0]], key[path[-1]])


def test_drop_dangles_drops_a_short_dangle_and_leaves_one_road() -> None:
    lines = traced(thin_lines((100, 20, 100, 180), (95, 100, 100, 100)))
    assert sorted(lines.degree.tolist()) == [1, 1, 1, 3]
    kept = merge_interstitial(drop_dangles(lines, 8.0))
    assert len(kept) == 1
    assert kept.length_px.tolist() == [160]
    assert len(drop_dangles(lines, 1.0)) == 3


def test_drop_dangles_keeps_the_longer_prong_of_a_fork() -> None:
    lines = traced(thin_lines((100, 20, 100, 170), (100, 170, 90, 180), (100, 170, 106, 176)))
    assert sorted(lines.degree.tolist()) == [1, 1, 1, 3]
    kept = merge_interstitial(drop_dangles(lines, 20.0))
    assert len(kept) == 1
    assert kept.length_px[0] == pytest.approx(150 + 10 * np.sqrt(2), abs=1.5)


def test_drop_dangles_does_not_cascade_along_a_branched_road() -> None:
    # Side roads of 30 m each 20 m along a road: none of the dead ends cascades.
    teeth = [(100, col, 130, col) for col in range(30, 171, 20)]
    array = thin_lines((100, 20, 100, 180), *teeth)
    options = CleanOptions(dangle_factor=6.0, junction_factor=0, min_component_m=0)
    network = clean_network(traced(array), options)
    total = shapely.length(network.edges).sum()
    assert total == pytest.approx(160 + 8 * 30, abs=8)


def test_drop_small_components_counts_the_total_length() -> None:
    array = road(SIZE, (20, 50, 180, 50, 5), (20, 150, 60, 150, 5), (40, 130, 40, 170, 5))
    lines = traced(array)
    for longest, roads in ((60, 5), (100, 1), (200, 0)):
        options = CleanOptions(min_component_m=longest, dangle_factor=0)
        assert len(clean_network(lines, options)) == roads


def test_drop_weak_components_counts_the_strong_length() -> None:
    array = road(SIZE, (0, 50, 200, 50, 8), (0, 150, 200, 150, 8))
    array[array > 0] = 100
    array[:100, :40][array[:100, :40] > 0] = 254
    lines = trace_centerlines(ArraySource(array), VectorizeOptions(threshold=0.5))
    assert len(lines) == 2
    for strong, roads in ((0, 2), (35, 1), (45, 0)):
        options = CleanOptions(min_strong_m=strong, min_component_m=0)
        assert len(clean_network(lines, options)) == roads


def test_drop_small_components_keeps_a_short_sure_one_before_a_long_unsure_one() -> None:
    array = road(SIZE, (20, 50, 180, 50, 8), (20, 150, 100, 150, 8))
    array[:100][array[:100] > 0] = 130
    lines = trace_centerlines(ArraySource(array), VectorizeOptions(threshold=0.5))
    network = clean_network(lines, CleanOptions(min_component_m=70))
    # 160 m at the threshold count for a third of their length, 80 certain ones for all of it.
    assert len(network) == 1
    assert pixel_xy(network)[:, 1] == pytest.approx([150, 150], abs=0.6)
    assert len(clean_network(lines, CleanOptions(min_component_m=50))) == 2


@pytest.mark.parametrize(
    ("probability", "share", "edges"), [(254, 0.7, 3), (254, 1.0, 1), (140, 0.7, 1), (220, 0.7, 1)]
)
def test_drop_dangles_keeps_sure_ones_from_a_share_of_the_length(
    probability: int, share: float, edges: int
) -> None:
    array = road(SIZE, (0, 50, 200, 50, 20))
    array[60:94, 98:103] = probability  # 34 m from the border of a road of 20 m: 2.2 widths
    options = CleanOptions(sure_dangle_share=share)
    assert len(clean_network(traced(array), options)) == edges


def test_merge_interstitial_makes_one_ring_of_two_edges() -> None:
    # Both arms of the ring are dropped, and with them both junctions.
    array = np.maximum(
        ring(SIZE, 100, 100, 40, 5), road(SIZE, (52, 100, 60, 100, 5), (140, 100, 148, 100, 5))
    )
    lines = traced(array)
    assert sorted(lines.degree.tolist()) == [1, 1, 3, 3]
    network = clean_network(lines, CleanOptions(dangle_factor=4))
    assert network.degree.tolist() == [2]
    assert network.edges[0].is_ring
    assert network.edges[0].length == pytest.approx(2 * np.pi * 40, rel=0.02)


def test_clean_network_orders_edges_and_nodes() -> None:
    array = road(SIZE, (0, 50, 200, 50, 8), (0, 150, 200, 150, 8), (100, 0, 100, 200, 8))
    network = clean_network(traced(array))
    assert (network.start <= network.end).all()
    pairs = list(zip(network.start.tolist(), network.end.tolist(), strict=True))
    assert pairs == sorted(pairs)
    xy = pixel_xy(network)
    assert (np.diff(np.floor(xy[:, 1] / 20)) >= 0).all()
    for edge, start, end in zip(network.edges, network.start, network.end, strict=True):
        assert edge.coords[0] == tuple(network.nodes[start])
        assert edge.coords[-1] == tuple(network.nodes[end])


@settings(max_examples=15)
@given(seed=st.integers(0, 9999))
def test_clean_network_adds_no_crossings_when_it_smooths_and_simplifies(seed: int) -> None:
    rng = np.random.default_rng(seed)
    strokes = [(*rng.uniform(0, 200, 4), rng.uniform(3, 9)) for _ in range(9)]
    lines = traced(road(SIZE, *strokes))
    options = CleanOptions(junction_factor=0)
    plain = clean_network(lines, CleanOptions(junction_factor=0, smooth_m=0, tolerance_m=0))
    network = clean_network(lines, options)
    assert network.start.tolist() == plain.start.tolist()
    assert network.end.tolist() == plain.end.tolist()
    assert shapely.is_simple(network.edges).all()
    assert shapely.STRtree(network.edges).query(network.edges, predicate="crosses").size == 0


def test_clean_network_is_deterministic_and_leaves_its_input_alone() -> None:
    array = np.maximum(ring(SIZE, 100, 100, 60, 7), road(SIZE, (0, 0, 200, 200, 7)))
    lines = traced(array)
    before = lines.row.copy(), lines.node_row.copy(), lines.start.copy()
    assert_networks_equal(clean_network(lines), clean_network(lines))
    after = lines.row, lines.node_row, lines.start
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("name", ["dangle_factor", "min_component_m", "tolerance_m"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_clean_options_out_of_range_are_rejected_by_name(name: str, value: float) -> None:
    with pytest.raises(InputError, match=name):
        CleanOptions(**{name: value})


def _square() -> RoadNetwork:
    """Return a side of 1 km and a closed loop in UTM."""
    nodes = np.array([[500_000.0, 5_000_000.0], [501_000.0, 5_000_000.0]])
    loop = [nodes[1], nodes[1] + (0, 100), nodes[1] + (100, 100), nodes[1]]
    return RoadNetwork(
        crs=UTM,
        edges=np.array([shapely.LineString(nodes), shapely.LineString(loop)], object),
        start=np.array([0, 1]),
        end=np.array([1, 1]),
        width_m=np.array([7.0, np.nan]),
        confidence=np.array([0.9, np.nan]),
        confidence_min=np.array([0.5, np.nan]),
        nodes=nodes,
    )


def test_length_m_is_geodesic_and_the_same_in_any_crs() -> None:
    network = _square()
    lonlat = network.to_crs(CRS.from_epsg(4326))
    first = shapely.get_coordinates(lonlat.edges[0])
    expected = Geod(ellps="WGS84").inv(*first[0], *first[1])[2]
    assert network.length_m[0] == pytest.approx(expected, rel=1e-9)
    assert lonlat.length_m == pytest.approx(network.length_m, rel=1e-9)
    assert network.to_crs(CRS.from_epsg(3857)).length_m == pytest.approx(network.length_m)


def test_degree_counts_a_loop_twice() -> None:
    assert _square().degree.tolist() == [1, 3]


def test_to_geodataframe_and_to_networkx_hold_all_attributes() -> None:
    network = _square().with_provenance(model="none")
    table = network.to_geodataframe()
    assert table["id"].tolist() == [0, 1]
    assert table.crs == UTM
    assert table["end_node"].tolist() == [1, 1]
    nodes = network.nodes_to_geodataframe()
    assert nodes["degree"].tolist() == [1, 3]
    graph = network.to_networkx()
    assert graph.number_of_edges() == 2
    assert graph.nodes[1]["x"] == 501_000.0
    assert graph.edges[0, 1, 0]["width_m"] == 7.0
    assert graph.graph["model"] == "none"
