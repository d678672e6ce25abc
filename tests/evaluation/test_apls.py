"""APLS by hand on small networks, against networkx on random ones, and published scores."""

from __future__ import annotations

import csv
import json
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from roadgis.errors import InputError
from roadgis.evaluation.apls import apls_score
from roadgis.evaluation.graph import RoadGraph
from roadgis.evaluation.graph_points import control_points, places_at, ways
from tests.factories.geometries import lines

APART = 1000.0  # so far apart that only nodes are control points


# two stubs, a street, and a detour around three sides of a square
STUBS = [[(-50, 0), (0, 0)], [(100, 0), (150, 0)]]
SIDE = [(0, 0), (100, 0)]
ROUND = [(0, 0), (0, 100), (100, 100), (100, 0)]


class TestGraph:
    def test_road_graph_joins_lines_at_a_shared_inner_vertex(self) -> None:
        graph = RoadGraph.from_lines(lines([(0, 0), (5, 0), (9, 0)], [(5, -4), (5, 0), (5, 4)]))
        assert graph.degree.tolist() == [1, 1, 4, 1, 1]
        assert len(graph) == 4

    def test_road_graph_does_not_join_lines_that_cross_without_a_vertex(self) -> None:
        graph = RoadGraph.from_lines(lines([(0, 0), (9, 0)], [(5, -4), (5, 4)]))
        assert len(graph) == 2
        assert graph.component.tolist() == [0, 1, 1, 0]

    def test_road_graph_makes_one_edge_of_a_road_cut_into_features(self) -> None:
        graph = RoadGraph.from_lines(lines([(0, 0), (3, 0)], [(9, 0), (6, 1), (3, 0)]))
        assert len(graph) == 1
        assert graph.edge_lines()[0].equals(shapely.LineString([(0, 0), (3, 0), (6, 1), (9, 0)]))

    def test_road_graph_keeps_two_edges_between_the_same_nodes(self) -> None:
        graph = RoadGraph.from_lines(lines(*STUBS, SIDE, ROUND))
        assert sorted(graph.length_m.tolist()) == [50, 50, 100, 300]
        assert graph.matrix.toarray()[1, 2] == 100  # routes use the shorter one

    def test_road_graph_keeps_loops_and_rings(self) -> None:
        loop = [(10, 0), (20, 10), (30, 0), (20, -10), (10, 0)]
        ring = [(100, 0), (110, 10), (120, 0), (100, 0)]
        graph = RoadGraph.from_lines(lines([(0, 0), (10, 0)], loop, ring))
        assert (graph.start == graph.end).tolist() == [False, True, True]
        assert graph.ring.tolist() == [False, False, True]
        assert graph.nodes.tolist() == [[0, 0], [10, 0], [100, 0]]
        assert graph.length_m == pytest.approx([10, 4 * 200**0.5, 20 + 2 * 200**0.5])

    def test_road_graph_drops_a_street_drawn_twice(self) -> None:
        graph = RoadGraph.from_lines(lines(SIDE, SIDE[::-1], [(0, 0), (100, 0), (200, 0)]))
        assert graph.length_m.tolist() == [200]

    def test_road_graph_merges_vertices_closer_than_the_tolerance(self) -> None:
        drawn = lines([(0, 0), (5, 0)], [(5.0004, 0), (9, 0)], [(9.01, 0), (12, 0)])
        assert RoadGraph.from_lines(drawn).length_m.tolist() == [9, pytest.approx(2.99)]
        assert len(RoadGraph.from_lines(drawn, join_m=0.0)) == 3

    def test_road_graph_ignores_order_direction_and_cutting_of_lines(self) -> None:
        whole = RoadGraph.from_lines(lines(*STUBS, SIDE, ROUND))
        cut = RoadGraph.from_lines(lines(ROUND[:1:-1], SIDE[::-1], ROUND[:3], *STUBS[::-1]))
        for name in ("nodes", "start", "end", "first", "xy", "vector", "segment_cost"):
            assert getattr(whole, name).tolist() == getattr(cut, name).tolist()

    def test_road_graph_drops_short_components_but_never_all(self) -> None:
        drawn = lines([(0, 0), (4, 0)], [(100, 0), (106, 0)])
        assert RoadGraph.from_lines(drawn, min_component_m=5).length_m.tolist() == [6]
        assert len(RoadGraph.from_lines(drawn[:1], min_component_m=5)) == 1

    def test_road_graph_of_no_lines_is_empty(self) -> None:
        graph = RoadGraph.from_lines(np.empty(0, object))
        assert len(graph) == len(graph.nodes) == len(graph.length_m) == 0

    @pytest.mark.parametrize(
        ("drawn", "speed"),
        [
            ([shapely.Point(0, 0)], None),
            ([shapely.MultiLineString([[(0, 0), (1, 1)]])], None),
            ([shapely.LineString([(0, 0), (np.inf, 1)])], None),
            ([shapely.LineString([(0, 0), (1, 1)])], [0.0]),
            ([shapely.LineString([(0, 0), (1, 1)])], [1.0, 2.0]),
        ],
    )
    def test_road_graph_rejects_invalid_geometry(self, drawn: Any, speed: Any) -> None:
        with pytest.raises(InputError):
            RoadGraph.from_lines(np.array(drawn, dtype=object), speed=speed)


