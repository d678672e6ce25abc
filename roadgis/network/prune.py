"""Which centrelines stay: weak components and tails, dangles, loops, small components."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from roadgis.network.attributes import clear_of_junctions, grouped_quantiles
from roadgis.network.centerlines import Centerlines, concatenated_ranges
from roadgis.network.paths import components

__all__ = [
    "FULL",
    "cut_weak_tails",
    "drop_dangles",
    "drop_small_components",
    "drop_small_loops",
    "drop_weak_components",
    "mean_probability",
    "width_evenness",
]

#: Stored probability of what is certain.
FULL = 254.0
#: A dead end is sure from this mean probability,
_SURE = 0.9 * FULL
#: of even width when these quantiles differ by no more than this (at its tip it tapers),
_MOST, _EVEN = (0.75, 0.4), 0.8
#: and clearly longer than wide when it leaves its road's border by this many of its widths,
#: and by that road's width, for what tapers into a corner is narrow but no road;
_CLEAR = 2.0
#: or by this many of its widths where it is nearly as wide as its road.
_AS_LONG, _AS_WIDE = 0.75, 0.75
#: An unsure dead end is dropped up to this many times the length of others.
_WEAK = 1.5


def _component(lines: Centerlines) -> npt.NDArray[np.int64]:
    """Return the connected component of each edge, (E,)."""
    links = np.stack([lines.start, lines.end], axis=1)
    return components(len(lines.node_key), links)[lines.start]


def drop_weak_components(lines: Centerlines, strong_px: float) -> Centerlines:
    """Keep components that hold at least `strong_px` of pixels above the threshold.

    The second half of a hysteresis: the mask holds weak pixels too, because a road goes on
    in the shade; what is weak from end to end is none.
    """
    if not len(lines):
        return lines
    strong = lines.probability >= lines.strong_level
    component = _component(lines)
    weights = np.where(strong, _shares(lines), 0.0)
    total = np.bincount(component[lines.edge_of_vertex], weights=weights)
    return lines.select(total[component] >= strong_px)


def _shares(lines: Centerlines) -> npt.NDArray[np.float64]:
    """Return the length that each vertex stands for, half of each step beside it, (V,) pixels."""
    step = np.hypot(np.diff(lines.row), np.diff(lines.col))
    # Steps between edges count for neither.
    step[lines.offsets[1:-1] - 1] = 0
    share = np.zeros(len(lines.row))
    share[:-1] += step / 2
    share[1:] += step / 2
    return share


def mean_probability(lines: Centerlines) -> npt.NDArray[np.float64]:
    """Return the mean stored probability of each edge's vertices, (E,), 0..254."""
    total = np.add.reduceat(lines.probability.astype(np.int64), lines.offsets[:-1])
    return np.asarray(total / np.diff(lines.offsets), np.float64)


