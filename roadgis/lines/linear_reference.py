"""Linear referencing: lines on one axis of metres, intervals on it, and stations along lines.

Shapes: L lines, V vertices, S straight segments, P places or intervals on the axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import shapely

from roadgis.arrays import Bools, Floats, Ints, Lines

#: Space on the axis between one line and the next, so that intervals never merge across lines.
_BETWEEN_M = 1.0
#: Intervals closer than this are merged: far above rounding, far below a digitizer's precision.
TOUCH_M = 1e-6


@dataclass(frozen=True)
class Spans:
    """Intervals on the axis, ascending and disjoint.

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

    def contains(self, at: Floats) -> Bools:
        """Return which places on the axis lie inside, bool of the shape of `at`."""
        if not len(self.start):
            return np.zeros(np.shape(at), bool)
        before = np.searchsorted(self.start, at, side="right") - 1
        return np.asarray((before >= 0) & (at < self.stop[before]))


def merged(start: Floats, stop: Floats) -> Spans:
    """Return the union of intervals, which may come in any order and overlap."""
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
    """Lines laid end to end on one axis of metres, with 1 m between one line and the next.

    Attributes
    ----------
    lines : ndarray of LineString, shape (L,)
        In a metric CRS, each longer than 0.
    """

    lines: Lines

    @cached_property
    def _coordinates(self) -> tuple[Floats, Ints]:
        xy, line = shapely.get_coordinates(self.lines, return_index=True)
        return xy, line.astype(np.int64)

    @property
    def vertices(self) -> Floats:
        """Coordinates of the vertices, (V, 2)."""
        return self._coordinates[0]

    @cached_property
    def at(self) -> Floats:
        """Place of each vertex on the axis, (V,)."""
        xy, line = self._coordinates
        step = np.where(line[1:] == line[:-1], np.hypot(*np.diff(xy, axis=0).T), _BETWEEN_M)
        # Sums from the left: a segment's end is the next one's start to the last bit.
        return np.concatenate([np.zeros(min(len(line), 1)), np.cumsum(step)])

    @cached_property
    def first(self) -> Ints:
        """Start vertex of each segment, (S,); the next vertex ends it. Segments have a length."""
        line = self._coordinates[1]
        return np.flatnonzero((line[1:] == line[:-1]) & (np.diff(self.at) > 0)).astype(np.int64)

    @cached_property
    def line(self) -> Ints:
        """Line that each segment is part of, (S,)."""
        return self._coordinates[1][self.first]

    @cached_property
    def _ends(self) -> tuple[Floats, Floats]:
        count = shapely.get_num_coordinates(self.lines).astype(np.int64)
        last = np.cumsum(count) - 1
        return self.at[last - count + 1], self.at[last]

    @property
    def line_start(self) -> Floats:
        """Start of each line on the axis, (L,)."""
        return self._ends[0]

    @property
    def line_stop(self) -> Floats:
        """End of each line on the axis, (L,)."""
        return self._ends[1]

    @cached_property
    def length_m(self) -> Floats:
        """Planar length of each line, (L,)."""
        return np.asarray(self.line_stop - self.line_start)

    @property
    def total_m(self) -> float:
        """Total length of the lines."""
        return float(self.length_m.sum())

    @cached_property
    def origin(self) -> Floats:
        """Start point of each segment, (S, 2)."""
        return self.vertices[self.first]

    @cached_property
    def segment_start(self) -> Floats:
        """Start of each segment on the axis, (S,)."""
        return self.at[self.first]

    @cached_property
    def span_m(self) -> Floats:
        """Length of each segment on the axis, (S,)."""
        return np.asarray(self.at[self.first + 1] - self.segment_start)

    @cached_property
    def direction(self) -> Floats:
        """Unit vector of each segment, (S, 2)."""
        step = self.vertices[self.first + 1] - self.origin
        return np.asarray(step / np.hypot(step[:, 0], step[:, 1])[:, None])

    @cached_property
    def segments(self) -> Lines:
        """The segments as geometries, (S,) LineString."""
        ends = np.stack([self.origin, self.vertices[self.first + 1]], axis=1)
        return np.asarray(shapely.linestrings(ends), object)

    @cached_property
    def tree(self) -> shapely.STRtree:
        """Spatial index of the segments."""
        return shapely.STRtree(self.segments)

    def near(self, points: Floats, reach_m: float) -> tuple[Ints, Ints]:
        """Return the pairs of a point (N, 2) and a segment within a distance, sorted."""
        if not len(points) or not len(self.first):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        point, segment = self.tree.query(
            shapely.points(points), predicate="dwithin", distance=reach_m
        ).astype(np.int64)
        order = np.lexsort([segment, point])
        return point[order], segment[order]

    def along_m(self, points: Floats, segment: Ints) -> Floats:
        """Return how far along its segment each point (N, 2) projects.

        Below 0 before the segment's start, above its length behind its end.
        """
        return np.asarray(((points - self.origin[segment]) * self.direction[segment]).sum(axis=1))

    def place(self, line: Ints, arc_m: Floats) -> Floats:
        """Return the places on the axis of arcs along lines, kept within each line."""
        return np.clip(self.line_start[line] + arc_m, self.line_start[line], self.line_stop[line])

    def line_at(self, at: Floats) -> Ints:
        """Return the line that each place on the axis is on."""
        return np.asarray(np.searchsorted(self.line_start, at, side="right") - 1, np.int64)

    def segment_at(self, at: Floats) -> Ints:
        """Return the segment that each place on the axis is on; the later one at a vertex."""
        found = np.searchsorted(self.segment_start, at, side="right") - 1
        return np.asarray(found, np.int64)

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

    def cut(self, line: Ints, begin_m: Floats, end_m: Floats) -> Lines:
        """Return the parts (P,) of lines between two arcs; whole lines are returned unchanged."""
        out: Lines = self.lines[line].copy()
        part = np.flatnonzero((begin_m > 0) | (end_m < self.length_m[line]))
        out[part] = self.pieces(
            self.place(line[part], begin_m[part]), self.place(line[part], end_m[part])
        )
        return out


