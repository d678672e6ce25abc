"""Candidates for bridges: where roads break off, and the dead ends and edges they point to.

Shapes: E edges, T tips (dead ends), G gaps, P pieces of edges.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import shapely

from roadgis.arrays import Bools, Floats, Ints, Lines, first_of_each, take_rows
from roadgis.network.centerlines import Centerlines, concatenated_ranges
from roadgis.network.edge_ends import EdgeEnds, chord_ends


@dataclass(frozen=True)
class CandidateTuning:
    """Constants of the search for gaps; lengths in road widths or pixels.

    Not fitted; decision 0034 measured limits of length and turn, which are options.
    """

    #: Within this many widths of a dead end the skeleton turns into a corner of the road,
    turn_widths: float = 1.0
    #: at most this part of the edge.
    turn_part: float = 0.4
    #: The direction of a road is taken over this many widths before that,
    base_widths: float = 3.0
    #: at least over this many pixels.
    base_px: float = 10.0
    #: A road shorter than this many widths has no reliable direction,
    short_widths: float = 0.75
    #: nor one shorter than this, pixels.
    short_px: float = 2.0
    #: Directions in which an edge is looked for, as parts of the largest turn.
    fan: tuple[float, ...] = (-1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0)
    #: On its own edge a dead end meets nothing nearer behind it than this many widths.
    own_widths: float = 4.0


TUNING = CandidateTuning()
#: Vertices in a piece of an edge in the spatial index, so that long edges have small boxes.
_PIECE = 32
#: Pieces that are drawn at once, to bound the memory.
_PIECES = 1 << 13


class Pieces(NamedTuple):
    """Edges cut into pieces of few vertices.

    Attributes
    ----------
    tree : shapely.STRtree
        Index of the pieces.
    shape : ndarray of LineString, shape (P,)
        Pieces in (column, row).
    edge : ndarray of int64, shape (P,)
        Edge of each piece.
    along : ndarray of float64, shape (P,)
        Distance along its edge at which each piece begins, pixels.
    """

    tree: shapely.STRtree
    shape: Lines
    edge: Ints
    along: Floats


@dataclass(frozen=True)
class Gaps:
    """Gaps that could be bridged; the two columns of the 2-D arrays are their two ends.

    Attributes
    ----------
    tip : ndarray of int64, shape (G,)
        Dead end at which the bridge starts; of two, the one whose node has the lower key.
    other : ndarray of int64, shape (G,)
        Dead end at which it ends; -1 where it ends at an edge.
    edge : ndarray of int64, shape (G,)
        Edge at which it ends; -1 where it ends at a dead end.
    row, col : ndarray of float64, shape (G, 2)
        Positions.
    d_row, d_col : ndarray of float64, shape (G, 2)
        Directions of travel, unit vectors.
    turn : ndarray of float64, shape (G, 2)
        Turn from the road to the straight line across the gap, degrees; 0 at an edge.
    width : ndarray of float64, shape (G, 2)
        Widths of the roads, pixels.
    inside : ndarray of float64, shape (G, 2)
        Lengths of the line across the gap that lie within the roads, pixels.
    """

    tip: Ints
    other: Ints
    edge: Ints
    row: Floats
    col: Floats
    d_row: Floats
    d_col: Floats
    turn: Floats
    width: Floats
    inside: Floats

    def __len__(self) -> int:
        return len(self.tip)

    @property
    def is_pair(self) -> Bools:
        """Whether the gap is one between two dead ends, (G,)."""
        return np.asarray(self.other >= 0, bool)

    @property
    def distance(self) -> Floats:
        """Straight distance between the two ends, (G,) pixels."""
        return np.hypot(self.row[:, 1] - self.row[:, 0], self.col[:, 1] - self.col[:, 0])

    @property
    def clear(self) -> Floats:
        """Length of the gap between the roads' borders, (G,) pixels."""
        return np.asarray(np.maximum(self.distance - self.inside.sum(axis=1), 0.0), np.float64)


def find_tips(lines: Centerlines) -> EdgeEnds:
    """Find the dead ends whose roads are long enough to have a direction.

    Returns
    -------
    EdgeEnds
        In the order of their nodes' keys. `row` and `col` are where the road would end if it did
        not turn into one of its corners: its foot, moved straight ahead by `cut`.
    """
    edge, at_end, node = lines.edge_ends
    dead = np.flatnonzero(lines.degree[node] == 1)
    dead = dead[np.argsort(lines.node_key[node[dead]], kind="stable")]
    edge, at_end = edge[dead], at_end[dead]
    width, length = lines.mean_width_px[edge], lines.length_px[edge]
    near = np.minimum(TUNING.turn_widths * width, TUNING.turn_part * length)
    far = np.minimum(near + np.maximum(TUNING.base_widths * width, TUNING.base_px), length)
    tips = chord_ends(lines, edge, at_end, near, far, width)
    long = np.maximum(TUNING.short_widths * tips.width, TUNING.short_px)
    tips = take_rows(tips, tips.span >= long)
    # The last digits depend on the order of edges, as distances along edges are differences of
    # sums over all of them; results must not.
    return dataclasses.replace(
        tips,
        row=np.round(tips.row + tips.cut * tips.d_row, 6),
        col=np.round(tips.col + tips.cut * tips.d_col, 6),
        d_row=np.round(tips.d_row, 9),
        d_col=np.round(tips.d_col, 9),
    )


