"""Which centrelines stay: weak components, dangles, loops, small components."""

from __future__ import annotations

import numpy as np

from roadgis.arrays import Floats, Ints
from roadgis.network.attributes import clear_of_junctions, grouped_quantiles
from roadgis.network.centerlines import Centerlines
from roadgis.network.paths import components

__all__ = [
    "FULL",
    "drop_dangles",
    "drop_small_components",
    "drop_small_loops",
    "drop_weak_components",
    "mean_probability",
    "width_evenness",
]

#: Stored probability of what is certain.
FULL = 254.0
#: A dead end is sure from this mean probability.
_SURE = 0.9 * FULL


def _component(lines: Centerlines) -> Ints:
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


def _shares(lines: Centerlines) -> Floats:
    """Return the length that each vertex stands for, half of each step beside it, (V,) pixels."""
    step = np.hypot(np.diff(lines.row), np.diff(lines.col))
    # Steps between edges count for neither.
    step[lines.offsets[1:-1] - 1] = 0
    share = np.zeros(len(lines.row))
    share[:-1] += step / 2
    share[1:] += step / 2
    return share


def mean_probability(lines: Centerlines) -> Floats:
    """Return the mean stored probability of each edge's vertices, (E,), 0..254."""
    total = np.add.reduceat(lines.probability.astype(np.int64), lines.offsets[:-1])
    return np.asarray(total / np.diff(lines.offsets), np.float64)


def width_evenness(lines: Centerlines) -> tuple[Floats, Floats]:
    """Return each edge's median width, pixels, and its 10th percentile over that, (E,) twice.

    NaN where the width is not known.
    """
    use = clear_of_junctions(lines)
    median, low = grouped_quantiles(
        lines.edge_of_vertex[use], lines.width_px[use], len(lines), (0.5, 0.1)
    )
    return median, low / np.maximum(median, 1e-9)


def _weight(lines: Centerlines) -> Floats:
    """Return how much a metre counts at each vertex, (V,), 0..1.

    One when certain, a third at the threshold, nothing at a probability of 0.
    """
    threshold = lines.strong_level
    weight = np.interp(lines.probability, [0, threshold, FULL], [0.0, 1 / 3, 1.0])
    return np.asarray(weight, np.float64)


def drop_dangles(lines: Centerlines, factor: float, sure_share: float = 1.0) -> Centerlines:
    """Drop dead ends that are shorter than a multiple of the road's width where they branch off.

    Where a road forks at its end into short ones only, the longest stays: the road keeps
    its length, and nothing that was not a dead end becomes one.

    Parameters
    ----------
    lines : Centerlines
        Noded, without interstitial nodes.
    factor : float
        Multiple of the road's width.
    sure_share : float
        Share of that length from which sure dead ends stay: those of a mean probability of
        at least 0.9.
    """
    if not len(lines):
        return lines
    degree = lines.degree
    flip = degree[lines.start] == 1
    tip, root = np.where(flip, lines.start, lines.end), np.where(flip, lines.end, lines.start)
    length = lines.length_px + lines.node_reach_px[tip]
    short = (degree[tip] == 1) & (degree[root] > 1) & ~lines.node_exit[tip] & ~lines.bridged
    share = np.where(mean_probability(lines) >= _SURE, sure_share, 1.0)
    candidates = np.flatnonzero(short & (length < share * factor * lines.node_width_px[root]))
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
