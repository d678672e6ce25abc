"""Cleaning: raw centrelines to a road network, by decisions on the graph."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from roadgis.errors import InputError
from roadgis.network.attributes import edge_attributes
from roadgis.network.centerlines import Centerlines, merge_interstitial
from roadgis.network.junctions import contract_junctions
from roadgis.network.network import RoadNetwork
from roadgis.network.prune import (
    drop_dangles,
    drop_small_components,
    drop_small_loops,
    drop_weak_components,
)
from roadgis.network.shape import edge_shapes

__all__ = ["CleanOptions", "clean_network"]


@dataclass(frozen=True)
class CleanOptions:
    """How raw centrelines become a network.

    Attributes
    ----------
    dangle_factor : float
        Dead ends and loops shorter than this many road widths are dropped; 0 keeps all.
    junction_factor : float
        Junctions nearer to each other than this many road widths become one; 0 keeps all.
    min_component_m : float
        Connected roads shorter than this in total are dropped.
    min_strong_m : float
        Connected roads with less than this above the threshold are dropped.
    smooth_m : float
        Standard deviation of the smoothing along the line.
    tolerance_m : float
        Largest distance between a line and its simplified shape.
    """

    dangle_factor: float = 2.5
    junction_factor: float = 1.0
    min_component_m: float = 60.0
    min_strong_m: float = 20.0
    smooth_m: float = 3.0
    tolerance_m: float = 0.5

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value >= 0):
                raise InputError(
                    f"{field.name} is {value}; a number of 0 or more is expected. Correct it."
                )


def clean_network(lines: Centerlines, options: CleanOptions | None = None) -> RoadNetwork:
    """Turn raw centrelines into a road network.

    In this order: weak components, dangles and small loops, crossings made of two
    junctions, small components; then shape and attributes. Gaps are bridged between the
    dangles and the crossings by whoever adds it: there dead ends are real ones, and ends
    still lie on pixels.

    Parameters
    ----------
    lines : Centerlines
        As traced.
    options : CleanOptions, optional
        What to drop and how much to smooth.

    Returns
    -------
    RoadNetwork
        Nodes in the order of their lowest pixel, edges in the order of their nodes; each
        edge from its lower node to its higher one.
    """
    options = options or CleanOptions()
    gsd = lines.grid.gsd_m
    lines = merge_interstitial(drop_weak_components(lines, options.min_strong_m / gsd))
    lines = _pruned(lines, options.dangle_factor)
    lines = _pruned(contract_junctions(lines, options.junction_factor), options.dangle_factor)
    lines = _ordered(drop_small_components(lines, options.min_component_m / gsd))
    if not len(lines):
        return RoadNetwork.empty(lines.grid.crs)
    attributes = edge_attributes(lines)
    shapes, nodes = edge_shapes(
        lines, attributes.width_m / gsd, options.smooth_m / gsd, options.tolerance_m
    )
    used, index = np.unique(np.concatenate([lines.start, lines.end]), return_inverse=True)
    return RoadNetwork(
        crs=lines.grid.crs,
        edges=shapes,
        start=index[: len(lines)].astype(np.int64),
        end=index[len(lines) :].astype(np.int64),
        width_m=attributes.width_m,
        confidence=attributes.confidence,
        confidence_min=attributes.confidence_min,
        nodes=nodes[used],
    )


def _pruned(lines: Centerlines, factor: float) -> Centerlines:
    """Drop dangles and small loops until there are none; what they leave is merged each time."""
    while True:
        count = len(lines)
        lines = merge_interstitial(drop_small_loops(drop_dangles(lines, factor), factor))
        if len(lines) == count:
            return lines


def _ordered(lines: Centerlines) -> Centerlines:
    """Return the edges in the order of their nodes; nodes are in the order of their pixels."""
    lines = lines.reversed_where(lines.start > lines.end)
    rank = np.lexsort([lines.key, lines.end, lines.start])
    return lines.take(rank)
