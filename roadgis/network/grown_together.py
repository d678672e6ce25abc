"""Stretches over which dual carriageways have grown together in the mask."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

from roadgis.network.centerlines import Centerlines
from roadgis.network.forks import Ends, Fork, Trail, find_forks

__all__ = ["Course", "Parting", "Street", "extent", "find_partings"]

#: They grow together over at most this length, metres,
_LONGEST_M = 150.0
#: and before and after it run beside each other for as long as this share of it.
_ARMS = 0.5
#: Cosine of the largest angle (30 degrees) between a fork's arms and the way to the other fork.
_AHEAD = 0.87
#: Largest ratio of the separations at the two forks, and of the widths.
_ALIKE = 1.5
#: The mask between them is as wide as both with the median: this share of it at least, and at most.
_FULL, _OVERFULL = 0.75, 1.4

#: A road crosses both where it leaves one side at most this many separations from where it leaves
#: the other.
_ACROSS = 2.5

#: Stretches, with the parts of the arms that lean to it, at most so many separations long are
#: gaps in the median: without, and with a road that joins them.
_CROSSOVER, _AT_STREET = 3.0, 4.0
#: Samples.
_WINDOW = 7

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]


class Course(NamedTuple):
    """The course of a dual carriageway from one fork to the other; S samples, a pixel apart."""

    centre: _Floats
    normal: _Floats
    separation: _Floats
    width: _Floats
    tree: cKDTree

    def locate(self, place: _Floats) -> tuple[_Ints, _Floats]:
        """Return the nearest sample of places, -1 beyond the ends, and how far aside they are."""
        _, at = self.tree.query(place)
        offset = place - self.centre[at]
        aside = (offset * self.normal[at]).sum(axis=1)
        ahead = offset[:, 1] * self.normal[at, 0] - offset[:, 0] * self.normal[at, 1]
        last = len(self.centre) - 1
        beyond = ((at == 0) & (ahead < -1)) | ((at == last) & (ahead > 1))
        return np.where(beyond, -1, at), aside


class Street(NamedTuple):
    """A road that joins the stretch: from which node to which, and what is left of it.

    Or, without vertices, the end of a link between the two lines.
    """

    edge: int
    node: int
    far: int
    vertex: _Ints
    side: int
    at: int


class Parting(NamedTuple):
    """A grown-together stretch between two forks and what shall become of it."""

    forks: tuple[Fork, Fork]
    course: Course
    #: For each side (towards the normal first) the arms (fork, trail) there.
    arms: tuple[tuple[Trail, int, Trail, int], tuple[Trail, int, Trail, int]]
    inside: list[int]
    gone: list[int]
    streets: list[Street]
    #: Numbers of streets that are one road, across both, or the ends of a link.
    across: list[tuple[int, int]]
    length: float


def find_partings(lines: Centerlines, near: Sequence[Parting] | None = None) -> list[Parting]:
    """Find the grown-together stretches of a network.

    Parameters
    ----------
    lines : Centerlines
        Noded, without interstitial nodes.
    near : sequence of Parting, optional
        Look only around these, which have become two lines since all were looked for.

    Returns
    -------
    list of Parting
        Several may concern the same edges.
    """
    ends = Ends.of(lines)
    longest = _LONGEST_M / lines.grid.gsd_m
    around = None if near is None else cKDTree(np.concatenate([p.course.centre for p in near]))
    forks = find_forks(lines, ends, longest, around)
    forks.sort(key=lambda fork: (int(lines.node_key[fork.node]), *fork.direction.tolist()))
    if len(forks) < 2:
        return []
    place = np.stack([lines.node_row, lines.node_col], axis=1)[[fork.node for fork in forks]]
    pairs = cKDTree(place).query_pairs(longest, output_type="ndarray")
    found = []
    for a, b in np.sort(pairs, axis=1)[np.lexsort(np.sort(pairs, axis=1).T)].tolist():
        parting = _parting(lines, ends, forks[a], forks[b])
        if parting is not None:
            found.append(parting)
    return found


def _parting(lines: Centerlines, ends: Ends, a: Fork, b: Fork) -> Parting | None:
    """Return what is between two forks, None when that is no grown-together stretch."""
    way = b.middle - a.middle
    way = way / max(float(np.hypot(*way)), 1e-9)
    if min(-a.direction @ way, b.direction @ way, -a.direction @ b.direction) < _AHEAD:
        return None
    for one, other in ((a.separation, b.separation), (a.width, b.width)):
        if max(one, other) > _ALIKE * min(one, other):
            return None
    # What is on the left of one that leaves a fork is on the right of one that comes to it.
    arms = (
        (a.trails[1], a.cuts[1], b.trails[0], b.cuts[0]),
        (a.trails[0], a.cuts[0], b.trails[1], b.cuts[1]),
    )
    used = [
        int(ends.edge[n]) for t, cut, u, end in arms for n in (*_until(t, cut), *_until(u, end))
    ]
    if len(set(used)) < len(used):
        return None
    course = _course(a, b)
    inside, streets = _between(lines, ends, course, arms, used, (a.node, b.node))
    if inside is None:
        return None
    at, _ = course.locate(
        np.array([[lines.node_row[f.node], lines.node_col[f.node]] for f in (a, b)])
    )
    length = float(at[1] - at[0])
    if at.min() < 0 or length < 0 or min(a.steady, b.steady) < _ARMS * length:
        return None
    filled = _fill(lines, course, np.array([*inside, *used], np.int64), at)
    if not _FULL <= filled <= _OVERFULL:
        return None
    tied = _tied(lines, ends, course, streets)
    if tied is None:
        return None
    tied = _with_crossover(course, a, tied, used[0], int(at.mean()))
    across = _across(course, tied)
    return Parting((a, b), course, arms, inside, [*inside, *used], tied, across, length)


def _until(trail: Trail, cut: int) -> list[int]:
    """Return the ends of a trail's edges up to the one that is cut."""
    return trail.ends[: int(trail.piece[cut]) + 1]


