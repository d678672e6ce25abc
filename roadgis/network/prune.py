"""Drop false roads: weak and small components, dangles, small loops, and what the rules find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from roadgis.arrays import Bools, Bytes, Floats, Ints, first_of_each
from roadgis.network.attributes import width_quantiles
from roadgis.network.centerlines import Centerlines
from roadgis.network.edit import merge_interstitial
from roadgis.network.paths import components
from roadgis.options.cleaning import RuleOptions


@dataclass(frozen=True)
class PruneTuning:
    """Constants of pruning.

    Decision 0034 has the effect of each step and rule on scores; the constants were not fitted.
    """

    #: A dead end is sure from this mean probability (decision 0034).
    sure_probability: float = 0.9
    #: What a metre at the threshold counts in a component's length; a certain one counts 1.
    weight_at_threshold: float = 1 / 3
    #: A line is patchy when less than this share of it is above the threshold.
    patchy_share: float = 0.7
    #: Its width is uneven when the 10th percentile is less than this share of the median.
    uneven_share: float = 0.4
    #: It is winding when it turns by more than this between stretches, on average, radians,
    winding_turn: float = 0.5
    #: each stretch being this many widths long.
    winding_widths: float = 2.0
    #: Fewest turns from which that average is taken.
    winding_turns: int = 3


TUNING = PruneTuning()
#: Stored probability of certain road.
_FULL = 254.0


def _component(lines: Centerlines) -> Ints:
    """Return the connected component of each edge, (E,)."""
    links = np.stack([lines.start, lines.end], axis=1)
    return components(len(lines.node_key), links)[lines.start]


def drop_weak_components(lines: Centerlines, strong_px: float) -> Centerlines:
    """Keep components that hold at least `strong_px` of pixels above the threshold.

    The second half of a hysteresis. The mask holds weak pixels too, because roads continue in the
    shade; a component that is weak throughout is not a road.
    """
    if not len(lines):
        return lines

    def strong(part: Centerlines) -> Floats:
        return np.where(part.probability >= lines.strong_level, _vertex_lengths(part), 0.0)

    return lines.select(_totals_of_components(lines, strong) >= strong_px)


def _totals_of_components(lines: Centerlines, measure: Callable[[Centerlines], Floats]) -> Floats:
    """Return for each edge, (E,), the total of its component; `measure` gives it by vertex."""
    component = _component(lines)
    total = np.zeros(len(lines.node_key))
    for edges, part in lines.portions():
        np.add.at(total, component[edges][part.edge_of_vertex], measure(part))
    return total[component]


def _vertex_lengths(lines: Centerlines) -> Floats:
    """Return each vertex's share of the length, half of both steps at it, (V,) pixels."""
    step = np.hypot(np.diff(lines.row), np.diff(lines.col))
    # Steps between edges count for neither.
    step[lines.offsets[1:-1] - 1] = 0
    length = np.zeros(len(lines.row))
    length[:-1] += step / 2
    length[1:] += step / 2
    return length


def _mean_probability(lines: Centerlines) -> Floats:
    """Return the mean stored probability of each edge's vertices, (E,), 0..254."""
    return _share(lines, lines.probability)


def _share(lines: Centerlines, value: Bytes | Bools) -> Floats:
    """Return the mean of the values of each edge's vertices, (E,)."""
    total = np.add.reduceat(value, lines.offsets[:-1], dtype=np.int64)
    return np.asarray(total / np.diff(lines.offsets), np.float64)


def _median_and_low_width(lines: Centerlines) -> tuple[Floats, Floats]:
    """Return each edge's median width and the 10th percentile, pixels; NaN where unknown."""
    median, low = width_quantiles(lines, (0.5, 0.1))
    return median, low


