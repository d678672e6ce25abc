"""Clean raw centrelines: the steps and their order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from roadgis.heap import trim_heap
from roadgis.network.attributes import edge_attributes
from roadgis.network.bridging.bridge import bridge_gaps
from roadgis.network.centerlines import Centerlines
from roadgis.network.edit import merge_interstitial, take_nodes
from roadgis.network.junctions import contract_junctions
from roadgis.network.network import RoadNetwork
from roadgis.network.parallels import merge_parallels
from roadgis.network.prune import (
    apply_rules,
    drop_dangles,
    drop_small_components,
    drop_small_loops,
    drop_weak_components,
)
from roadgis.network.shape.edge_shapes import edge_shapes
from roadgis.options.cleaning import CleanOptions
from roadgis.probability.source import ProbabilitySource
from roadgis.why_empty import Removed


def clean_network(
    lines: Centerlines,
    options: CleanOptions | None = None,
    *,
    source: ProbabilitySource | None = None,
) -> RoadNetwork:
    """Turn raw centrelines into a road network: :func:`cleaned_lines`, :func:`network_of_lines`.

    Parameters
    ----------
    lines : Centerlines
        As traced.
    options : CleanOptions, optional
        Settings of the steps.
    source : ProbabilitySource, optional
        Probability on the lines' grid, as evidence for bridges. Without it, geometry alone
        decides.
    """
    options = options or CleanOptions()
    return network_of_lines(cleaned_lines(lines, options, source=source), options)


def network_of_lines(lines: Centerlines, options: CleanOptions) -> RoadNetwork:
    """Give cleaned lines their shape and attributes.

    Parameters
    ----------
    lines : Centerlines
        As :func:`cleaned_lines` returns them.
    options : CleanOptions
        How much to smooth.

    Returns
    -------
    RoadNetwork
        Nodes in the order of their lowest pixel, edges in the order of their nodes; each
        edge from its lower node to its higher one.
    """
    if not len(lines):
        return RoadNetwork.empty(lines.grid.crs)
    trim_heap()
    gsd = lines.grid.gsd_m
    attributes = edge_attributes(lines)
    shapes, nodes = edge_shapes(
        lines, np.nan_to_num(attributes.width_m / gsd), options.smooth_m / gsd, options.tolerance_m
    )
    return RoadNetwork(
        crs=lines.grid.crs,
        edges=shapes,
        start=lines.start,
        end=lines.end,
        nodes=nodes,
        bridged=lines.bridged,
        **attributes._asdict(),
    )


def cleaned_lines(
    lines: Centerlines, options: CleanOptions, *, source: ProbabilitySource | None = None
) -> Centerlines:
    """Apply the steps of cleaning, on lines that still lie on pixels.

    1. Drop components with too little above the threshold (hysteresis).
    2. Drop dangles and small loops; then contract junctions, and drop what dangles after that.
    3. Merge carriageways, if asked for.
    4. Bridge gaps: now dead ends are real ones.
    5. Apply the rules against false roads.
    6. Drop components that are small for how sure they are: last, so that a bridge can save the
       piece behind it.

    Parameters
    ----------
    lines : Centerlines
        As traced.
    source : ProbabilitySource, optional
        Probability on the lines' grid.

    Returns
    -------
    Centerlines
        Only nodes in use, in the order of their keys; edges in the order of their nodes.
    """
    steps = _steps(options, lines.grid.gsd_m, source)
    # A copy, so that cached properties are not kept with the caller's lines.
    held = [replace(lines)]
    del lines
    for step in steps:
        trim_heap()
        held.append(step.run(held))
    trim_heap()
    return _ordered(held.pop())


def removed_by_cleaning(
    lines: Centerlines, options: CleanOptions, *, source: ProbabilitySource | None = None
) -> tuple[Removed, ...]:
    """Return what each step of :func:`cleaned_lines` removes, if anything."""
    gsd = lines.grid.gsd_m
    removed = []
    lines = replace(lines)
    for step in _steps(options, gsd, source):
        before = float(lines.length_px.sum())
        lines = step.run([lines])
        metres = (before - float(lines.length_px.sum())) * gsd
        if step.what and metres > 0.5:
            removed.append(Removed(step.what, metres, step.advice))
    return tuple(removed)


class _Step(NamedTuple):
    """A step of cleaning: what it removes, the option that keeps that, and the step itself.

    The step takes the lines out of a list. So nobody holds them any more while it makes new ones:
    of large networks the memory has room for two.
    """

    what: str
    advice: str
    run: Callable[[list[Centerlines]], Centerlines]


def _steps(
    options: CleanOptions, gsd: float, source: ProbabilitySource | None
) -> tuple[_Step, ...]:
    def hysteresis(held: list[Centerlines]) -> Centerlines:
        return merge_interstitial(drop_weak_components(held.pop(), options.min_strong_m / gsd))

    def junctions(held: list[Centerlines]) -> Centerlines:
        return _pruned(contract_junctions(held.pop(), options.junction_factor), options)

    return (
        _Step(
            f"pieces with less than {options.min_strong_m:g} m above the threshold",
            "a lower --threshold",
            hysteresis,
        ),
        _Step("dead ends", "--min-dangle 0", lambda held: _pruned(held.pop(), options)),
        _Step("dead ends", "--min-dangle 0", junctions),
        _Step(
            "second carriageways",
            "no --merge-carriageways",
            lambda held: merge_parallels(held.pop(), options.parallels),
        ),
        _Step("", "", lambda held: bridge_gaps(held.pop(), options.bridge, source)),
        _Step(
            "false roads",
            "--no-rule all",
            lambda held: _pruned(apply_rules(held.pop(), options.rules), options),
        ),
        _Step(
            f"pieces shorter than {options.min_component_m:g} m",
            "--min-component 0",
            lambda held: drop_small_components(held.pop(), options.min_component_m / gsd),
        ),
    )


def _pruned(lines: Centerlines, options: CleanOptions) -> Centerlines:
    """Drop dangles and small loops until there are none; merge edges after each round."""
    factor = options.dangle_factor
    while True:
        count = len(lines)
        lines = drop_dangles(lines, factor, options.sure_dangle_share)
        lines = merge_interstitial(drop_small_loops(lines, factor))
        if len(lines) == count:
            return lines


def _ordered(lines: Centerlines) -> Centerlines:
    """Return the edges in the order of their nodes, and the nodes in use in that of their pixels.

    Steps that split edges append nodes, so numbers alone do not give the order.
    """
    used = np.unique(np.concatenate([lines.start, lines.end]))
    rank = np.lexsort([lines.node_col[used], lines.node_row[used], lines.node_key[used]])
    lines = take_nodes(lines, used[rank])
    flip = lines.start > lines.end
    low, high = np.minimum(lines.start, lines.end), np.maximum(lines.start, lines.end)
    order = np.lexsort([lines.key, high, low])
    return lines.take(order, flip[order])
