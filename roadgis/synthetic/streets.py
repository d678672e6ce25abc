"""The streets inside a district, by its land use."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely
from shapely import LineString, Point, Polygon, affinity
from shapely.ops import substring

from roadgis.synthetic.through_streets import Road, StreetLattice

_RESIDENTIAL_M = 7.5
_LANE_M = 6.0
#: Streets meet through roads at multiples of this distance, so that streets from both sides meet
#: in one crossing or well apart.
_STATION_M = 24.0
#: Streets towards a motorway end this far from it.
_MOTORWAY_GAP_M = 32.0

Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Site:
    """A district to be filled with streets.

    Attributes
    ----------
    face : Polygon
        Its buildable area, bounded by centrelines and river banks.
    rural : bool
        Whether its streets are lanes.
    through : list of LineString
        Whole through roads on its boundary that streets may meet.
    motorways : shapely.Geometry
        Area that streets avoid.
    """

    face: Polygon
    rural: bool
    random: np.random.Generator
    through: list[LineString]
    motorways: Polygon

    def road(self, line: LineString | None, width_m: float, cut_m: float = 0.0) -> Road | None:
        """Fit a street into the face: off motorways, ending at stations; None if impossible.

        With `cut_m`, its last metres are replaced by a turning circle.
        """
        line = _longest(line.intersection(self.face)) if line is not None else None
        if line is None:
            return None
        bulb = None
        if line.intersects(self.motorways):
            line = _longest(line.difference(self.motorways))
            if line is None or line.length < 40:
                return None
            ends = (Point(line.coords[0]), Point(line.coords[-1]))
            bulb = min(ends, key=self.motorways.distance)
        line = shapely.reverse(self._to_station(shapely.reverse(self._to_station(line))))
        if cut_m and bulb is None:
            line = _part(line, 0, max(line.length - cut_m, 20.0))
            bulb = Point(line.coords[-1])
        if line.length < 40:
            return None
        return Road(line, width_m, "rural" if self.rural else "residential", bulb)

    def _to_station(self, line: LineString) -> LineString:
        """Bend the line's start to the nearest station if it lies on a through road."""
        start = Point(line.coords[0])
        for road in self.through:
            if road.distance(start) < 0.01:
                stations = np.arange(_STATION_M, road.length - _STATION_M, _STATION_M)
                goal = stations[np.argmin(np.abs(stations - road.project(start)))]
                target = np.array(road.interpolate(goal).coords[0])
                points = np.array(shapely.segmentize(line, 6.0).coords)
                steps = np.hypot(*np.diff(points, axis=0).T)
                along = np.concatenate([[0.0], np.cumsum(steps)])
                share = 1 - np.clip(along / min(90.0, along[-1]), 0, 1)
                points = points + (share**2 * (3 - 2 * share))[:, None] * (target - points[0])
                points[0] = target
                return LineString(points)
        return line


def local_roads(lattice: StreetLattice, i: int, j: int) -> list[Road]:
    """Return the streets of a district; those that leave it end on its boundary's centrelines."""
    face = lattice.district(i, j)
    kind = lattice.kind(i, j)
    if lattice.has_river(i):
        # Streets avoid the water: only the larger bank is built on.
        _, top, _, bottom = face.bounds
        dry = shapely.get_parts(face.difference(lattice.river(i, top, bottom).buffer(30)))
        face = dry[int(np.argmax(shapely.area(dry)))]
    around = lattice.nearby(i, j)
    motorways = shapely.union_all([road.line for road in around if road.kind == "motorway"])
    site = _Site(
        face=face,
        rural=kind not in ("grid", "loop", "commercial"),
        random=lattice.random(10, i, j),
        through=[
            road.line
            for road in around
            if road.kind not in ("motorway", "roundabout") and road.line.distance(face) < 0.01
        ],
        motorways=motorways.buffer(_MOTORWAY_GAP_M),
    )
    roads = _MAKERS.get(kind, _lane)(site)
    existing = shapely.union_all([road.line for road in lattice.existing(i, j)])
    return [road for road in roads if _reachable(road, existing, roads)]


def _reachable(road: Road, existing: shapely.Geometry, others: list[Road]) -> bool:
    """Return whether the street meets a through road or another street of its district."""
    if road.line.distance(existing) < 0.01:
        return True
    return any(road.line.distance(o.line) < 0.01 for o in others if o is not road)


def _part(line: LineString, start_m: float, stop_m: float) -> LineString:
    return LineString(substring(line, start_m, stop_m).coords)


def _longest(geometry: shapely.Geometry) -> LineString | None:
    parts = shapely.get_parts(geometry)
    parts = parts[(shapely.get_type_id(parts) == 1) & ~shapely.is_empty(parts)]
    return parts[int(np.argmax(shapely.length(parts)))] if len(parts) else None