def _course(a: Fork, b: Fork) -> Course:
    """Lay a curve from where the carriageways are undisturbed at one fork to there at the other."""
    chord = float(np.hypot(*(b.middle - a.middle)))
    t = np.linspace(0, 1, max(int(np.ceil(chord)), 4) + 1)[:, None]
    centre = (
        (2 * t**3 - 3 * t**2 + 1) * a.middle
        - (t**3 - 2 * t**2 + t) * chord * a.direction
        + (3 * t**2 - 2 * t**3) * b.middle
        + (t**3 - t**2) * chord * b.direction
    )
    tangent = np.gradient(centre, axis=0)
    tangent /= np.maximum(np.hypot(*tangent.T), 1e-9)[:, None]
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
    separation = a.separation + t[:, 0] * (b.separation - a.separation)
    width = a.width + t[:, 0] * (b.width - a.width)
    return Course(centre, normal, separation, width, cKDTree(centre))


def _between(
    lines: Centerlines,
    ends: Ends,
    course: Course,
    arms: tuple[tuple[Trail, int, Trail, int], ...],
    used: list[int],
    forks: tuple[int, int],
) -> tuple[list[int] | None, list[int]]:
    """Return the edges between the carriageways, and the ends of those that join them.

    None for the first when the forks are not connected, or a fork of one is an arm of the other.
    """
    inner: set[int] = set(forks)
    outer: set[int] = set()
    for one, cut, other, end in arms:
        for trail, at in ((one, cut), (other, end)):
            piece = int(trail.piece[at])
            inner.update(trail.nodes[:piece])
            outer.add(trail.nodes[piece])
    inside: set[int] = set()
    streets: list[int] = []
    own = set(used)

    def reach(reached: set[int]) -> None:
        """Add the nodes that edges inside lead to."""
        waiting = sorted(reached)
        while waiting:
            for number in ends.at(waiting.pop()):
                edge = int(ends.edge[number])
                if edge in own or edge in inside or number in streets:
                    continue
                if not _is_inside(lines, course, edge):
                    streets.append(number)
                    continue
                inside.add(edge)
                for node in (int(lines.start[edge]), int(lines.end[edge])):
                    if node not in reached:
                        reached.add(node)
                        waiting.append(node)

    nodes = {forks[0]}
    reach(nodes)
    if inner & outer or forks[1] not in nodes:
        return None, []
    nodes |= inner
    reach(nodes)
    return (None, []) if nodes & outer else (sorted(inside), streets)


def _is_inside(lines: Centerlines, course: Course, edge: int) -> bool:
    """Return whether an edge is between the outer edges of the carriageways."""
    vertex = slice(*lines.offsets[edge : edge + 2].tolist())
    at, aside = course.locate(np.stack([lines.row[vertex], lines.col[vertex]], axis=1))
    within = np.abs(aside) <= (course.separation + course.width)[at] / 2
    return not lines.bridged[edge] and bool(((at >= 0) & within).all())


