"""Where paths across gaps meet the network: on the way, and where they arrive."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from roadgis.network.centerlines import Centerlines, concatenated_ranges
from roadgis.network.gaps import Gaps, Tips, edge_pieces
from roadgis.network.least_cost import GapPaths

__all__ = ["Arrivals", "arrivals", "path_lines"]

#: So many widths from a dead end its own road does not stand in the way.
_OWN_WIDTHS = 2.0


@dataclass(frozen=True)
class Arrivals:
    """Where G paths end.

    Attributes
    ----------
    blocked : ndarray of bool, shape (G,)
        Paths between dead ends with a road in between; all else is not set there.
    edge : ndarray of int64, shape (G,)
        Edge at which the path arrives.
    arc : ndarray of float64, shape (G,)
        How far along that edge, pixels.
    along : ndarray of float64, shape (G,)
        How far along the path, pixels.
    """

    blocked: npt.NDArray[np.bool_]
    edge: npt.NDArray[np.int64]
    arc: npt.NDArray[np.float64]
    along: npt.NDArray[np.float64]


def path_lines(paths: GapPaths) -> npt.NDArray[np.object_]:
    """Return the paths as LineStrings in (col, row), (G,)."""
    count = paths.last + 1
    gap = np.repeat(np.arange(len(count)), count)
    sample = concatenated_ranges(np.zeros_like(count), count)
    coordinates = np.stack([paths.col[gap, sample], paths.row[gap, sample]], axis=1)
    return np.asarray(shapely.linestrings(coordinates, indices=gap), object)


def arrivals(
    lines: Centerlines, tips: Tips, gaps: Gaps, paths: npt.NDArray[np.object_]
) -> Arrivals:
    """Find where paths first meet a road.

    A path to an edge ends at the first road that it meets, be it that edge or another one.
    A path between dead ends must meet none: neither a junction nor an overpass is invented.

    Parameters
    ----------
    lines : Centerlines
        The network.
    tips : Tips
        Its dead ends.
    gaps : Gaps
        What is bridged.
    paths : ndarray of LineString, shape (G,)
        Across the gaps, in (col, row).
    """
    pieces, piece_edge, piece_arc = edge_pieces(lines)
    gap, piece = shapely.STRtree(pieces).query(paths, predicate="intersects")
    points, index = shapely.get_coordinates(
        shapely.intersection(paths[gap], pieces[piece]), return_index=True
    )
    gap, piece = gap[index], piece[index]
    spot = shapely.points(points)
    along = shapely.line_locate_point(paths[gap], spot)
    arc = piece_arc[piece] + shapely.line_locate_point(pieces[piece], spot)
    edge = piece_edge[piece]
    at_own = _near_tip(lines, tips, gaps.tip[gap], edge, arc)
    pair = gaps.other[gap] >= 0
    at_own[pair] |= _near_tip(lines, tips, gaps.other[gap][pair], edge[pair], arc[pair])
    gap, edge, arc, along = gap[~at_own], edge[~at_own], arc[~at_own], along[~at_own]
    rank = np.lexsort([arc, lines.key[edge], along, gap])
    rank = rank[np.concatenate([[True], np.diff(gap[rank]) != 0])[: len(rank)]]
    gap, edge, arc, along = gap[rank], edge[rank], arc[rank], along[rank]
    blocked = np.zeros(len(gaps), bool)
    blocked[gap] = gaps.other[gap] >= 0
    # What meets nothing, by a rounding error, arrives where it was aimed at.
    out = Arrivals(blocked, gaps.edge.copy(), np.zeros(len(gaps)), shapely.length(paths))
    aimed = np.ones(len(gaps), bool)
    aimed[gap] = False
    aimed &= gaps.other < 0
    _aim(lines, gaps, np.flatnonzero(aimed), out.arc)
    free = gaps.other[gap] < 0
    gap, edge, arc, along = gap[free], edge[free], arc[free], along[free]
    out.edge[gap], out.arc[gap], out.along[gap] = edge, arc, along
    return out


def _near_tip(
    lines: Centerlines,
    tips: Tips,
    tip: npt.NDArray[np.int64],
    edge: npt.NDArray[np.int64],
    arc: npt.NDArray[np.float64],
) -> npt.NDArray[np.bool_]:
    """Return which places on edges are at the end of a dead end's own road."""
    to_tip = np.where(tips.at_end[tip], lines.length_px[edge] - arc, arc)
    near: npt.NDArray[np.bool_] = (tips.edge[tip] == edge) & (
        to_tip <= _OWN_WIDTHS * tips.width[tip] + tips.bend[tip]
    )
    return near


def _aim(
    lines: Centerlines,
    gaps: Gaps,
    some: npt.NDArray[np.int64],
    arc: npt.NDArray[np.float64],
) -> None:
    """Write how far along their edges the ends of some gaps are."""
    edges = lines.take(gaps.edge[some])
    shapes = shapely.linestrings(
        np.stack([edges.col, edges.row], axis=1), indices=edges.edge_of_vertex
    )
    arc[some] = shapely.line_locate_point(
        shapes, shapely.points(gaps.col[some, 1], gaps.row[some, 1])
    )
