"""The through roads, a bent lattice of streets, and the land use between them.

Coordinates are town metres: x to the east, y to the south, from the scene's top left corner. Node
(i, j) is near ((i + 0.5) CELL_M, (j + 0.5) CELL_M); district (i, j) is the face to its south-east.
Everything is a function of the seed, i and j, so a town has no border.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import shapely
from shapely import LineString, Point, Polygon

from roadgis.options.synthetic import CELL_M
from roadgis.synthetic.noise import generator

Points = npt.NDArray[np.float64]

#: Land uses; rasters hold their index.
KINDS = ("verge", "grid", "loop", "commercial", "forest", "farm", "park")
RURAL = frozenset({"forest", "farm"})
# Every block of four by four districts holds all land uses.
_BLOCK = (
    ("grid",) * 5
    + ("loop",) * 3
    + ("commercial",) * 2
    + ("forest",) * 2
    + ("farm",) * 2
    + ("park",) * 2
)
_RING_RADIUS_M = 16.0
_RING_WIDTH_M = 8.0
_CARRIAGEWAY_M = 10.0
_MEDIAN_M = 12.0


@dataclass(frozen=True)
class Road:
    """A road of one width before it is cut at junctions.

    Attributes
    ----------
    line : LineString
        Centreline, town metres.
    width_m : float
        Width of the asphalt.
    kind : str
        motorway, arterial, collector, residential, rural or roundabout.
    bulb : Point or None
        Centre of the turning circle at a dead end.
    """

    line: LineString
    width_m: float
    kind: str
    bulb: Point | None = None


class StreetLattice:
    """Through roads of a town, with a cache.

    Parameters
    ----------
    repeating : bool
        Repeat after four cells.
    """

    def __init__(self, seed: int, repeating: bool) -> None:
        self._seed = seed
        self._repeating = repeating
        self._block = lru_cache(maxsize=64)(self._make_block)
        self.edges = lru_cache(maxsize=1024)(self._make_edges)
        self.district = lru_cache(maxsize=256)(self._make_district)

    def key(self, i: int, j: int) -> tuple[int, int]:
        """Return the indices that (i, j) is derived from."""
        return (i % 4, j % 4) if self._repeating else (i, j)

    def random(self, salt: int, i: int, j: int) -> np.random.Generator:
        """Return the random generator of one object at (i, j)."""
        return generator(self._seed, salt, *self.key(i, j))

    def _make_block(self, bi: int, bj: int) -> tuple[tuple[str, ...], frozenset[tuple[int, int]]]:
        random = generator(self._seed, 1, bi, bj)
        kinds = tuple(_BLOCK[k] for k in random.permutation(16))
        # Row 1 is the motorway; roundabouts lie elsewhere.
        rings = frozenset(
            (int(random.integers(4)), row) for row in (0, 2 + int(random.integers(2)))
        )
        return kinds, rings

    def kind(self, i: int, j: int) -> str:
        """Return the land use of a district."""
        i, j = self.key(i, j)
        return self._block(i // 4, j // 4)[0][(j % 4) * 4 + i % 4]

    def has_ring(self, i: int, j: int) -> bool:
        """Whether node (i, j) is a roundabout."""
        i, j = self.key(i, j)
        return (i % 4, j % 4) in self._block(i // 4, j // 4)[1]

    def has_river(self, i: int) -> bool:
        """Whether a river runs through this column of districts."""
        return i % 4 == 3

    def river(self, i: int, top: float, bottom: float) -> Polygon:
        """Return the river of column `i` between two values of y."""
        phase = generator(self._seed, 2, i % 4 if self._repeating else i).uniform(0, 6.28, 3)
        y = np.arange(math.floor(top / 6) * 6.0, bottom + 6.0, 6.0)
        w = 2 * np.pi * y / (4 * CELL_M)
        wave = 40 * np.sin(w + phase[0]) + 20 * np.sin(3 * w + phase[1])
        x = (i + 1) * CELL_M + wave
        half = 10 + 3 * np.sin(5 * w + phase[2])
        left, right = np.stack([x - half, y], -1), np.stack([x + half, y], -1)
        return Polygon(np.concatenate([left, right[::-1]]))

    def node(self, i: int, j: int) -> tuple[Points, Points, Points]:
        """Return position, eastward and southward direction of node (i, j)."""
        random = self.random(3, i, j)
        jitter = random.uniform(-0.17, 0.17, 2) * CELL_M
        if j % 4 == 1:
            jitter[1] *= 0.5
        east, south = random.uniform(-0.4, 0.4), random.uniform(-0.4, 0.4)
        position = np.array([i + 0.5, j + 0.5]) * CELL_M + jitter
        return (
            position,
            np.array([math.cos(east), math.sin(east)]),
            np.array([math.sin(south), math.cos(south)]),
        )

    def _make_edges(self, i: int, j: int) -> tuple[tuple[Road, ...], tuple[Road, ...]]:
        """Return the roads east and south of node (i, j) with its ring, and the same as boundaries.

        Boundaries also close faces without a road, and continue across roundabouts.
        """
        east = self._edge(i, j, horizontal=True)
        south = self._edge(i, j, horizontal=False)
        rings = [self._ring(i, j)] if self.has_ring(i, j) else []
        roads = [self._trimmed(road, i, j) for road, exists in (*east, *south) if exists]
        bounds = [road for road, _ in (*east, *south)]
        return (*roads, *rings), (*bounds, *rings)

    def _ring(self, i: int, j: int) -> Road:
        position = self.node(i, j)[0]
        angle = np.linspace(0, 2 * np.pi, 49)
        ring = position + _RING_RADIUS_M * np.stack([np.cos(angle), np.sin(angle)], -1)
        ring[-1] = ring[0]
        return Road(LineString(ring), _RING_WIDTH_M, "roundabout")

    def _edge(self, i: int, j: int, *, horizontal: bool) -> list[tuple[Road, bool]]:
        other = (i + 1, j) if horizontal else (i, j + 1)
        here, there = self.node(i, j), self.node(*other)
        axis = 1 if horizontal else 2
        points, normals = _bent(here[0], here[axis], there[0], there[axis])
        kind, width, exists = self._road_class(i, j, horizontal)
        if kind == "motorway":
            offset = (_CARRIAGEWAY_M + _MEDIAN_M) / 2
            return [
                (Road(LineString(points + s * offset * normals), width, kind), True)
                for s in (-1, 1)
            ]
        if kind == "rural":
            random = self.random(5 if horizontal else 6, i, j)
            t = np.linspace(0, 1, len(points))
            wave = random.uniform(6, 13) * np.sin(np.pi * t) ** 2
            wave *= np.sin(2 * np.pi * (random.uniform(1.2, 1.8) * t + random.random()))
            points = points + wave[:, None] * normals
        return [(Road(LineString(points), width, kind), exists)]

    def _trimmed(self, road: Road, i: int, j: int) -> Road:
        """Cut a road from node (i, j) at the roundabouts on its way."""
        line = road.line
        for node in ((i, j), (i + 1, j), (i, j + 1)):
            if self.has_ring(*node):
                line = _longest(line.difference(Polygon(self._ring(*node).line)))
        return Road(line, road.width_m, road.kind)

    def _road_class(self, i: int, j: int, horizontal: bool) -> tuple[str, float, bool]:
        if horizontal and j % 4 == 1:
            return "motorway", _CARRIAGEWAY_M, True
        if (j if horizontal else i) % 4 == (3 if horizontal else 2):
            return "arterial", 12.0, True
        sides = {self.kind(i, j), self.kind(i, j - 1) if horizontal else self.kind(i - 1, j)}
        if sides <= RURAL:
            return "rural", 6.5, sides != {"forest"}
        return "collector", 9.0, True

    def nearby(self, i: int, j: int) -> list[Road]:
        """Return boundaries around district (i, j), wide enough to close its face."""
        return [
            road
            for di in range(-1, 3)
            for dj in range(-1, 3)
            for road in self.edges(i + di, j + dj)[1]
        ]

    def existing(self, i: int, j: int) -> list[Road]:
        """Return the built through roads around district (i, j)."""
        return [
            road
            for di in range(-1, 3)
            for dj in range(-1, 3)
            for road in self.edges(i + di, j + dj)[0]
        ]

    def _make_district(self, i: int, j: int) -> Polygon:
        """Return the face between the centrelines around ((i + 1) CELL_M, (j + 1) CELL_M)."""
        lines = shapely.union_all([road.line for road in self.nearby(i, j)])
        faces = shapely.get_parts(shapely.polygonize([lines]))
        middle = Point((i + 1) * CELL_M, (j + 1) * CELL_M)
        holding = faces[shapely.covers(faces, middle)]
        face: Polygon = holding[0] if len(holding) else faces[np.argmax(shapely.area(faces))]
        return face


def _bent(a: Points, ta: Points, b: Points, tb: Points) -> tuple[Points, Points]:
    """Return points of a cubic from `a` to `b` with the given directions, and unit normals."""
    reach = float(np.hypot(*(b - a))) / 3
    controls = np.stack([a, a + ta * reach, b - tb * reach, b])
    t = np.linspace(0, 1, 81)[:, None]
    basis = np.concatenate([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], 1)
    slope = np.concatenate(
        [-3 * (1 - t) ** 2, 3 * (1 - t) * (1 - 3 * t), 3 * t * (2 - 3 * t), 3 * t**2], 1
    )
    direction = slope @ controls
    direction /= np.hypot(direction[:, :1], direction[:, 1:])
    points = basis @ controls
    # Exactly the nodes, shared by neighbouring edges.
    points[0], points[-1] = a, b
    direction[0], direction[-1] = ta, tb
    return points, np.stack([-direction[:, 1], direction[:, 0]], -1)


def _longest(geometry: shapely.Geometry) -> LineString:
    parts = shapely.get_parts(geometry)
    longest: LineString = parts[int(np.argmax(shapely.length(parts)))]
    return longest
