"""Match parts of lines of one network with parts of lines of the other.

Stations of the base are paired with their feet on lines of the extraction with the same direction.
A run is a chain of stations of one base line whose feet go steadily along one line of the
extraction: a pairing that moves forward on both, so that its longest distance bounds the Frechet
distance of the two parts (Alt and Godau, 1995). Runs compete for stations and for the stretches
of the extraction that they cover, long and near ones first, so that two carriageways are not
both matched with the same line.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from roadgis.arrays import Bools, Floats, Ints
from roadgis.comparison.feet import Feet, feet, nearest_feet
from roadgis.lines.linear_reference import LineAxis, Stations, stations
from roadgis.options.comparison import CompareOptions

#: A run continues over at most this many stations without a foot (a corner).
_SKIP = 3
#: A line that drifts across another by more than this share of the search distance crosses it.
_DRIFT = 1.2
#: A run that is short for its distance, by this factor, is chance.
_SHORT = 2.0
#: Runs that meet at a junction may share this many stretches.
_SHARED = 1


class Matched(NamedTuple):
    """The stations of one network, each with its counterpart in the other.

    Attributes
    ----------
    places : Stations
        S stations of this network.
    partner : ndarray of int64, shape (S,)
        Line of the other network; -1 without a counterpart.
    arc_m : ndarray of float64, shape (S,)
        Place on that line; NaN without.
    shift : ndarray of float64, shape (S, 2)
        From the station to its counterpart; NaN without.
    sense : ndarray of int64, shape (S,)
        1 or -1, by whether the two lines run the same way; 0 without.
    beside_m : ndarray of float64, shape (S,)
        Distance to the nearest line of the other network that goes the same way, matched or not,
        up to twice the search distance; inf without.
    """

    places: Stations
    partner: Ints
    arc_m: Floats
    shift: Floats
    sense: Ints
    beside_m: Floats

    @property
    def distance_m(self) -> Floats:
        """Distance to the counterpart, (S,); NaN without."""
        return np.asarray(np.hypot(self.shift[:, 0], self.shift[:, 1]), np.float64)


def match_lines(
    base: LineAxis, extraction: LineAxis, options: CompareOptions
) -> tuple[Matched, Matched]:
    """Match two networks whose displacement was taken out.

    Parameters
    ----------
    base, extraction : LineAxis
        In one metric CRS.
    options : CompareOptions
        Distances and angle.

    Returns
    -------
    tuple of Matched
        The base's stations, and the extraction's.
    """
    ours, theirs = (stations(lines, options.station_m) for lines in (base, extraction))
    reach, angle = options.max_distance_m, options.max_angle_deg
    wide = feet(ours.xy, ours.direction, extraction, 2 * reach, angle, keep="lines")
    found = wide.take(wide.distance_m <= reach)
    run = _runs(ours, found, options)
    rank = _ranks(found, run, ours.cell_m[found.station], reach)
    kept = np.flatnonzero(rank >= 0)
    found, rank = found.take(kept), rank[kept]
    cell = _cell(theirs, found.line, found.arc_m, len(extraction.lines))
    chosen = _assign(found.station, cell, rank, len(ours.line), len(theirs.line))
    base_side = _matched(ours, found.take(chosen), wide)

    wide = feet(theirs.xy, theirs.direction, base, 2 * reach, angle, keep="lines")
    back = wide.take(wide.distance_m <= reach)
    cell = _cell(ours, back.line, back.arc_m, len(base.lines))
    own_line = theirs.line[back.station]
    own_arc = theirs.arc_m[back.station]
    agreed = np.zeros(len(back.station), bool)
    for near in (-1, 0, 1):
        beside = np.clip(cell + near, 0, max(len(ours.line) - 1, 0))
        # The same place on the line, not its way back after a hairpin.
        apart = np.abs(base_side.arc_m[beside] - own_arc)
        here = apart <= _SKIP * options.station_m + back.distance_m
        agreed |= here & (base_side.partner[beside] == own_line) & (ours.line[beside] == back.line)
    nearest = nearest_feet(back.take(agreed), of_each_line=False)
    return base_side, _matched(theirs, nearest, wide)


def _runs(places: Stations, found: Feet, options: CompareOptions) -> Ints:
    """Return the run (P,) of each pair, numbered in the order of their first stations."""
    base_line = places.line[found.station]
    order = np.lexsort([found.station, found.sense, found.line, base_line])
    station, arc = found.station[order], found.arc_m[order]
    gap = np.diff(station)
    gone = np.diff(arc) * found.sense[order][1:]
    step = places.cell_m[station][1:]
    steady = (gap <= _SKIP) & (gone >= -step) & (gone <= (gap + 2) * step * 1.5)
    for values in (base_line[order], found.line[order], found.sense[order]):
        steady &= values[1:] == values[:-1]
    number = np.concatenate([np.zeros(min(1, len(order)), np.int64), np.cumsum(~steady)])
    run = np.empty(len(order), np.int64)
    run[order] = number
    return run


def _ranks(found: Feet, run: Ints, cell_m: Floats, reach_m: float) -> Ints:
    """Return the rank (P,) of each pair's run, the best first; -1 for runs that mean nothing."""
    if not len(run):
        return run
    runs = int(run.max()) + 1
    count = np.bincount(run, minlength=runs)
    mean = np.bincount(run, weights=found.distance_m, minlength=runs) / count
    signed = (found.shift * found.normal).sum(axis=1) * found.sense
    order = np.lexsort([signed, run])
    first = np.cumsum(count) - count
    drift = signed[order][first + count - 1] - signed[order][first]
    good = count / (count + 3.0) * (1.0 - mean / (1.2 * reach_m))
    ahead = np.full(runs, len(found.station))
    np.minimum.at(ahead, run, np.arange(len(run)))
    rank = np.empty(runs, np.int64)
    rank[np.lexsort([ahead, -np.round(good, 9)])] = np.arange(runs)
    length = np.bincount(run, weights=cell_m, minlength=runs)
    rank[(drift > _DRIFT * reach_m) | (length < _SHORT * mean)] = -1
    return rank[run]