class TestControlPoints:
    @pytest.mark.parametrize(
        ("length", "at"),
        [(37, []), (38, [19]), (50, [25]), (51, [25.5]), (101, [101 / 3, 202 / 3])],
    )
    def test_control_points_divide_edges_evenly(self, length: float, at: list[float]) -> None:
        graph = RoadGraph.from_lines(lines([(0, 0), (length, 0)]))
        assert control_points(graph, 50.0).xy[:, 0] == pytest.approx([0, *at, length])

    def test_control_points_of_a_ring_are_at_least_two(self) -> None:
        graph = RoadGraph.from_lines(lines([(0, 0), (4, 0), (4, 4), (0, 4), (0, 0)]))
        assert control_points(graph, 50.0).xy.tolist() == [[0, 0], [4, 4]]


class TestByHand:
    def test_apls_of_a_missing_side_of_a_square(self) -> None:
        # of the six true routes two keep their length; the only route of the
        # proposal, 400 m, is 200 m in the truth
        score = apls_score(lines(*STUBS, SIDE, ROUND), lines(*STUBS, ROUND), spacing_m=APART)
        assert score.truth_onto_proposal == pytest.approx(1 / 3)
        assert score.proposal_onto_truth == pytest.approx(1 / 2)
        assert score.apls == pytest.approx(0.4)

    def test_apls_of_a_detour(self) -> None:
        winding = lines([(0, 0), (50, 37.5), (100, 0)])
        score = apls_score(lines(SIDE), winding, spacing_m=APART)
        assert score.truth_onto_proposal == pytest.approx(1 - 25 / 100)
        assert score.proposal_onto_truth == pytest.approx(1 - 25 / 125)

    @pytest.mark.parametrize(("off", "expected"), [(3.0, 1.0), (4.0, 1.0), (4.1, 0.0)])
    def test_apls_snaps_points_up_to_the_distance(self, off: float, expected: float) -> None:
        moved = lines([(0, off), (100, off)])
        assert apls_score(lines(SIDE), moved).apls == expected

    def test_apls_snaps_points_beyond_an_end_to_the_end(self) -> None:
        score = apls_score(lines(SIDE), lines([(2, 0), (98, 0)]), spacing_m=APART)
        assert score.truth_onto_proposal == pytest.approx(0.96)
        assert score.proposal_onto_truth == 1.0

    def test_apls_of_a_broken_connection(self) -> None:
        # the middle snaps to the near half: 50 m become 49, and no route leads to the far end
        score = apls_score(lines(SIDE), lines([(0, 0), (49, 0)], [(52, 0), (100, 0)]))
        assert score.truth_onto_proposal == pytest.approx(1 - (0.02 + 1 + 1) / 3)
        assert score.proposal_onto_truth == 1.0

    def test_apls_gives_each_place_one_control_point(self) -> None:
        # the true fork and its short arm both lie beyond the proposal's end, at 1 and 3 m
        # distance; the fork snaps, and the three routes to and from the arm are lost
        truth = lines([(0, 0), (100, 0)], [(100, 0), (102, 0)], [(100, 0), (100, 50)])
        score = apls_score(truth, lines([(0, 0), (99, 0)]), spacing_m=APART)
        # routes: start-fork 100 to 99, five others missing
        assert score.truth_onto_proposal == pytest.approx((1 - 0.01) / 6)

    def test_apls_of_an_invented_road_is_lower_in_one_direction_only(self) -> None:
        extra = lines(SIDE, [(0, 500), (100, 500)])
        score = apls_score(lines(SIDE), extra, spacing_m=APART)
        assert (score.truth_onto_proposal, score.proposal_onto_truth) == (1.0, 0.5)

    def test_apls_counts_a_loop(self) -> None:
        loop = [(100, 0), (150, 50), (200, 0), (150, -50), (100, 0)]
        score = apls_score(lines(SIDE, loop), lines(SIDE), published=False)
        assert 0.0 < score.truth_onto_proposal < 0.3
        assert score.proposal_onto_truth == 1.0

    def test_apls_as_published_leaves_out_loops_and_streets_drawn_twice(self) -> None:
        loop = [(100, 0), (150, 50), (200, 0), (150, -50), (100, 0)]
        assert apls_score(lines(SIDE, loop), lines(SIDE)).apls == 1.0
        # Without the repeated street, no route leads from one side to the other.
        sides = [(0, 0), (100, 0)], [(200, 0), (300, 0)]
        street = [(100, 0), (200, 0)]
        twice = lines(*sides, street, street[::-1])
        assert apls_score(twice, lines(*sides)).apls == 1.0
        assert apls_score(twice, lines(*sides, street)).truth_onto_proposal == 1.0
        assert apls_score(twice, lines(*sides, street)).proposal_onto_truth < 0.7
        once = apls_score(twice, lines(*sides, street), published=False)
        assert once.apls == 1.0


