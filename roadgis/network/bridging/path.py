"""Paths of least cost across gaps: the probability along them, and where they meet roads.

Shapes: G gaps, S samples along a path.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import shapely

from roadgis.arrays import Bools, Bytes, Floats, Ints, Lines, first_of_each, take_rows
from roadgis.imagery.grid import Window
from roadgis.network.bridging.candidates import Gaps, Pieces
from roadgis.network.centerlines import Centerlines, concatenated_ranges
from roadgis.network.edge_ends import EdgeEnds
from roadgis.probability.source import NO_DATA, ProbabilitySource


@dataclass(frozen=True)
class PathTuning:
    """Constants of the path of least cost and of the evidence along it.

    Decision 0034 measured plain curves instead of these paths: no difference in scores. The
    constants were not fitted.
    """

    #: Half the breadth of the strip that is searched, as a part of the gap's length.
    breadth: float = 0.25
    #: Step across the strip, pixels. Along it the step is at most a pixel, so a path leaves the
    #: direction of its strip by 27 degrees at most.
    across_px: float = 0.5
    #: The cost of a pixel is 1 / (p + this): small, so a path goes far to follow a faint road.
    cost_floor: float = 0.05
    #: Probability at which nodata pixels count in the cost.
    unknown_probability: float = 0.1
    #: Share of a gap's pixels that may be below its evidence.
    below_share: float = 0.2
    #: Within this many widths of a dead end its own road does not block a path.
    own_widths: float = 2.0


TUNING = PathTuning()
#: Side of the squares whose gaps share one read, pixels.
_SQUARE = 2048
#: Costs are whole numbers, so that equal paths tie exactly.
_UNIT = 64
#: Table entries that the dynamic programming holds at once.
_ROOM = 500_000


@dataclass(frozen=True)
class GapPaths:
    """Paths across gaps; samples beyond a path's last one are not used.

    Attributes
    ----------
    last : ndarray of int64, shape (G,)
        Number of the last sample of each path; the first is 0.
    row, col : ndarray of float64, shape (G, S)
        Samples, about a pixel apart at most.
    level : ndarray of uint8, shape (G, S)
        Stored probability, 255 where unknown.
    """

    last: Ints
    row: Floats
    col: Floats
    level: Bytes

    @property
    def along(self) -> Floats:
        """Distance of each sample along its path, (G, S) pixels."""
        step = np.hypot(np.diff(self.row, axis=1), np.diff(self.col, axis=1))
        step[np.arange(step.shape[1]) >= self.last[:, None]] = 0.0
        return np.concatenate([np.zeros((len(self.last), 1)), np.cumsum(step, axis=1)], axis=1)


def least_cost_paths(gaps: Gaps, source: ProbabilitySource | None) -> GapPaths:
    """Find the path of least cost across each gap.

    A path follows the cubic (Hermite) curve that leaves one road and arrives at the other in
    their directions, within a quarter of the gap's length to both sides, and never goes back
    along it. Dynamic programming finds the cheapest of these paths.

    Parameters
    ----------
    source : ProbabilitySource, optional
        Probability. Without it, the paths are the curves, and their levels are unknown.
    """
    last = np.maximum(2, np.ceil(gaps.distance)).astype(np.int64)
    samples = int(last.max()) + 1 if len(gaps) else 1
    row, col = np.zeros((len(gaps), samples)), np.zeros((len(gaps), samples))
    level = np.full((len(gaps), samples), NO_DATA, np.uint8)
    for square in _squares(gaps, last):
        some, count = take_rows(gaps, square), int(last[square].max()) + 1
        base = _curves(some, last[square], count)
        if source is None:
            path = base.row, base.col, level[square, :count]
        else:
            path = _cheapest(some, base, last[square], source)
        row[square, :count], col[square, :count], level[square, :count] = path
    return GapPaths(last, row, col, level)


def _squares(gaps: Gaps, last: Ints) -> list[Ints]:
    """Return groups of gaps near each other and of about the same length."""
    if not len(gaps):
        return []
    # Square by square, so that the raster's chunks are read once.
    place = np.stack(
        [
            np.ceil(np.log2(last)),
            np.floor(gaps.col[:, 0] / _SQUARE),
            np.floor(gaps.row[:, 0] / _SQUARE),
        ]
    ).astype(np.int64)
    rank = np.lexsort(place)
    new = (np.diff(place[:, rank], axis=1) != 0).any(axis=0)
    out: list[Ints] = []
    for group in np.split(rank, np.flatnonzero(new) + 1):
        longest = int(last[group].max()) + 1
        each = longest * (2 * math.ceil(TUNING.breadth * longest / TUNING.across_px) + 1)
        out += np.array_split(group, -(-len(group) * each // _ROOM))
    return out


class _Curves(NamedTuple):
    """The middle line of each strip, (G, S), and the unit vector across it."""

    row: Floats
    col: Floats
    across_row: Floats
    across_col: Floats


def _curves(gaps: Gaps, last: Ints, samples: int) -> _Curves:
    """Return the cubic curves across gaps; at an edge the direction is free (a parabola)."""
    t = np.minimum(np.arange(samples) / last[:, None], 1.0)
    free = ~gaps.is_pair
    values, slopes = [], []
    for place, direction in ((gaps.row, gaps.d_row), (gaps.col, gaps.d_col)):
        begin, stop = place[:, :1], place[:, 1:]
        chord = stop - begin
        leave = direction[:, :1] * gaps.distance[:, None]
        arrive = np.where(
            free[:, None], 2 * chord - leave, direction[:, 1:] * gaps.distance[:, None]
        )
        square, cube = t * t, t * t * t
        values.append(
            begin
            + (3 * square - 2 * cube) * chord
            + (cube - 2 * square + t) * leave
            + (cube - square) * arrive
        )
        slopes.append(
            6 * (t - square) * chord
            + (3 * square - 4 * t + 1) * leave
            + (3 * square - 2 * t) * arrive
        )
    norm = np.hypot(*slopes)
    norm = np.where(norm > 0, norm, 1.0)
    return _Curves(values[0], values[1], -slopes[1] / norm, slopes[0] / norm)


def _cheapest(
    gaps: Gaps, base: _Curves, last: Ints, source: ProbabilitySource
) -> tuple[Floats, Floats, Bytes]:
    """Return rows, columns and levels of the cheapest paths, (G, S) each."""
    side = math.ceil(TUNING.breadth * int(last.max()) / TUNING.across_px)
    offset = np.arange(-side, side + 1) * TUNING.across_px
    row = base.row[..., None] + base.across_row[..., None] * offset
    col = base.col[..., None] + base.across_col[..., None] * offset
    level = _levels(source, row, col)
    cost = step_costs()[level]
    far = np.abs(offset) > np.maximum(TUNING.breadth * gaps.distance, 1.0)[:, None]
    lane = _lanes(cost, far, last)
    gap, sample = np.arange(len(last))[:, None], np.arange(cost.shape[1])
    return row[gap, sample, lane], col[gap, sample, lane], level[gap, sample, lane]


def _levels(source: ProbabilitySource, row: Floats, col: Floats) -> Bytes:
    """Return the stored probability of the pixels at places near each other."""
    rows, cols = np.rint(row).astype(np.int64), np.rint(col).astype(np.int64)
    top, left = int(rows.min()), int(cols.min())
    window = Window(top, left, int(rows.max()) - top + 1, int(cols.max()) - left + 1)
    out: Bytes = source.read(window)[rows - top, cols - left]
    return out


def step_costs() -> Ints:
    """Return the cost of a step at each stored probability, (256,)."""
    probability = np.arange(256) / (NO_DATA - 1)
    probability[NO_DATA] = TUNING.unknown_probability
    return np.rint(_UNIT / (probability + TUNING.cost_floor)).astype(np.int64)


def _lanes(cost: Ints, far: Bools, last: Ints) -> Ints:
    """Return the lane of the cheapest path at each sample, (G, S).

    The path starts and ends in the middle lane and changes by one lane a step at most.
    """
    gaps, samples, lanes = cost.shape
    middle = lanes // 2
    never = np.iinfo(np.int64).max // 4
    total = np.full((gaps, lanes), never)
    total[:, middle] = cost[:, 0, middle]
    came = np.zeros((samples, gaps, lanes), np.int8)
    # A step to the side is longer than one straight ahead.
    longer = math.hypot(1.0, TUNING.across_px)
    for sample in range(1, samples):
        best, step = total + cost[:, sample], came[sample]
        aslant = np.rint(longer * cost[:, sample]).astype(np.int64)
        for move in (-1, 1):
            here, there = slice(1, None), slice(None, -1)
            if move < 0:
                here, there = there, here
            candidate = total[:, there] + aslant[:, here]
            better = candidate < best[:, here]
            best[:, here] = np.where(better, candidate, best[:, here])
            step[:, here] = np.where(better, np.int8(move), step[:, here])
        total = np.where(far, never, np.minimum(best, never))
    lane = np.full((gaps, samples), middle)
    each = np.arange(gaps)
    for sample in range(samples - 1, 0, -1):
        now = lane[:, sample]
        lane[:, sample - 1] = np.where(sample <= last, now - came[sample, each, now], now)
    return lane


class Evidence(NamedTuple):
    """Probability along paths, without their parts inside the roads.

    Attributes
    ----------
    low : ndarray of float64, shape (G,)
        20th percentile of the pixels with data; NaN where there are none.
    known : ndarray of float64, shape (G,)
        Share of the pixels with data.
    """

    low: Floats
    known: Floats


def measure_evidence(gaps: Gaps, paths: GapPaths, strong_level: int) -> Evidence:
    """Measure the probability along paths, between the roads' borders.

    Pixels above `strong_level` at the ends of a path do not count either: a path may reach a road
    at a flat angle, or run along inside it.
    """
    along = paths.along
    sample = np.arange(along.shape[1])
    on_path = sample <= paths.last[:, None]
    total = along[np.arange(len(gaps)), paths.last][:, None]
    inside = on_path & (along >= gaps.inside[:, :1]) & (along <= total - gaps.inside[:, 1:])
    doubtful = on_path & ((paths.level < strong_level) | (paths.level == NO_DATA))
    inside &= np.logical_or.accumulate(doubtful, axis=1)
    inside &= np.logical_or.accumulate(doubtful[:, ::-1], axis=1)[:, ::-1]
    # A gap without a length is measured in its middle.
    none = ~np.any(inside, axis=1, keepdims=True)
    inside |= none & (sample == paths.last[:, None] // 2)
    known = inside & (paths.level != NO_DATA)
    count = known.sum(axis=1)
    ranked = np.sort(np.where(known, paths.level, NO_DATA), axis=1)
    at = np.floor(TUNING.below_share * np.maximum(count - 1, 0)).astype(np.int64)
    low = ranked[np.arange(len(gaps)), at] / (NO_DATA - 1)
    share = count / np.maximum(inside.sum(axis=1), 1)
    return Evidence(np.where(count > 0, low, np.nan), share)


@dataclass(frozen=True)
class Arrivals:
    """Ends of paths.

    Attributes
    ----------
    blocked : ndarray of bool, shape (G,)
        Paths between dead ends that meet a road; the other fields are not set for them.
    edge : ndarray of int64, shape (G,)
        Edge at which the path ends.
    edge_along : ndarray of float64, shape (G,)
        Distance of that place along the edge, pixels.
    along : ndarray of float64, shape (G,)
        Distance along the path, pixels.
    """

    blocked: Bools
    edge: Ints
    edge_along: Floats
    along: Floats


def path_lines(paths: GapPaths) -> Lines:
    """Return the paths as LineStrings in (col, row), (G,)."""
    count = paths.last + 1
    gap = np.repeat(np.arange(len(count)), count)
    sample = concatenated_ranges(np.zeros_like(count), count)
    coordinates = np.stack([paths.col[gap, sample], paths.row[gap, sample]], axis=1)
    return np.asarray(shapely.linestrings(coordinates, indices=gap), object)


def arrivals(
    lines: Centerlines, tips: EdgeEnds, pieces: Pieces, gaps: Gaps, paths: Lines
) -> Arrivals:
    """Find where paths first meet a road.

    A path to an edge ends at the first road it meets, which may be another edge. A path between
    dead ends is blocked if it meets one: no junction and no overpass is invented.

    Parameters
    ----------
    tips : EdgeEnds
        Its dead ends (:func:`roadgis.network.bridging.candidates.find_tips`).
    pieces : Pieces
        Its edges (:func:`roadgis.network.bridging.candidates.cut_pieces`).
    paths : ndarray of LineString, shape (G,)
        Paths across them (:func:`path_lines`).
    """
    gap, piece = pieces.tree.query(paths, predicate="intersects")
    points, index = shapely.get_coordinates(
        shapely.intersection(paths[gap], pieces.shape[piece]), return_index=True
    )
    gap, piece = gap[index], piece[index]
    spot = shapely.points(points)
    along = shapely.line_locate_point(paths[gap], spot)
    arc = pieces.along[piece] + shapely.line_locate_point(pieces.shape[piece], spot)
    edge = pieces.edge[piece]
    at_own = _near_tip(lines, tips, gaps.tip[gap], edge, arc)
    pair = gaps.is_pair[gap]
    at_own[pair] |= _near_tip(lines, tips, gaps.other[gap][pair], edge[pair], arc[pair])
    gap, edge, arc, along = gap[~at_own], edge[~at_own], arc[~at_own], along[~at_own]
    rank = np.lexsort([arc, lines.key[edge], along, gap])
    rank = rank[first_of_each(gap[rank])]
    gap, edge, arc, along = gap[rank], edge[rank], arc[rank], along[rank]
    blocked = np.zeros(len(gaps), bool)
    blocked[gap] = gaps.is_pair[gap]
    # A path that misses its edge by a rounding error arrives where it was aimed at.
    out = Arrivals(blocked, gaps.edge.copy(), np.zeros(len(gaps)), shapely.length(paths))
    aimed = np.ones(len(gaps), bool)
    aimed[gap] = False
    aimed &= ~gaps.is_pair
    _aim(lines, gaps, np.flatnonzero(aimed), out.edge_along)
    free = ~gaps.is_pair[gap]
    gap, edge, arc, along = gap[free], edge[free], arc[free], along[free]
    out.edge[gap], out.edge_along[gap], out.along[gap] = edge, arc, along
    return out


def _near_tip(lines: Centerlines, tips: EdgeEnds, tip: Ints, edge: Ints, arc: Floats) -> Bools:
    """Return which places on edges are near a dead end on its own road."""
    to_tip = np.where(tips.at_end[tip], lines.length_px[edge] - arc, arc)
    near: Bools = (tips.edge[tip] == edge) & (
        to_tip <= TUNING.own_widths * tips.width[tip] + tips.cut[tip]
    )
    return near


def _aim(lines: Centerlines, gaps: Gaps, some: Ints, arc: Floats) -> None:
    """Write the distances along their edges of the ends of some gaps."""
    edges = lines.take(gaps.edge[some]).pixel_lines()
    aims = shapely.points(gaps.col[some, 1], gaps.row[some, 1])
    arc[some] = shapely.line_locate_point(edges, aims)
