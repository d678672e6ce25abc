"""Rules against false roads: what hedges, field edges and streams look like."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from roadgis.arrays import Bools
from roadgis.network.centerlines import Centerlines, merge_interstitial
from roadgis.network.options import RuleOptions
from roadgis.network.prune import FULL, mean_probability, width_evenness

__all__ = ["apply_rules", "drop_patchy", "drop_uneven", "drop_winding"]

#: A line is patchy when less than this share of it is above the threshold,
_PATCHY = 0.7
#: uneven when the 10th percentile of its width is less than this share of the median,
_UNEVEN = 0.4
#: and winding when it turns by more than this on average in a road's width, radians,
_WINDING = 0.5
#: its direction being taken over this many widths.
_STRIDE = 2.0


def apply_rules(lines: Centerlines, options: RuleOptions) -> Centerlines:
    """Apply the rules on lines that are on, one after the other; what they leave is merged.

    They judge dead ends and lone lines that are unsure: of a mean probability below half way
    from the threshold to 1. What connects, leaves the raster, or was inferred across a gap
    is not theirs.
    """
    rules: list[tuple[bool, Callable[[Centerlines], Centerlines]]] = [
        (options.patchy, drop_patchy),
        (options.uneven, drop_uneven),
        (options.winding, drop_winding),
    ]
    for on, rule in rules:
        if on and len(lines):
            lines = merge_interstitial(rule(lines))
    return lines


def _doubtful(lines: Centerlines) -> Bools:
    """Return the unsure dead ends and lone lines, (E,) bool."""
    degree = lines.degree
    free = (degree[lines.start] == 1) | (degree[lines.end] == 1)
    leaves = np.zeros(len(lines), bool)
    for node in (lines.start, lines.end):
        leaves |= (degree[node] == 1) & lines.node_exit[node]
    unsure = mean_probability(lines) < (lines.strong_level + FULL) / 2
    return np.asarray(free & ~leaves & ~lines.bridged & unsure, bool)


def drop_patchy(lines: Centerlines) -> Centerlines:
    """Drop unsure dead ends and lone lines of which too little is above the threshold."""
    strong = (lines.probability >= lines.strong_level).astype(np.int64)
    share = np.add.reduceat(strong, lines.offsets[:-1]) / np.diff(lines.offsets)
    return lines.select(~(_doubtful(lines) & (share < _PATCHY)))


def drop_uneven(lines: Centerlines) -> Centerlines:
    """Drop unsure dead ends and lone lines whose width changes all along."""
    _, even = width_evenness(lines)
    return lines.select(~(_doubtful(lines) & (even < _UNEVEN)))


def drop_winding(lines: Centerlines) -> Centerlines:
    """Drop unsure dead ends and lone lines that keep turning, one way and the other.

    The turn is the mean angle between one stretch of two road widths and the next.
    """
    doubtful = np.flatnonzero(_doubtful(lines))
    if not len(doubtful):
        return lines
    some = lines.take(doubtful)
    width, _ = width_evenness(some)
    step = np.maximum(np.nan_to_num(width) * _STRIDE, 2.0)
    arc, _ = some.arcs
    edge = some.edge_of_vertex
    # The first vertex of each stretch.
    stretch = np.floor(arc / step[edge]).astype(np.int64)
    first = np.flatnonzero(
        np.concatenate([[True], (stretch[1:] != stretch[:-1]) | (edge[1:] != edge[:-1])])
    )
    d_row, d_col = np.diff(some.row[first]), np.diff(some.col[first])
    inside = edge[first][1:] == edge[first][:-1]
    heading = np.arctan2(d_row, d_col)
    turn = np.abs((np.diff(heading) + np.pi) % (2 * np.pi) - np.pi)
    both = inside[1:] & inside[:-1]
    at = edge[first][1:-1][both]
    count = np.bincount(at, minlength=len(some))
    mean = np.bincount(at, weights=turn[both], minlength=len(some)) / np.maximum(count, 1)
    winding = (count >= 3) & (mean > _WINDING)
    keep = np.ones(len(lines), bool)
    keep[doubtful[winding]] = False
    return lines.select(keep)