def _cell(places: Stations, line: Ints, arc_m: Floats, lines: int) -> Ints:
    """Return which cell of a line an arc lies in, as an index of stations."""
    first = np.searchsorted(places.line, np.arange(lines + 1))
    nth = (arc_m / places.cell_m[first[line]]).astype(np.int64) if len(line) else line
    return np.asarray(np.minimum(first[line] + nth, first[line + 1] - 1), np.int64)


def _assign(station: Ints, cell: Ints, rank: Ints, ours: int, theirs: int) -> Ints:
    """Return the pairs that win: each station once, each cell for one run only.

    The pair that is best for its station and its cell wins, its rivals are dropped, and so on.
    The result is that of taking the runs one by one in their order.
    """
    none = np.iinfo(np.int64).max
    taken, owner = np.zeros(ours, bool), np.full(theirs, -1, np.int64)
    alive, won = np.arange(len(station)), []
    while len(alive):
        best_ours, best_theirs = np.full(ours, none), np.full(theirs, none)
        np.minimum.at(best_ours, station[alive], rank[alive])
        np.minimum.at(best_theirs, cell[alive], rank[alive])
        wins = (rank[alive] == best_ours[station[alive]]) & (
            rank[alive] == best_theirs[cell[alive]]
        )
        won.append(alive[wins])
        taken[station[alive[wins]]] = True
        owner[cell[alive[wins]]] = rank[alive[wins]]
        holder = owner[cell[alive]]
        alive = alive[~taken[station[alive]] & ((holder < 0) | (holder == rank[alive]))]
    won.append(_shared(station, cell, rank, taken, owner))
    return np.sort(np.concatenate(won))


def _shared(station: Ints, cell: Ints, rank: Ints, taken: Bools, owner: Ints) -> Ints:
    """Return pairs that lost no more than the cell in which their run meets the winner's."""
    lost = np.flatnonzero(~taken[station] & (owner[cell] >= 0) & (owner[cell] != rank))
    if not len(lost):
        return lost
    rivals = np.stack([rank[lost], owner[cell[lost]]], axis=1)
    _, group, count = np.unique(rivals, axis=0, return_inverse=True, return_counts=True)
    lost = lost[count[group.ravel()] <= _SHARED]
    order = np.lexsort([rank[lost], station[lost]])
    lost = lost[order]
    new = np.ones(len(lost), bool)
    new[1:] = station[lost][1:] != station[lost][:-1]
    return lost[new]


def _matched(places: Stations, chosen: Feet, wide: Feet) -> Matched:
    size = len(places.line)
    partner, sense = np.full(size, -1, np.int64), np.zeros(size, np.int64)
    arc, shift, beside = np.full(size, np.nan), np.full((size, 2), np.nan), np.full(size, np.inf)
    partner[chosen.station] = chosen.line
    arc[chosen.station] = chosen.arc_m
    shift[chosen.station] = chosen.shift
    sense[chosen.station] = chosen.sense
    np.minimum.at(beside, wide.station, wide.distance_m)
    return Matched(places, partner, arc, shift, sense, beside)
