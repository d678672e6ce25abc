"""Which parts of lines lie within a distance of other lines: in closed form, without buffers.

The points of a straight line that are within a distance of a segment are one interval, since
the places near a segment are a convex set: a rectangle and two discs. So the answer for a whole
layer is the union of one interval for each pair of neighbouring segments: exact but for rounding,
in n log n, in memory bounded by the chunks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from roadgis.arrays import Bools, Floats, Ints
from roadgis.lines.linear_reference import LineAxis, Spans, merged

_CHUNK_M = 200_000.0
_CHUNK_SEGMENTS = 20_000
#: A distance of exactly the reach counts, regardless of the last bits of the coordinates.
_ROUNDING_M = 1e-6
#: Two points of Gauss each: exact where the distance is to one side or one end of a segment.
_CELL_M = 0.5
_GAUSS = (0.5 - math.sqrt(1 / 12), 0.5 + math.sqrt(1 / 12))


@dataclass(frozen=True)
class Neighbours:
    """Pairs of segments of two layers, and where one is near the other; K pairs.

    Attributes
    ----------
    segment, other : ndarray of int64, shape (K,)
        Index of the segment in its layer.
    start, stop : ndarray of float64, shape (K,)
        Place on the first layer's axis: near the other segment from here to there.
    """

    segment: Ints
    other: Ints
    start: Floats
    stop: Floats

    def where(self, keep: Bools) -> Neighbours:
        """Return some of the pairs."""
        return Neighbours(self.segment[keep], self.other[keep], self.start[keep], self.stop[keep])


def neighbours(
    axis: LineAxis, others: LineAxis, reach_m: float, *, alongside_deg: float | None = None
) -> Iterator[Neighbours]:
    """Yield the pairs of segments within a distance, a bounded number at a time.

    Parameters
    ----------
    axis, others : LineAxis
        Layers in one metric CRS.
    reach_m : float
        The distance, metres; one of exactly this counts.
    alongside_deg : float, optional
        Counts only lines next to a segment, not ahead of its ends, whose direction differs
        by at most this angle, either way round.
    """
    if not len(axis.first) or not len(others.first):
        return
    frame = _Frame(axis, others)
    # By length too: a long segment has many neighbours.
    step = axis.span_m / _CHUNK_M + 1.0 / _CHUNK_SEGMENTS
    chunk = np.floor(np.cumsum(step) - step).astype(np.int64)
    bounds = np.flatnonzero(np.diff(chunk, prepend=-1))
    for low, high in zip(bounds, [*bounds[1:], len(axis.first)], strict=True):
        near, other = others.tree.query(
            axis.segments[low:high], predicate="dwithin", distance=reach_m + 2 * _ROUNDING_M
        )
        pairs = frame.intervals(near + low, other, reach_m + _ROUNDING_M, alongside_deg)
        # The tree's order is arbitrary.
        order = np.lexsort((pairs.stop, pairs.start, pairs.segment))
        yield Neighbours(
            pairs.segment[order], pairs.other[order], pairs.start[order], pairs.stop[order]
        )


class _Frame:
    """Origins, directions and lengths of the segments of both layers."""

    def __init__(self, axis: LineAxis, others: LineAxis) -> None:
        self._axis, self._span = axis, axis.span_m
        self._origin, self._direction = axis.origin, axis.direction
        self._others = (others.origin, others.direction, others.span_m)

    def intervals(
        self, segment: Ints, other: Ints, reach: float, alongside_deg: float | None
    ) -> Neighbours:
        """Return where on each segment the other one is near; pairs that are nowhere left out."""
        u, span = self._direction[segment], self._span[segment]
        origin, v, length = (part[other] for part in self._others)
        offset = self._origin[segment] - origin
        across, along = _cross(offset, v), _dot(offset, v)
        turn, same = _cross(u, v), _dot(u, v)
        low, high = _between(across, turn, -reach, reach)
        first, last = _between(along, same, 0.0, length)
        low, high = np.maximum(low, first), np.minimum(high, last)
        if alongside_deg is None:
            low, high = _joined((low, high), _disc(offset, u, reach))
            low, high = _joined((low, high), _disc(offset - length[:, None] * v, u, reach))
        else:
            parallel = np.abs(same) >= math.cos(math.radians(alongside_deg))
            high = np.where(parallel, high, -np.inf)
        base = self._axis.segment_start[segment]
        end = self._axis.at[self._axis.first[segment] + 1]
        # A segment that is covered to within rounding is covered to the last bit.
        start = np.where(low <= _ROUNDING_M, base, base + low)
        stop = np.where(high >= span - _ROUNDING_M, end, base + high)
        keep = (high > low) & (high > 0) & (low < span) & (stop > start)
        return Neighbours(segment, other, start, stop).where(keep)


def _dot(a: Floats, b: Floats) -> Floats:
    return np.asarray(a[:, 0] * b[:, 0] + a[:, 1] * b[:, 1])


def _cross(a: Floats, b: Floats) -> Floats:
    return np.asarray(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])


def _between(
    value: Floats, slope: Floats, low: Floats | float, high: Floats | float
) -> tuple[Floats, Floats]:
    """Return where low <= value + slope * s <= high, as an interval of s; empty as (inf, -inf)."""
    flat = slope == 0
    safe = np.where(flat, 1.0, slope)
    a, b = (low - value) / safe, (high - value) / safe
    inside = (value >= low) & (value <= high)
    start = np.where(flat, np.where(inside, -np.inf, np.inf), np.minimum(a, b))
    stop = np.where(flat, np.where(inside, np.inf, -np.inf), np.maximum(a, b))
    return start, stop


def _disc(offset: Floats, u: Floats, reach: float) -> tuple[Floats, Floats]:
    """Return where a line is inside a disc, as an interval of its arclength."""
    middle = -_dot(offset, u)
    half2 = reach * reach - _cross(offset, u) ** 2
    half = np.sqrt(np.maximum(half2, 0.0))
    inside = half2 > 0
    return np.where(inside, middle - half, np.inf), np.where(inside, middle + half, -np.inf)


def _joined(a: tuple[Floats, Floats], b: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """Return the hull of two intervals; an empty one has its start after its stop."""
    empty_a, empty_b = a[0] > a[1], b[0] > b[1]
    start = np.minimum(np.where(empty_a, np.inf, a[0]), np.where(empty_b, np.inf, b[0]))
    stop = np.maximum(np.where(empty_a, -np.inf, a[1]), np.where(empty_b, -np.inf, b[1]))
    return start, stop


def cover(
    axis: LineAxis, others: LineAxis, reach_m: float, *, alongside_deg: float | None = None
) -> Spans:
    """Return the parts of lines that lie within a distance of other lines.

    Parameters
    ----------
    axis, others : LineAxis
        Layers in one metric CRS.
    reach_m : float
        Metres; exactly this counts.
    alongside_deg : float, optional
        See :func:`neighbours`.

    Returns
    -------
    Spans
        On the axis of the first layer. Ends are exact to about 1e-6 m.
    """
    parts = [
        merged(pairs.start, pairs.stop)
        for pairs in neighbours(axis, others, reach_m, alongside_deg=alongside_deg)
    ]
    if not parts:
        return Spans(np.empty(0), np.empty(0))
    # Chunks may share a line.
    return merged(
        np.concatenate([part.start for part in parts]),
        np.concatenate([part.stop for part in parts]),
    )


def rms_distance(axis: LineAxis, others: LineAxis, reach_m: float) -> float | None:
    """Return the root mean square distance to other lines, over the parts within reach of them.

    Integrated over the length; None where nothing is within reach. Exact where one neighbour is
    the nearest over half a metre, and else to a share of a per cent. Rounded to micrometres.
    """
    squares = weights = 0.0
    for pairs in neighbours(axis, others, reach_m):
        square, weight = _square_sum(axis, others, pairs)
        squares, weights = squares + square, weights + weight
    return round(math.sqrt(squares / weights), 6) if weights > 0 else None


def _square_sum(axis: LineAxis, others: LineAxis, pairs: Neighbours) -> tuple[float, float]:
    """Return the integral of the squared distance and the length that it is over."""
    # Within one segment, so that only its own neighbours matter.
    seams = axis.segment_start[np.unique(pairs.segment)]
    spans = merged(pairs.start, pairs.stop)
    start = np.union1d(spans.start, seams[spans.contains(seams)])
    stop = np.append(start[1:], np.inf)
    stop = np.minimum(stop, spans.stop[np.searchsorted(spans.start, start, side="right") - 1])
    cells = np.ceil((stop - start) / _CELL_M).astype(np.int64).clip(1)
    number = np.arange(cells.sum()) - np.repeat(np.cumsum(cells) - cells, cells)
    width = np.repeat((stop - start) / cells, cells)
    left = np.repeat(start, cells) + number * width
    at = np.concatenate([left + share * width for share in _GAUSS])
    segment = axis.segment_at(at)
    low = np.searchsorted(pairs.segment, segment, side="left")
    count = np.searchsorted(pairs.segment, segment, side="right") - low
    point = np.repeat(np.arange(len(at)), count)
    begin = np.cumsum(count) - count
    pair = np.arange(count.sum()) - begin[point] + low[point]
    square = _square_distance(axis.points(at)[point], others, pairs.other[pair])
    nearest = np.minimum.reduceat(square, begin) if len(begin) else np.empty(0)
    weight = np.concatenate([width, width]) / 2
    return float((nearest * weight).sum()), float(weight.sum())


def _square_distance(points: Floats, others: LineAxis, other: Ints) -> Floats:
    first = others.first[other]
    origin, step = others.vertices[first], others.vertices[first + 1] - others.vertices[first]
    offset = points - origin
    share = np.clip(_dot(offset, step) / _dot(step, step), 0.0, 1.0)
    rest = offset - share[:, None] * step
    return _dot(rest, rest)
