"""TOPO: counts by hand, walks against networkx, and invariance of scores."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from roadgis.errors import InputError
from roadgis.evaluation.graph import RoadGraph
from roadgis.evaluation.graph_points import places_at
from roadgis.evaluation.topo import TopoScores, Walk, matched_pairs, topo_scores, walks
from tests.factories.geometries import lines

STREET = [(0.0, 0.0), (1000.0, 0.0)]


def walked(drawn: Any, edge: int, at_m: float, radius_m: float, interval_m: float) -> Any:
    graph = RoadGraph.from_lines(drawn)
    seeds = places_at(graph, np.array([edge]), np.array([at_m]))
    (points,) = walks(graph, seeds, Walk(radius_m, interval_m, 5.0))
    return points[np.lexsort((points[:, 1].round(6), points[:, 0].round(6)))].round(6).tolist()


class TestWalk:
    def test_walk_places_points_at_each_interval_in_both_directions(self) -> None:
        points = walked(lines(STREET), 0, 52.0, 12.0, 5.0)
        assert points == [[42, 0], [47, 0], [52, 0], [57, 0], [62, 0]]

    def test_walk_ends_at_the_radius(self) -> None:
        assert len(walked(lines(STREET), 0, 500.0, 300.0, 5.0)) == 2 * 60 + 1

    def test_walk_continues_beyond_junctions(self) -> None:
        fork = lines([(0, 0), (7, 0)], [(7, 0), (20, 0)], [(7, 0), (7, 20)])
        points = walked(fork, 0, 0.0, 15.0, 5.0)
        assert points == [[0, 0], [5, 0], [7, 3], [7, 8], [10, 0], [15, 0]]

    def test_walk_counts_the_meeting_point_of_two_routes_once(self) -> None:
        block = lines([(-3, 0), (0, 0)], [(0, 0), (20, 0), (20, 20), (0, 20), (0, 0)])
        points = walked(block, 0, 0.0, 300.0, 5.0)
        # a loop of 80 m after 3 m: both directions meet after 43 m
        assert len(points) == 1 + 2 * 8
        assert [20, 17] in points
        assert [17, 20] in points

    def test_walk_around_a_ring_goes_both_ways(self) -> None:
        ring = lines([(0, 0), (20, 0), (20, 20), (0, 20), (0, 0)])
        points = walked(ring, 0, 10.0, 300.0, 10.0)
        assert len(points) == 8  # a loop of 80 m: the far point counts once

    def test_walk_does_not_enter_a_street_without_a_junction(self) -> None:
        points = walked(lines(STREET, [(500, -9), (500, 9)]), 0, 500.0, 10.0, 5.0)
        assert all(y == 0 for _, y in points)


class TestMatching:
    def test_matched_forms_as_many_pairs_as_possible(self) -> None:
        # the nearest marble of the first hole is the only one near the second
        holes = np.array([[0.0, 0.0], [4.0, 0.0]])
        marbles = np.array([[1.0, 0.0], [-3.0, 0.0]])
        assert matched_pairs(holes, marbles, 3.0) == 2

    def test_matched_gives_each_marble_one_hole_only(self) -> None:
        assert matched_pairs(np.zeros((3, 2)), np.zeros((1, 2)), 5.0) == 1

    def test_matched_of_no_marbles_is_zero(self) -> None:
        assert matched_pairs(np.zeros((3, 2)), np.empty((0, 2)), 5.0) == 0


class TestByHand:
    def test_topo_of_a_street_half_found(self) -> None:
        # each seed on the second half of the truth is unmatched; those on the first half that reach
        # beyond the proposal's end are partly unmatched
        half = lines([(0.0, 0.0), (500.0, 0.0)])
        score = topo_scores(lines(STREET), half, radius_m=100.0)
        assert score.precision == 1.0
        assert 0.4 < score.recall < 0.75

    def test_topo_of_one_seed_by_hand(self) -> None:
        # one seed on each street, at the share that the generator gives first; the
        # parallel street lies 3 m off, each of its marbles in a hole
        found = topo_scores(lines(STREET), lines([(0, 3), (1000, 3)]), seeds=1)
        assert found == TopoScores(1.0, 1.0, 1.0)

    def test_topo_of_a_street_next_to_the_true_one_is_zero(self) -> None:
        off = lines([(0, 5.1), (1000, 5.1)])
        assert topo_scores(lines(STREET), off) == TopoScores(0.0, 0.0, 0.0)

    def test_topo_does_not_match_a_crossing_street(self) -> None:
        across = lines([(500, -300), (500, 300)])
        assert topo_scores(lines(STREET), across).recall == 0.0

    def test_topo_of_a_missing_connection_lowers_recall_only(self) -> None:
        broken = lines([(0, 0), (480, 0)], [(500, 0), (1000, 0)])
        score = topo_scores(lines(STREET), broken)
        assert score.precision == 1.0
        assert score.recall < 0.85

    def test_topo_of_a_wrong_connection_lowers_precision_only(self) -> None:
        apart = lines([(0, 0), (480, 0)], [(500, 0), (1000, 0)])
        score = topo_scores(apart, lines(STREET))
        assert score.recall == 1.0
        assert score.precision < 0.85

    def test_topo_of_an_isolated_invented_street_lowers_precision(self) -> None:
        more = lines(STREET, [(0, 900), (1000, 900)])
        score = topo_scores(lines(STREET), more)
        assert score.recall == 1.0
        assert 0.6 < score.precision < 0.8

    def test_topo_f1_is_the_harmonic_mean(self) -> None:
        score = topo_scores(lines(STREET), lines([(0, 0), (480, 0)], [(0, 90), (300, 90)]))
        p, r = score.precision, score.recall
        assert score.f1 == pytest.approx(2 * p * r / (p + r))


class TestLimits:
    def test_topo_of_empty_networks(self) -> None:
        empty = np.empty(0, object)
        assert topo_scores(lines(STREET), empty) == TopoScores(0.0, 0.0, 0.0)
        assert np.isnan(topo_scores(empty, lines(STREET)).f1)

    @pytest.mark.parametrize("option", ["radius_m", "hole_m", "interval_m", "seeds"])
    def test_topo_options_reject_values_out_of_range(self, option: Any) -> None:
        with pytest.raises(InputError, match=option):
            topo_scores(lines(STREET), lines(STREET), **{option: 0})

    def test_topo_gives_streets_shorter_than_the_interval_a_seed(self) -> None:
        short = lines([(0, 0), (2, 0)])
        assert topo_scores(short, short) == TopoScores(1.0, 1.0, 1.0)


POOL = np.random.default_rng(11).uniform(0, 400, (14, 2)).round(3)


@st.composite
def networks(draw: st.DrawFn) -> Any:
    paths = draw(
        st.lists(st.lists(st.integers(0, 13), min_size=2, max_size=6), min_size=1, max_size=7)
    )
    return lines(*[POOL[path] for path in paths if len(set(path)) > 1])


class TestProperties:
    @settings(deadline=None, max_examples=25)
    @given(networks(), st.integers(0, 99))
    def test_topo_of_a_network_with_itself_is_one(self, drawn: Any, seed: int) -> None:
        if len(drawn):
            backwards = shapely.reverse(drawn[::-1])
            score = topo_scores(drawn, backwards, seeds=20, seed=seed)
            assert score == TopoScores(1.0, 1.0, 1.0)

    @settings(deadline=None, max_examples=25)
    @given(networks(), networks())
    def test_topo_of_exchanged_networks_exchanges_precision_and_recall(
        self, one: Any, two: Any
    ) -> None:
        if len(one) and len(two):
            there, back = topo_scores(one, two, seeds=15), topo_scores(two, one, seeds=15)
            assert (there.precision, there.recall) == (back.recall, back.precision)
            assert there.f1 == back.f1

    @settings(deadline=None, max_examples=40)
    @given(networks(), st.floats(0, 1), st.integers(1, 40))
    def test_walk_reaches_what_networkx_reaches(self, drawn: Any, at: float, parts: int) -> None:
        if not len(drawn):
            return
        graph = RoadGraph.from_lines(drawn)
        edge = parts % len(graph)
        at_m = at * graph.length_m[edge]
        points = walked(drawn, edge, at_m, 200.0, 10.0)
        theirs = nx.MultiGraph()
        theirs.add_nodes_from(range(len(graph.nodes)))
        for e, (u, v, size) in enumerate(zip(graph.start, graph.end, graph.length_m, strict=True)):
            if e == edge:
                theirs.add_edge(u, "seed", weight=at_m)
                theirs.add_edge("seed", v, weight=size - at_m)
            else:
                theirs.add_edge(u, v, weight=size)
        way = nx.single_source_dijkstra_path_length(theirs, "seed", weight="weight")
        expected = 1
        for u, v, size in theirs.edges(data="weight"):
            # the distance to a place grows at the same rate up to where both ways are equally long
            top = (way.get(u, np.inf) + way.get(v, np.inf) + size) / 2
            for start in (way.get(u, np.inf), way.get(v, np.inf)):
                steps = np.arange(10.0, 201.0, 10.0)
                expected += int(((steps > start + 1e-6) & (steps < top - 1e-6)).sum())
        assert abs(len(points) - expected) <= 1  # a step may end exactly at the end of a route

    def test_topo_spread_is_reproducible_and_depends_on_the_seed(self) -> None:
        half = lines([(0.0, 0.0), (500.0, 0.0)])
        scores = [topo_scores(lines(STREET), half, seeds=7, seed=seed) for seed in (0, 0, 1)]
        assert scores[0] == scores[1] != scores[2]