def _grid(site: _Site) -> list[Road]:
    """Lay parallel streets, some with dead ends, and one or two across."""
    random, middle = site.random, site.face.centroid
    angle = random.uniform(-0.25, 0.25) + (math.pi / 2 if random.random() < 0.5 else 0.0)
    spacing, bend = random.uniform(72, 88), random.uniform(-9, 9)
    inner = site.face.buffer(-34)
    u = np.linspace(-420, 420, 141)
    streets: list[Road] = []
    for k in range(-4, 5):
        v = (k + 0.5) * spacing + bend * np.cos(u / 110.0 + 0.2 * k)
        line = _placed(np.stack([u, v], -1), angle, middle)
        line = shapely.reverse(line) if random.random() < 0.5 else line
        cut = random.uniform(42, 75) if random.random() < 0.3 else 0.0
        road = site.road(line, _RESIDENTIAL_M, cut)
        if road is not None and _within(road.line, inner, 0.55) and road.line.length > 110:
            streets.append(road)
    if len(streets) < 2:
        return streets
    rows = list(streets)
    for u0 in random.uniform(30, 80, 2) * np.array([-1.0, 1.0]) * (1 + random.random(2)):
        line = _placed(np.stack([u0 + 5 * np.sin(u / 70.0), u], -1), angle, middle)
        road = site.road(line, _RESIDENTIAL_M)
        if road is not None and _within(road.line, inner, 0.5):
            streets.append(_between(road, rows, random))
    return streets


def _within(line: LineString, area: Polygon, share: float) -> bool:
    return bool(line.intersection(area).length >= share * line.length)


def _between(road: Road, rows: list[Road], random: np.random.Generator) -> Road:
    """Trim a cross street to the first and last street that it meets, or keep it."""
    crossings = shapely.get_parts(
        shapely.union_all([road.line.intersection(row.line) for row in rows])
    )
    crossings = crossings[(shapely.get_type_id(crossings) == 0) & ~shapely.is_empty(crossings)]
    places = np.sort(shapely.line_locate_point(road.line, crossings))
    if len(places) >= 2 and random.random() < 0.7:
        return Road(_part(road.line, places[0], places[-1]), road.width_m, road.kind)
    return road


def _loop(site: _Site) -> list[Road]:
    """Lay a loop with two or three exits and cul-de-sacs inside it."""
    random = site.random
    inner = site.face.buffer(-random.uniform(72, 84))
    inner = inner.buffer(-32).buffer(32, quad_segs=12)
    if inner.geom_type != "Polygon" or inner.area < 6000:
        return _lane(site)
    ring = shapely.segmentize(LineString(inner.exterior.coords), 6.0)
    roads: list[Road | None] = [Road(ring, _RESIDENTIAL_M, "residential")]
    start = random.random()
    for k in range(2 + int(random.random() < 0.4)):
        here = ring.interpolate((start + k * random.uniform(0.4, 0.5)) % 1.0, normalized=True)
        there = shapely.shortest_line(here, site.face.exterior).coords[-1]
        line = _sagging(np.array(here.coords[0]), np.array(there), random.uniform(-6, 6))
        roads.append(site.road(line, _RESIDENTIAL_M))
    goal = np.array(inner.centroid.coords[0])
    for k in range(2):
        at = np.array(ring.interpolate((start + 0.22 + k * 0.5) % 1.0, normalized=True).coords[0])
        way = goal + random.uniform(-12, 12, 2) - at
        length = float(np.hypot(*way))
        line = _sagging(at, at + way * max(length - 24, 1.0) / length, random.uniform(-9, 9))
        if length > 70:
            roads.append(site.road(line, _RESIDENTIAL_M, cut_m=1.0))
    return [road for road in roads if road is not None]


def _winding(site: _Site, sway_m: float) -> LineString:
    """Draw a bent line across the district."""
    random, middle = site.random, site.face.centroid
    angle = random.uniform(-0.3, 0.3) + (math.pi / 2 if random.random() < 0.5 else 0.0)
    u = np.linspace(-420, 420, 141)
    v = sway_m * np.sin(u / random.uniform(45, 75) + random.uniform(0, 6.28))
    line = _placed(np.stack([u, v + random.uniform(-40, 40)], -1), angle, middle)
    return shapely.reverse(line) if random.random() < 0.5 else line


def _through(site: _Site) -> list[Road]:
    """Lay one street from side to side."""
    line = _winding(site, 26.0 if site.rural else 9.0)
    road = site.road(line, _LANE_M if site.rural else 9.0)
    return [] if road is None else [road]


def _lane(site: _Site) -> list[Road]:
    """Lay a winding lane that ends inside, or none."""
    line = _winding(site, 26.0)
    share = site.random.uniform(0.35, 0.5)
    if site.random.random() < 0.25:
        return []
    inside = line.intersection(site.face).length
    road = site.road(line, _LANE_M, cut_m=share * inside)
    return [] if road is None else [road]


def _placed(points: Points, angle: float, middle: Point) -> LineString:
    line = affinity.rotate(LineString(points), angle, origin=(0, 0), use_radians=True)
    return affinity.translate(line, middle.x, middle.y)


def _sagging(a: Points, b: Points, sag_m: float) -> LineString:
    t = np.linspace(0, 1, 25)[:, None]
    normal = np.array([-(b - a)[1], (b - a)[0]]) / max(float(np.hypot(*(b - a))), 1e-9)
    points = a + t * (b - a) + sag_m * np.sin(np.pi * t) * normal
    points[0], points[-1] = a, b
    return LineString(points)


_MAKERS: dict[str, Callable[[_Site], list[Road]]] = {
    "grid": _grid,
    "loop": _loop,
    "commercial": _through,
    "farm": _through,
}
