"""Corrections applied to a network."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import shapely
from pyproj import Transformer

from roadgis.web.corrections import corrected
from roadgis.web.store import Edit
from tests.web.test_networks import UTM, X, Y, network


def lonlat(*line: tuple[float, float]) -> list[list[float]]:
    there = Transformer.from_crs(UTM, 4326, always_xy=True)
    return [list(there.transform(X + x, Y + y)) for x, y in line]


def edit(action: str, edge: int | None, line: list[list[float]], number: int = 0) -> Edit:
    return Edit(1, action, edge, number, line, "Ann", 0.0)


def test_corrected_drops_rejected_and_marks_accepted_edges() -> None:
    roads = network([(0, 0), (100, 0)], [(0, 50), (100, 50)])
    edits = [edit("reject", 0, []), edit("accept", 1, [])]
    table = corrected(roads, 0, edits, {0: roads}).to_geodataframe()
    assert len(table) == 1
    assert table.iloc[0]["edit"] == "accepted"
    assert table.iloc[0]["edit_user"] == "Ann"
    assert table.iloc[0]["edit_time"] == "1970-01-01T00:00:00+00:00"
    assert table.geometry.iloc[0].equals(roads.edges[1])


def test_corrected_applies_the_last_edit_of_an_edge() -> None:
    roads = network([(0, 0), (100, 0)])
    edits = [edit("reject", 0, []), edit("accept", 0, [])]
    assert len(corrected(roads, 0, edits, {0: roads})) == 1


def test_corrected_adds_drawn_roads_and_replaces_redrawn_ones() -> None:
    roads = network([(0, 0), (100, 0)], [(0, 50), (100, 50)])
    edits = [
        edit("draw", None, lonlat((0, 80), (100, 80))),
        edit("redraw", 0, lonlat((0, 10), (100, 10))),
    ]
    table = corrected(roads, 0, edits, {0: roads}).to_geodataframe()
    assert list(table["edit"]) == [None, "drawn", "redrawn"]
    places = [round(line.coords[0][1] - Y, 3) for line in table.geometry]
    assert places == [50, 80, 10]
    assert table["width_m"].iloc[2] == 6.0


def test_corrected_finds_the_edge_in_another_network() -> None:
    old = network([(0, 0), (100, 0)], [(0, 50), (100, 50)])
    new = network([(0, 51), (60, 51)], [(60, 51), (100, 51)], [(0, 0), (100, 0)])
    table = corrected(new, 3, [edit("reject", 1, [], 0)], {0: old}).to_geodataframe()
    assert [line.coords[0][1] - Y for line in table.geometry] == [0]


def test_corrected_keeps_edges_and_attributes_next_to_a_drawn_road() -> None:
    roads = network([(0, 0), (100, 0)], [(100, 0), (120, 0)], [(120, 0), (220, 0)])
    roads = dataclasses.replace(
        roads, bridged=np.array([False, True, False]), source=np.array(["a", "a", None], object)
    )
    made = corrected(roads, 0, [edit("draw", None, lonlat((160, 3), (160, 90)))], {0: roads})
    found = sorted(
        zip(made.length_m.round(), made.bridged, made.source, made.fields["edit"], strict=True)
    )
    assert found == [
        (20, True, "a", None), (40, False, None, None), (60, False, None, None),
        (90, False, None, "drawn"), (100, False, "a", None),
    ]  # fmt: skip
    assert sorted(made.degree) == [1, 1, 1, 2, 2, 3]


def test_corrected_makes_a_junction_where_a_drawn_road_crosses() -> None:
    roads = network([(0, 0), (100, 0)])
    made = corrected(roads, 0, [edit("draw", None, lonlat((50, -50), (50, 50)))], {0: roads})
    assert sorted(made.length_m.round()) == [50, 50, 50, 50]
    assert sorted(made.degree) == [1, 1, 1, 1, 4]


def test_corrected_attaches_drawn_roads_to_ends_and_to_each_other() -> None:
    roads = network([(0, 0), (100, 0)])
    edits = [
        edit("draw", None, lonlat((103, 2), (200, 2))),
        edit("draw", None, lonlat((150, 5), (150, 100))),
    ]
    made = corrected(roads, 0, edits, {0: roads})
    assert len(made) == 4
    assert sorted(made.degree) == [1, 1, 1, 2, 3]
    assert shapely.line_merge(shapely.multilinestrings(made.edges)).length == pytest.approx(
        made.length_m.sum(), rel=1e-3
    )


def test_corrected_drops_parts_of_a_drawn_road_shared_with_others() -> None:
    roads = network([(0, 0), (100, 0)])
    line = lonlat((20, 1), (60, 1), (60, 90))
    made = corrected(roads, 0, [edit("draw", None, line)], {0: roads})
    assert sorted(made.length_m.round()) == [40, 60, 90]
    assert sorted(made.degree) == [1, 1, 1, 3]
