"""Convert existing lines to centrelines that can be cleaned, and back to lines."""

from __future__ import annotations

import math

import numpy as np
import shapely
from pyproj import CRS

from roadgis.arrays import Bytes, Floats, Ints, Lines
from roadgis.imagery.grid import Grid
from roadgis.lines.noding import noded
from roadgis.network.centerlines import Centerlines
from roadgis.network.shape.smooth import smoothed, with_ring_nodes
from roadgis.options.line_cleaning import DrawnOptions
from roadgis.probability.raster_sampling import sampled_levels
from roadgis.probability.source import NO_DATA, ProbabilitySource

#: Margin of the grid around the lines, so that no road ends at its edge.
_MARGIN_M = 1000.0
#: Vertices that were added to a line lie on it within this distance, metres.
_ADDED_M = 1e-6
#: Stored probability of certain road, and the threshold.
_FULL, _STRONG_LEVEL = 254, 127


def centerlines_from_lines(
    lines: Lines,
    crs: CRS,
    *,
    width_m: Floats | None = None,
    confidence: Floats | None = None,
    source: ProbabilitySource | None = None,
    options: DrawnOptions | None = None,
) -> Centerlines:
    """Node lines and convert them to centrelines.

    Parameters
    ----------
    lines : ndarray of LineString, shape (L,)
        In `crs`.
    crs : pyproj.CRS
        Projected, in metres; with `source` that of its grid.
    width_m : ndarray of float64, shape (L,), optional
        Width of each road; NaN means the nominal width.
    confidence : ndarray of float64, shape (L,), optional
        Confidence of each road, 0..1; NaN means 1.
    source : ProbabilitySource, optional
        Probability along the lines; where it has data it overrides `confidence`.
    options : DrawnOptions, optional
        Snapping and nominal values.

    Returns
    -------
    Centerlines
        On the grid of `source`, else on one of 1 m. Independent of the order of the lines.
    """
    options = options or DrawnOptions()
    pieces, line = noded(lines, options.snap_m, node_crossings=options.node_crossings)
    grid = _nominal_grid(pieces, crs) if source is None else source.grid
    row, col, edge = _vertices(pieces, grid, options.step_m)
    offsets = np.searchsorted(edge, np.arange(len(pieces) + 1)).astype(np.int64)
    node_row, node_col, start, end = _nodes(row, col, offsets)
    count = len(node_row)
    width = _known(width_m, line, options.width_m) / grid.gsd_m
    level = np.rint(_known(confidence, line, 1.0) * _FULL)[edge].astype(np.uint8)
    unknown = np.full(len(row), np.nan, np.float32)
    node_width = np.zeros(count)
    for node in (start, end):
        np.maximum.at(node_width, node, width)
    return Centerlines(
        grid=grid,
        strong_level=_STRONG_LEVEL,
        start=start,
        end=end,
        # Pieces and nodes are in the order of their coordinates, so their numbers are stable. They
        # are above all pixel ids, which become keys later.
        key=grid.width * grid.height + np.arange(len(pieces)),
        bridged=np.zeros(len(pieces), bool),
        offsets=offsets,
        row=row,
        col=col,
        d_row=unknown,
        d_col=unknown,
        width_px=width[edge].astype(np.float32),
        probability=level if source is None else _with_evidence(source, row, col, level),
        node_key=grid.width * grid.height + np.arange(count),
        node_row=node_row,
        node_col=node_col,
        node_width_px=node_width.astype(np.float32),
        node_shortening_px=np.zeros(count, np.float32),
        node_leaves_raster=np.zeros(count, bool),
        node_nodata_distance_px=np.full(count, np.inf, np.float32),
    )


def _known(values: Floats | None, line: Ints, default: float) -> Floats:
    if values is None:
        return np.full(len(line), default)
    of_piece = np.asarray(values, np.float64)[line]
    return np.where(np.isfinite(of_piece), of_piece, default)


def _nominal_grid(pieces: Lines, crs: CRS) -> Grid:
    """Return a grid of 1 m around the lines, on whole metres, so that few digits are lost."""
    if not len(pieces):
        return Grid(crs, 0.0, 0.0, 1.0, 1, 1)
    west, south, east, north = shapely.total_bounds(pieces)
    x0, y0 = math.floor(west - _MARGIN_M) - 0.5, math.ceil(north + _MARGIN_M) + 0.5
    width, height = math.ceil(east + _MARGIN_M - x0), math.ceil(y0 - south + _MARGIN_M)
    return Grid(crs, x0, y0, 1.0, width, height)


def _vertices(pieces: Lines, grid: Grid, step_m: float) -> tuple[Floats, Floats, Ints]:
    """Return rows and columns of vertices at most a step apart, and their lines."""
    xy, line = shapely.get_coordinates(shapely.segmentize(pieces, step_m), return_index=True)
    return (grid.y0 - xy[:, 1]) / grid.gsd_m - 0.5, (xy[:, 0] - grid.x0) / grid.gsd_m - 0.5, line


def _nodes(row: Floats, col: Floats, offsets: Ints) -> tuple[Floats, Floats, Ints, Ints]:
    """Return the distinct places of edge ends, in order, and the numbers of starts and ends."""
    ends = np.concatenate([offsets[:-1], offsets[1:] - 1])
    place, index = np.unique(np.stack([row[ends], col[ends]], axis=1), axis=0, return_inverse=True)
    index = index.reshape(-1).astype(np.int64)
    count = len(offsets) - 1
    return place[:, 0], place[:, 1], index[:count], index[count:]


def _with_evidence(source: ProbabilitySource, row: Floats, col: Floats, level: Bytes) -> Bytes:
    read = sampled_levels(source, row, col)
    return np.where(read == NO_DATA, level, read)


def drawn_shapes(lines: Centerlines, smooth_px: float, tolerance_m: float) -> tuple[Lines, Floats]:
    """Return edges through the vertices that they were drawn with.

    Their nodes are not moved, and they may pass over each other. Simplification adds no crossing.

    Parameters
    ----------
    lines : Centerlines
        Noded; ends at the nodes.
    smooth_px : float
        Standard deviation of the smoothing, pixels; 0 for none. Nodes are not moved.
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
        # Smoothing is asked for when lines are jagged, so drawn corners are rounded, too.
        lines = with_ring_nodes(smoothed(lines, smooth_px, np.empty(0, np.int64)))
    nodes = lines.grid.xy(lines.node_row, lines.node_col)
    xy = lines.grid.xy(lines.row, lines.col)
    xy[lines.offsets[:-1]], xy[lines.offsets[1:] - 1] = nodes[lines.start], nodes[lines.end]
    if not len(lines):
        return np.empty(0, object), nodes
    exact = np.asarray(shapely.linestrings(xy, indices=lines.edge_of_vertex), object)
    exact = _simplified(exact, _ADDED_M)
    if tolerance_m <= _ADDED_M:
        return exact, nodes
    return _without_new_crossings(_simplified(exact, tolerance_m), exact), nodes


def _simplified(shapes: Lines, tolerance_m: float) -> Lines:
    out: Lines = shapely.simplify(shapes, tolerance_m, preserve_topology=False)
    # A small ring must not become a point.
    return np.where(shapely.length(out) > 0, out, shapes)


def _without_new_crossings(shapes: Lines, exact: Lines) -> Lines:
    """Return the exact shapes where the others cross themselves or lines they did not cross."""
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