def cut_pieces(lines: Centerlines, tips: EdgeEnds, max_gap_px: float) -> Pieces:
    """Cut edges into pieces, and return those that rays and paths from dead ends could meet.

    Parameters
    ----------
    tips : EdgeEnds
        The dead ends (:func:`find_tips`), at least one.
    max_gap_px : float
        Largest gap between the roads' borders.
    """
    count = -(-(np.diff(lines.offsets) - 1) // _PIECE)
    edge = np.repeat(np.arange(len(lines)), count)
    number = concatenated_ranges(np.zeros_like(count), count)
    begin = lines.offsets[edge] + number * _PIECE
    stop = np.minimum(begin + _PIECE + 1, lines.offsets[edge + 1])
    near = _near_tips(lines, tips, begin, stop, max_gap_px)
    along = [np.empty(0)]
    for edges, part in lines.portions():
        here = slice(*np.searchsorted(edge, [edges.start, edges.stop]))
        along.append(part.distance_along[0][begin[here] - lines.offsets[edges.start]])
    edge, begin, stop = edge[near], begin[near], stop[near]
    shapes: list[Lines] = [np.empty(0, object)]
    for low in range(0, len(edge), _PIECES):
        some = slice(low, low + _PIECES)
        shapes.append(lines.with_edges(edge[some], begin[some], stop[some]).pixel_lines())
    pieces = np.concatenate(shapes)
    return Pieces(shapely.STRtree(pieces), pieces, edge, np.concatenate(along)[near])


def _near_tips(
    lines: Centerlines, tips: EdgeEnds, begin: Ints, stop: Ints, max_gap_px: float
) -> Bools:
    """Return which pieces, vertices begin..stop - 1, are within reach of a dead end."""
    from scipy.spatial import cKDTree

    boxes = [
        (
            np.minimum(np.minimum.reduceat(value, begin), value[stop - 1]),
            np.maximum(np.maximum.reduceat(value, begin), value[stop - 1]),
        )
        for value in (lines.col, lines.row)
    ]
    centre = np.stack([(low + high) / 2 for low, high in boxes], axis=1)
    radius = np.hypot(*((high - low) / 2 for low, high in boxes))
    xy = np.stack([tips.col, tips.row], axis=1)
    removed = np.maximum(lines.node_shortening_px[tips.node], 1.0)
    widest = float(np.nan_to_num(lines.mean_width_px).max()) / 2
    near: Bools = np.zeros(len(begin), bool)
    kind = np.ceil(np.log2(removed))
    for some in (kind == number for number in np.unique(kind)):
        longest = max_gap_px + widest + 2 * float(removed[some].max())
        distance, _ = cKDTree(xy[some]).query(centre)
        # Paths lead at most a quarter of a gap's length away from a curve that stays within 1.07
        # lengths of the dead end.
        near |= distance <= radius + 1.35 * longest + 2
    return near


def find_gaps(
    lines: Centerlines, tips: EdgeEnds, pieces: Pieces, max_gap_px: float, max_turn_deg: float
) -> Gaps:
    """Find what dead ends point to within a distance.

    Parameters
    ----------
    tips : EdgeEnds
        Its dead ends (:func:`find_tips`).
    pieces : Pieces
        Its edges (:func:`cut_pieces`).
    max_gap_px : float
        Largest gap between the roads' borders.
    max_turn_deg : float
        Largest turn from a road to the straight line across the gap.
    """
    pairs = vars(_pairs(lines, tips, max_gap_px, max_turn_deg))
    at_edges = vars(_at_edges(lines, tips, pieces, max_gap_px, max_turn_deg))
    return Gaps(**{name: np.concatenate([pairs[name], at_edges[name]]) for name in pairs})


def _pairs(lines: Centerlines, tips: EdgeEnds, max_gap_px: float, max_turn_deg: float) -> Gaps:
    """Return the pairs of dead ends that point to each other."""
    xy = np.stack([tips.col, tips.row], axis=1)
    removed = lines.node_shortening_px[tips.node].astype(np.float64)
    index = np.empty((0, 2), np.int64)
    if len(xy) > 1:
        radius = max_gap_px + 2 * float(removed.max())
        from scipy.spatial import cKDTree

        index = cKDTree(xy).query_pairs(radius, output_type="ndarray").astype(np.int64)
    # Tips are in the order of their keys.
    a, b = index.min(axis=1), index.max(axis=1)
    rank = np.lexsort([b, a])
    a, b = a[rank], b[rank]
    row, col, d_row, d_col, width, inside = (
        np.stack([value[a], value[b]], axis=1)
        for value in (tips.row, tips.col, tips.d_row, tips.d_col, tips.width, removed)
    )
    run_row, run_col = row[:, 1] - row[:, 0], col[:, 1] - col[:, 0]
    slack = TUNING.turn_widths / 2 * width.min(axis=1)
    turn = np.stack(
        [
            _turn(d_row[:, 0], d_col[:, 0], run_row, run_col, slack),
            _turn(d_row[:, 1], d_col[:, 1], -run_row, -run_col, slack),
        ],
        axis=1,
    )
    d_row[:, 1], d_col[:, 1] = -d_row[:, 1], -d_col[:, 1]
    gaps = Gaps(a, b, np.full(len(a), -1), row, col, d_row, d_col, turn, width, inside)
    facing = d_row.prod(axis=1) + d_col.prod(axis=1) > math.cos(math.radians(2 * max_turn_deg))
    straight = (turn <= max_turn_deg).all(axis=1)
    return take_rows(gaps, straight & (gaps.clear <= max_gap_px) & facing)


def _turn(d_row: Floats, d_col: Floats, row: Floats, col: Floats, slack: Floats) -> Floats:
    """Return the angle between a direction and the way to a point, degrees.

    The point's sideways offset is known up to the slack only.
    """
    ahead = d_row * row + d_col * col
    aside = np.maximum(np.abs(d_row * col - d_col * row) - slack, 0.0)
    return np.asarray(np.degrees(np.arctan2(aside, ahead)), np.float64)


def _at_edges(
    lines: Centerlines, tips: EdgeEnds, pieces: Pieces, max_gap_px: float, max_turn_deg: float
) -> Gaps:
    """Return the gaps between dead ends and the first edge in each of some directions."""
    tip = np.flatnonzero(~lines.node_leaves_raster[tips.node])
    ray_tip = np.repeat(tip, len(TUNING.fan))
    angle = np.tile(np.radians(max_turn_deg) * np.array(TUNING.fan), len(tip))
    cos, sin = np.cos(angle), np.sin(angle)
    d_row = cos * tips.d_row[ray_tip] + sin * tips.d_col[ray_tip]
    d_col = cos * tips.d_col[ray_tip] - sin * tips.d_row[ray_tip]
    widest = float(lines.width_px.max()) / 2 if len(lines.width_px) else 0.0
    away, first = _first_met(lines, tips, pieces, ray_tip, d_row, d_col, max_gap_px + widest)
    met = np.flatnonzero(first >= 0)
    a, edge = ray_tip[met], first[met]
    distance, d_row, d_col = away[met], d_row[met], d_col[met]
    removed = lines.node_shortening_px[tips.node[a]].astype(np.float64)
    width = lines.mean_width_px[edge]
    row, col = tips.row[a], tips.col[a]
    gaps = Gaps(
        tip=a,
        other=np.full(len(a), -1),
        edge=edge,
        row=np.stack([row, row + distance * d_row], axis=1),
        col=np.stack([col, col + distance * d_col], axis=1),
        d_row=np.stack([tips.d_row[a], d_row], axis=1),
        d_col=np.stack([tips.d_col[a], d_col], axis=1),
        turn=np.stack([np.degrees(np.abs(angle[met])), np.zeros(len(a))], axis=1),
        width=np.stack([tips.width[a], width], axis=1),
        inside=np.stack([removed, width / 2], axis=1),
    )
    return take_rows(gaps, gaps.clear <= max_gap_px)


def _first_met(
    lines: Centerlines,
    tips: EdgeEnds,
    pieces: Pieces,
    ray_tip: Ints,
    d_row: Floats,
    d_col: Floats,
    reach_px: float,
) -> tuple[Floats, Ints]:
    """Return how far along each ray an edge is met (inf: none), and which one (-1)."""
    length = reach_px + lines.node_shortening_px[tips.node[ray_tip]].astype(np.float64)
    start = np.stack([tips.col, tips.row], axis=1)[ray_tip]
    stop = start + np.stack([d_col, d_row], axis=1) * length[:, None]
    rays = np.asarray(shapely.linestrings(np.stack([start, stop], axis=1)), object)
    ray, piece = pieces.tree.query(rays, predicate="intersects")
    edge, along = pieces.edge[piece], pieces.along[piece]
    tip = ray_tip[ray]
    behind = np.where(tips.at_end[tip], lines.length_px[edge] - along, along)
    ok = (tips.edge[tip] != edge) | (behind > TUNING.own_widths * tips.width[tip] + _PIECE)
    ray, piece, edge = ray[ok], piece[ok], edge[ok]
    away = shapely.distance(
        shapely.points(start[ray]), shapely.intersection(rays[ray], pieces.shape[piece])
    )
    rank = np.lexsort([lines.key[edge], away, ray])
    ray, edge, away = ray[rank], edge[rank], away[rank]
    first = np.flatnonzero(first_of_each(ray))
    distance, met = np.full(len(rays), np.inf), np.full(len(rays), -1)
    distance[ray[first]], met[ray[first]] = away[first], edge[first]
    return distance, met
