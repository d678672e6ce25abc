"""Anybody's lines as centrelines that can be cleaned."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import shapely
from pyproj import CRS

from roadgis.arrays import Bytes, Floats, Ints, Lines
from roadgis.errors import InputError
from roadgis.imagery.grid import Grid
from roadgis.network.centerlines import Centerlines
from roadgis.network.from_lines.noding import noded
from roadgis.probability.raster_sampling import sampled_levels
from roadgis.probability.source import NO_DATA, ProbabilitySource

__all__ = ["DrawnOptions", "centerlines_from_lines"]

#: Around the lines the grid has room, so that no road ends at its edge.
_MARGIN_M = 1000.0
_FULL = 254
_STRONG_LEVEL = 127


@dataclass(frozen=True)
class DrawnOptions:
    """How lines that were drawn, not traced, become centrelines.

    Attributes
    ----------
    snap_m : float
        How far ends are moved to meet other lines.
    step_m : float
        Largest distance between vertices while the lines are worked on; none of the added
        vertices remains at the end.
    width_m : float
        Width of roads of which none is given.
    node_crossings : bool
        Make junctions where lines cross without a shared vertex.
    """

    snap_m: float = 1.0
    step_m: float = 1.0
    width_m: float = 6.0
    node_crossings: bool = False

    def __post_init__(self) -> None:
        for name in ("step_m", "width_m", "snap_m"):
            value = getattr(self, name)
            if not (math.isfinite(value) and (value > 0 or (value == 0 and name == "snap_m"))):
                raise InputError(f"{name} is {value}; a number above 0 is expected. Correct it.")


def centerlines_from_lines(
    lines: Lines,
    crs: CRS,
    *,
    width_m: Floats | None = None,
    confidence: Floats | None = None,
    source: ProbabilitySource | None = None,
    options: DrawnOptions | None = None,
) -> Centerlines:
    """Node lines and bring them into the form that cleaning works on.

    Parameters
    ----------
    lines : ndarray of LineString, shape (L,)
        In `crs`.
    crs : pyproj.CRS
        Projected, in metres; with `source` that of its grid.
    width_m : ndarray of float64, shape (L,), optional
        Width of each road; NaN, where it is not known, stands for the nominal one.
    confidence : ndarray of float64, shape (L,), optional
        Of each road, 0..1; NaN, where it is not known, stands for 1.
    source : ProbabilitySource, optional
        Probability along the lines where it has data; it then goes before `confidence`.
    options : DrawnOptions, optional
        Snapping and nominal values.

    Returns
    -------
    Centerlines
        On the grid of `source`, else on one of about a metre. The same whatever the order of
        the lines.
    """
    options = options or DrawnOptions()
    pieces, line = noded(lines, options.snap_m, node_crossings=options.node_crossings)
    grid = _nominal_grid(pieces, crs) if source is None else source.grid
    xy, edge = shapely.get_coordinates(
        shapely.segmentize(pieces, options.step_m), return_index=True
    )
    offsets = np.searchsorted(edge, np.arange(len(pieces) + 1)).astype(np.int64)
    row = (grid.y0 - xy[:, 1]) / grid.gsd_m - 0.5
    col = (xy[:, 0] - grid.x0) / grid.gsd_m - 0.5
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
        # Pieces and nodes are in the order of their coordinates, so their numbers are stable and
        # unique; no pixel that becomes a key later has the same one.
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
    """Return pixels of a metre around the lines; whole metres, so that few digits are lost."""
    if not len(pieces):
        return Grid(crs, 0.0, 0.0, 1.0, 1, 1)
    west, south, east, north = shapely.total_bounds(pieces)
    x0, y0 = math.floor(west - _MARGIN_M) - 0.5, math.ceil(north + _MARGIN_M) + 0.5
    width, height = math.ceil(east + _MARGIN_M - x0), math.ceil(y0 - south + _MARGIN_M)
    return Grid(crs, x0, y0, 1.0, width, height)


def _nodes(row: Floats, col: Floats, offsets: Ints) -> tuple[Floats, Floats, Ints, Ints]:
    """Give the places of edge ends numbers in the order of rows and columns."""
    ends = np.concatenate([offsets[:-1], offsets[1:] - 1])
    place, index = np.unique(np.stack([row[ends], col[ends]], axis=1), axis=0, return_inverse=True)
    index = index.reshape(-1).astype(np.int64)
    count = len(offsets) - 1
    return place[:, 0], place[:, 1], index[:count], index[count:]


def _with_evidence(source: ProbabilitySource, row: Floats, col: Floats, level: Bytes) -> Bytes:
    read = sampled_levels(source, row, col)
    return np.where(read == NO_DATA, level, read)