class Stations(NamedTuple):
    """Equal cells of lines, each described by its middle.

    Attributes
    ----------
    line : ndarray of int64, shape (P,)
        Ascending.
    arc_m, cell_m : ndarray of float64, shape (P,)
        Place of the middle along the line; length of the cell.
    xy, direction : ndarray of float64, shape (P, 2)
        Position; unit vector from the cell's start to its end.
    """

    line: Ints
    arc_m: Floats
    cell_m: Floats
    xy: Floats
    direction: Floats

    @property
    def begin_m(self) -> Floats:
        """Arc at which each cell begins."""
        return self.arc_m - self.cell_m / 2


def stations(axis: LineAxis, spacing_m: float) -> Stations:
    """Divide each line into equal cells of at most a length.

    Parameters
    ----------
    spacing_m : float
        Largest length of a cell.
    """
    length = axis.length_m
    # A length of four cells and a rounding error is four cells.
    count = np.maximum(np.ceil(length / spacing_m - 1e-6), 1).astype(np.int64)
    line = np.repeat(np.arange(len(length)), count)
    cell = (length / count)[line]
    nth = np.arange(len(line)) - (np.cumsum(count) - count)[line]
    arc = (nth + 0.5) * cell
    xy = axis.points(axis.place(line, arc))
    chord = axis.points(axis.place(line, arc + cell / 2)) - axis.points(
        axis.place(line, arc - cell / 2)
    )
    size = np.hypot(*chord.T)
    # A loop that ends where it began has no chord; any direction will not match, which is right.
    direction = chord / np.where(size > 0, size, 1.0)[:, None]
    return Stations(line, arc, cell, xy, direction)
