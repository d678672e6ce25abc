"""Lines measured along their length: stations on them, their segments, parts cut out of them.

Shapes: L lines, S stations, G segments, P pairs of a station and a line of the other network.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import shapely

__all__ = ["Feet", "MeasuredLines", "Stations", "feet", "nearest_feet", "stations"]

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]
_Lines = npt.NDArray[np.object_]
#: Stations looked up at once, which bounds memory.
_BATCH = 500_000


@dataclass(frozen=True)
class MeasuredLines:
    """Lines with what is needed to go along them.

    Attributes
    ----------
    lines : ndarray of LineString, shape (L,)
        In a metric CRS.
    """

    lines: _Lines

    def __len__(self) -> int:
        return len(self.lines)

    @cached_property
    def _vertices(self) -> tuple[_Floats, _Ints]:
        xy, line = shapely.get_coordinates(self.lines, return_index=True)
        return xy, line.astype(np.int64)

    @cached_property
    def length_m(self) -> _Floats:
        """Planar length of each line, (L,)."""
        return self.along[self.first[1:] - 1] - self.along[self.first[:-1]]

    @cached_property
    def first(self) -> _Ints:
        """Index of each line's first vertex, and their number at the end, (L + 1,)."""
        _, line = self._vertices
        return np.searchsorted(line, np.arange(len(self.lines) + 1)).astype(np.int64)

    @cached_property
    def along(self) -> _Floats:
        """Length of all lines, one after the other, up to each vertex; never falling."""
        xy, line = self._vertices
        step = np.hypot(*np.diff(xy, axis=0).T)
        step[line[1:] != line[:-1]] = 0.0
        return np.concatenate([np.zeros(min(1, len(xy))), np.cumsum(step)])

    @cached_property
    def start_m(self) -> _Floats:
        """Length of all lines before each one, (L,)."""
        return self.along[self.first[:-1]]

    @cached_property
    def segments(self) -> tuple[_Floats, _Floats, _Ints, _Floats]:
        """Segments of some length: start (G, 2), end (G, 2), line (G,), arc of the start (G,)."""
        xy, line = self._vertices
        same = np.flatnonzero((line[1:] == line[:-1]) & (np.diff(self.along) > 0))
        at = self.along[same] - self.start_m[line[same]]
        return xy[same], xy[same + 1], line[same], at

    @cached_property
    def tree(self) -> shapely.STRtree:
        """The segments' index."""
        start, end, _, _ = self.segments
        pairs = np.asarray(shapely.linestrings(np.stack([start, end], axis=1)), object)
        return shapely.STRtree(pairs)

    def at(self, line: _Ints, arc_m: _Floats) -> _Floats:
        """Return the positions (n, 2) at arcs along lines."""
        xy, _ = self._vertices
        where = self.start_m[line] + arc_m
        after = np.searchsorted(self.along, where, side="right")
        # Between the first vertex of the line and its last, whatever rounding says.
        after = np.clip(after, self.first[line] + 1, self.first[line + 1] - 1)
        before = after - 1
        length = self.along[after] - self.along[before]
        share = np.clip((where - self.along[before]) / np.where(length > 0, length, 1.0), 0, 1)
        return np.asarray(xy[before] + share[:, None] * (xy[after] - xy[before]), np.float64)

    def cut(self, line: _Ints, begin_m: _Floats, end_m: _Floats) -> _Lines:
        """Return the parts (n,) of lines between two arcs; a whole line is returned as it is."""
        out: _Lines = self.lines[line].copy()
        part = np.flatnonzero((begin_m > 0) | (end_m < self.length_m[line]))
        if not len(part):
            return out
        line, begin_m, end_m = line[part], begin_m[part], end_m[part]
        xy, _ = self._vertices
        low = np.searchsorted(self.along, self.start_m[line] + begin_m, side="right")
        high = np.searchsorted(self.along, self.start_m[line] + end_m, side="left")
        low = np.maximum(low, self.first[line] + 1)
        count = np.maximum(np.minimum(high, self.first[line + 1] - 1) - low, 0)
        own = np.repeat(np.arange(len(part)), count)
        inner = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + low[own]
        ends = np.arange(len(part))
        index = np.concatenate([ends, own, ends])
        rank = np.concatenate([np.full(len(part), -1), inner, np.full(len(part), len(xy))])
        points = np.concatenate([self.at(line, begin_m), xy[inner], self.at(line, end_m)])
        order = np.lexsort([rank, index])
        out[part] = shapely.linestrings(points[order], indices=index[order])
        return out


class Stations(NamedTuple):
    """Equal cells of lines, each seen from its middle.

    Attributes
    ----------
    line : ndarray of int64, shape (S,)
        Not falling.
    arc_m, cell_m : ndarray of float64, shape (S,)
        Place of the middle along the line; length of the cell.
    xy, direction : ndarray of float64, shape (S, 2)
        Position; unit vector from the cell's begin to its end.
    """

    line: _Ints
    arc_m: _Floats
    cell_m: _Floats
    xy: _Floats
    direction: _Floats

    @property
    def begin_m(self) -> _Floats:
        """Arc at which each cell begins."""
        return self.arc_m - self.cell_m / 2


