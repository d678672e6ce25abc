"""Forks of dual carriageways: nodes from which two roads leave side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

from roadgis.network.attributes import clear_of_junctions, grouped_quantiles
from roadgis.network.centerlines import Centerlines

__all__ = ["Ends", "Fork", "Trail", "find_forks"]

#: A carriageway goes on at a junction where it turns by less than 30 degrees.
_STRAIGHT = 0.87
#: Directions of lines are measured over this many metres.
_CHORD_M = 10.0
#: Carriageways are this long at least, without being disturbed,
_STEADY_M = 30.0
#: lean to a fork over at most this many metres,
_LEAN_M = 60.0
#: and are followed so far.
_REACH_M = 200.0
#: Largest change of their distance over that length, as a share of it,
_CHANGE = 0.2
#: and beyond.
_DRIFT = 0.3
#: Distance between their middles, in widths of a carriageway: with a narrow median.
_NEAREST, _FARTHEST = 1.0, 2.5
#: A cut is made where they are opposite each other, up to this share of that distance.
_OPPOSITE = 0.25
#: Largest ratio of their widths.
_EQUAL = 1.7
#: Two roads may be carriageways when their ends, up to this many widths away from their common
#: node, are in directions that differ by less than 60 degrees.
_OUT, _COMMON = 4.0, 0.5

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Ends:
    """The two ends of all edges, ordered by node; the ends at node n are begin[n]:begin[n + 1].

    Attributes
    ----------
    node, edge : ndarray of int64, shape (2 E,)
        Of each end.
    at_end : ndarray of bool, shape (2 E,)
        Whether the edge ends there; else it starts there.
    begin : ndarray of int64, shape (N + 1,)
        First end at each node.
    number : ndarray of int64, shape (2, E)
        The ends at which edges start and end.
    heading : ndarray of float64, shape (2 E, 2)
        Unit vector (row, column) in which the edge leads away from there.
    """

    node: _Ints
    edge: _Ints
    at_end: npt.NDArray[np.bool_]
    begin: _Ints
    number: _Ints
    heading: _Floats

    @classmethod
    def of(cls, lines: Centerlines) -> Ends:
        """Order the ends of edges by node, and at each by the edges' keys."""
        count = len(lines)
        node = np.concatenate([lines.start, lines.end])
        edge = np.tile(np.arange(count), 2)
        at_end = np.repeat([False, True], count)
        rank = np.lexsort([at_end, lines.key[edge], node])
        begin = np.searchsorted(node[rank], np.arange(len(lines.node_key) + 1)).astype(np.int64)
        number = np.empty(2 * count, np.int64)
        number[rank] = np.arange(2 * count)
        chord = np.minimum(_CHORD_M / lines.grid.gsd_m, lines.length_px)
        away = np.concatenate(_ways(lines, chord))[rank]
        heading = away / np.maximum(np.hypot(*away.T), 1e-9)[:, None]
        return cls(node[rank], edge[rank], at_end[rank], begin, number.reshape(2, count), heading)

    def opposite(self, number: int) -> int:
        """Return the number of the other end of an end's edge."""
        return int(self.number[0 if self.at_end[number] else 1, self.edge[number]])

    def at(self, node: int) -> range:
        """Return the numbers of the ends at a node."""
        return range(int(self.begin[node]), int(self.begin[node + 1]))

    def outward(self, lines: Centerlines, number: int) -> _Ints:
        """Return the vertices of an end's edge, from this end on."""
        low, high = lines.offsets[self.edge[number] : self.edge[number] + 2].tolist()
        vertices = np.arange(low, high)
        return vertices[::-1] if self.at_end[number] else vertices


@dataclass(frozen=True)
class Trail:
    """A road from a node on, also where others join it.

    Attributes
    ----------
    ends : list of int
        The ends at which its edges begin.
    nodes : list of int
        Where its edges end.
    vertex : ndarray of int64, shape (V,)
        Its vertices.
    piece : ndarray of int64, shape (V,)
        Which of its edges each belongs to.
    """

    ends: list[int]
    nodes: list[int]
    vertex: _Ints
    piece: _Ints


@dataclass(frozen=True)
class Fork:
    """Two carriageways that leave a node; all in pixels, points as (row, col).

    Attributes
    ----------
    node : int
        The node.
    trails : tuple of two Trail
        As seen along `direction`, the one towards (-direction col, direction row) first.
    cuts : tuple of two int
        Place in each trail from which on it is undisturbed.
    middle : ndarray, shape (2,)
        Between these two places.
    direction : ndarray, shape (2,)
        Unit vector along the carriageways, away from the node.
    separation, width : float
        Between the middles of the carriageways, and of one.
    steady : float
        Length over which they are undisturbed.
    """

    node: int
    trails: tuple[Trail, Trail]
    cuts: tuple[int, int]
    middle: _Floats
    direction: _Floats
    separation: float
    width: float
    steady: float


