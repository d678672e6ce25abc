"""Shapes of edges: placing a part alone, and again, comes to the same as placing everything."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import pytest
import shapely

from benchmarks.network_scaling import streets
from roadgis.network.centerlines import Centerlines
from roadgis.network.clean import cleaned_lines
from roadgis.network.shape import edge_shapes as shape
from roadgis.network.shape import junction_placement as ends
from roadgis.network.shape.edge_shapes import edge_shapes
from roadgis.options.cleaning import CleanOptions


@pytest.fixture(scope="module")
def crowded() -> tuple[Centerlines, npt.NDArray[np.float64]]:
    """Return streets, and widths so far above theirs that lines are led across each other."""
    lines, source = streets(3000)
    lines = cleaned_lines(lines, CleanOptions(), source=source)
    return lines, np.full(len(lines), 16.0)


def _rounds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list to which each call of placed_ends adds how many edges it places."""
    sizes = []
    original = ends.placed_ends

    def counted(lines: Centerlines, *args: npt.NDArray[np.generic]) -> object:
        sizes.append(len(lines))
        return original(lines, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(shape, "placed_ends", counted)
    return sizes


def _crossing_at_first(monkeypatch: pytest.MonkeyPatch, some: npt.NDArray[np.int64]) -> None:
    """Let some edges count as crossing another one when all edges were placed."""
    original = shape._Drawing.redraw

    def redraw(self: shape._Drawing, changed: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        crossing = original(self, changed).copy()
        crossing[some] |= not hasattr(self, "seen")
        self.seen = True  # type: ignore[attr-defined]
        return np.asarray(crossing, bool)

    monkeypatch.setattr(shape._Drawing, "redraw", redraw)


def _equal(one: npt.NDArray[np.object_], two: npt.NDArray[np.object_]) -> npt.NDArray[np.bool_]:
    """Return which shapes are the same but for the last digits of sums along all edges."""
    out: npt.NDArray[np.bool_] = shapely.equals_exact(one, two, 0.0)
    return out


def test_placing_again_what_changed_comes_to_the_same_as_placing_everything(
    crowded: tuple[Centerlines, npt.NDArray[np.float64]], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines, width = crowded
    sizes = _rounds(monkeypatch)
    free, _ = edge_shapes(lines, width, 1.5, 1.0)
    sizes.clear()
    _crossing_at_first(monkeypatch, np.array([100, 101, 1500]))
    shapes, nodes = edge_shapes(lines, width, 1.5, 1.0)
    assert 3 < (~_equal(shapes, free)).sum() < 30
    assert len(sizes) > 1
    assert max(sizes[1:]) < len(lines) / 5
    sizes.clear()
    monkeypatch.setattr(shape, "_edges_at", lambda lines, nodes: np.arange(len(lines)))
    whole, whole_nodes = edge_shapes(lines, width, 1.5, 1.0)
    assert len(sizes) > 1
    assert set(sizes) == {len(lines)}
    assert _equal(shapes, whole).all()
    assert np.array_equal(nodes, whole_nodes, equal_nan=True)


def test_lines_cross_nowhere_once_nodes_are_held(
    crowded: tuple[Centerlines, npt.NDArray[np.float64]],
) -> None:
    lines, width = crowded
    shapes, nodes = edge_shapes(lines, width, 1.5, 1.0)
    assert shapely.is_simple(shapes).all()
    assert shapely.STRtree(shapes).query(shapes, predicate="crosses").size == 0
    ends = shapely.get_coordinates(shapely.get_point(shapes, [[0], [-1]]).ravel())
    assert np.array_equal(ends, nodes[np.concatenate([lines.start, lines.end])])


@pytest.mark.parametrize("together", [333, 2000])
def test_edges_placed_in_portions_come_to_the_same(
    crowded: tuple[Centerlines, npt.NDArray[np.float64]],
    together: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines, width = crowded
    whole, nodes = edge_shapes(lines, width, 1.5, 1.0)
    monkeypatch.setattr(shape, "_TOGETHER", together)
    sizes = _rounds(monkeypatch)
    portions, portion_nodes = edge_shapes(lines, width, 1.5, 1.0)
    assert max(sizes) < len(lines)
    assert _equal(whole, portions).all()
    assert np.array_equal(nodes, portion_nodes, equal_nan=True)


@pytest.mark.parametrize("seed", range(4))
def test_any_edges_placed_alone_lie_where_they_lie_among_all(
    crowded: tuple[Centerlines, npt.NDArray[np.float64]], seed: int
) -> None:
    lines, width = crowded
    rng = np.random.default_rng(seed)
    held = rng.random(len(lines.node_key)) < 0.1
    some = np.flatnonzero(rng.random(len(lines)) < 0.02)

    def placed(edges: npt.NDArray[np.int64]) -> shape._Placed:
        nowhere = np.full(len(lines.row), np.nan), np.full(len(lines.row), np.nan)
        node_nowhere = np.full(len(held), np.nan), np.full(len(held), np.nan)
        out = shape._Placed(*nowhere, np.zeros(len(lines.row), bool), *node_nowhere)
        shape._place(out, lines, width, 1.5, held, edges)
        return out

    whole, part = placed(np.arange(len(lines))), placed(some)
    vertices = lines.vertices_of(some)
    nodes = np.unique(np.concatenate([lines.start[some], lines.end[some]]))
    for field in dataclasses.fields(shape._Placed):
        at = nodes if field.name.startswith("node") else vertices
        one, two = getattr(whole, field.name)[at], getattr(part, field.name)[at]
        assert np.array_equal(one, two, equal_nan=True), field.name
    assert np.isnan(part.row).sum() == len(lines.row) - len(vertices)
    assert np.isnan(part.node_row).sum() == len(held) - len(nodes)


def test_what_fell_back_with_an_edge_chooses_again_when_that_is_placed_anew() -> None:
    lines, _ = streets(200)
    a, b = 0, len(lines) - 1
    placed = shape._Placed(
        lines.row.copy(),
        lines.col.copy(),
        np.ones(len(lines.row), bool),
        lines.node_row.copy(),
        lines.node_col.copy(),
    )
    drawing = shape._Drawing(lines, placed, 1.0)
    assert not drawing.redraw(np.arange(len(lines))).any()
    good = drawing.shapes.copy()
    # The last edge is led far away and back again, across the first one.
    on_a, on_b = lines.vertices_of(np.array([a])), lines.vertices_of(np.array([b]))
    middle = on_a[len(on_a) // 2]
    across = np.array([lines.col[on_a[-1]] - lines.col[on_a[0]]])[0] != 0
    bent = on_b[1:-1]
    placed.row[bent] = lines.row[middle] + (8.0 if across else 0.0)
    placed.col[bent] = lines.col[middle] + (0.0 if across else 8.0)
    assert not drawing.redraw(np.array([b])).any()
    fell = np.flatnonzero(drawing._level)
    assert a in fell or len(fell) > 1
    assert b in fell
    placed.row[bent], placed.col[bent] = lines.row[bent], lines.col[bent]
    drawing.redraw(np.array([b]))
    assert not drawing._level.any()
    assert _equal(drawing.shapes, good).all()