class TestByTime:
    def test_apls_by_time_depends_on_the_speed(self) -> None:
        # 10 s and 8 s
        score = apls_score(lines(SIDE), lines(SIDE), speed=(np.array([10.0]), np.array([12.5])))
        assert score.truth_onto_proposal == pytest.approx(0.8)
        assert score.proposal_onto_truth == pytest.approx(0.75)

    def test_apls_by_time_uses_the_fastest_route(self) -> None:
        truth, proposal = lines(*STUBS, SIDE, ROUND), lines(*STUBS, ROUND)
        speed = (np.array([10.0, 10, 5, 30]), np.array([10.0, 10, 30]))
        assert apls_score(truth, proposal, spacing_m=APART, speed=speed).apls == 1.0


class TestLimits:
    def test_apls_of_empty_networks(self) -> None:
        empty = np.empty(0, object)
        score = apls_score(lines(SIDE), empty)
        assert (score.apls, score.truth_onto_proposal, score.proposal_onto_truth) == (0, 0, 0)
        assert np.isnan(apls_score(empty, lines(SIDE)).apls)

    def test_apls_of_roads_that_cross_without_a_junction_with_themselves_is_one(self) -> None:
        # they cross in the middle of each
        cross = lines([(0, 0), (100, 0)], [(50, -50), (50, 50)])
        assert apls_score(cross, cross).apls == 1.0

    @pytest.mark.parametrize("option", [{"spacing_m": 0.0}, {"snap_m": -1.0}, {"max_controls": 0}])
    def test_apls_options_reject_values_out_of_range(self, option: Any) -> None:
        with pytest.raises(InputError):
            apls_score(lines(SIDE), lines(SIDE), **option)


def town(seed: int, missing: float = 0.0) -> Any:
    rng = np.random.default_rng(seed)
    at = {ij: tuple(np.multiply(ij, 90) + rng.normal(0, 9, 2)) for ij in np.ndindex(9, 9)}
    streets = [[at[i, j], at[i + 1, j]] for i, j in np.ndindex(8, 9)]
    streets += [[at[i, j], at[i, j + 1]] for i, j in np.ndindex(9, 8)]
    keep = np.random.default_rng(seed + 1).uniform(size=len(streets)) >= missing
    return lines(*[street for street, kept in zip(streets, keep, strict=True) if kept])


class TestSampling:
    def test_apls_of_a_sample_is_near_that_of_all_routes_and_reproducible(self) -> None:
        truth, proposal = town(3), town(3, missing=0.15)
        whole = apls_score(truth, proposal, max_controls=10_000).apls
        scores = [apls_score(truth, proposal, max_controls=60, seed=s).apls for s in (0, 0, 1)]
        assert scores[0] == scores[1] != scores[2]
        assert scores == pytest.approx([whole] * 3, abs=0.03)

    def test_apls_sample_does_not_depend_on_the_order_of_lines(self) -> None:
        truth, proposal = town(3), town(3, missing=0.15)
        mixed = shapely.reverse(truth[np.random.default_rng(0).permutation(len(truth))])
        one = apls_score(truth, proposal, max_controls=20)
        two = apls_score(mixed, proposal[::-1], max_controls=20)
        assert one.apls == pytest.approx(two.apls, abs=1e-12)

    def test_apls_of_a_sampled_network_with_itself_is_one(self) -> None:
        assert apls_score(town(5), town(5), max_controls=10).apls == 1.0


