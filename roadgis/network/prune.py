"""Which centrelines stay: weak components, dangles, small loops, small components."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from roadgis.network.centerlines import Centerlines
from roadgis.network.paths import components

__all__ = ["drop_dangles", "drop_small_components", "drop_small_loops", "drop_weak_components"]


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
    # A vertex stands for half of each step beside it; steps between edges count for neither.
    step = np.hypot(np.diff(lines.row), np.diff(lines.col))
    step[lines.offsets[1:-1] - 1] = 0
    share = np.zeros(len(strong))
    share[:-1] += step / 2
    share[1:] += step / 2
    component = _component(lines)
    total = np.bincount(component[lines.edge_of_vertex], weights=np.where(strong, share, 0.0))
    return lines.select(total[component] >= strong_px)


def drop_dangles(lines: Centerlines, factor: float) -> Centerlines:
    """Drop dead ends that are shorter than a multiple of the road's width where they branch off.

    Where a road forks at its end into short ones only, the longest stays: the road keeps
    its length, and nothing that was not a dead end becomes one.
    """
    if not len(lines):
        return lines
    degree = lines.degree
    flip = degree[lines.start] == 1
    tip, root = np.where(flip, lines.start, lines.end), np.where(flip, lines.end, lines.start)
    length = lines.length_px + lines.node_reach_px[tip]
    short = (
        (degree[tip] == 1)
        & (degree[root] > 1)
        & ~lines.node_exit[tip]
        & (length < factor * lines.node_width_px[root])
    )
    candidates = np.flatnonzero(short)
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


def drop_small_loops(lines: Centerlines, factor: float) -> Centerlines:
    """Drop edges that return to their junction within a multiple of the road's width.

    Rings without a junction are components of their own and are not judged here.
    """
    loop = (lines.start == lines.end) & (lines.degree[lines.start] > 2)
    short = lines.length_px < factor * lines.node_width_px[lines.start]
    return lines.select(~(loop & short))


def drop_small_components(lines: Centerlines, min_px: float) -> Centerlines:
    """Keep components with a total length of at least `min_px`."""
    if not len(lines):
        return lines
    component = _component(lines)
    degree = lines.degree
    reach = np.where(degree == 1, lines.node_reach_px, np.float32(0))
    length = lines.length_px + reach[lines.start] + reach[lines.end]
    return lines.select(np.bincount(component, weights=length)[component] >= min_px)
