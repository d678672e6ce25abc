"""Dual carriageways that have grown together in the mask: one line becomes two again."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from roadgis.network.centerlines import Centerlines, merge_interstitial
from roadgis.network.forks import Trail
from roadgis.network.grown_together import Parting, Street, extent, find_partings
from roadgis.network.junctions import with_ends_at_nodes
from roadgis.network.options import ParallelOptions

__all__ = ["part_carriageways"]

#: Carriageways that have grown together twice become arms of each other's forks.
_ROUNDS = 4
_VERTEX_FIELDS = ("row", "col", "d_row", "d_col", "width_px", "probability")

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]


def part_carriageways(lines: Centerlines, options: ParallelOptions) -> Centerlines:
    """Make two lines again where the mask of both carriageways of a road has grown together.

    There thinning gives one line, or a chain of small loops, between two forks. It is a
    grown-together stretch when at both forks two lines of like width leave that keep their
    distance, with a narrow median, for long enough; when these go on in each other, left in
    left and right in right; and when the mask between them is as wide as both with the median.
    Two lines, as far apart as the carriageways are before and after, then replace all that
    is between them. A road that joins the stretch from one side is joined to the line there;
    one that joins it from both sides, at about the same place, crosses both lines. Where the
    stretch is so short that it is a gap in the median, the two lines are linked there.

    Parameters
    ----------
    lines : Centerlines
        Noded, without interstitial nodes.
    options : ParallelOptions
        Whether this is done.

    Returns
    -------
    Centerlines
        Noded, without interstitial nodes.
    """
    if not options.part_carriageways:
        return lines
    found: list[Parting] | None = None
    for _ in range(_ROUNDS):
        found = _disjoint(lines, find_partings(lines, found))
        if not found:
            break
        lines = merge_interstitial(_parted(lines, found))
    return lines


def _disjoint(lines: Centerlines, partings: list[Parting]) -> list[Parting]:
    """Choose some, the shortest first, of which no two touch a common edge."""

    def order(parting: Parting) -> tuple[float, ...]:
        keys = sorted(int(key) for key in lines.key[parting.gone])
        return (parting.length, *keys)

    taken: set[int] = set()
    chosen = []
    for parting in sorted(partings, key=order):
        edges = {*parting.gone, *(street.edge for street in parting.streets)}
        if not edges & taken:
            taken |= edges
            chosen.append(parting)
    return chosen


class _Edge(NamedTuple):
    """An edge to add: its nodes, its key, and its vertices' fields, (6, V)."""

    start: int
    end: int
    key: int
    vertices: _Floats


def _parted(lines: Centerlines, partings: list[Parting]) -> Centerlines:
    """Replace some stretches of which no two touch a common edge."""
    lines, partings = _with_own_nodes(lines, partings)
    names = ("node_row", "node_col", "node_width_px")
    moved: dict[str, Any] = {name: getattr(lines, name).copy() for name in names}
    gone = np.zeros(len(lines), bool)
    keys = set(lines.key.tolist())
    added: list[_Edge] = []
    for parting in partings:
        gone[parting.gone] = True
        sides = _two_lines(lines, parting)
        for side, (arms, new) in enumerate(zip(parting.arms, sides, strict=True)):
            streets = [street for street in parting.streets if street.side == side]
            added += _carriageway(lines, arms, new, streets, keys)
            for street in streets:
                for name, value in zip(names, new[[0, 1, 4], street.at], strict=True):
                    moved[name][street.node] = value
                if len(street.vertex):
                    gone[street.edge] = True
                    added.append(_street(lines, street, new))
        for numbers in parting.across:
            one, other = (parting.streets[number] for number in numbers)
            added.append(_link(lines, one, other, sides, keys))
    lines = dataclasses.replace(lines, **moved).select(~gone)
    return with_ends_at_nodes(_with_edges(lines, added))


def _with_own_nodes(
    lines: Centerlines, partings: list[Parting]
) -> tuple[Centerlines, list[Parting]]:
    """Give each of several streets that join a stretch at one node a node of its own."""
    source: list[int] = []
    keys: list[int] = []
    taken = set(lines.node_key.tolist())
    out = []
    for parting in partings:
        seen: set[int] = set()
        streets = []
        for street in parting.streets:
            if street.node in seen:
                keys.append(_new_key(lines, int(lines.node_key[street.node]), taken))
                source.append(street.node)
                street = street._replace(node=len(lines.node_key) + len(source) - 1)
            seen.add(street.node)
            streets.append(street)
        out.append(parting._replace(streets=streets))
    nodes = np.concatenate([np.arange(len(lines.node_key)), source]).astype(np.int64)
    fields: dict[str, Any] = {
        name: value[nodes] for name, value in vars(lines).items() if name.startswith("node_")
    }
    fields["node_key"][len(lines.node_key) :] = keys
    return dataclasses.replace(lines, **fields), out


def _new_key(lines: Centerlines, key: int, taken: set[int]) -> int:
    """Return a key, beyond the pixels of the grid, that is not taken yet, and take it."""
    while key in taken:
        key += lines.grid.width * lines.grid.height
    taken.add(key)
    return key


