"""Road layouts: grids, grown streets, winding lanes, dual carriageways."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import shapely
from scipy.spatial import Voronoi
from shapely import LineString, Point
from shapely.geometry.base import BaseGeometry
from shapely.ops import substring

from roadgis.synthetic.varied.canvas import Points
from roadgis.synthetic.varied.climate import World

#: Radius of turning circles, metres.
BULB_M = 8.5


@dataclass(frozen=True)
class Street:
    """A road before it is cut at crossings.

    Attributes
    ----------
    line : LineString
        Centreline, metres; y to the south.
    width_m : float
        Width of the surface.
    kind : str
        main, carriageway, ring, street, lane or dirt.
    bulb : Point or None
        Centre of a turning circle.
    """

    line: LineString
    width_m: float
    kind: str
    bulb: Point | None = None


@dataclass(frozen=True)
class _Site:
    random: np.random.Generator
    side: float

    def point(self, rim: float = 0.0) -> Points:
        return np.asarray(self.random.uniform(-rim, self.side + rim, 2), np.float64)


def lay_streets(random: np.random.Generator, world: World, side: float) -> list[Street]:
    """Lay the roads of a scene of `side` metres; they extend beyond it."""
    site = _Site(random, side)
    makers = {
        "suburb": _suburb, "town": _town, "village": _village, "works": _works,
        "fields": _fields, "forest": _lanes, "highway": _highway, "barren": _lanes,
        "roadless": _none,
    }  # fmt: skip
    streets = makers[world.place](site)
    return [street for street in streets if street.line.length > 8]


def _none(site: _Site) -> list[Street]:
    del site
    return []


def _width(site: _Site, low: float, high: float) -> float:
    """Draw a width, rounded to the decimetre."""
    return round(float(site.random.uniform(low, high)), 1)


def _across(site: _Site, sway: float, angle: float | None = None) -> LineString:
    """Draw a smooth line through the scene, from far outside to far outside."""
    random, side = site.random, site.side
    if angle is None:
        angle = random.uniform(0, 2 * math.pi)
    middle = site.point(-0.2 * side)
    u = np.linspace(-1.3 * side - 60, 1.3 * side + 60, 240)
    v = np.zeros_like(u)
    for _ in range(3):
        wave = random.uniform(120, 700)
        v += (
            sway
            * random.normal(0, 0.5)
            * wave
            / 300
            * np.sin(2 * np.pi * (u / wave + random.random()))
        )
    v -= np.interp(0, u, v)
    cos, sin = math.cos(angle), math.sin(angle)
    line = LineString(np.stack([middle[0] + u * cos - v * sin, middle[1] + u * sin + v * cos], 1))
    return _clip(line.simplify(0.1), site)


def _clip(line: BaseGeometry, site: _Site, rim: float = 60.0) -> LineString:
    """Return the longest piece inside the scene and its surroundings."""
    parts = shapely.get_parts(
        line.intersection(shapely.box(-rim, -rim, site.side + rim, site.side + rim))
    )
    lines = [p for p in parts if p.geom_type == "LineString"]
    return max(lines, key=lambda p: p.length) if lines else LineString([(0, 0), (0, 0.1)])


def _carriageways(site: _Site, line: LineString, median: float, width: float) -> list[Street]:
    offset = (median + width) / 2
    pair = [shapely.offset_curve(line, d, quad_segs=8) for d in (-offset, offset)]
    return [Street(_clip(part, site), width, "carriageway") for part in pair if not part.is_empty]


def _main(site: _Site, sway: float = 20.0, angle: float | None = None) -> list[Street]:
    """Lay a main road: one surface, or two with a median."""
    line = _across(site, sway, angle)
    if site.random.random() < 0.35:
        return _carriageways(site, line, _width(site, 1.5, 14), _width(site, 6.5, 14))
    return [
        Street(
            line, _width(site, 8, 26) if site.random.random() < 0.6 else _width(site, 7, 12), "main"
        )
    ]


def _grid(site: _Site, width: float, warp: float) -> list[Street]:
    random, side = site.random, site.side
    angle = random.uniform(0, math.pi)
    across, along = random.uniform(45, 130), random.uniform(70, 240)
    reach = 0.75 * side + 120
    cos, sin = math.cos(angle), math.sin(angle)
    phase = random.uniform(0, 2 * np.pi, 4)
    streets: list[Street] = []
    for spacing, turned in ((across, False), (along, True)):
        place = -reach + random.uniform(0, spacing)
        while place < reach:
            u = np.arange(-reach, reach, 6.0 if warp else 2 * reach - 1)
            v = np.full_like(u, place)
            if turned:
                u, v = v, u
            x, y = u.copy(), v.copy()
            x += warp * np.sin(v / 140 + phase[0]) + warp / 2 * np.sin(u / 90 + phase[1])
            y += warp * np.sin(u / 170 + phase[2]) + warp / 2 * np.sin(v / 110 + phase[3])
            line = LineString(
                np.stack([side / 2 + x * cos - y * sin, side / 2 + x * sin + y * cos], 1)
            )
            draw = random.random()
            if draw < 0.3:
                line = _some_part(line, random)
            if draw < 0.9:
                streets.append(Street(_clip(line.simplify(0.1), site), width, "street"))
            place += spacing * random.uniform(0.75, 1.3)
    return streets


def _some_part(line: LineString, random: np.random.Generator) -> LineString:
    """Return a part of a line, or the whole line if the part would be short."""
    a, b = np.sort(random.uniform(0, line.length, 2))
    return LineString(substring(line, a, b).coords) if b - a > 60 else line


def _rounded(line: BaseGeometry) -> LineString:
    """Round the corners of a line; its ends stay."""
    points = shapely.get_coordinates(line)
    for _ in range(2):
        a, b = points[:-1], points[1:]
        cut = np.stack([0.75 * a + 0.25 * b, 0.25 * a + 0.75 * b], 1).reshape(-1, 2)
        points = np.concatenate([points[:1], cut[1:-1], points[-1:]])
    return LineString(points)


def _cells(site: _Site, spacing: float, width: float, kind: str = "street") -> list[Street]:
    """Lay streets along the borders of random cells: an old town, or country lanes."""
    random, side = site.random, site.side
    rim = 2.0 * spacing
    count = max(8, int((side + 2 * rim) ** 2 / spacing**2))
    places = random.uniform(-rim, side + rim, (count, 2))
    for _ in range(2):  # even out
        diagram = Voronoi(places)
        places = np.array([
            diagram.vertices[region].mean(0) if region and -1 not in region else place
            for place, region in zip(
                places, (diagram.regions[k] for k in diagram.point_region), strict=True)
        ])  # fmt: skip
        places = np.clip(places, -2 * rim, side + 2 * rim)
    diagram = Voronoi(places)
    lines = []
    for a, b in diagram.ridge_vertices:
        if a < 0 or random.random() < 0.16:
            continue
        ends = diagram.vertices[[a, b]]
        if np.abs(ends - side / 2).max() > side / 2 + 80 or np.hypot(*(ends[1] - ends[0])) < 9:
            continue
        t = np.linspace(0, 1, 9)[:, None]
        normal = (ends[1] - ends[0])[::-1] * [-1, 1]
        bend = random.normal(0, 0.07) * np.sin(np.pi * t)
        bend = bend + random.normal(0, 0.03) * np.sin(2 * np.pi * t)
        lines.append(LineString(ends[:1] + t * (ends[1:] - ends[:1]) + bend * normal))
    merged = shapely.get_parts(shapely.line_merge(shapely.MultiLineString(lines)))
    return [Street(_rounded(line.simplify(0.05)), width, kind) for line in merged]


def _branches(
    site: _Site, trunk: LineString, width: float, kind: str, every: float, bulbs: bool
) -> list[Street]:
    """Add streets that branch from a road to both sides; some end in turning circles."""
    random = site.random
    streets: list[Street] = []
    at = random.uniform(0, every)
    while at < trunk.length:
        here, ahead = trunk.interpolate(at), trunk.interpolate(min(at + 1, trunk.length))
        heading = math.atan2(ahead.y - here.y, ahead.x - here.x)
        heading += random.choice([-1, 1]) * random.uniform(1.1, 2.0)
        points = [(here.x, here.y)]
        turn = random.normal(0, 0.02)
        for _ in range(int(random.uniform(5, 24))):
            turn += random.normal(0, 0.012)
            heading += turn * 2
            x, y = points[-1]
            points.append((x + 9 * math.cos(heading), y + 9 * math.sin(heading)))
        line = LineString(points)
        if all(line.distance(o.line) > 25 for o in streets) and line.is_simple:
            end = Point(points[-1]) if bulbs and random.random() < 0.7 else None
            streets.append(Street(line, width, kind, end))
        at += every * random.uniform(0.6, 1.6)
    return streets


def _ring(site: _Site) -> list[Street]:
    """Put a roundabout on a crossing of two main roads."""
    middle = Point(*site.point(-0.3 * site.side))
    radius, width = site.random.uniform(9, 32), _width(site, 5, 11)
    circle = middle.buffer(radius, quad_segs=24).exterior
    angle = site.random.uniform(0, math.pi)
    streets = [Street(LineString(circle.coords), width, "ring")]
    for k in range(int(site.random.integers(3, 6))):
        turn = angle + k * 2 * math.pi / 4 + site.random.normal(0, 0.15)
        reach = 1.6 * site.side
        u = np.linspace(radius, reach, 40)
        bend = site.random.normal(0, 0.00025) * (u - radius) ** 2
        x = middle.x + u * math.cos(turn) - bend * math.sin(turn)
        y = middle.y + u * math.sin(turn) + bend * math.cos(turn)
        streets.append(
            Street(
                _clip(LineString(np.stack([x, y], 1)).simplify(0.1), site),
                _width(site, 6, 16),
                "main",
            )
        )
    return streets


def _suburb(site: _Site) -> list[Street]:
    random = site.random
    width = _width(site, 5, 12)
    streets = _ring(site) if random.random() < 0.12 else []
    if random.random() < 0.55:
        streets += _grid(site, width, random.choice([0.0, 4.0, 14.0]))
    else:
        trunks = [_across(site, 40) for _ in range(int(random.integers(1, 4)))]
        streets += [Street(trunk, _width(site, 7, 12), "street") for trunk in trunks]
        for trunk in trunks:
            streets += _branches(site, trunk, width, "street", random.uniform(45, 90), True)
    if random.random() < 0.45:
        streets = _main(site, 10.0) + streets
    return streets


def _town(site: _Site) -> list[Street]:
    random = site.random
    if random.random() < 0.45:
        streets = _cells(site, random.uniform(55, 130), _width(site, 3.5, 10))
    else:
        streets = _grid(site, _width(site, 4, 14), random.choice([0.0, 2.0, 10.0]))
    for _ in range(int(random.integers(0, 3))):
        streets = _main(site, random.choice([0.0, 15.0])) + streets
    return streets


def _village(site: _Site) -> list[Street]:
    random = site.random
    trunks = [_across(site, 30) for _ in range(int(random.integers(1, 3)))]
    kind = "dirt" if random.random() < 0.15 else "street"
    streets = [Street(trunk, _width(site, 4.5, 9), kind) for trunk in trunks]
    for trunk in trunks:
        streets += _branches(
            site,
            trunk,
            _width(site, 3, 6),
            random.choice(["lane", "dirt"]),
            random.uniform(50, 160),
            False,
        )
    return streets


def _works(site: _Site) -> list[Street]:
    random = site.random
    streets = _ring(site) if random.random() < 0.15 else []
    for _ in range(int(random.integers(1, 3))):
        streets += _main(site, random.choice([0.0, 0.0, 15.0]))
    if random.random() < 0.6:
        trunk = streets[0].line
        streets += _branches(
            site, trunk, _width(site, 6, 14), "street", random.uniform(90, 220), False
        )
    return streets


def _fields(site: _Site) -> list[Street]:
    random = site.random
    kinds = ["lane", "lane", "dirt", "street"]
    if random.random() < 0.4:
        return _cells(site, random.uniform(140, 320), _width(site, 3, 6.5), random.choice(kinds))
    angle = random.uniform(0, math.pi)
    streets: list[Street] = []
    for k in range(int(random.integers(1, 5))):
        turn = angle + (math.pi / 2 if k % 2 else 0)
        streets.append(
            Street(
                _across(site, random.choice([0.0, 4.0, 30.0]), turn),
                _width(site, 3, 8),
                random.choice(kinds),
            )
        )
    return streets


def _lanes(site: _Site) -> list[Street]:
    random = site.random
    streets: list[Street] = []
    for _ in range(int(random.integers(1, 4))):
        streets.append(
            Street(
                _across(site, random.choice([15.0, 40.0, 80.0])),
                _width(site, 3, 9),
                random.choice(["lane", "street", "dirt"]),
            )
        )
    return streets


def _ramps(site: _Site, line: LineString, over: LineString) -> list[Street]:
    """Connect two roads that cross by slip roads."""
    meet = line.intersection(over)
    if meet.is_empty:
        return []
    middle = shapely.get_coordinates(meet)[0]
    ramps: list[Street] = []
    width = _width(site, 4, 7)
    for a in (-1, 1):
        for b in (-1, 1):
            reach = site.random.uniform(70, 160)
            at, to = line.project(Point(middle)), over.project(Point(middle))
            start = np.array(line.interpolate(at + a * reach).coords[0])
            end = np.array(over.interpolate(to + b * reach * 0.6).coords[0])
            t = np.linspace(0, 1, 24)[:, None]
            bend = middle + 0.25 * ((start - middle) + (end - middle))
            points = (1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end
            if site.random.random() < 0.7:
                ramps.append(Street(LineString(points), width, "carriageway"))
    return ramps


def _highway(site: _Site) -> list[Street]:
    random = site.random
    line = _across(site, random.choice([0.0, 25.0]))
    streets = _carriageways(site, line, _width(site, 1.0, 22), _width(site, 7.5, 18))
    draw = random.random()
    if draw < 0.5:
        over = Street(_across(site, 10), _width(site, 5, 14), "main")
        streets += [over, *_ramps(site, line, over.line)]
    if random.random() < 0.5:
        side = shapely.offset_curve(line, random.choice([-1, 1]) * random.uniform(32, 60))
        if not side.is_empty:
            streets.append(Street(_clip(side, site), _width(site, 4, 9), "street"))
    if draw > 0.75:
        streets += _cells(site, random.uniform(80, 160), _width(site, 4, 8))
    return streets