def extent(
    lines: Centerlines, course: Course, edges: _Ints, widened: bool
) -> tuple[_Floats, _Floats]:
    """Return from where to where, across the course, edges (or their roads) reach, (S,) each."""
    vertex = lines.vertices_of(edges)
    at, aside = course.locate(np.stack([lines.row[vertex], lines.col[vertex]], axis=1))
    near = (at >= 0) & (np.abs(aside) <= (course.separation + course.width)[at] / 2)
    half = np.nan_to_num(lines.width_px[vertex].astype(np.float64))[near] / 2 * widened
    low, high = np.full(len(course.centre), np.inf), np.full(len(course.centre), -np.inf)
    np.minimum.at(low, at[near], aside[near] - half)
    np.maximum.at(high, at[near], aside[near] + half)
    # Neighbouring vertices are up to a pixel's diagonal apart: not each line is in each sample.
    return ndimage.minimum_filter1d(low, _WINDOW), ndimage.maximum_filter1d(high, _WINDOW)


def _fill(lines: Centerlines, course: Course, edges: _Ints, at: _Ints) -> float:
    """Return how wide the mask is between two samples, as a share of both roads with the median."""
    low, high = extent(lines, course, edges, widened=True)
    expected = course.separation + course.width
    margin = int(course.width.mean() / 2)
    some = slice(max(int(at[0]) - margin, 0), int(at[1]) + margin + 1)
    known = np.isfinite(low[some])
    share = (high[some][known] - low[some][known]) / expected[some][known]
    return float(np.median(share)) if known.any() else 0.0


def _tied(
    lines: Centerlines, ends: Ends, course: Course, streets: list[int]
) -> list[Street] | None:
    """Return where other roads join the two lines, None when that is not clear."""
    out = []
    for number in streets:
        edge, node = int(ends.edge[number]), int(ends.node[number])
        vertex = ends.outward(lines, number)
        if lines.bridged[edge] or lines.start[edge] == lines.end[edge]:
            return None
        at, aside = course.locate(np.stack([lines.row[vertex], lines.col[vertex]], axis=1))
        outside = np.flatnonzero((at < 0) | (np.abs(aside) > course.separation[at] / 2))
        if not len(outside) or outside[0] >= len(vertex) - 2:
            return None
        first = int(outside[0])
        # It leaves beside the lines, not between them.
        if not 2 <= at[first] < len(course.centre) - 2:
            return None
        side = 0 if aside[first] > 0 else 1
        far = int(lines.start[edge] if ends.at_end[number] else lines.end[edge])
        out.append(Street(edge, node, far, vertex[first:], side, int(at[first])))
    out.sort(key=lambda street: (street.side, street.at))
    for one, other in pairwise(out):
        if one.side == other.side and other.at - one.at < course.width[one.at] / 2:
            return None
    return out if len({street.edge for street in out}) == len(out) else None


def _with_crossover(
    course: Course, fork: Fork, streets: list[Street], edge: int, middle: int
) -> list[Street]:
    """Add the ends of a link where the stretch is so short that it is a gap in the median.

    There a road from one side leads to the carriageway on the other side, too, and without
    one it is a place to turn.
    """
    last = len(course.centre) - 1
    most = _AT_STREET if streets else _CROSSOVER
    short = last <= most * course.separation.mean()
    sides = {street.side for street in streets}
    if not short or len(sides) == 2:
        return streets
    if streets:
        nearest = min(streets, key=lambda street: (abs(street.at - middle), street.at))
        edge, node, at = nearest.edge, nearest.node, nearest.at
    else:
        node, at = fork.node, min(max(middle, 2), last - 2)
    none = np.empty(0, np.int64)
    added = [Street(edge, node, -1, none, side, at) for side in (0, 1) if side not in sides]
    return sorted([*streets, *added], key=lambda street: (street.side, street.at))


def _across(course: Course, streets: list[Street]) -> list[tuple[int, int]]:
    """Return which roads that join from both sides are one, that crosses both carriageways."""
    pairs = sorted(
        (abs(one.at - other.at), a, b)
        for a, one in enumerate(streets)
        for b, other in enumerate(streets)
        if one.side < other.side
    )
    out: list[tuple[int, int]] = []
    for distance, a, b in pairs:
        single = not {a, b} & {number for pair in out for number in pair}
        if single and distance <= _ACROSS * course.separation[streets[a].at]:
            out.append((a, b))
    return out
