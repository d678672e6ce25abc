"""Land cover along the streets of a district: houses, drives, car parks, fields, ponds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import shapely
from shapely import LineString, Point, Polygon, affinity

from roadgis.synthetic.through_streets import Road, StreetLattice

Points = npt.NDArray[np.float64]
Colour = tuple[float, float, float]

_ROOFS: tuple[Colour, ...] = (
    (204, 206, 205), (186, 188, 190), (160, 163, 165), (128, 130, 133), (92, 94, 97),
    (70, 70, 72), (132, 112, 96), (112, 88, 76), (168, 146, 112), (134, 78, 64),
)  # fmt: skip
_ROOF_SHARES = (0.2, 0.17, 0.15, 0.13, 0.1, 0.07, 0.07, 0.05, 0.04, 0.02)
_CARS: tuple[Colour, ...] = (
    (225, 226, 226), (190, 192, 194), (130, 132, 134), (40, 42, 45), (28, 28, 30),
    (120, 40, 38), (45, 62, 110), (150, 140, 120),
)  # fmt: skip
_FIELDS: tuple[Colour, ...] = (
    (128, 118, 88), (150, 132, 98), (86, 104, 60), (104, 112, 70), (120, 98, 76), (74, 98, 52),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Patch:
    """An area of one colour: paving, car, sand, pool or paint."""

    shape: shapely.Geometry
    colour: Colour


@dataclass(frozen=True, slots=True)
class Roof:
    """A roof of one slope; `height_m` is the height of its eaves."""

    shape: Polygon
    colour: Colour
    height_m: float


@dataclass(frozen=True, slots=True)
class Field:
    """Farmland in rows: direction across the rows in radians, row spacing in metres."""

    shape: Polygon
    colour: Colour
    across: float
    period_m: float


@dataclass(frozen=True, slots=True)
class LandCover:
    """Land cover of a district except roads and plants."""

    paved: list[Patch] = field(default_factory=list)
    roofs: list[Roof] = field(default_factory=list)
    cars: list[Patch] = field(default_factory=list)
    fields: list[Field] = field(default_factory=list)
    lawns: list[Polygon] = field(default_factory=list)
    water: list[Polygon] = field(default_factory=list)


class _Builder:
    """Collects the land cover of one district without overlaps."""

    def __init__(self, lattice: StreetLattice, i: int, j: int, roads: list[Road]) -> None:
        self.random = lattice.random(20, i, j)
        self.lots = LandCover()
        self.face = lattice.district(i, j)
        self.through = [
            road for road in lattice.existing(i, j) if road.line.intersects(self.face.buffer(1))
        ]
        self.local = roads
        every = [*self.through, *roads]
        blocked = [road.line.buffer(road.width_m / 2 + 3.5) for road in every]
        blocked += [road.bulb.buffer(13.0) for road in roads if road.bulb is not None]
        if lattice.has_river(i):
            _, top, _, bottom = self.face.bounds
            blocked.append(lattice.river(i, top, bottom).buffer(12))
        self.free = self.face.difference(shapely.union_all(blocked))
        shapely.prepare(self.free)
        self._taken: list[Polygon] = []

    def place(self, shape: Polygon, gap_m: float = 2.0) -> bool:
        """Reserve the ground under a shape if it is free."""
        if not self.free.contains(shape):
            return False
        if self._taken and (shapely.distance(np.array(self._taken), shape) < gap_m).any():
            return False
        self._taken.append(shape)
        return True

    def car(self, at: Points, angle: float) -> None:
        """Park a car."""
        colour = _CARS[int(self.random.integers(len(_CARS)))]
        self.lots.cars.append(Patch(_box(at, 4.6, 1.9, angle), colour))

    def drive_cars(self, road: Road, every_m: float) -> None:
        """Put moving or parked cars on a road."""
        count = self.random.poisson(road.line.length / every_m)
        for s in self.random.uniform(8, max(9.0, road.line.length - 8), count):
            at, along = _along(road.line, s)
            side = 1.0 if self.random.random() < 0.5 else -1.0
            normal = np.array([-along[1], along[0]])
            at = at + side * normal * road.width_m * self.random.uniform(0.2, 0.36)
            if self.face.contains(Point(at)):
                self.car(at, math.atan2(along[1], along[0]))


def make_land_cover(lattice: StreetLattice, i: int, j: int, roads: list[Road]) -> LandCover:
    """Fill a district.

    Parameters
    ----------
    roads : list of Road
        Streets of the district.

    Returns
    -------
    LandCover
        In town metres, within the district's face.
    """
    builder = _Builder(lattice, i, j, roads)
    kind = lattice.kind(i, j)
    if kind in ("grid", "loop"):
        for road in [*roads, *builder.through]:
            _houses(builder, road, builder.random.uniform(17, 23), 0.92)
    elif kind == "commercial":
        _stores(builder)
    elif kind == "farm":
        for road in roads:
            _houses(builder, road, 70.0, 0.7)
        _fields(builder)
    elif kind == "park":
        _park(builder)
        for road in roads:
            _houses(builder, road, 30.0, 0.8)
    elif kind == "forest":
        for road in roads:
            _houses(builder, road, 38.0, 0.6)
    for road in roads:
        builder.drive_cars(road, 90.0)
    for road in builder.through:
        builder.drive_cars(road, 45.0 if road.width_m >= 10 else 80.0)
    return builder.lots


def _along(line: LineString, s: float) -> tuple[Points, Points]:
    """Position and unit direction at distance `s`."""
    a = np.array(line.interpolate(max(s - 1.0, 0.0)).coords[0])
    b = np.array(line.interpolate(min(s + 1.0, line.length)).coords[0])
    step = b - a
    return (a + b) / 2, step / max(float(np.hypot(*step)), 1e-9)


def _box(at: Points, length: float, width: float, angle: float) -> Polygon:
    cos, sin = math.cos(angle), math.sin(angle)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [length / 2, width / 2]
    return Polygon(corners @ np.array([[cos, sin], [-sin, cos]]) + at)


def _houses(builder: _Builder, road: Road, lot_m: float, share: float) -> None:
    random = builder.random
    for side in (-1.0, 1.0):
        s = random.uniform(12, 20)
        while s < road.line.length - 8:
            if random.random() < share:
                _house(builder, road, s, side)
            s += lot_m * random.uniform(0.9, 1.2)


def _house(builder: _Builder, road: Road, s: float, side: float) -> None:
    """Build a house, its drive, and what stands behind it."""
    random = builder.random
    at, along = _along(road.line, s)
    away = side * np.array([-along[1], along[0]])
    depth, front = random.uniform(8, 10.5), random.uniform(11.5, 16)
    setback = road.width_m / 2 + random.uniform(7, 11)
    middle = at + away * (setback + depth / 2)
    angle = math.atan2(along[1], along[0]) + random.normal(0, 0.04)
    body = _box(middle, front, depth, angle)
    if not builder.place(body, 3.0):
        return
    colour = _ROOFS[int(random.choice(len(_ROOFS), p=_ROOF_SHARES))]
    height = random.uniform(4.5, 7.5)
    _gable(builder, middle, front, depth, angle, colour, height)
    turn = 1.0 if random.random() < 0.5 else -1.0
    if random.random() < 0.45:
        wing = middle + turn * along * (front / 2 - 3) + away * (depth / 2 + 1.5)
        _gable(builder, wing, 8.0, 6.5, angle + math.pi / 2, colour, height - 1)
    gate = at + turn * along * (front / 2 + 1.2)
    drive = LineString([gate + away * (road.width_m / 2 - 1), gate + away * (setback + depth / 2)])
    tone = random.uniform(88, 150)
    builder.lots.paved.append(
        Patch(drive.buffer(random.uniform(1.3, 2.0), cap_style="flat"), (tone, tone + 1, tone + 1))
    )
    if random.random() < 0.45:
        builder.car(gate + away * (setback + random.uniform(-4, 1)), angle + math.pi / 2)
    back = middle + away * (depth / 2 + random.uniform(7, 12)) - turn * along * 4
    if random.random() < 0.05:
        pool = Point(back).buffer(random.uniform(2.2, 3.4))
        builder.lots.paved.append(Patch(pool, (96, 160, 190)))
    elif random.random() < 0.2:
        shed = _box(back, 4, 3, angle)
        if builder.free.contains(shed):
            builder.lots.roofs.append(Roof(shed, _ROOFS[int(random.integers(len(_ROOFS)))], 2.5))


def _gable(
    builder: _Builder,
    middle: Points,
    length: float,
    width: float,
    angle: float,
    colour: Colour,
    height_m: float,
) -> None:
    """Build two slopes on either side of the ridge, each with its own light."""
    across = np.array([-math.sin(angle), math.cos(angle)])
    for sign in (-1.0, 1.0):
        slope = _box(middle + sign * across * width / 4, length, width / 2, angle)
        # North (negative y) is in the shade.
        light = 1.0 + 0.2 * sign * float(across @ np.array([-0.42, 0.9]))
        shade = tuple(min(c * light, 238.0) for c in colour)
        builder.lots.roofs.append(Roof(slope, (shade[0], shade[1], shade[2]), height_m))


def _stores(builder: _Builder) -> None:
    """Build large flat roofs with car parks on a grid of lots."""
    random = builder.random
    roads = [*builder.local, *builder.through]
    for road in roads:
        for side in (-1.0, 1.0):
            s = random.uniform(20, 50)
            while s < road.line.length - 20:
                at, along = _along(road.line, s)
                away = side * np.array([-along[1], along[0]])
                axes = np.stack([along, np.array([-along[1], along[0]])])
                angle = math.atan2(along[1], along[0])
                for scale in (1.0, 0.8, 0.6, 0.4):
                    middle = at + away * (road.width_m / 2 + 7 + 35 * scale)
                    lot = _box(middle, 84 * scale, 70 * scale, angle)
                    if builder.place(lot, 4.0):
                        _store(builder, lot, middle, scale, axes, angle)
                        break
                s += 24.0


def _store(
    builder: _Builder, lot: Polygon, at: Points, scale: float, axes: Points, angle: float
) -> None:
    random = builder.random
    tone = random.uniform(100, 142)
    builder.lots.paved.append(Patch(lot, (tone, tone + 3, tone + 5)))
    side = 1.0 if random.random() < 0.5 else -1.0
    depth = random.uniform(22, 30) * scale
    front = random.uniform(50, 74) * scale
    hall = at + side * (35 * scale - depth / 2 - 5) * axes[1]
    grey = float(random.choice([212, 225, 190, 150, 110]))
    shape = _box(hall, front, depth, angle)
    builder.lots.roofs.append(Roof(shape, (grey, grey, grey - 3), random.uniform(6, 10)))
    for _ in range(int(6 * scale)):
        spread = random.uniform(-0.4, 0.4, 2) * np.array([front, 0.9 * depth])
        unit = hall + spread @ axes
        builder.lots.roofs.append(Roof(_box(unit, 3, 2.2, angle), (140, 142, 144), 0.0))
    # Rows of stalls on the other side: two rows face each other across an aisle.
    fill = random.uniform(0.25, 0.75)
    row = -side * (35 * scale - 4)
    stop = side * (35 * scale - depth - 12)
    while (stop - row) * side > 0:
        for u in np.arange(-39 * scale, 39 * scale, 2.7):
            place = at + np.array([u, row]) @ axes
            if random.random() < fill:
                builder.car(place + random.normal(0, 0.15, 2), angle + math.pi / 2)
            else:
                line = _box(place + 1.35 * axes[0], 0.35, 5.0, angle)
                builder.lots.paved.append(Patch(line, (176, 178, 178)))
        row += side * (5.4 if round(abs(row) * 10) % 2 else 11.6)
    # Access from the nearest road.
    roads = [*builder.local, *builder.through]
    nearest = min(roads, key=lambda road: road.line.distance(lot))
    way = shapely.shortest_line(lot, nearest.line)
    if way.length < 60:
        shape = way.buffer(3.2, cap_style="square")
        builder.lots.paved.append(Patch(shape, (tone, tone + 3, tone + 5)))


def _fields(builder: _Builder) -> None:
    """Lay strips of farmland on both sides of the lane."""
    random = builder.random
    for part in shapely.get_parts(builder.free.buffer(-3)):
        box = shapely.minimum_rotated_rectangle(part)
        corners = np.array(box.exterior.coords)
        side = corners[1] - corners[0]
        across = math.atan2(side[1], side[0])
        x0, y0, x1, y1 = affinity.rotate(part, -across, (0, 0), use_radians=True).bounds
        cuts = np.cumsum(random.uniform(55, 130, 12)) + x0
        start = x0
        for stop in np.minimum(cuts, x1):
            if stop - start > 8:
                strip = shapely.box(start + 2, y0, stop - 2, y1)
                strip = affinity.rotate(strip, across, (0, 0), use_radians=True)
                colour = _FIELDS[int(random.integers(len(_FIELDS)))]
                shape = part.intersection(strip)
                if not shape.is_empty:
                    builder.lots.fields.append(
                        Field(shape, colour, across, float(random.choice([2.5, 4.0, 6.0, 12.0])))
                    )
            start = stop


def _park(builder: _Builder) -> None:
    """Lay out meadows, footpaths, a pond, sand and a ball court."""
    random = builder.random
    middle = np.array(builder.free.representative_point().coords[0])
    for _ in range(5):
        at = middle + random.uniform(-140, 140, 2)
        builder.lots.lawns.append(_blob(at, random.uniform(40, 85), random))
    for tone in (186.0, 158.0):
        u = np.linspace(-170, 170, 80)
        sway = random.uniform(15, 40) * np.sin(u / random.uniform(25, 50) + random.uniform(0, 6))
        path = affinity.rotate(LineString(np.stack([u, sway], -1)), random.uniform(0, 180), (0, 0))
        path = affinity.translate(path, *(middle + random.uniform(-40, 40, 2)))
        shape = path.buffer(1.2).intersection(builder.free)
        builder.lots.paved.append(Patch(shape, (tone, tone - 8, tone - 24)))
    pond = _blob(middle + random.uniform(-30, 30, 2), random.uniform(30, 48), random)
    if builder.place(pond):
        builder.lots.water.append(pond)
    for _ in range(5):
        sand = _blob(middle + random.uniform(-130, 130, 2), random.uniform(4, 9), random)
        if builder.place(sand):
            builder.lots.paved.append(Patch(sand, (206, 190, 158)))
    for _ in range(6):
        angle = random.uniform(0, 3)
        court = _box(middle + random.uniform(-140, 140, 2), 34, 17, angle)
        if builder.place(court, 6.0):
            colour = (118.0, 140.0, 128.0) if random.random() < 0.5 else (150.0, 104.0, 92.0)
            builder.lots.paved.append(Patch(court, colour))
            lines = court.buffer(-3).boundary.buffer(0.3)
            builder.lots.paved.append(Patch(lines, (200, 202, 200)))
            break


def _blob(at: Points, radius: float, random: np.random.Generator) -> Polygon:
    angle = np.linspace(0, 2 * np.pi, 49)[:-1]
    phase = random.uniform(0, 2 * np.pi, 3)
    parts = zip((0.22, 0.15, 0.08), (2, 3, 5), phase, strict=True)
    wave = sum(size * np.sin(k * angle + start) for size, k, start in parts)
    reach = radius * (1 + wave)
    return Polygon(at + np.stack([reach * np.cos(angle), reach * np.sin(angle)], -1))