def _with_edges(lines: Centerlines, added: list[_Edge]) -> Centerlines:
    size = np.array([edge.vertices.shape[1] for edge in added])
    fields = np.concatenate([edge.vertices for edge in added], axis=1)
    vertices: dict[str, Any] = {}
    for name, value in zip(_VERTEX_FIELDS, fields, strict=True):
        before = getattr(lines, name)
        vertices[name] = np.concatenate([before, value]).astype(before.dtype)
    return dataclasses.replace(
        lines,
        start=np.concatenate([lines.start, [edge.start for edge in added]]).astype(np.int64),
        end=np.concatenate([lines.end, [edge.end for edge in added]]).astype(np.int64),
        key=np.concatenate([lines.key, [edge.key for edge in added]]).astype(np.int64),
        bridged=np.concatenate([lines.bridged, np.zeros(len(added), bool)]),
        offsets=np.concatenate([lines.offsets, lines.offsets[-1] + np.cumsum(size)]),
        **vertices,
    )


def _two_lines(lines: Centerlines, parting: Parting) -> tuple[_Floats, _Floats]:
    """Return the fields of the vertices of both lines between the cuts, (6, S) each."""
    course = parting.course
    low, high = extent(lines, course, np.array(parting.gone, np.int64), widened=False)
    at = np.arange(len(low))
    known = np.isfinite(low)
    # The curve is laid through the ends alone; the middle of the mask says where it leads.
    off = np.interp(at, at[known], (low[known] + high[known]) / 2)
    sigma = float(course.separation.mean())
    off = ndimage.gaussian_filter1d(off, sigma, mode="constant")
    off *= np.clip(np.minimum(at, at[::-1]) / sigma, 0, 1)
    vertex = lines.vertices_of(np.array(parting.gone, np.int64))
    near, _ = course.locate(np.stack([lines.row[vertex], lines.col[vertex]], axis=1))
    probability = np.zeros(len(low))
    np.maximum.at(probability, near[near >= 0], lines.probability[vertex][near >= 0])
    known = probability > 0
    probability = np.rint(np.interp(at, at[known], probability[known]))
    still = np.zeros(len(low))
    out = []
    for sign in (1, -1):
        place = course.centre + (off + sign * course.separation / 2)[:, None] * course.normal
        out.append(np.stack([*place.T, still, still, course.width, probability]))
    return out[0], out[1]


def _fields(lines: Centerlines, vertex: _Ints) -> _Floats:
    return np.stack([getattr(lines, name)[vertex].astype(np.float64) for name in _VERTEX_FIELDS])


def _beyond(lines: Centerlines, trail: Trail, cut: int) -> tuple[int, int, _Floats]:
    """Return what is left of the edge that is cut: its far node, its key, and its vertices."""
    piece = int(trail.piece[cut])
    vertex = trail.vertex[cut:][trail.piece[cut:] == piece]
    edge = int(lines.edge_of_vertex[vertex[-1]])
    return trail.nodes[piece], int(lines.key[edge]), _fields(lines, vertex)


def _carriageway(
    lines: Centerlines,
    arms: tuple[Trail, int, Trail, int],
    new: _Floats,
    streets: list[Street],
    keys: set[int],
) -> list[_Edge]:
    """Return the edges of one carriageway, from the node before to the one after."""
    start, first_key, before = _beyond(lines, arms[0], arms[1])
    end, last_key, after = _beyond(lines, arms[2], arms[3])
    vertices = np.concatenate([before[:, ::-1], new[:, 1:-1], after], axis=1)
    places = [0, *(before.shape[1] + street.at - 1 for street in streets), vertices.shape[1] - 1]
    nodes = [start, *(street.node for street in streets), end]
    if streets:
        inner = [_new_key(lines, int(lines.key[street.edge]), keys) for street in streets[1:]]
        names = [first_key, *inner, last_key]
    else:
        names = [min(first_key, last_key)]
    return [
        _Edge(nodes[n], nodes[n + 1], name, vertices[:, places[n] : places[n + 1] + 1])
        for n, name in enumerate(names)
    ]


def _street(lines: Centerlines, street: Street, new: _Floats) -> _Edge:
    """Return what is left of a road that joins a line, from the line on."""
    vertices = _fields(lines, street.vertex)
    joint = new[:, street.at : street.at + 1].copy()
    joint[2:5, 0] = np.nan, np.nan, vertices[4, 0]
    key = int(lines.key[street.edge])
    return _Edge(street.node, street.far, key, np.concatenate([joint, vertices], axis=1))


def _link(
    lines: Centerlines,
    one: Street,
    other: Street,
    sides: tuple[_Floats, _Floats],
    keys: set[int],
) -> _Edge:
    """Return the part, between the two lines, of a road that joins both."""
    first, last = sides[0][:, one.at], sides[1][:, other.at]
    count = max(int(np.hypot(*(last - first)[:2])), 2) + 1
    vertices = first[:, None] + np.linspace(0, 1, count) * (last - first)[:, None]
    widths = [lines.width_px[street.vertex] for street in (one, other) if len(street.vertex)]
    if widths:
        vertices[4] = np.nanmean([np.nanmedian(width) for width in widths])
    key = _new_key(lines, min(int(lines.key[street.edge]) for street in (one, other)), keys)
    return _Edge(one.node, other.node, key, vertices)
