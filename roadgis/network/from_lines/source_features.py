"""From which lines the edges of a network come, and what those tell about them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from roadgis.arrays import Floats, Ints, Lines
from roadgis.network.attributes import grouped_quantiles
from roadgis.network.centerlines import concatenated_ranges
from roadgis.probability.raster_sampling import sampled_levels
from roadgis.probability.source import NO_DATA, ProbabilitySource

__all__ = ["Origin", "find_origin"]

#: An edge is looked at in this many places, or each so many metres.
_FEWEST, _MOST, _EACH_M = 3, 15, 10.0


@dataclass(frozen=True)
class Origin:
    """Places along E edges, evenly spread, and the lines that are there; M of them.

    Attributes
    ----------
    line : ndarray of int64, shape (E,)
        The line that is at most of an edge's places; -1 where there is none at half of them.
    edge, at : ndarray of int64, shape (M,)
        Edge and line of each place; a place on several lines occurs for each.
    xy : ndarray of float64, shape (S, 2)
        All places, those without a line too.
    edge_of_place : ndarray of int64, shape (S,)
        Their edges.
    """

    line: Ints
    edge: Ints
    at: Ints
    xy: Floats
    edge_of_place: Ints

    def quantiles(self, values: Floats, shares: tuple[float, ...]) -> list[Floats]:
        """Return quantiles, along each edge, of what is known of lines; NaN where nothing is.

        Parameters
        ----------
        values : ndarray of float64, shape (L,)
            One for each line; NaN where not known.
        shares : tuple of float
            Which quantiles, 0..1.
        """
        known = np.isfinite(values[self.at])
        return grouped_quantiles(self.edge[known], values[self.at[known]], len(self.line), shares)

    def mean_and_least(self, values: Floats) -> tuple[Floats, Floats]:
        """Return the mean and the least along each edge, (E,) each; NaN where nothing is known."""
        known = np.isfinite(values[self.at])
        edge, value = self.edge[known], values[self.at[known]]
        count = np.bincount(edge, minlength=len(self.line))
        total = np.bincount(edge, weights=value, minlength=len(self.line))
        least = np.full(len(self.line), np.inf)
        np.minimum.at(least, edge, value)
        some = count > 0
        mean = np.where(some, total / np.maximum(count, 1), np.nan)
        return mean, np.where(some, least, np.nan)

    def seen_share(self, source: ProbabilitySource) -> Floats:
        """Return the share of each edge's places where a raster has data, (E,)."""
        grid = source.grid
        row = (grid.y0 - self.xy[:, 1]) / grid.gsd_m - 0.5
        col = (self.xy[:, 0] - grid.x0) / grid.gsd_m - 0.5
        level = sampled_levels(source, row, col)
        seen = np.bincount(self.edge_of_place, weights=level != NO_DATA, minlength=len(self.line))
        count = np.bincount(self.edge_of_place, minlength=len(self.line))
        return np.asarray(seen / count.clip(1), np.float64)


def find_origin(edges: Lines, lines: Lines, reach_m: float) -> Origin:
    """Find which line each edge mostly runs along.

    Parameters
    ----------
    edges : ndarray of LineString, shape (E,)
        Of the network.
    lines : ndarray of LineString, shape (L,)
        In the same metric CRS.
    reach_m : float
        How far from its line an edge can be.
    """
    length = shapely.length(edges)
    count = np.clip(np.ceil(length / _EACH_M), _FEWEST, _MOST).astype(np.int64)
    edge = np.repeat(np.arange(len(edges)), count)
    number = concatenated_ranges(np.zeros_like(count), count)
    share = (number + 0.5) / count[edge]
    points = shapely.line_interpolate_point(edges[edge], share, normalized=True)
    if not len(edges) or not len(lines):
        none = np.empty(0, np.int64)
        return Origin(np.full(len(edges), -1), none, none, shapely.get_coordinates(points), edge)
    place, at = shapely.STRtree(lines).query_nearest(points, max_distance=reach_m)
    xy = shapely.get_coordinates(points)
    # The line at most places; of several, that with the lowest coordinates.
    order = np.empty(len(lines), np.int64)
    order[np.lexsort(shapely.bounds(lines).T)] = np.arange(len(lines))
    pair, votes = np.unique(np.stack([edge[place], order[at]], axis=1), axis=0, return_counts=True)
    rank = np.lexsort([-pair[:, 1], votes, pair[:, 0]])
    line = np.full(len(edges), -1)
    line[pair[rank, 0]] = np.argsort(order)[pair[rank, 1]]
    found = np.bincount(np.unique(place), minlength=len(edge)) > 0
    some = np.bincount(edge, weights=found, minlength=len(edges)) >= count / 2
    return Origin(np.where(some, line, -1), edge[place], at, xy, edge)
