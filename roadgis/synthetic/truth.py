"""The exact network of drawn roads: one node per crossing, one width per edge."""

from __future__ import annotations

from itertools import pairwise
from typing import Protocol

import numpy as np
import shapely
from pyproj import CRS
from shapely import Polygon

from roadgis.arrays import Floats, Ints, Lines
from roadgis.network.network import RoadNetwork
from roadgis.synthetic.through_streets import Road

#: Noding precision, metres: below a pixel.
_PRECISION_M = 0.01
#: Shorter pieces at the border are dropped, metres.
_SLIVER_M = 0.5
#: Shorter loose ends are not dead ends, metres.
_STUB_M = 4.0


class ScenePlace(Protocol):
    """Options that place a scene: CRS, and outer corner of its top left pixel."""

    @property
    def crs(self) -> str: ...  # noqa: D102
    @property
    def x0(self) -> float: ...  # noqa: D102
    @property
    def y0(self) -> float: ...  # noqa: D102
    @property
    def seed(self) -> int: ...  # noqa: D102


def node_roads(roads: list[Road], frame: Polygon, options: ScenePlace) -> RoadNetwork:
    """Node roads, and cut them at the frame.

    Parameters
    ----------
    roads : list of Road
        Town metres, y down.
    frame : Polygon
        Extent of the scene, town metres.
    options : ScenePlace
        Place of the scene; `seed` goes into the provenance.

    Returns
    -------
    RoadNetwork
        In the scene's CRS; edges without confidence, sorted by position. Nodes of degree 2 remain
        only where the width changes.
    """
    lines = np.array([road.line for road in roads], object)
    crs = CRS.from_user_input(options.crs)
    if not len(lines):
        return RoadNetwork.empty(crs)
    pieces = _without_stubs(shapely.get_parts(shapely.union_all(lines, grid_size=_PRECISION_M)))
    width = _widths(pieces, lines, np.array([road.width_m for road in roads]))
    stops = _stops(pieces, width)
    edges: list[shapely.LineString] = []
    widths: list[float] = []
    for value in np.unique(width):
        merged = shapely.line_merge(shapely.union_all(pieces[width == value]))
        for line in shapely.get_parts(merged):
            parts = _split(shapely.get_coordinates(line), stops)
            inside = shapely.get_parts(shapely.intersection(parts, frame))
            inside = inside[shapely.length(inside) > _SLIVER_M]
            edges += list(inside)
            widths += [float(value)] * len(inside)
    return _network(edges, widths, crs, options)


def _keys(points: Floats) -> Ints:
    """Return one integer per position, at the noding precision."""
    cell = np.round(points / _PRECISION_M).astype(np.int64)
    return cell[:, 0] * (1 << 32) + cell[:, 1]


def _ends(lines: Lines) -> Floats:
    """Return first and last points, (2 E, 2): all first ones, then all last ones."""
    return np.concatenate(
        [
            shapely.get_coordinates(shapely.get_point(lines, 0)),
            shapely.get_coordinates(shapely.get_point(lines, -1)),
        ]
    )


def _without_stubs(pieces: Lines) -> Lines:
    """Drop loose ends that do not leave the asphalt of the road they end on."""
    _, index, count = np.unique(_keys(_ends(pieces)), return_inverse=True, return_counts=True)
    loose = (count[index] == 1).reshape(2, -1).any(axis=0)
    kept: Lines = pieces[~loose | (shapely.length(pieces) > _STUB_M)]
    return kept


def _widths(pieces: Lines, roads: Lines, widths: Floats) -> Floats:
    """Return the width of the road that each noded piece came from."""
    middles = shapely.line_interpolate_point(pieces, 0.5, normalized=True)
    piece, road = shapely.STRtree(roads).query(
        middles, predicate="dwithin", distance=1.5 * _PRECISION_M
    )
    result = np.zeros(len(pieces))
    # Where two roads overlap, the wider one is visible.
    np.maximum.at(result, piece, widths[road])
    return result


def _stops(pieces: Lines, width: Floats) -> Ints:
    """Return the positions where edges end: all but those where two pieces of one width meet."""
    keys = _keys(_ends(pieces))
    places, index, count = np.unique(keys, return_inverse=True, return_counts=True)
    lowest, highest = np.full(len(places), np.inf), np.zeros(len(places))
    both = np.concatenate([width, width])
    np.minimum.at(lowest, index, both)
    np.maximum.at(highest, index, both)
    stops: Ints = places[(count != 2) | (lowest != highest)]
    return stops


def _split(points: Floats, stops: Ints) -> Lines:
    """Cut a line at its vertices that are stops; a closed line starts at a stop."""
    stop = np.isin(_keys(points), stops)
    if (points[0] == points[-1]).all() and stop.any():
        first = int(np.argmax(stop))
        points = np.concatenate([points[first:-1], points[: first + 1]])
        stop = np.isin(_keys(points), stops)
    cuts = np.flatnonzero(stop[1:-1]) + 1
    bounds = [0, *cuts.tolist(), len(points) - 1]
    return np.array([shapely.LineString(points[a : b + 1]) for a, b in pairwise(bounds)], object)


def _network(
    edges: list[shapely.LineString], widths: list[float], crs: CRS, options: ScenePlace
) -> RoadNetwork:
    """Transform the edges to the CRS and number their nodes by position."""
    if not edges:
        return RoadNetwork.empty(crs)
    lines = np.array(edges, object)
    ends = _ends(lines)
    _, first, index = np.unique(_keys(ends), return_index=True, return_inverse=True)
    count = len(lines)
    start, end = index[:count].astype(np.int64), index[count:].astype(np.int64)
    order = np.lexsort((shapely.length(lines), end, start))
    corner = np.array([options.x0, options.y0])
    flip = np.array([1.0, -1.0])
    unknown = np.full(count, np.nan)
    return RoadNetwork(
        crs=crs,
        edges=shapely.transform(lines[order], lambda xy: corner + xy * flip),
        start=start[order],
        end=end[order],
        width_m=np.array(widths)[order],
        confidence=unknown,
        confidence_min=unknown.copy(),
        nodes=corner + ends[first] * flip,
        provenance={"made_by": "roadgis synthesize", "seed": options.seed},
    )
