"""Where roads break off, and what each dead end points to: other dead ends, and edges."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import shapely

from roadgis.network.centerlines import Centerlines, concatenated_ranges

__all__ = ["Gaps", "Pieces", "Tips", "cut_pieces", "find_gaps", "find_tips", "mean_width"]

#: Within this many widths of a dead end the skeleton turns into a corner of the road.
_TURN = 1.0
#: How far back from there the direction of a road is taken: road widths, at least pixels.
_BASE_WIDTHS, _BASE_PX = 3.0, 10.0
#: A road shorter than this many widths has no direction that could be trusted.
_SHORT = 0.75
#: Directions in which an edge is looked for, as parts of the largest turn.
_FAN = (-1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0)
#: Vertices in a piece of an edge in the spatial index, so that long edges have small boxes.
_PIECE = 32
#: On its own edge a dead end looks no nearer than this many widths behind itself.
_OWN_WIDTHS = 4.0


class Pieces(NamedTuple):
    """Edges cut into P pieces of few vertices, so that long edges have small boxes.

    Attributes
    ----------
    tree : shapely.STRtree
        Of the pieces.
    shape : ndarray of LineString, shape (P,)
        In (col, row).
    edge : ndarray of int64, shape (P,)
        The edge of each.
    arc : ndarray of float64, shape (P,)
        How far along its edge each begins, pixels.
    """

    tree: shapely.STRtree
    shape: npt.NDArray[np.object_]
    edge: npt.NDArray[np.int64]
    arc: npt.NDArray[np.float64]


class Tips(NamedTuple):
    """Dead ends and where they point; T tips. Pixels, unit vectors.

    Attributes
    ----------
    node, edge : ndarray of int64, shape (T,)
        The dead end, and the one edge there.
    at_end : ndarray of bool, shape (T,)
        Whether the edge ends there; else it starts there.
    row, col : ndarray of float64, shape (T,)
        Where the road leads, did it go on straight from before the corner it turns into.
    d_row, d_col : ndarray of float64, shape (T,)
        Direction ahead.
    bend : ndarray of float64, shape (T,)
        How much of the road's end is taken to be such a corner.
    width, reach : ndarray of float64, shape (T,)
        Width of the road, and by how much thinning has shortened it.
    leaves : ndarray of bool, shape (T,)
        Whether the road goes on beyond the raster or into no data.
    key : ndarray of int64, shape (T,)
        The node's.
    """

    node: npt.NDArray[np.int64]
    edge: npt.NDArray[np.int64]
    at_end: npt.NDArray[np.bool_]
    row: npt.NDArray[np.float64]
    col: npt.NDArray[np.float64]
    d_row: npt.NDArray[np.float64]
    d_col: npt.NDArray[np.float64]
    bend: npt.NDArray[np.float64]
    width: npt.NDArray[np.float64]
    reach: npt.NDArray[np.float64]
    leaves: npt.NDArray[np.bool_]
    key: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Gaps:
    """Gaps that could be bridged; G gaps.

    Attributes
    ----------
    tip : ndarray of int64, shape (G,)
        The dead end from which it is bridged; of two, the one with the lower key.
    other : ndarray of int64, shape (G,)
        The dead end to which it is bridged; -1 where that is an edge.
    edge : ndarray of int64, shape (G,)
        The edge to which it is bridged; -1 where that is a dead end.
    row, col : ndarray of float64, shape (G, 2)
        The two ends.
    d_row, d_col : ndarray of float64, shape (G, 2)
        Direction of travel at the two ends, unit vectors.
    turn : ndarray of float64, shape (G, 2)
        Turn from the road to the straight line between the ends, degrees; 0 at an edge.
    width : ndarray of float64, shape (G, 2)
        Width of the roads at the two ends, pixels.
    reach : ndarray of float64, shape (G, 2)
        Parts at the two ends that lie within the roads, pixels.
    """

    tip: npt.NDArray[np.int64]
    other: npt.NDArray[np.int64]
    edge: npt.NDArray[np.int64]
    row: npt.NDArray[np.float64]
    col: npt.NDArray[np.float64]
    d_row: npt.NDArray[np.float64]
    d_col: npt.NDArray[np.float64]
    turn: npt.NDArray[np.float64]
    width: npt.NDArray[np.float64]
    reach: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.tip)

    @property
    def distance(self) -> npt.NDArray[np.float64]:
        """Straight distance between the two ends, (G,) pixels."""
        return np.hypot(self.row[:, 1] - self.row[:, 0], self.col[:, 1] - self.col[:, 0])

    @property
    def clear(self) -> npt.NDArray[np.float64]:
        """Length of the gap between the roads' borders, (G,) pixels."""
        border = self.reach.sum(axis=1)
        return np.asarray(np.maximum(self.distance - border, 0.0), np.float64)

    def take(self, index: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Gaps:
        """Return some of the gaps."""
        return Gaps(
            **{field.name: getattr(self, field.name)[index] for field in dataclasses.fields(self)}
        )

    @classmethod
    def joined(cls, parts: list[Gaps]) -> Gaps:
        """Return the gaps of several as one."""
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(
            **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        )


def find_tips(lines: Centerlines) -> Tips:
    """Find the dead ends whose roads are long enough to have a direction."""
    from_start, from_end = lines.arcs if len(lines) else (np.empty(0), np.empty(0))
    length = lines.length_px
    width = mean_width(lines)
    back = np.minimum(_TURN * width, 0.4 * length)
    far = np.minimum(back + np.maximum(_BASE_WIDTHS * width, _BASE_PX), length)
    parts = []
    for node, arc, at_end in ((lines.start, from_start, False), (lines.end, from_end, True)):
        edges = np.flatnonzero(lines.degree[node] == 1)
        if not len(edges):
            continue
        row, col = _middle_at(lines, arc, back, at_end, edges)
        d_row, d_col = (
            a - b
            for a, b in zip((row, col), _middle_at(lines, arc, far, at_end, edges), strict=True)
        )
        base = np.hypot(d_row, d_col)
        some = base >= np.maximum(_SHORT * width[edges], 2.0)
        edge, row, col = edges[some], row[some], col[some]
        d_row, d_col = d_row[some] / base[some], d_col[some] / base[some]
        parts.append(
            Tips(
                node=node[edge],
                edge=edge,
                at_end=np.full(len(edge), at_end),
                row=row + back[edge] * d_row,
                col=col + back[edge] * d_col,
                d_row=d_row,
                d_col=d_col,
                bend=back[edge],
                width=width[edge],
                reach=lines.node_reach_px[node[edge]].astype(np.float64),
                leaves=lines.node_exit[node[edge]],
                key=lines.node_key[node[edge]],
            )
        )
    if not parts:
        none, no, number = np.empty(0), np.empty(0, bool), np.empty(0, np.int64)
        return Tips(number, number, no, none, none, none, none, none, none, none, no, number)
    tips = Tips._make(np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    rank = np.argsort(tips.key, kind="stable")
    tips = Tips._make(array[rank] for array in tips)
    # Distances along edges are differences of sums over all edges, so their last digits
    # depend on the edges' order; what follows from them shall not.
    return tips._replace(
        row=np.round(tips.row, 6),
        col=np.round(tips.col, 6),
        d_row=np.round(tips.d_row, 9),
        d_col=np.round(tips.d_col, 9),
    )


def _middle_at(
    lines: Centerlines,
    arc: npt.NDArray[np.float64],
    distance: npt.NDArray[np.float64],
    at_end: bool,
    edges: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the middle of some roads at a distance from one of their ends, rows, columns."""
    first, last = lines.offsets[edges], lines.offsets[edges + 1] - 1
    distance = distance[edges]
    want = np.minimum(distance, 0.999 * lines.length_px[edges])
    size = last - first + 1
    nearer = arc[lines.vertices_of(edges)] < np.repeat(want, size)
    count = np.add.reduceat(nearer.astype(np.int64), np.cumsum(size) - size)
    beyond = last - count if at_end else first + count
    before = np.clip(beyond + 1 if at_end else beyond - 1, first, last)
    step = arc[beyond] - arc[before]
    share = (distance - arc[before]) / np.where(step > 0, step, 1.0)
    share = np.where(step > 0, share, 0.0)
    return _between(lines.row, lines.d_row, before, beyond, share), _between(
        lines.col, lines.d_col, before, beyond, share
    )


def _between(
    centre: npt.NDArray[np.float64],
    shift: npt.NDArray[np.float32],
    before: npt.NDArray[np.int64],
    beyond: npt.NDArray[np.int64],
    share: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Return rows or columns some share of the way from vertices to others, in the middle."""
    low, high = (centre[at] + np.nan_to_num(shift[at]) for at in (before, beyond))
    return np.asarray(low + share * (high - low), np.float64)


def cut_pieces(lines: Centerlines) -> Pieces:
    """Cut all edges into pieces."""
    count = -(-(np.diff(lines.offsets) - 1) // _PIECE)
    edge = np.repeat(np.arange(len(lines)), count)
    number = concatenated_ranges(np.zeros_like(count), count)
    begin = lines.offsets[edge] + number * _PIECE
    stop = np.minimum(begin + _PIECE + 1, lines.offsets[edge + 1])
    vertex = concatenated_ranges(begin, stop)
    shape = np.asarray(
        shapely.linestrings(
            np.stack([lines.col[vertex], lines.row[vertex]], axis=1),
            indices=np.repeat(np.arange(len(edge)), stop - begin),
        ),
        object,
    )
    from_start, _ = lines.arcs
    return Pieces(shapely.STRtree(shape), shape, edge, from_start[begin])


def find_gaps(
    lines: Centerlines, tips: Tips, pieces: Pieces, max_gap_px: float, max_turn_deg: float
) -> Gaps:
    """Find what dead ends point to within a distance.

    Parameters
    ----------
    lines : Centerlines
        The network.
    tips : Tips
        Its dead ends.
    pieces : Pieces
        Its edges in pieces.
    max_gap_px : float
        Largest gap between the roads' borders.
    max_turn_deg : float
        Largest turn from a road to the straight line across the gap.
    """
    pairs = _pairs(tips, max_gap_px, max_turn_deg)
    at_edges = _at_edges(lines, tips, pieces, max_gap_px, max_turn_deg)
    return Gaps.joined([pairs, at_edges])


def _pairs(tips: Tips, max_gap_px: float, max_turn_deg: float) -> Gaps:
    """Return the pairs of dead ends that point to each other."""
    xy = np.stack([tips.col, tips.row], axis=1)
    if len(xy) > 1:
        from scipy.spatial import cKDTree

        radius = max_gap_px + 2 * float(tips.reach.max())
        index = cKDTree(xy).query_pairs(radius, output_type="ndarray").astype(np.int64)
    else:
        index = np.empty((0, 2), np.int64)
    # Tips are in the order of their keys.
    a, b = index.min(axis=1), index.max(axis=1)
    rank = np.lexsort([b, a])
    a, b = a[rank], b[rank]
    row, col, d_row, d_col, width, reach = (
        np.stack([value[a], value[b]], axis=1)
        for value in (tips.row, tips.col, tips.d_row, tips.d_col, tips.width, tips.reach)
    )
    run_row, run_col = row[:, 1] - row[:, 0], col[:, 1] - col[:, 0]
    slack = _TURN / 2 * width.min(axis=1)
    turn = np.stack(
        [
            _turn(d_row[:, 0], d_col[:, 0], run_row, run_col, slack),
            _turn(d_row[:, 1], d_col[:, 1], -run_row, -run_col, slack),
        ],
        axis=1,
    )
    d_row[:, 1], d_col[:, 1] = -d_row[:, 1], -d_col[:, 1]
    nowhere = np.full(len(a), -1)
    gaps = Gaps(a, b, nowhere, row, col, d_row, d_col, turn, width, reach)
    facing = d_row.prod(axis=1) + d_col.prod(axis=1) > math.cos(math.radians(2 * max_turn_deg))
    return gaps.take((turn <= max_turn_deg).all(axis=1) & (gaps.clear <= max_gap_px) & facing)


def _turn(
    d_row: npt.NDArray[np.float64],
    d_col: npt.NDArray[np.float64],
    row: npt.NDArray[np.float64],
    col: npt.NDArray[np.float64],
    slack: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Return the angle between a direction and the way to a point, degrees.

    How far to the side the point lies is known up to the slack only.
    """
    ahead = d_row * row + d_col * col
    aside = np.maximum(np.abs(d_row * col - d_col * row) - slack, 0.0)
    return np.asarray(np.degrees(np.arctan2(aside, ahead)), np.float64)


def _at_edges(
    lines: Centerlines, tips: Tips, pieces: Pieces, max_gap_px: float, max_turn_deg: float
) -> Gaps:
    """Return where dead ends point to edges: what is first met in each of some directions."""
    tip = np.flatnonzero(~tips.leaves)
    ray_tip = np.repeat(tip, len(_FAN))
    angle = np.tile(np.radians(max_turn_deg) * np.array(_FAN), len(tip))
    cos, sin = np.cos(angle), np.sin(angle)
    d_row = cos * tips.d_row[ray_tip] + sin * tips.d_col[ray_tip]
    d_col = cos * tips.d_col[ray_tip] - sin * tips.d_row[ray_tip]
    widest = float(lines.width_px.max()) / 2 if len(lines.width_px) else 0.0
    away, first = _first_met(lines, tips, pieces, ray_tip, d_row, d_col, max_gap_px + widest)
    met = np.flatnonzero(first >= 0)
    a, edge = ray_tip[met], first[met]
    distance, d_row, d_col = away[met], d_row[met], d_col[met]
    mean = mean_width(lines)
    row, col = tips.row[a], tips.col[a]
    gaps = Gaps(
        a,
        np.full(len(a), -1),
        edge,
        np.stack([row, row + distance * d_row], axis=1),
        np.stack([col, col + distance * d_col], axis=1),
        np.stack([tips.d_row[a], d_row], axis=1),
        np.stack([tips.d_col[a], d_col], axis=1),
        np.stack([np.degrees(np.abs(angle[met])), np.zeros(len(a))], axis=1),
        np.stack([tips.width[a], mean[edge]], axis=1),
        np.stack([tips.reach[a], mean[edge] / 2], axis=1),
    )
    return gaps.take(gaps.clear <= max_gap_px)


def mean_width(lines: Centerlines) -> npt.NDArray[np.float64]:
    """Return the mean width of each road, (E,) pixels."""
    total = np.bincount(lines.edge_of_vertex, weights=lines.width_px, minlength=len(lines))
    width: npt.NDArray[np.float64] = total / np.diff(lines.offsets)
    return width


def _first_met(
    lines: Centerlines,
    tips: Tips,
    pieces: Pieces,
    ray_tip: npt.NDArray[np.int64],
    d_row: npt.NDArray[np.float64],
    d_col: npt.NDArray[np.float64],
    reach_px: float,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return how far along each ray an edge is met (inf: none), and which one (-1)."""
    length = reach_px + tips.reach[ray_tip]
    start = np.stack([tips.col, tips.row], axis=1)[ray_tip]
    stop = start + np.stack([d_col, d_row], axis=1) * length[:, None]
    rays = np.asarray(shapely.linestrings(np.stack([start, stop], axis=1)), object)
    ray, piece = pieces.tree.query(rays, predicate="intersects")
    edge, arc = pieces.edge[piece], pieces.arc[piece]
    own = tips.edge[ray_tip[ray]] == edge
    behind = np.where(tips.at_end[ray_tip[ray]], lines.length_px[edge] - arc, arc)
    ok = ~own | (behind > _OWN_WIDTHS * tips.width[ray_tip[ray]] + _PIECE)
    ray, piece, edge = ray[ok], piece[ok], edge[ok]
    away = shapely.distance(
        shapely.points(start[ray]), shapely.intersection(rays[ray], pieces.shape[piece])
    )
    rank = np.lexsort([lines.key[edge], away, ray])
    ray, edge, away = ray[rank], edge[rank], away[rank]
    first = np.flatnonzero(np.concatenate([[True], ray[1:] != ray[:-1]])[: len(ray)])
    distance, met = np.full(len(rays), np.inf), np.full(len(rays), -1)
    distance[ray[first]], met[ray[first]] = away[first], edge[first]
    return distance, met