# points in general position, so that no point is equally near to two roads
POOL = np.random.default_rng(11).uniform(0, 400, (14, 2)).round(3)


@st.composite
def networks(draw: st.DrawFn) -> list[list[tuple[float, float]]]:
    paths = draw(
        st.lists(st.lists(st.integers(0, 13), min_size=2, max_size=6), min_size=1, max_size=7)
    )
    return [[tuple(POOL[i]) for i in path] for path in paths if len(set(path)) > 1]


def vertex_graph(drawn: list[list[tuple[float, float]]]) -> nx.Graph:
    graph = nx.Graph()
    for line in drawn:
        for one, two in pairwise(line):
            if one != two:
                graph.add_edge(one, two, weight=float(np.hypot(*np.subtract(one, two))))
    return graph


def chains(graph: nx.Graph) -> list[list[tuple[float, float]]]:
    """Paths between vertices of a degree other than two; rings from their first vertex."""
    nodes = {v for v, degree in graph.degree if degree != 2}
    for part in nx.connected_components(graph):
        if not nodes & part:
            nodes.add(min(part))
    used: set[frozenset[Any]] = set()
    found = []
    for node in sorted(nodes):
        for step in graph[node]:
            path = [node, step]
            if frozenset(path) in used:
                continue
            while path[-1] not in nodes:
                path.append(next(v for v in graph[path[-1]] if v != path[-2]))
            used |= {frozenset(pair) for pair in pairwise(path)}
            found.append(path)
    return found


def brute_one_way(own: list[Any], other: list[Any], spacing: float, snap: float) -> float:
    controls = set()
    for path in chains(vertex_graph(own)):
        line = shapely.LineString(path)
        parts = int(np.ceil(line.length / spacing)) if line.length >= 0.75 * spacing else 1
        alone = path[0] == path[-1] and vertex_graph(own).degree[path[0]] == 2
        parts = max(parts, 2) if 0.75 * spacing <= line.length <= spacing or alone else parts
        controls |= {path[0], path[-1]}
        for k in range(1, parts):
            point = line.interpolate(k / parts, normalized=True)
            controls.add((point.x, point.y))
    own_graph, _ = with_points(own, {c: c for c in controls}, 1e-6)
    other_graph, where = with_points(other, {c: c for c in controls}, snap)
    total, count = 0.0, 0
    for one, two in combinations(sorted(controls), 2):
        a = dict(own_graph.nodes[("c", one)])["way"].get(("c", two))
        if a is None or a <= 1e-3:
            continue
        b = None
        if one in where and two in where:
            b = other_graph.nodes[("c", one)]["way"].get(("c", two))
        total += 1.0 if b is None else min(1.0, abs(a - b) / a)
        count += 1
    return 1.0 - total / count


def with_points(drawn: list[Any], points: Any, snap: float) -> tuple[nx.Graph, set[Any]]:
    """Return the graph with each point attached to its nearest place, and all route lengths."""
    graph = vertex_graph(drawn)
    segments = [shapely.LineString(pair) for pair in graph.edges]
    hung: dict[int, list[tuple[float, Any]]] = {}
    spots: dict[tuple[float, float], tuple[float, Any]] = {}
    for point in points:
        distances = shapely.distance(segments, shapely.Point(point))
        best = int(np.argmin(distances))
        if distances[best] > snap:
            continue
        at = segments[best].project(shapely.Point(point))
        spot = segments[best].interpolate(at)
        key = (round(spot.x, 5), round(spot.y, 5))
        if key not in spots or distances[best] < spots[key][0]:
            spots[key] = (distances[best], (point, best, at))
    where = set()
    for _, (point, best, at) in spots.values():
        hung.setdefault(best, []).append((at, point))
        where.add(point)
    for best, some in hung.items():
        one, two = segments[best].coords[0], segments[best].coords[-1]
        graph.remove_edge(one, two)
        last, before = one, 0.0
        for at, point in sorted(some):
            graph.add_edge(last, ("c", point), weight=at - before)
            last, before = ("c", point), at
        graph.add_edge(last, two, weight=segments[best].length - before)
    for point in where:
        way = nx.single_source_dijkstra_path_length(graph, ("c", point), weight="weight")
        graph.nodes[("c", point)]["way"] = way
    return graph, where