def find_forks(
    lines: Centerlines, ends: Ends, reach_px: float, near: cKDTree | None = None
) -> list[Fork]:
    """Find pairs of carriageways that leave a node, and face such a pair within a distance.

    Parameters
    ----------
    lines : Centerlines
        Noded.
    ends : Ends
        Their ends.
    reach_px : float
        The distance.
    near : cKDTree, optional
        Only forks that what is at these places, (row, column), may concern.
    """
    first, second, direction = _pairs(lines, ends)
    node = ends.node[first]
    place = np.stack([lines.node_row[node], lines.node_col[node]], axis=1)
    if not len(place):
        return []
    facing = np.zeros(len(place), bool)
    pairs = cKDTree(place).query_pairs(reach_px, output_type="ndarray")
    opposite = (direction[pairs[:, 0]] * direction[pairs[:, 1]]).sum(axis=1) < -_COMMON
    facing[pairs[opposite].ravel()] = True
    if near is not None:
        # A fork's arms reach so far, and so does what lies between it and another one.
        within = 2 * (reach_px + _REACH_M / lines.grid.gsd_m)
        facing &= np.isfinite(near.query(place, distance_upper_bound=within)[0])
    found = (
        _fork(lines, ends, int(first[number]), int(second[number]), direction[number])
        for number in np.flatnonzero(facing).tolist()
    )
    return [fork for fork in found if fork is not None]


def _pairs(lines: Centerlines, ends: Ends) -> tuple[_Ints, _Ints, _Floats]:
    """Return pairs of ends (K,), (K,) whose roads may be carriageways, and their direction."""
    if not len(lines):
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 2))
    use = clear_of_junctions(lines)
    (width,) = grouped_quantiles(lines.edge_of_vertex[use], lines.width_px[use], len(lines), (0.5,))
    width = np.nan_to_num(width)
    steady = _STEADY_M / lines.grid.gsd_m
    vector, farther = (
        np.where(ends.at_end[:, None], back[ends.edge], forth[ends.edge])
        for forth, back in (
            _ways(lines, np.minimum(away, lines.length_px)) for away in (_OUT * width, steady)
        )
    )
    long = (lines.length_px >= steady)[ends.edge]
    unit = vector / np.maximum(np.hypot(*vector.T), 1e-9)[:, None]
    wide = width[ends.edge]
    several = np.diff(ends.begin)[ends.node] > 2
    chosen = []
    for step in range(1, int(np.diff(ends.begin).max(initial=0))):
        a = np.flatnonzero(several[:-step] & (ends.node[:-step] == ends.node[step:]))
        b = a + step
        common = (unit[a] * unit[b]).sum(axis=1) > _COMMON
        equal = np.maximum(wide[a], wide[b]) <= _EQUAL * np.minimum(wide[a], wide[b])
        most = _FARTHEST * (wide[a] + wide[b]) / 2
        apart = np.hypot(*(vector[a] - vector[b]).T) <= most
        # Where both reach farther, they keep their distance there, too.
        apart &= (np.hypot(*(farther[a] - farther[b]).T) <= (1 + _DRIFT) * most) | ~(
            long[a] & long[b]
        )
        own = lines.bridged[ends.edge[a]] | lines.bridged[ends.edge[b]]
        own |= ends.edge[a] == ends.edge[b]
        chosen.append(np.stack([a, b])[:, common & equal & apart & ~own])
    a, b = np.concatenate(chosen, axis=1) if chosen else np.empty((2, 0), np.int64)
    mean = unit[a] + unit[b]
    return a, b, mean / np.hypot(*mean.T)[:, None]


def _ways(lines: Centerlines, away: _Floats) -> tuple[_Floats, _Floats]:
    """Return the ways from the start and from the end of edges along them, (E, 2) each.

    They go as far as the distances `away` (E,), pixels.
    """
    if not len(lines):
        return np.empty((0, 2)), np.empty((0, 2))
    parts = []
    for arc, node, at_end in (
        (lines.arcs[0], lines.start, False),
        (lines.arcs[1], lines.end, True),
    ):
        vertex = lines.first_beyond(arc, 0.999 * away, at_end)
        row, col = lines.row[vertex], lines.col[vertex]
        parts.append(np.stack([row - lines.node_row[node], col - lines.node_col[node]], axis=1))
    return parts[0], parts[1]


