"""Geometry of the whole town: roads anywhere, and the exact network of a scene."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import shapely
from shapely import Polygon

from roadgis.network.network import RoadNetwork
from roadgis.options.synthetic import CELL_M, TownOptions
from roadgis.synthetic.land_cover import LandCover, make_land_cover
from roadgis.synthetic.streets import local_roads
from roadgis.synthetic.through_streets import Road, StreetLattice
from roadgis.synthetic.truth import node_roads

#: Radius of the turning circle at a dead end.
BULB_RADIUS_M = 11.0

Bounds = tuple[float, float, float, float]


class Layout:
    """Roads and land cover of a town without borders, computed on demand.

    Parameters
    ----------
    options : TownOptions
        Only `seed`, `repeating` and, for :meth:`network`, size and place are used.
    """

    def __init__(self, options: TownOptions) -> None:
        self.options = options
        self.lattice = StreetLattice(options.seed, options.repeating)
        self._local = lru_cache(maxsize=256)(self._make_local)
        self._lots = lru_cache(maxsize=64)(self._make_lots)

    def _make_local(self, i: int, j: int) -> tuple[Road, ...]:
        return tuple(local_roads(self.lattice, i, j))

    def _make_lots(self, i: int, j: int) -> LandCover:
        return make_land_cover(self.lattice, i, j, list(self._local(i, j)))

    @staticmethod
    def districts(bounds: Bounds) -> Iterator[tuple[int, int]]:
        """Yield the districts that may reach into (left, top, right, bottom), town metres."""
        left, top, right, bottom = (value / CELL_M for value in bounds)
        for j in range(math.floor(top - 1.8), math.floor(bottom - 0.2) + 1):
            for i in range(math.floor(left - 1.8), math.floor(right - 0.2) + 1):
                yield i, j

    def roads(self, bounds: Bounds) -> list[Road]:
        """Return all roads that reach into the bounds, not cut at junctions."""
        box = shapely.box(*bounds)
        roads: list[Road] = []
        for i, j in self.districts(bounds):
            roads += self.lattice.edges(i, j)[0]
            roads += self._local(i, j)
        return [road for road in roads if road.line.intersects(box)]

    def lots(self, i: int, j: int) -> LandCover:
        """Return the land cover of a district."""
        return self._lots(i, j)

    def rivers(self, bounds: Bounds) -> list[Polygon]:
        """Return the rivers within the bounds."""
        columns = sorted({i for i, _ in self.districts(bounds) if self.lattice.has_river(i)})
        return [self.lattice.river(i, bounds[1] - 60, bounds[3] + 60) for i in columns]

    def network(self) -> RoadNetwork:
        """Return the scene's centrelines, noded and cut at its frame, in its CRS."""
        options = self.options
        width = options.width_px * options.gsd_m
        height = options.height_px * options.gsd_m
        bounds = (0.0, 0.0, width, height)
        return node_roads(self.roads(bounds), shapely.box(*bounds), options)
