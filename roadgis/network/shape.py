"""The shape of edges: without staircases, crisp at the ends, with as few vertices as needed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import shapely

from roadgis.network.centerlines import Centerlines
from roadgis.network.corners import with_corners
from roadgis.network.ends import placed_ends
from roadgis.network.smooth import smoothed, with_middles, with_ring_nodes

__all__ = ["edge_shapes"]


def edge_shapes(
    lines: Centerlines, width_px: npt.NDArray[np.float64], smooth_px: float, tolerance_m: float
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.float64]]:
    """Give edges their final shape: smoothed, crisp at the ends, simplified.

    Where that would make an edge cross itself or another one, the edges concerned fall
    back to a shape nearer to the pixels, of which no two cross.

    Parameters
    ----------
    lines : Centerlines
        Noded; ends at the nodes.
    width_px : ndarray of float64, shape (E,)
        Width of each road.
    smooth_px : float
        Standard deviation of the smoothing, pixels.
    tolerance_m : float
        Largest distance between a smoothed line and the simplified one, metres.

    Returns
    -------
    ndarray of LineString, shape (E,)
        In the grid's CRS.
    ndarray of float64, shape (N, 2)
        Nodes; the ends of the lines.
    """
    middle = with_middles(lines)
    held = np.zeros(len(lines.node_key), bool)
    while True:
        ends = placed_ends(middle, width_px, held)
        bent, corners = with_corners(ends.lines, width_px, ends.undisturbed)
        placed = with_ring_nodes(smoothed(bent, smooth_px, corners))
        raw = dataclasses.replace(placed, row=lines.row, col=lines.col)
        levels = _levels(placed, raw, ends.undisturbed, tolerance_m)
        shapes, crossing = _without_crossings(levels, len(lines))
        # What still crosses does so because nodes were moved: there they stay on the skeleton.
        at_fault = np.zeros_like(held)
        at_fault[lines.start[crossing]], at_fault[lines.end[crossing]] = True, True
        if not (at_fault & ~held).any():
            return shapes, lines.grid.xy(placed.node_row, placed.node_col)
        held |= at_fault


#: Gives the shapes of some edges.
_Level = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.object_]]


def _levels(
    smooth: Centerlines, raw: Centerlines, keep: npt.NDArray[np.bool_], tolerance_m: float
) -> list[_Level]:
    """Return the shapes to choose from, the best one first, that of the pixels last."""
    every = np.ones_like(keep)
    shapes = _linestrings(smooth, every)
    return [
        lambda some: _simplified(shapes[some], tolerance_m),
        lambda some: shapes[some],
        lambda some: _linestrings(raw.take(some), keep[raw.vertices_of(some)]),
        lambda some: _linestrings(raw.take(some), every[raw.vertices_of(some)]),
    ]


def _simplified(shapes: npt.NDArray[np.object_], tolerance_m: float) -> npt.NDArray[np.object_]:
    out: npt.NDArray[np.object_] = shapely.simplify(shapes, tolerance_m, preserve_topology=False)
    return out


def _linestrings(lines: Centerlines, keep: npt.NDArray[np.bool_]) -> npt.NDArray[np.object_]:
    """Return the edges through some of their vertices, from node to node."""
    first, last = lines.offsets[:-1], lines.offsets[1:] - 1
    keep = keep.copy()
    keep[first], keep[last] = True, True
    row, col = lines.row.copy(), lines.col.copy()
    for vertex, node in ((first, lines.start), (last, lines.end)):
        row[vertex], col[vertex] = lines.node_row[node], lines.node_col[node]
    shapes = shapely.linestrings(
        lines.grid.xy(row[keep], col[keep]), indices=lines.edge_of_vertex[keep]
    )
    return np.asarray(shapes, object)


def _without_crossings(
    levels: list[_Level], count: int
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.bool_]]:
    """Take the first shape of each edge with which nothing crosses.

    Returns
    -------
    ndarray of LineString, shape (E,)
        The shapes.
    ndarray of bool, shape (E,)
        Edges that cross something in their last shape too.
    """
    shapes = levels[0](np.arange(count))
    level = np.zeros(count, np.int64)
    changed = np.arange(count)
    crossing = np.zeros(count, bool)
    while len(changed):
        pairs = shapely.STRtree(shapes).query(shapes[changed], predicate="crosses")
        bad = np.zeros(count, bool)
        bad[changed] = ~shapely.is_simple(shapes[changed])
        bad[changed[pairs[0]]] = True
        bad[pairs[1]] = True
        crossing |= bad & (level == len(levels) - 1)
        changed = np.flatnonzero(bad & (level < len(levels) - 1))
        level[changed] += 1
        for number in range(1, len(levels)):
            at = changed[level[changed] == number]
            if len(at):
                shapes[at] = levels[number](at)
    return shapes, crossing