def drop_dangles(lines: Centerlines, factor: float, sure_share: float = 1.0) -> Centerlines:
    """Drop dead ends that are shorter than a multiple of the road's width where they branch off.

    1. A dead end that leaves the raster, or was bridged, stays.
    2. A sure one stays from `sure_share` of that length.
    3. Where a road forks at its end into short ones only, the longest stays: the road keeps its
       length, and no other edge becomes a dead end.

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
    length = lines.length_px + lines.node_shortening_px[tip]
    short = (degree[tip] == 1) & (degree[root] > 1)
    short &= ~lines.node_leaves_raster[tip] & ~lines.bridged  # 1.
    sure = _mean_probability(lines) >= TUNING.sure_probability * _FULL
    limit = np.where(sure, sure_share, 1.0) * factor * lines.node_width_px[root]  # 2.
    candidates = np.flatnonzero(short & (length < limit))
    if not len(candidates):
        return lines
    # 3. At each node, longest first: as many stay as the node lacks to have two ends.
    rank = np.lexsort([lines.key[candidates], -length[candidates], root[candidates]])
    candidates = candidates[rank]
    node = root[candidates]
    first = first_of_each(node)
    position = np.arange(len(node))
    position -= np.maximum.accumulate(np.where(first, position, 0))
    others = degree - np.bincount(node, minlength=len(degree))
    keep = np.ones(len(lines), bool)
    keep[candidates[position >= np.maximum(0, 2 - others[node])]] = False
    return lines.select(keep)


def drop_small_loops(lines: Centerlines, factor: float) -> Centerlines:
    """Drop edges that return to their junction within a multiple of the road's width.

    Rings without a junction are components of their own, and stay.
    """
    loop = (lines.start == lines.end) & (lines.degree[lines.start] > 2)
    short = lines.length_px < factor * lines.node_width_px[lines.start]
    return lines.select(~(loop & short))


def drop_small_components(lines: Centerlines, min_px: float) -> Centerlines:
    """Keep components with a total length of at least `min_px`, weighted by probability.

    A certain metre counts fully, one at the threshold a third, and others in proportion: so a
    short sure component may stay where a longer unsure one goes. Bridges count by their evidence.
    """
    if not len(lines):
        return lines
    removed = np.where(lines.degree == 1, lines.node_shortening_px, np.float32(0))

    def weighted(part: Centerlines) -> Floats:
        length = _vertex_lengths(part)
        np.add.at(length, part.offsets[:-1], removed[part.start])
        np.add.at(length, part.offsets[1:] - 1, removed[part.end])
        levels, weights = [0, lines.strong_level, _FULL], [0.0, TUNING.weight_at_threshold, 1.0]
        return length * np.interp(part.probability, levels, weights)

    return lines.select(_totals_of_components(lines, weighted) >= min_px)


def apply_rules(lines: Centerlines, options: RuleOptions) -> Centerlines:
    """Apply the enabled rules against false roads, one after the other.

    They judge dead ends and lone lines that are unsure: with a mean probability below half way
    from the threshold to 1. Edges that connect others, leave the raster or were bridged stay.
    """
    rules = {"patchy": drop_patchy, "uneven": drop_uneven, "winding": drop_winding}
    for entry in fields(options):
        if getattr(options, entry.name) and len(lines):
            lines = merge_interstitial(rules[entry.name](lines))
    return lines


def _unsure(lines: Centerlines) -> Bools:
    """Return the unsure dead ends and lone lines, (E,)."""
    degree = lines.degree
    free = (degree[lines.start] == 1) | (degree[lines.end] == 1)
    leaves = np.zeros(len(lines), bool)
    for node in (lines.start, lines.end):
        leaves |= (degree[node] == 1) & lines.node_leaves_raster[node]
    unsure = _mean_probability(lines) < (lines.strong_level + _FULL) / 2
    return np.asarray(free & ~leaves & ~lines.bridged & unsure, bool)


def drop_patchy(lines: Centerlines) -> Centerlines:
    """Drop unsure lines that keep falling below the threshold (hedges, field edges)."""
    share = _share(lines, lines.probability >= lines.strong_level)
    return lines.select(~(_unsure(lines) & (share < TUNING.patchy_share)))


def drop_uneven(lines: Centerlines) -> Centerlines:
    """Drop unsure lines whose width varies throughout (bare soil, banks, streams)."""
    median, low = _median_and_low_width(lines)
    uneven = low / np.maximum(median, 1e-9) < TUNING.uneven_share
    return lines.select(~(_unsure(lines) & uneven))


def drop_winding(lines: Centerlines) -> Centerlines:
    """Drop unsure lines that keep turning, one way and the other (streams).

    The turn is the mean angle between one stretch of two road widths and the next.
    """
    unsure = np.flatnonzero(_unsure(lines))
    if not len(unsure):
        return lines
    some = lines.take(unsure)
    width, _ = _median_and_low_width(some)
    step = np.maximum(np.nan_to_num(width) * TUNING.winding_widths, 2.0)
    along, _ = some.distance_along
    edge = some.edge_of_vertex
    # The first vertex of each stretch.
    stretch = np.floor(along / step[edge]).astype(np.int64)
    first = np.flatnonzero(first_of_each(stretch) | first_of_each(edge))
    d_row, d_col = np.diff(some.row[first]), np.diff(some.col[first])
    inside = edge[first][1:] == edge[first][:-1]
    heading = np.arctan2(d_row, d_col)
    turn = np.abs((np.diff(heading) + np.pi) % (2 * np.pi) - np.pi)
    both = inside[1:] & inside[:-1]
    at = edge[first][1:-1][both]
    count = np.bincount(at, minlength=len(some))
    mean = np.bincount(at, weights=turn[both], minlength=len(some)) / np.maximum(count, 1)
    winding = (count >= TUNING.winding_turns) & (mean > TUNING.winding_turn)
    keep = np.ones(len(lines), bool)
    keep[unsure[winding]] = False
    return lines.select(keep)