def stations(lines: MeasuredLines, spacing_m: float) -> Stations:
    """Cut each line into equal cells of at most a length.

    Parameters
    ----------
    lines : MeasuredLines
        L lines.
    spacing_m : float
        Largest length of a cell.
    """
    length = lines.length_m
    # A length of four cells and a rounding error is four cells.
    count = np.maximum(np.ceil(length / spacing_m - 1e-6), 1).astype(np.int64)
    line = np.repeat(np.arange(len(lines)), count)
    cell = (length / count)[line]
    nth = np.arange(len(line)) - (np.cumsum(count) - count)[line]
    arc = (nth + 0.5) * cell
    if not len(line):
        none = np.empty((0, 2))
        return Stations(line, arc, cell, none, none)
    xy = lines.at(line, arc)
    chord = lines.at(line, arc + cell / 2) - lines.at(line, arc - cell / 2)
    size = np.hypot(*chord.T)
    # A loop that ends where it began has no chord; any direction will not match, which is right.
    direction = chord / np.where(size > 0, size, 1.0)[:, None]
    return Stations(line, arc, cell, xy, direction)


class Feet(NamedTuple):
    """Feet of stations on lines of the other network that go the same way.

    Attributes
    ----------
    station, line : ndarray of int64, shape (P,)
        Which station has its foot on which line.
    arc_m : ndarray of float64, shape (P,)
        Place of the foot along that line.
    shift : ndarray of float64, shape (P, 2)
        From the station to the foot.
    normal : ndarray of float64, shape (P, 2)
        Unit vector to the left of the foot's segment.
    sense : ndarray of int64, shape (P,)
        1 where both lines run the same way, -1 where they run against each other.
    """

    station: _Ints
    line: _Ints
    arc_m: _Floats
    shift: _Floats
    normal: _Floats
    sense: _Ints

    @property
    def distance_m(self) -> _Floats:
        """Length of each shift, (P,)."""
        return np.asarray(np.hypot(self.shift[:, 0], self.shift[:, 1]), np.float64)

    def take(self, which: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Feet:
        """Return some of the pairs."""
        columns: list[Any] = [values[which] for values in self]
        return Feet(*columns)


def feet(
    xy: _Floats,
    direction: _Floats,
    lines: MeasuredLines,
    radius_m: float,
    max_angle_deg: float,
    *,
    keep: str = "segments",
) -> Feet:
    """Find where lines pass beside stations in nearly their direction.

    A line that ends before it comes beside a station does not pass it, however near its end is.

    Parameters
    ----------
    xy, direction : ndarray of float64, shape (S, 2)
        Of the stations.
    lines : MeasuredLines
        The other network.
    radius_m : float
        Largest distance.
    max_angle_deg : float
        Largest difference of direction.
    keep : {"segments", "lines", "nearest"}
        Whether a station has a foot on each segment, on each line, or one in all.

    Returns
    -------
    Feet
        Sorted by station.
    """
    parts = [_batch(xy, direction, lines, radius_m, max_angle_deg, slice(0, 0))]
    if len(lines):
        for at in range(0, len(xy), _BATCH):
            part = _batch(xy, direction, lines, radius_m, max_angle_deg, slice(at, at + _BATCH))
            if keep != "segments":
                part = nearest_feet(part, of_each_line=keep == "lines")
            parts.append(part)
    columns: list[Any] = [np.concatenate(values) for values in zip(*parts, strict=True)]
    return Feet(*columns)


def _batch(
    xy: _Floats,
    direction: _Floats,
    lines: MeasuredLines,
    radius_m: float,
    max_angle_deg: float,
    part: slice,
) -> Feet:
    if part.start == part.stop:
        point = segment = np.empty(0, np.int64)
    else:
        point, segment = lines.tree.query(
            shapely.points(xy[part]), predicate="dwithin", distance=radius_m
        ).astype(np.int64)
    start, end, line, at = lines.segments
    point = point + part.start
    order = np.lexsort([segment, point])
    point, segment = point[order], segment[order]
    step = end[segment] - start[segment]
    length = np.hypot(step[:, 0], step[:, 1])
    way = step / length[:, None]
    cosine = (way * direction[point]).sum(axis=1)
    along = ((xy[point] - start[segment]) * way).sum(axis=1)
    on = np.clip(along, 0.0, length)
    shift = start[segment] + on[:, None] * way - xy[point]
    distance = np.hypot(shift[:, 0], shift[:, 1])
    # Beside a convex corner the foot is the corner, somewhat before or behind.
    beside = np.abs(along - on) <= 0.5 * distance + 0.01
    good = beside & (np.abs(cosine) >= np.cos(np.deg2rad(max_angle_deg)))
    normal = np.stack([-way[:, 1], way[:, 0]], axis=1)
    found = Feet(
        point,
        line[segment],
        at[segment] + on,
        shift,
        normal,
        np.where(cosine >= 0, 1, -1).astype(np.int64),
    )
    return found.take(good)


def nearest_feet(found: Feet, *, of_each_line: bool) -> Feet:
    """Keep the nearest foot of each station, or of each station on each line.

    Parameters
    ----------
    found : Feet
        All feet.
    of_each_line : bool
        Whether a station keeps one foot on each line or one in all.
    """
    line = found.line if of_each_line else np.zeros_like(found.line)
    # Feet on both sides of a vertex are equally far: rounding must not choose.
    order = np.lexsort(
        [found.arc_m, found.line, np.round(found.distance_m, 6), line, found.station]
    )
    station, line = found.station[order], line[order]
    new = np.ones(len(order), bool)
    new[1:] = (station[1:] != station[:-1]) | (line[1:] != line[:-1])
    return found.take(order[new])
