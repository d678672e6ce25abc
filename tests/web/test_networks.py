"""Reading networks back and comparing two."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import numpy as np
import pytest
import shapely
from pyproj import CRS

from roadgis.network.network import RoadNetwork
from roadgis.output import write_network
from roadgis.web.networks import differences, read_network

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


def test_read_network_returns_the_written_network(tmp_path: Path) -> None:
    written = network([(0, 0), (100, 0)], [(0, 50), (100, 50)])
    write_network(written, tmp_path / "n.gpkg")
    found = read_network(tmp_path / "n.gpkg")
    assert found.crs == UTM
    assert shapely.equals(found.edges, written.edges).all()
    np.testing.assert_array_equal(found.nodes, written.nodes)
    np.testing.assert_array_equal(found.start, written.start)
    assert found.provenance["model"] == "m"
    assert list(found.source) == [None, None]


def test_read_network_fills_attributes_that_an_older_file_lacks(tmp_path: Path) -> None:
    path = tmp_path / "n.gpkg"
    write_network(network([(0, 0), (100, 0)]), path)
    with contextlib.closing(sqlite3.connect(path)) as file, file:
        file.execute("ALTER TABLE edges DROP COLUMN width_p90_m")
        file.execute("ALTER TABLE edges DROP COLUMN source_date")
    found = read_network(path)
    assert np.isnan(found.width_p90_m).tolist() == [True]
    assert found.source_date.tolist() == [None]
    assert found.width_m.tolist() == [6.0]


def test_differences_are_the_parts_without_a_counterpart() -> None:
    old = network([(0, 0), (100, 0)], [(0, 50), (100, 50)]).edges
    new = network([(0, 1), (200, 1)], [(0, 80), (40, 80)]).edges
    added, removed = differences(old, new)
    assert shapely.length(added).sum() == pytest.approx(97 + 40, abs=4)
    assert shapely.length(removed).sum() == pytest.approx(100)


def test_differences_of_a_network_to_itself_are_empty() -> None:
    lines = network([(0, 0), (100, 0)], [(0, 50), (100, 50)]).edges
    assert [len(part) for part in differences(lines, lines)] == [0, 0]


def test_differences_to_an_empty_network_are_everything() -> None:
    lines = network([(0, 0), (100, 0)]).edges
    none = np.empty(0, object)
    assert [len(part) for part in differences(none, lines)] == [1, 0]