def width_evenness(
    lines: Centerlines,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return each edge's median width, pixels, and its 10th percentile over that, (E,) twice.

    NaN where the width is not known.
    """
    use = clear_of_junctions(lines)
    median, low = grouped_quantiles(
        lines.edge_of_vertex[use], lines.width_px[use], len(lines), (0.5, 0.1)
    )
    return median, low / np.maximum(median, 1e-9)


def cut_weak_tails(lines: Centerlines, min_px: float) -> Centerlines:
    """Cut dead ends back to their last vertex above the threshold.

    The hysteresis at the ends: a road goes on in the shade to where it is seen again; where
    it is not, there is nothing to say that it goes on. Dead ends at the raster's edge or at
    no data stay, and so do those without any vertex above the threshold, which other steps
    judge.

    Parameters
    ----------
    lines : Centerlines
        Noded.
    min_px : float
        Tails shorter than this stay; 0 leaves all.
    """
    if not len(lines) or min_px == 0:
        return lines
    strong = lines.probability >= lines.strong_level
    at = np.arange(len(strong))
    low = np.minimum.reduceat(np.where(strong, at, len(at)), lines.offsets[:-1])
    high = np.maximum.reduceat(np.where(strong, at, -1), lines.offsets[:-1])
    from_start, from_end = lines.arcs
    free = (lines.degree == 1) & ~lines.node_exit
    some = (high > low) & ~lines.bridged
    cut_start = some & free[lines.start] & (from_start[low % len(at)] >= min_px)
    cut_end = some & free[lines.end] & (from_end[high] >= min_px)
    if not (cut_start.any() or cut_end.any()):
        return lines
    begin = np.where(cut_start, low, lines.offsets[:-1])
    stop = np.where(cut_end, high + 1, lines.offsets[1:])
    lines = _with_tips(lines, lines.start[cut_start], low[cut_start])
    lines = _with_tips(lines, lines.end[cut_end], high[cut_end])
    vertices = concatenated_ranges(begin, stop)
    return dataclasses.replace(
        lines,
        offsets=np.concatenate([[0], np.cumsum(stop - begin)]).astype(np.int64),
        **{name: getattr(lines, name)[vertices] for name in _VERTEX_FIELDS},
    )


def _with_tips(
    lines: Centerlines, node: npt.NDArray[np.int64], vertex: npt.NDArray[np.int64]
) -> Centerlines:
    """Move the nodes of dead ends to vertices of their edges."""
    changed = {name: getattr(lines, name).copy() for name in _NODE_FIELDS}
    changed["node_row"][node] = lines.row[vertex]
    changed["node_col"][node] = lines.col[vertex]
    pixel = np.rint(lines.row[vertex]) * lines.grid.width + np.rint(lines.col[vertex])
    changed["node_key"][node] = pixel.astype(np.int64)
    changed["node_width_px"][node] = lines.width_px[vertex]
    # The line was not thinned away here: it ends where it is cut.
    changed["node_reach_px"][node] = 0
    return dataclasses.replace(lines, **changed)


_VERTEX_FIELDS = ("row", "col", "d_row", "d_col", "width_px", "probability")
_NODE_FIELDS = ("node_row", "node_col", "node_key", "node_width_px", "node_reach_px")


def _weight(lines: Centerlines) -> npt.NDArray[np.float64]:
    """Return how much a metre counts at each vertex, (V,), 0..1.

    One when certain, a third at the threshold, nothing at a probability of 0.
    """
    threshold = lines.strong_level
    weight = np.interp(lines.probability, [0, threshold, FULL], [0.0, 1 / 3, 1.0])
    return np.asarray(weight, np.float64)


def drop_dangles(lines: Centerlines, factor: float, *, by_evidence: bool = False) -> Centerlines:
    """Drop dead ends that are shorter than a multiple of the road's width where they branch off.

    Where a road forks at its end into short ones only, the longest stays: the road keeps
    its length, and nothing that was not a dead end becomes one.

    Parameters
    ----------
    lines : Centerlines
        Noded, without interstitial nodes.
    factor : float
        Multiple of the road's width.
    by_evidence : bool
        Whether sure dead ends of even width stay when they are clearly longer than wide,
        and unsure ones go up to one and a half times that length.
    """
    if not len(lines):
        return lines
    degree = lines.degree
    flip = degree[lines.start] == 1
    tip, root = np.where(flip, lines.start, lines.end), np.where(flip, lines.end, lines.start)
    length = lines.length_px + lines.node_reach_px[tip]
    short = (degree[tip] == 1) & (degree[root] > 1) & ~lines.node_exit[tip] & ~lines.bridged
    width = lines.node_width_px[root]
    longest = _WEAK if by_evidence else 1.0
    candidates = np.flatnonzero(short & (length < longest * factor * width))
    if by_evidence and len(candidates):
        length_there, width_there = length[candidates], width[candidates]
        clear, weak = _judged(
            _some_of(lines, candidates), length_there - width_there / 2, width_there
        )
        limit = np.where(weak, _WEAK, 1.0) * factor * width_there
        candidates = candidates[~clear & (length_there < limit)]
    if not len(candidates):
        return lines
    # At each node, longest first: as many stay as the node lacks to remain a passage.
    rank = np.lexsort([lines.key[candidates], -length[candidates], root[candidates]])
    candidates = candidates[rank]
    node = root[candidates]
    first = np.concatenate([[True], node[1:] != node[:-1]])
    position = np.arange(len(node)) - np.maximum.accumulate(
        np.where(first, np.arange(len(node)), 0)
    )
    others = degree - np.bincount(node, minlength=len(degree))
    keep = np.ones(len(lines), bool)
    keep[candidates[position >= np.maximum(0, 2 - others[node])]] = False
    return lines.select(keep)


def _some_of(lines: Centerlines, edges: npt.NDArray[np.int64]) -> Centerlines:
    """Return some of the edges, whose nodes keep the degree that all edges give them."""
    some = lines.take(edges)
    vars(some)["degree"] = lines.degree
    return some


def _judged(
    lines: Centerlines,
    beyond_px: npt.NDArray[np.floating[Any]],
    root_width_px: npt.NDArray[np.floating[Any]],
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return which edges are clearly roads for their length, and which are unsure, (E,) bool."""
    mean = mean_probability(lines)
    use = clear_of_junctions(lines)
    width, low = grouped_quantiles(
        lines.edge_of_vertex[use], lines.width_px[use], len(lines), _MOST
    )
    least = np.where(
        width >= _AS_WIDE * root_width_px,
        _AS_LONG * width,
        np.maximum(_CLEAR * width, root_width_px),
    )
    clear = (mean >= _SURE) & (low >= _EVEN * width) & (beyond_px >= least)
    return clear, mean < (lines.strong_level + FULL) / 2


def drop_small_loops(lines: Centerlines, factor: float) -> Centerlines:
    """Drop edges that return to their junction within a multiple of the road's width.

    Rings without a junction are components of their own and are not judged here.
    """
    loop = (lines.start == lines.end) & (lines.degree[lines.start] > 2)
    short = lines.length_px < factor * lines.node_width_px[lines.start]
    return lines.select(~(loop & short))


def drop_small_components(lines: Centerlines, min_px: float) -> Centerlines:
    """Keep components with a total length of at least `min_px`, each metre by how sure it is.

    The score of a component is its length, in which a certain metre counts fully, one at
    the threshold a third, and others in proportion: so a short sure one may stay where a
    longer unsure one goes. What was inferred across gaps counts by its evidence, too.
    """
    if not len(lines):
        return lines
    component = _component(lines)
    reach = np.where(lines.degree == 1, lines.node_reach_px, np.float32(0))
    share = _shares(lines)
    np.add.at(share, lines.offsets[:-1], reach[lines.start])
    np.add.at(share, lines.offsets[1:] - 1, reach[lines.end])
    score = np.bincount(component[lines.edge_of_vertex], weights=share * _weight(lines))
    return lines.select(score[component] >= min_px)
