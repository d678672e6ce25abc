"""The shape of lines that were drawn: they stay where they are."""

from __future__ import annotations

import numpy as np
import shapely

from roadgis.arrays import Floats, Lines
from roadgis.network.centerlines import Centerlines
from roadgis.network.shape.smooth import smoothed, with_ring_nodes

__all__ = ["drawn_shapes"]

#: Metres. Vertices added to a line for the work on it are on it but for rounding.
_ADDED = 1e-6


def drawn_shapes(lines: Centerlines, smooth_px: float, tolerance_m: float) -> tuple[Lines, Floats]:
    """Return edges through the vertices that they were drawn with.

    Other than those of a skeleton, their nodes are where somebody put them, and they may pass
    over each other. Simplifying makes no crossing that was not there.

    Parameters
    ----------
    lines : Centerlines
        Noded; ends at the nodes.
    smooth_px : float
        Standard deviation of the smoothing, pixels; 0 for none. Nodes stay.
    tolerance_m : float
        Largest distance between a line and the simplified one, metres.

    Returns
    -------
    ndarray of LineString, shape (E,)
        In the grid's CRS.
    ndarray of float64, shape (N, 2)
        Nodes; the ends of the lines.
    """
    if smooth_px > 0:
        # Corners that were drawn are rounded, too: who asks for smoothing has jagged lines.
        lines = with_ring_nodes(smoothed(lines, smooth_px, np.empty(0, np.int64)))
    nodes = lines.grid.xy(lines.node_row, lines.node_col)
    xy = lines.grid.xy(lines.row, lines.col)
    xy[lines.offsets[:-1]], xy[lines.offsets[1:] - 1] = nodes[lines.start], nodes[lines.end]
    if not len(lines):
        return np.empty(0, object), nodes
    exact = np.asarray(shapely.linestrings(xy, indices=lines.edge_of_vertex), object)
    exact = _simplified(exact, _ADDED)
    if tolerance_m <= _ADDED:
        return exact, nodes
    return _without_new_crossings(_simplified(exact, tolerance_m), exact), nodes


def _simplified(shapes: Lines, tolerance_m: float) -> Lines:
    out: Lines = shapely.simplify(shapes, tolerance_m, preserve_topology=False)
    # A small ring must not become a point.
    return np.where(shapely.length(out) > 0, out, shapes)


def _without_new_crossings(shapes: Lines, exact: Lines) -> Lines:
    """Take the exact shape where the other one crosses itself or what it did not cross."""
    crossing = shapely.is_simple(exact) & ~shapely.is_simple(shapes)
    shapes = np.where(crossing, exact, shapes)
    while True:
        a, b = shapely.STRtree(shapes).query(shapes, predicate="crosses")
        changed = (shapes[a] != exact[a]) | (shapes[b] != exact[b])
        a, b = a[changed], b[changed]
        new = ~shapely.crosses(exact[a], exact[b])
        if not new.any():
            return shapes
        back = np.concatenate([a[new], b[new]])
        shapes[back] = exact[back]
