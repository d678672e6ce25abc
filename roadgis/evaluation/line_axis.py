"""Lines laid end to end on one axis, so that parts of them are intervals of numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

__all__ = ["LineAxis", "Spans", "merged"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Lines = npt.NDArray[np.object_]

#: Space on the axis between one line and the next, so that intervals never grow together.
_BETWEEN_M = 1.0
#: Intervals that lie nearer to each other than this are one: far above rounding, far below a
#: digitizer's hand.
TOUCH_M = 1e-6


@dataclass(frozen=True)
class Spans:
    """Intervals on the axis, ascending and apart from each other; P of them.

    Attributes
    ----------
    start, stop : ndarray of float64, shape (P,)
        Metres on the axis.
    """

    start: Floats
    stop: Floats

    @property
    def length_m(self) -> float:
        """Total length."""
        return float((self.stop - self.start).sum())

    def contains(self, at: Floats) -> npt.NDArray[np.bool_]:
        """Return which places on the axis lie inside, bool of the shape of `at`."""
        if not len(self.start):
            return np.zeros(np.shape(at), bool)
        before = np.searchsorted(self.start, at, side="right") - 1
        return np.asarray((before >= 0) & (at < self.stop[before]))


def merged(start: Floats, stop: Floats) -> Spans:
    """Return intervals in any order as the intervals that they cover together."""
    order = np.argsort(start, kind="stable")
    start, stop = start[order], stop[order]
    if not len(start):
        return Spans(start, stop)
    reached = np.maximum.accumulate(stop)
    first = np.concatenate([[True], start[1:] > reached[:-1] + TOUCH_M])
    last = np.concatenate([first[1:], [True]])
    return Spans(start[first], reached[last])


@dataclass(frozen=True)
class LineAxis:
    """Lines one after the other on an axis of metres; L lines, V vertices, S straight segments.

    Attributes
    ----------
    vertices : ndarray of float64, shape (V, 2)
    at : ndarray of float64, shape (V,)
        Place of each vertex on the axis.
    first : ndarray of int64, shape (S,)
        Vertex that each segment starts at; it ends at the next one. Segments have a length.
    line : ndarray of int64, shape (S,)
        Line that each segment is part of.
    line_start, line_stop : ndarray of float64, shape (L,)
        Where each line lies on the axis.
    """

    vertices: Floats
    at: Floats
    first: Ints
    line: Ints
    line_start: Floats
    line_stop: Floats

    @classmethod
    def of(cls, lines: Lines) -> LineAxis:
        """Lay lines, (L,) LineString with a length each, on an axis."""
        vertices, line = shapely.get_coordinates(lines, return_index=True)
        same = line[1:] == line[:-1]
        step = np.where(same, np.hypot(*np.diff(vertices, axis=0).T), _BETWEEN_M)
        # Sums from the left: a segment's end is the next one's start to the last bit.
        at = np.concatenate([np.zeros(min(len(line), 1)), np.cumsum(step)])
        count = shapely.get_num_coordinates(lines).astype(np.int64)
        last = np.cumsum(count) - 1
        first = np.flatnonzero(same & (np.diff(at) > 0))
        return cls(
            vertices=vertices,
            at=at,
            first=first.astype(np.int64),
            line=line[first].astype(np.int64),
            line_start=at[last - count + 1],
            line_stop=at[last],
        )

    def __len__(self) -> int:
        return len(self.first)

    @property
    def length_m(self) -> float:
        """Total length of the lines."""
        return float((self.line_stop - self.line_start).sum())

    @property
    def origin(self) -> Floats:
        """Where each segment starts, (S, 2)."""
        return self.vertices[self.first]

    @property
    def span_m(self) -> Floats:
        """Length of each segment on the axis, (S,)."""
        return np.asarray(self.at[self.first + 1] - self.at[self.first])

    @property
    def direction(self) -> Floats:
        """Unit vector of each segment, (S, 2)."""
        step = self.vertices[self.first + 1] - self.origin
        return np.asarray(step / np.hypot(step[:, 0], step[:, 1])[:, None])

    def segments(self) -> Lines:
        """Return the segments as geometries, (S,) LineString."""
        ends = np.stack([self.origin, self.vertices[self.first + 1]], axis=1)
        return np.asarray(shapely.linestrings(ends), object)

    def line_at(self, at: Floats) -> Ints:
        """Return the line that each place on the axis is on."""
        return np.asarray(np.searchsorted(self.line_start, at, side="right") - 1, np.int64)

    def points(self, at: Floats) -> Floats:
        """Return the coordinates of places on the axis, (P, 2)."""
        if not len(at):
            return np.empty((0, 2))
        x, y = self.vertices.T
        return np.stack([np.interp(at, self.at, x), np.interp(at, self.at, y)], axis=-1)

    def pieces(self, start: Floats, stop: Floats) -> Lines:
        """Return the parts of the lines between places on the axis, (P,) LineString.

        Each interval lies within one line and is longer than 0.
        """
        if not len(start):
            return np.empty(0, object)
        low = np.searchsorted(self.at, start, side="right")
        high = np.maximum(np.searchsorted(self.at, stop, side="left"), low)
        inner = high - low
        number = np.repeat(np.arange(len(start)), inner)
        vertex = np.arange(inner.sum()) - np.repeat(np.cumsum(inner) - inner, inner) + low[number]
        owner = np.concatenate([np.arange(len(start)), number, np.arange(len(start))])
        place = np.concatenate([start, self.at[vertex], stop])
        points = np.concatenate([self.points(start), self.vertices[vertex], self.points(stop)])
        order = np.lexsort((place, owner))
        return np.asarray(shapely.linestrings(points[order], indices=owner[order]), object)
