"""Reading networks back, comparing two, applying corrections."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
from pyproj import CRS, Transformer

from roadgis.network.network import RoadNetwork
from roadgis.output import write_network
from roadgis.web.networks import corrected, differences, read_network
from roadgis.web.store import Edit

UTM = CRS.from_epsg(32633)
X, Y = 500_000.0, 5_000_000.0


def network(*lines: list[tuple[float, float]], confidence: float = 0.5) -> RoadNetwork:
    """Return a network of separate lines, metres from a corner."""
    shapes = [shapely.LineString([(X + x, Y + y) for x, y in line]) for line in lines]
    ends = [xy for shape in shapes for xy in (shape.coords[0], shape.coords[-1])]
    count = len(shapes)
    return RoadNetwork(
        crs=UTM,
        edges=np.array(shapes, object),
        start=np.arange(count) * 2,
        end=np.arange(count) * 2 + 1,
        width_m=np.full(count, 6.0),
        confidence=np.full(count, confidence),
        confidence_min=np.full(count, confidence),
        nodes=np.array(ends),
        provenance={"model": "m"},
    )


def lonlat(*line: tuple[float, float]) -> list[list[float]]:
    there = Transformer.from_crs(UTM, 4326, always_xy=True)
    return [list(there.transform(X + x, Y + y)) for x, y in line]


def edit(action: str, edge: int | None, line: list[list[float]], number: int = 0) -> Edit:
    return Edit(1, action, edge, number, line, "Ann", 0.0)


def test_read_network_gives_back_what_was_written(tmp_path: Path) -> None:
    written = network([(0, 0), (100, 0)], [(0, 50), (100, 50)])
    write_network(written, tmp_path / "n.gpkg")
    found = read_network(tmp_path / "n.gpkg")
    assert found.crs == UTM
    assert shapely.equals(found.edges, written.edges).all()
    np.testing.assert_array_equal(found.nodes, written.nodes)
    np.testing.assert_array_equal(found.start, written.start)
    assert found.provenance["model"] == "m"
    assert list(found.source) == [None, None]


def test_differences_are_the_parts_without_a_counterpart() -> None:
    old = network([(0, 0), (100, 0)], [(0, 50), (100, 50)]).edges
    new = network([(0, 1), (200, 1)], [(0, 80), (40, 80)]).edges
    added, removed = differences(old, new)
    assert shapely.length(added).sum() == pytest.approx(97 + 40, abs=4)
    assert shapely.length(removed).sum() == pytest.approx(100)


def test_differences_of_a_network_to_itself_are_none() -> None:
    lines = network([(0, 0), (100, 0)], [(0, 50), (100, 50)]).edges
    assert [len(part) for part in differences(lines, lines)] == [0, 0]


def test_differences_to_nothing_are_everything() -> None:
    lines = network([(0, 0), (100, 0)]).edges
    none = np.empty(0, object)
    assert [len(part) for part in differences(none, lines)] == [1, 0]


def test_corrected_drops_rejected_and_marks_accepted_edges() -> None:
    roads = network([(0, 0), (100, 0)], [(0, 50), (100, 50)])
    edits = [edit("reject", 0, []), edit("accept", 1, [])]
    table = corrected(roads, 0, edits, {0: roads})
    assert len(table) == 1
    assert table.iloc[0]["edit"] == "accepted"
    assert table.iloc[0]["edit_user"] == "Ann"
    assert table.iloc[0]["edit_time"] == "1970-01-01T00:00:00+00:00"
    assert table.geometry.iloc[0].equals(roads.edges[1])


def test_corrected_takes_the_last_word_on_an_edge() -> None:
    roads = network([(0, 0), (100, 0)])
    edits = [edit("reject", 0, []), edit("accept", 0, [])]
    assert len(corrected(roads, 0, edits, {0: roads})) == 1


def test_corrected_adds_drawn_roads_and_replaces_redrawn_ones() -> None:
    roads = network([(0, 0), (100, 0)], [(0, 50), (100, 50)])
    edits = [
        edit("draw", None, lonlat((0, 80), (100, 80))),
        edit("redraw", 0, lonlat((0, 10), (100, 10))),
    ]
    table = corrected(roads, 0, edits, {0: roads})
    assert list(table["edit"]) == [None, "drawn", "redrawn"]
    places = [round(line.coords[0][1] - Y, 3) for line in table.geometry]
    assert places == [50, 80, 10]
    assert table["width_m"].iloc[2] == 6.0


def test_corrected_finds_an_edge_again_in_another_network() -> None:
    old = network([(0, 0), (100, 0)], [(0, 50), (100, 50)])
    new = network([(0, 51), (60, 51)], [(60, 51), (100, 51)], [(0, 0), (100, 0)])
    table = corrected(new, 3, [edit("reject", 1, [], 0)], {0: old})
    assert [line.coords[0][1] - Y for line in table.geometry] == [0]
