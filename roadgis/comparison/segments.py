"""Lines cut into stretches of one class each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from roadgis.arrays import Bools, Floats, Ints
from roadgis.comparison.matching import Matched
from roadgis.lines.linear_reference import LineAxis
from roadgis.options.comparison import CompareOptions

UNMATCHED, MATCHED, MOVED = 0, 1, 2


class Segments(NamedTuple):
    """Stretches of lines, which together make up the lines.

    Attributes
    ----------
    line : ndarray of int64, shape (K,)
        Which line each is of; not falling.
    begin_m, end_m : ndarray of float64, shape (K,)
        From where to where along it.
    kind : ndarray of int64, shape (K,)
        UNMATCHED, MATCHED or MOVED.
    partner : ndarray of int64, shape (K,)
        The line of the other network that most of it is matched with; -1 without.
    largest_m, mean_m : ndarray of float64, shape (K,)
        Largest and mean distance to the counterpart; NaN without.
    shift : ndarray of float64, shape (K, 2)
        Mean displacement to the counterpart; NaN without.
    beside_m : ndarray of float64, shape (K,)
        Median distance to the nearest line of the other network that goes the same way, matched
        or not; inf if none is within twice the search distance.
    """

    line: Ints
    begin_m: Floats
    end_m: Floats
    kind: Ints
    partner: Ints
    largest_m: Floats
    mean_m: Floats
    shift: Floats
    beside_m: Floats

    @property
    def length_m(self) -> Floats:
        """Length of each piece, (K,)."""
        return self.end_m - self.begin_m


def cut_pieces(
    lines: LineAxis, matched: Matched, others: LineAxis, options: CompareOptions
) -> Segments:
    """Cut lines where their class changes.

    Parameters
    ----------
    lines : LineAxis
        One network.
    matched : Matched
        Its stations.
    others : LineAxis
        The other network.
    options : CompareOptions
        `moved_m` and `min_length_m` are used.
    """
    line, cell = matched.places.line, matched.places.cell_m
    has = matched.partner >= 0
    # First gaps between matches are closed, then chance matches are dropped.
    has = _without_short(has, False, line, cell, options.min_length_m)
    has = _without_short(has, True, line, cell, options.min_length_m)
    far = _far(matched, has, options.moved_m)
    far = _without_short(far, False, line, cell, options.min_length_m)
    far = _without_short(far, True, line, cell, options.min_length_m) & has
    kind = np.where(far, MOVED, np.where(has, MATCHED, UNMATCHED))
    first, of = _stretches(kind, line)
    begin, end = _limits(lines, matched, others, first, kind)
    usable = (matched.partner >= 0) & (kind != UNMATCHED)
    return Segments(
        line[first],
        begin,
        end,
        kind[first],
        _commonest(of[usable], matched.partner[usable], len(first)),
        _largest(of[usable], matched.distance_m[usable], len(first)),
        _mean(of[usable], matched.distance_m[usable], len(first)),
        np.stack(
            [_mean(of[usable], matched.shift[usable, axis], len(first)) for axis in (0, 1)],
            axis=1,
        ),
        _median(of, matched.beside_m, first),
    )


def _stretches(value: npt.NDArray[np.generic], line: Ints) -> tuple[Ints, Ints]:
    """Return the first station of each stretch of equal values on a line, and whose each is."""
    new = np.ones(len(value), bool)
    new[1:] = (value[1:] != value[:-1]) | (line[1:] != line[:-1])
    return np.flatnonzero(new), np.cumsum(new) - 1


def _without_short(
    value: Bools, which: bool, line: Ints, cell_m: Floats, shortest_m: float
) -> Bools:
    """Turn short stretches of one value over, unless a line has nothing else."""
    if not len(value):
        return value
    first, of = _stretches(value, line)
    length = np.bincount(of, weights=cell_m)
    alone = np.bincount(line[first], minlength=int(line[-1]) + 1)[line[first]] == 1
    short = (length < shortest_m - 1e-6) & (value[first] == which) & ~alone
    # Nothing is closed between stretches that are too short themselves.
    longest = np.zeros(int(line[-1]) + 1)
    other = value[first] != which
    np.maximum.at(longest, line[first][other], length[other])
    short &= length <= longest[line[first]]
    return np.asarray(value ^ short[of], bool)


def _far(matched: Matched, has: Bools, moved_m: float) -> Bools:
    """Return the stations of stretches that stay half the limit away and exceed it somewhere."""
    distance = np.where(np.isnan(matched.distance_m), 0.0, np.round(matched.distance_m, 6))
    # A station without a foot of its own, at a corner, is treated like the one before it.
    known = (matched.partner >= 0) & has
    line = matched.places.line
    last = np.maximum.accumulate(np.where(known, np.arange(len(known)), -1))
    last = np.where((last >= 0) & (line[last] == line), last, np.arange(len(known)))
    distance = np.where(has, distance[last], 0.0)
    first, of = _stretches(distance > moved_m / 2, line)
    if not len(first):
        return has
    return np.asarray((np.maximum.reduceat(distance, first) > moved_m)[of], bool)


def _limits(
    lines: LineAxis, matched: Matched, others: LineAxis, first: Ints, kind: Ints
) -> tuple[Floats, Floats]:
    """Return where pieces begin and end; where their counterpart ends, they end next to its end."""
    places = matched.places
    line = places.line[first]
    begin = places.begin_m[first]
    begin[np.flatnonzero(np.diff(line, prepend=-1))] = 0.0
    inner = np.flatnonzero(begin > 0)
    before, after = first[inner] - 1, first[inner]
    for near, beyond, way in ((before, after, 1), (after, before, -1)):
        use = np.flatnonzero(
            (matched.partner[near] >= 0) & (kind[near] != UNMATCHED) & (kind[beyond] == UNMATCHED)
        )
        at, partner = near[use], matched.partner[near[use]]
        onward = matched.sense[at] == way
        left = np.where(onward, others.length_m[partner] - matched.arc_m[at], matched.arc_m[at])
        reached = left <= places.cell_m[at]
        at, use, left = at[reached], use[reached], left[reached]
        begin[inner[use]] = places.arc_m[at] + way * left
    end = np.append(begin[1:], 0.0)
    last = np.flatnonzero(np.diff(line, append=-1))
    end[last] = lines.length_m[line[last]]
    return begin, end


def _commonest(group: Ints, value: Ints, groups: int) -> Ints:
    """Return each group's most frequent value, the lowest of equally frequent; -1 for none."""
    out = np.full(groups, -1, np.int64)
    if len(group):
        pairs, count = np.unique(np.stack([group, value], axis=1), axis=0, return_counts=True)
        # Written in rising order of count, so that the most frequent stays.
        order = np.lexsort([-pairs[:, 1], count, pairs[:, 0]])
        out[pairs[order, 0]] = pairs[order, 1]
    return out


def _largest(group: Ints, value: Floats, groups: int) -> Floats:
    out = np.full(groups, -np.inf)
    np.maximum.at(out, group, value)
    return np.where(np.isfinite(out), out, np.nan)


def _mean(group: Ints, value: Floats, groups: int) -> Floats:
    count = np.bincount(group, minlength=groups)
    total = np.bincount(group, weights=value, minlength=groups)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _median(group: Ints, value: Floats, first: Ints) -> Floats:
    """Return each group's median, the lower one of two; groups follow each other."""
    order = np.lexsort([value, group])
    count = np.diff(np.append(first, len(value)))
    return np.asarray(value[order][first + (count - 1) // 2], np.float64)
