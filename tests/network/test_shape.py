"""Shapes of edges: no crossings, and equal whether placed together or in batches."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import shapely
from scipy import ndimage

from benchmarks.network_scaling import streets
from roadgis.network.centerlines import Centerlines
from roadgis.network.clean import cleaned_lines
from roadgis.network.shape.edge_shapes import edge_shapes
from roadgis.network.shape.smooth import convolved
from roadgis.options.cleaning import CleanOptions


@pytest.fixture(scope="module")
def crowded() -> tuple[Centerlines, npt.NDArray[np.float64]]:
    """Return streets, and widths so large that lines are placed across each other."""
    lines, source = streets(1000)
    lines = cleaned_lines(lines, CleanOptions(), source=source)
    return lines, np.full(len(lines), 16.0)


def test_edge_shapes_cross_nowhere_and_end_at_their_nodes(
    crowded: tuple[Centerlines, npt.NDArray[np.float64]],
) -> None:
    lines, width = crowded
    shapes, nodes = edge_shapes(lines, width, 1.5, 1.0)
    assert shapely.is_simple(shapes).all()
    assert shapely.STRtree(shapes).query(shapes, predicate="crosses").size == 0
    ends = shapely.get_coordinates(shapely.get_point(shapes, [[0], [-1]]).ravel())
    assert np.array_equal(ends, nodes[np.concatenate([lines.start, lines.end])])
    # Some lines crossed each other: their nodes are back on the skeleton.
    skeleton = lines.grid.xy(lines.node_row, lines.node_col)
    fixed = (nodes == skeleton).all(axis=1) & (lines.degree > 2)
    assert fixed.any()
    assert not fixed[lines.degree > 2].all()


@pytest.mark.parametrize("vertices_at_once", [900, 6000])
def test_edge_shapes_placed_in_portions_are_those_placed_together(
    crowded: tuple[Centerlines, npt.NDArray[np.float64]], vertices_at_once: int
) -> None:
    lines, width = crowded
    whole, nodes = edge_shapes(lines, width, 1.5, 1.0)
    assert len(lines.row) > 2 * vertices_at_once
    portions, portion_nodes = edge_shapes(lines, width, 1.5, 1.0, vertices_at_once=vertices_at_once)
    assert shapely.equals_exact(whole, portions, 0.0).all()
    assert np.array_equal(nodes, portion_nodes, equal_nan=True)


def test_edge_shapes_do_not_depend_on_the_order_of_edges(
    crowded: tuple[Centerlines, npt.NDArray[np.float64]],
) -> None:
    lines, width = crowded
    order = np.random.default_rng(1).permutation(len(lines))
    shapes, _ = edge_shapes(lines, width, 1.5, 1.0)
    shuffled, _ = edge_shapes(lines.take(order), width[order], 1.5, 1.0)
    assert shapely.equals_exact(shapes[order], shuffled, 1e-6).all()


def test_edge_shapes_of_a_component_do_not_depend_on_crossings_elsewhere(
    crowded: tuple[Centerlines, npt.NDArray[np.float64]],
) -> None:
    lines, width = crowded
    # Half of the town is wide enough for crossings; the other half must be unaffected.
    wide = lines.node_row[lines.start] < lines.grid.height / 2
    some, _ = edge_shapes(lines, np.where(wide, width, 4.0), 1.5, 1.0)
    none, _ = edge_shapes(lines, np.full(len(lines), 4.0), 1.5, 1.0)
    far = lines.node_row[lines.start] > 0.6 * lines.grid.height
    far &= lines.node_row[lines.end] > 0.6 * lines.grid.height
    assert not shapely.equals_exact(some[wide], none[wide], 0.0).all()
    assert shapely.equals_exact(some[far], none[far], 0.0).all()


@pytest.mark.parametrize("reach", [1, 8, 40])
def test_convolved_equals_scipy_bit_by_bit(reach: int) -> None:
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (reach / 5)) ** 2)
    line = np.random.default_rng(0).normal(1000, 500, 10_000)
    expected = ndimage.convolve1d(line, taps)[reach:-reach]
    assert np.array_equal(convolved(line, taps), expected)