def either_way(edges: Any) -> list[str]:
    """Return sorted texts of lines, independent of their direction."""
    both = shapely.to_wkt(edges, 6), shapely.to_wkt(shapely.reverse(edges), 6)
    return sorted(min(pair) for pair in zip(*both, strict=True))


class TestAgainstNetworkx:
    @settings(deadline=None, max_examples=60)
    @given(networks())
    def test_road_graph_edges_equal_the_chains_of_networkx(self, drawn: Any) -> None:
        if not drawn:
            return
        graph = RoadGraph.from_lines(lines(*drawn))
        expected = [shapely.LineString(path) for path in chains(vertex_graph(drawn))]
        assert len(graph) == len(expected)
        assert either_way(graph.edge_lines()) == either_way(expected)

    @settings(deadline=None, max_examples=60)
    @given(networks(), st.integers(0, 10**6))
    def test_route_lengths_equal_networkx(self, drawn: Any, seed: int) -> None:
        if not drawn:
            return
        graph, rng = RoadGraph.from_lines(lines(*drawn)), np.random.default_rng(seed)
        edge = rng.integers(0, len(graph), 6)
        places = places_at(graph, edge, rng.uniform(0, 1, 6) * graph.length_m[edge])
        table = np.concatenate([block for _, block in ways(graph, places, places)])
        points = [tuple(xy) for xy in places.xy]
        theirs, _ = with_points(drawn, points, 1e-3)
        for i, j in combinations(range(6), 2):
            if ("c", points[i]) not in theirs or ("c", points[j]) not in theirs:
                continue
            expected = theirs.nodes[("c", points[i])]["way"].get(("c", points[j]), np.inf)
            assert table[i, j] == pytest.approx(expected, abs=1e-6)

    @settings(deadline=None, max_examples=60)
    @given(networks(), networks())
    def test_apls_equals_networkx(self, truth: Any, proposal: Any) -> None:
        if not truth or not proposal:
            return
        score = apls_score(
            lines(*truth), lines(*proposal), spacing_m=60.0, snap_m=30.0, published=False
        )
        expected = brute_one_way(truth, proposal, 60.0, 30.0)
        assert score.truth_onto_proposal == pytest.approx(expected, abs=1e-6)
        expected = brute_one_way(proposal, truth, 60.0, 30.0)
        assert score.proposal_onto_truth == pytest.approx(expected, abs=1e-6)

    @settings(deadline=None, max_examples=60)
    @given(networks())
    def test_apls_of_a_network_with_itself_is_one(self, drawn: Any) -> None:
        if not drawn:
            return
        backwards = lines(*[line[::-1] for line in drawn[::-1]])
        score = apls_score(lines(*drawn), backwards, spacing_m=20.0)
        assert (score.apls, score.truth_onto_proposal, score.proposal_onto_truth) == (1, 1, 1)


def read_utm(path: Path) -> Any:
    """Read GeoJSON lines into the UTM zone of Las Vegas."""
    to_utm = Transformer.from_crs(4326, 32611, always_xy=True)
    features = json.loads(path.read_text())["features"]
    coordinates = [np.array(feature["geometry"]["coordinates"])[:, :2] for feature in features]
    return lines(*[np.column_stack(to_utm.transform(*c.T)).tolist() for c in coordinates])


@pytest.mark.real_data
@pytest.mark.parametrize("case", ["test0", "vegas_img997", "vegas_img99", "vegas_img991"])
def test_apls_equals_published_scores(real_data: Path, case: str) -> None:
    folder = real_data / "apls"
    if not folder.is_dir():
        pytest.skip(f"no pairs of networks at {folder}")
    with (folder / "expected.csv").open() as file:
        row = next(row for row in csv.DictReader(file) if row["case"] == case)
    truth = read_utm(folder / f"{case}_gt.geojson")
    proposal = read_utm(folder / f"{case}_prop.geojson")
    score = apls_score(truth, proposal)
    assert score.apls == pytest.approx(float(row["apls"]), abs=0.002)
    assert score.truth_onto_proposal == pytest.approx(float(row["gt_onto_prop"]), abs=0.005)
    assert score.proposal_onto_truth == pytest.approx(float(row["prop_onto_gt"]), abs=0.005)
    assert apls_score(truth, truth).apls == 1.0
    assert apls_score(proposal, proposal).apls == 1.0