def _trail(lines: Centerlines, ends: Ends, number: int) -> Trail:
    """Follow a road from one of its ends on, straight on where others join it."""
    reach = _REACH_M / lines.grid.gsd_m
    numbers: list[int] = []
    nodes: list[int] = []
    vertices: list[_Ints] = []
    total = 0.0
    seen: set[int] = set()
    while True:
        edge = int(ends.edge[number])
        vertex = ends.outward(lines, number)
        numbers.append(number)
        vertices.append(vertex[1:] if nodes else vertex)
        seen.add(edge)
        node = int(lines.start[edge] if ends.at_end[number] else lines.end[edge])
        nodes.append(node)
        total += float(lines.length_px[edge])
        if total >= reach:
            break
        arriving = -ends.heading[ends.opposite(number)]
        best, following = _STRAIGHT, -1
        for other in ends.at(node):
            if int(ends.edge[other]) in seen or lines.bridged[ends.edge[other]]:
                continue
            along = float(arriving @ ends.heading[other])
            if along > best:
                best, following = along, other
        if following < 0:
            break
        number = following
    size = [len(vertex) for vertex in vertices]
    return Trail(numbers, nodes, np.concatenate(vertices), np.repeat(np.arange(len(size)), size))


def _places(lines: Centerlines, vertex: _Ints) -> _Floats:
    return np.stack([lines.row[vertex], lines.col[vertex]], axis=1)


def _fork(
    lines: Centerlines, ends: Ends, first: int, second: int, direction: _Floats
) -> Fork | None:
    """Return the fork of two ends, None when they are no carriageways."""
    gsd = lines.grid.gsd_m
    trails = [_trail(lines, ends, number) for number in (first, second)]
    if {int(ends.edge[n]) for n in trails[0].ends} & {int(ends.edge[n]) for n in trails[1].ends}:
        return None
    places = [_places(lines, trail.vertex) for trail in trails]
    across = np.array([-direction[1], direction[0]])
    offset = places[0] - places[1][cKDTree(places[1]).query(places[0])[1]]
    if (offset[: _count(places[0], _LEAN_M / gsd)] @ across).sum() < 0:
        trails, places = trails[::-1], places[::-1]
    distance, nearest = (np.asarray(x) for x in cKDTree(places[1]).query(places[0]))
    arc = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(places[0], axis=0).T))])
    span = _settled(arc, ndimage.median_filter(distance, 5, mode="nearest"), gsd)
    if span is None:
        return None
    cut, stop, separation = span
    # Where junctions were contracted there may be no vertex opposite.
    while cut < stop:
        later = int(np.searchsorted(arc[:stop], arc[cut] + 1.5 * _CHORD_M / gsd))
        if later >= stop:
            return None
        middle, further = ((places[0][at] + places[1][nearest[at]]) / 2 for at in (cut, later))
        ahead = (further - middle) / max(float(np.hypot(*(further - middle))), 1e-9)
        if abs((places[0][cut] - places[1][nearest[cut]]) @ ahead) <= _OPPOSITE * separation:
            break
        cut += 1
    cuts = cut, int(nearest[cut])
    width = [
        float(np.nanmedian(lines.width_px[trail.vertex[low:high]]))
        for trail, low, high in zip(trails, cuts, (stop, int(nearest[stop - 1]) + 1), strict=True)
        if high > low
    ]
    if len(width) < 2 or max(width) > _EQUAL * min(width):
        return None
    mean = sum(width) / 2
    if not _NEAREST * mean <= separation <= _FARTHEST * mean:
        return None
    return Fork(
        node=int(ends.node[first]),
        trails=(trails[0], trails[1]),
        cuts=cuts,
        middle=middle,
        direction=ahead,
        separation=separation,
        width=mean,
        steady=float(arc[stop - 1] - arc[cut]),
    )


def _count(place: _Floats, length: float) -> int:
    """Return how many vertices, from the first on, are within a distance of the first."""
    far = np.hypot(*(place - place[0]).T) > length
    return int(np.argmax(far)) if far.any() else len(far)


def _settled(arc: _Floats, distance: _Floats, gsd: float) -> tuple[int, int, float] | None:
    """Return from where to where two lines keep their distance, and that distance."""
    for at in range(int(np.searchsorted(arc, _LEAN_M / gsd))):
        stop = int(np.searchsorted(arc, arc[at] + _STEADY_M / gsd))
        if stop >= len(arc):
            return None
        window = distance[at:stop]
        median = float(np.median(window))
        if np.abs(window - median).max() <= _CHANGE * median:
            break
    else:
        return None
    at += int(np.argmax(window >= 0.95 * median))
    drifted = np.abs(distance[at:] - median) > _DRIFT * median
    stop = at + int(np.argmax(drifted)) if drifted.any() else len(arc)
    return at, stop, median
