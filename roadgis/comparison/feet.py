"""Feet: where lines of one network pass next to stations of the other in the same direction.

Shapes: S stations, P pairs of a station and a line of the other network.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from roadgis.arrays import Bools, Floats, Ints
from roadgis.lines.linear_reference import LineAxis

#: Stations looked up at once, which bounds memory.
_BATCH = 500_000


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

    station: Ints
    line: Ints
    arc_m: Floats
    shift: Floats
    normal: Floats
    sense: Ints

    @property
    def distance_m(self) -> Floats:
        """Length of each shift, (P,)."""
        return np.asarray(np.hypot(self.shift[:, 0], self.shift[:, 1]), np.float64)

    def take(self, which: Ints | Bools) -> Feet:
        """Return some of the pairs."""
        columns: list[Any] = [values[which] for values in self]
        return Feet(*columns)


def feet(
    xy: Floats,
    direction: Floats,
    lines: LineAxis,
    radius_m: float,
    max_angle_deg: float,
    *,
    keep: str = "segments",
) -> Feet:
    """Find where lines pass next to stations in nearly their direction.

    A line that ends before it is level with a station does not pass it, however near its end is.

    Parameters
    ----------
    xy, direction : ndarray of float64, shape (S, 2)
        Positions and unit vectors of the stations.
    lines : LineAxis
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
    if len(lines.lines):
        for at in range(0, len(xy), _BATCH):
            part = _batch(xy, direction, lines, radius_m, max_angle_deg, slice(at, at + _BATCH))
            if keep != "segments":
                part = nearest_feet(part, of_each_line=keep == "lines")
            parts.append(part)
    columns: list[Any] = [np.concatenate(values) for values in zip(*parts, strict=True)]
    return Feet(*columns)


def _batch(
    xy: Floats,
    direction: Floats,
    lines: LineAxis,
    radius_m: float,
    max_angle_deg: float,
    part: slice,
) -> Feet:
    point, segment = lines.near(xy[part], radius_m)
    point = point + part.start
    way = lines.direction[segment]
    cosine = (way * direction[point]).sum(axis=1)
    along = lines.along_m(xy[point], segment)
    on = np.clip(along, 0.0, lines.span_m[segment])
    shift = lines.origin[segment] + on[:, None] * way - xy[point]
    distance = np.hypot(shift[:, 0], shift[:, 1])
    # At a convex corner the foot is the corner, slightly ahead of or behind the station.
    passes = np.abs(along - on) <= 0.5 * distance + 0.01
    good = passes & (np.abs(cosine) >= np.cos(np.deg2rad(max_angle_deg)))
    line = lines.line[segment]
    found = Feet(
        station=point,
        line=line,
        arc_m=lines.segment_start[segment] - lines.line_start[line] + on,
        shift=shift,
        normal=np.stack([-way[:, 1], way[:, 0]], axis=1),
        sense=np.where(cosine >= 0, 1, -1).astype(np.int64),
    )
    return found.take(good)


def nearest_feet(found: Feet, *, of_each_line: bool) -> Feet:
    """Keep the nearest foot of each station, or of each station on each line.

    Parameters
    ----------
    of_each_line : bool
        Whether a station keeps one foot on each line or one in all.
    """
    line = found.line if of_each_line else np.zeros_like(found.line)
    # The end of a segment and the start of the next are one foot: rounding must not choose.
    arc, distance = np.round(found.arc_m, 6), np.round(found.distance_m, 6)
    order = np.lexsort([arc, found.line, distance, line, found.station])
    station, line = found.station[order], line[order]
    new = np.ones(len(order), bool)
    new[1:] = (station[1:] != station[:-1]) | (line[1:] != line[:-1])
    return found.take(order[new])
