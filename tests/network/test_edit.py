"""Editing functions: edges, vertices and nodes after each."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from roadgis.network.centerlines import EDGE_FIELDS, NODE_FIELDS, VERTEX_FIELDS, Centerlines
from roadgis.network.edit import (
    add_edges,
    insert_vertices,
    merge_interstitial,
    merge_nodes,
    move_nodes,
    split,
    take_nodes,
)
from tests.factories.lines import assert_same_lines, made_lines

STRAIGHT = [(5.0, float(col)) for col in range(0, 50, 10)]


def coordinates(lines: Centerlines) -> list[list[tuple[float, float]]]:
    pairs = list(zip(lines.row.tolist(), lines.col.tolist(), strict=True))
    return [pairs[a:b] for a, b in zip(lines.offsets[:-1], lines.offsets[1:], strict=True)]


def test_centerlines_have_fields_per_edge_vertex_or_node_only() -> None:
    listed = {*EDGE_FIELDS, *VERTEX_FIELDS, *NODE_FIELDS}
    others = {"grid", "strong_level", "offsets", "road_ends"}
    assert {field.name for field in dataclasses.fields(Centerlines)} == listed | others


def test_split_makes_pieces_that_share_a_node_without_a_middle() -> None:
    lines = made_lines(STRAIGHT, [(0.0, 0.0), (5.0, 0.0)])
    out = split(lines, np.array([1, 3]), key=np.array([-4, -6]))
    assert coordinates(out) == [STRAIGHT[:2], STRAIGHT[1:4], STRAIGHT[3:], [(0, 0), (5, 0)]]
    assert out.key.tolist() == [0, -4, -6, 10]
    assert out.start.tolist() == [1, 3, 4, 0]
    assert out.end.tolist() == [3, 4, 2, 1]
    assert out.node_key[3:].tolist() == [510, 530]
    assert out.node_col[3:].tolist() == [10, 30]
    assert np.isnan(out.d_row).tolist() == [0, 1, 1, 0, 1, 1, 0, 0, 0]


def test_split_without_keys_names_pieces_after_their_lowest_inner_pixel() -> None:
    out = split(made_lines(STRAIGHT), np.array([2]))
    assert out.key.tolist() == [510, 530]


def test_split_is_undone_by_merge_interstitial() -> None:
    lines = made_lines(STRAIGHT, [(5.0, 40.0), (20.0, 40.0)], [(5.0, 40.0), (0.0, 60.0)])
    out = merge_interstitial(split(lines, np.array([1, 2]), key=np.array([100, 200])))
    assert coordinates(out) == coordinates(lines)
    assert out.key.tolist() == lines.key.tolist()


def test_insert_vertices_takes_near_vertices_and_interpolates_others() -> None:
    lines = made_lines(STRAIGHT, [(0.0, 0.0), (5.0, 0.0)])
    level = lines.probability.copy()
    level[2] = 90
    lines = dataclasses.replace(lines, probability=level)
    out, vertex = insert_vertices(lines, np.array([0, 0, 1]), np.array([10.4, 24.0, 2.0]))
    assert vertex.tolist() == [1, 3, 7]
    assert out.col[vertex].tolist() == [10, 24, 0]
    assert out.row[vertex].tolist() == [5, 5, 2]
    assert out.probability[vertex].tolist() == [200, 90, 200]
    assert np.isnan(out.d_col[vertex]).tolist() == [False, True, True]
    assert out.offsets.tolist() == [0, 6, 9]


def test_add_edges_appends_edges_between_the_same_nodes() -> None:
    lines = made_lines(STRAIGHT, [(0.0, 0.0), (5.0, 0.0)])
    assert_same_lines(add_edges(lines, lines.take(np.array([1]))), lines.take(np.array([0, 1, 1])))


def test_merge_nodes_puts_one_node_between_two_and_leads_edges_there() -> None:
    lines = made_lines([(0.0, 0.0), (0.0, 10.0)], [(0.0, 20.0), (0.0, 14.0)])
    lines = dataclasses.replace(
        lines,
        node_width_px=np.array([4, 5, 7, 4], np.float32),
        node_leaves_raster=np.array([False, False, True, False]),
        node_nodata_distance_px=np.array([9, 9, 3, 9], np.float32),
    )
    out = merge_nodes(lines, np.array([2]), np.array([1]))
    assert coordinates(out) == [[(0, 0), (0, 12)], [(0, 20), (0, 12)]]
    assert (out.start.tolist(), out.end.tolist()) == ([0, 3], [1, 1])
    assert (out.node_key[1], out.node_key[2]) == (1, 2)
    assert (out.node_width_px[1], out.node_nodata_distance_px[1]) == (7, 3)
    assert out.node_leaves_raster[1]
    assert merge_nodes(lines, np.array([1]), np.array([2]), np.array([30.0])).node_width_px[1] == 30


def test_move_nodes_takes_the_ends_of_edges_along() -> None:
    lines = made_lines(STRAIGHT, [(5.0, 40.0), (20.0, 40.0)])
    out = move_nodes(lines, lines.node_row + 1, lines.node_col)
    ends = np.array([0, 4, 5, 6])
    assert out.row[ends].tolist() == [6, 6, 6, 21]
    assert out.row[1:4].tolist() == [5, 5, 5]
    # Dead ends keep their measured position, nodes of two edges do not.
    assert np.isnan(out.d_row[ends]).tolist() == [False, True, True, False]


def test_take_nodes_renumbers_the_ends_of_edges() -> None:
    lines = made_lines(STRAIGHT, [(0.0, 0.0), (5.0, 0.0)]).take(np.array([0]))
    out = take_nodes(lines, np.array([2, 1]))
    assert (out.start.tolist(), out.end.tolist()) == ([1], [0])
    assert out.node_col.tolist() == [40, 0]


@pytest.mark.parametrize("verb", [
    lambda lines: split(lines, np.array([1])),
    lambda lines: insert_vertices(lines, np.array([0]), np.array([15.0])),
    lambda lines: merge_nodes(lines, np.array([0]), np.array([1])),
    lambda lines: move_nodes(lines, lines.node_row + 1, lines.node_col),
    merge_interstitial,
])  # fmt: skip
def test_verbs_leave_their_input_alone(verb: object) -> None:
    lines = made_lines(STRAIGHT, [(5.0, 40.0), (20.0, 40.0)])
    before = made_lines(STRAIGHT, [(5.0, 40.0), (20.0, 40.0)])
    verb(lines)  # type: ignore[operator]
    assert_same_lines(lines, before)


def test_to_geodataframe_lies_where_the_pixels_are() -> None:
    table = made_lines(STRAIGHT, width=6.0, level=127).to_geodataframe()
    assert table.crs.to_epsg() == 32632
    assert next(iter(table.geometry[0].coords)) == (500_000.5, 4_999_994.5)
    assert table.loc[0, ["length_m", "width_m", "probability"]].tolist() == [40.0, 6.0, 0.5]
    assert table.loc[0, ["start_degree", "end_degree"]].tolist() == [1, 1]
