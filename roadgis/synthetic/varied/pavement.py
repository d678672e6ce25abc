"""Appearance of roads: surface, wear, patches, lines, kerbs, sidewalks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from roadgis.synthetic.varied.brush import Band, Brush
from roadgis.synthetic.varied.canvas import Box, Canvas, Floats, Mask, Points
from roadgis.synthetic.varied.climate import World
from roadgis.synthetic.varied.networks import BULB_M, Street

#: Radius of kerbs at junctions, metres.
_FILLET_M = 4.0
_DIRT = np.array([(186, 160, 124), (160, 134, 104), (150, 100, 70), (196, 184, 160)])
_YELLOW = np.array([222, 178, 70], np.float32)


def surface_of(streets: list[Street]) -> BaseGeometry:
    """Return the area of the roads, with turning circles and rounded kerbs."""
    areas = [street.line.buffer(street.width_m / 2, quad_segs=6) for street in streets]
    # Rounding would fill the median between two carriageways.
    apart = [street.kind == "carriageway" for street in streets]
    rounded = [area for area, alone in zip(areas, apart, strict=True) if not alone]
    rounded += [street.bulb.buffer(BULB_M) for street in streets if street.bulb is not None]
    joined = shapely.union_all(rounded).buffer(_FILLET_M).buffer(-_FILLET_M)
    return shapely.union_all(
        [joined, *(area for area, alone in zip(areas, apart, strict=True) if alone)]
    )


@dataclass(frozen=True)
class Looks:
    """Appearance of each street; arrays over the streets.

    Attributes
    ----------
    half : Half the width, metres.
    colour : (N, 3).
    rough, worn : Strength of the grain and of the wheel tracks.
    joints : Distance of joints across, 0 for none.
    lane : Width of a lane, metres.
    centre, lanes, edges : Strength of the painted lines in the middle, between lanes, at the edge.
    solid : Whether the line in the middle is solid.
    walk, gap, shoulder : Width of sidewalk, the strip before it and the shoulder, metres.
    walk_colour, shoulder_colour : (N, 3).
    """

    half: Floats
    colour: Floats
    rough: Floats
    worn: Floats
    joints: Floats
    lane: Floats
    centre: Floats
    lanes: Floats
    edges: Floats
    solid: Floats
    walk: Floats
    gap: Floats
    shoulder: Floats
    walk_colour: Floats
    shoulder_colour: Floats


@dataclass(frozen=True)
class Roads:
    """The streets with their appearance, and the street of each sample.

    Attributes
    ----------
    streets : list of Street
        From wide to narrow.
    band : Band
        Line numbers are street indices.
    on : ndarray of bool, (R, C)
        Surface of the roads.
    crossings : ndarray of float64, (N, 3)
        Junctions: x, y and radius, metres.
    """

    streets: list[Street]
    looks: Looks
    band: Band
    on: Mask
    crossings: Points


def _tones(random: np.random.Generator, world: World, kind: np.ndarray) -> tuple[Floats, Mask]:
    """Return the colour of each street, and which are of concrete."""
    count = len(kind)
    dirt, big = kind == "dirt", np.isin(kind, ["main", "carriageway", "ring"])
    concrete = (random.random(count) < 0.08) & ~dirt
    tone = world.asphalt * np.exp(random.normal(0, 0.1, count))
    # Main roads often differ: brighter and worn, or fresh and dark.
    main = world.asphalt * math.exp(random.normal(0.15, 0.35))
    tone = np.where(big & (random.random() < 0.5), main, tone)
    fresh = random.random(count) < 0.12
    tone = np.where(fresh, tone * random.uniform(0.5, 0.75), tone)
    tone = np.clip(np.where(concrete, random.uniform(150, 218), tone), 28, 222)
    tint = 1 + random.normal(0, 0.03, 3)
    earth = _DIRT[int(random.integers(len(_DIRT)))] * np.exp(random.normal(0, 0.15))
    earth = 0.6 * earth + 0.4 * world.ground[0] * 1.25
    colour = np.where(dirt[:, None], earth, tone[:, None] * tint)
    if random.random() < 0.04:  # bus and cycle lanes in colour
        colour[big] = np.array([(160, 84, 70), (96, 130, 90)])[int(random.integers(2))]
    return np.asarray(colour, np.float32), concrete


def _draw_looks(random: np.random.Generator, world: World, streets: list[Street]) -> Looks:
    count = len(streets)
    kind = np.array([street.kind for street in streets])
    half = np.array([street.width_m / 2 for street in streets])
    dirt, big = kind == "dirt", np.isin(kind, ["main", "carriageway", "ring"])
    colour, concrete = _tones(random, world, kind)
    lined = random.random(count) < np.where(big, 0.5 + 0.5 * world.marked, world.marked)
    lined &= (half > 2.4) & ~dirt
    strength = random.uniform(0.3, 1.0, count) * lined
    walks = (random.random(count) < world.sidewalks) & np.isin(kind, ["street", "main"])
    paving = random.uniform(120, 215) * np.array([1, 0.98, 0.95])
    dust = 0.5 * world.ground[int(random.integers(len(world.ground)))] + 0.5 * np.array(
        [170, 160, 140]
    )
    table = {
        "half": half,
        "colour": colour,
        "rough": np.where(dirt, 0.07, random.uniform(0.01, 0.05, count)),
        "worn": np.where(dirt, 0.12, random.uniform(0, 0.045, count)),
        "joints": concrete * random.uniform(3.5, 8),
        "lane": np.where(dirt, half, 2 * half / np.maximum(1, np.round(2 * half / 3.4))),
        "centre": strength * np.isin(kind, ["main", "street", "lane"]),
        "lanes": strength * (2 * half > 6.4) * random.uniform(0.6, 1, count),
        "edges": strength * (random.random(count) < np.where(big, 0.8, 0.35)),
        "solid": random.random(count) < 0.4,
        "walk": walks * random.uniform(1.2, 4.5, count),
        "gap": walks * random.choice([0.0, 0.0, 1.5, 3.0]),
        "shoulder": (random.random(count) < 0.5) * ~walks * random.uniform(0.3, 2.2, count),
        "walk_colour": paving * np.exp(random.normal(0, 0.06, (count, 1))),
        "shoulder_colour": dust * np.exp(random.normal(0, 0.12, (count, 1))),
    }
    return Looks(**{key: np.asarray(value, np.float32) for key, value in table.items()})


def lay_bands(canvas: Canvas, world: World, streets: list[Street]) -> Roads:
    """Assign samples to streets; wide ones win."""
    streets = sorted(streets, key=lambda street: -street.width_m)
    looks = _draw_looks(canvas.random, world, streets)
    band = Band(canvas)
    for k, street in enumerate(streets):
        half = street.width_m / 2
        # At least the reach of rounded kerbs.
        reach = max(float(looks.gap[k] + looks.walk[k]), float(looks.shoulder[k]), 5.0) + 1.0
        band.add(k, shapely.get_coordinates(street.line), half, half + reach)
        if street.bulb is not None:
            end = np.array(street.bulb.coords[0])
            band.add(k, np.array([end, end + 0.1]), half, BULB_M + reach)
    on = canvas.burn([surface_of(streets)] if streets else []) > 0
    return Roads(streets, looks, band, on, _crossings(streets))


def _crossings(streets: list[Street]) -> Points:
    if len(streets) < 2:
        return np.zeros((0, 3))
    lines = np.array([street.line for street in streets], object)
    first, second = shapely.STRtree(lines).query(lines, predicate="intersects")
    pair = first < second
    meet = shapely.intersection(lines[first[pair]], lines[second[pair]])
    points, index = shapely.get_coordinates(shapely.centroid(meet), return_index=True)
    halves = np.array([street.width_m / 2 for street in streets])
    radius = np.maximum(halves[first[pair]], halves[second[pair]])[index] + 2.0
    return np.column_stack([points, radius])


def paint_roads(canvas: Canvas, roads: Roads) -> None:
    """Paint the roads' surfaces and their edges."""
    if not roads.streets:
        return
    looks, brush = roads.looks, Brush(canvas, roads.band)
    k, excess, s, t = brush.line, brush.excess, brush.along, brush.across
    on = brush.values(roads.on)
    grain = brush.noise(0.6)
    brush.paint(~on & (excess < looks.shoulder[k]), looks.shoulder_colour[k], 0.8)
    start = looks.gap[k]
    walk = ~on & (excess > start) & (excess < start + looks.walk[k])
    brush.paint(walk, looks.walk_colour[k] * (1 + 0.04 * grain[:, None]), 0.95)
    kerb = ~on & (looks.walk[k] > 0) & (excess < max(0.3, canvas.step))
    brush.paint(kerb, looks.walk_colour[k] * 1.12, min(1.0, 0.3 / canvas.step))
    light = 1 + looks.rough[k] * grain + 0.04 * brush.noise(7)
    light += looks.worn[k] * np.cos(2 * np.pi * t / looks.lane[k] * 2)
    light *= _patches(canvas, s, t, looks.lane[k])
    joints = looks.joints[k]
    gap = (joints > 0) & (np.mod(s, np.maximum(joints, 1)) < max(0.15, canvas.step))
    light -= 0.08 * gap * min(1.0, 0.15 / canvas.step)
    brush.paint(on, looks.colour[k] * light[:, None])
    _paint_lines(canvas, roads, brush, on & ~brush.values(_inside_crossings(canvas, roads)))
    brush.done()
    _paint_symbols(canvas, roads)


def _patches(canvas: Canvas, s: Floats, t: Floats, lane: Floats) -> Floats:
    """Return the brightness of repaired patches, 1 elsewhere."""
    random = canvas.random
    if random.random() < 0.4:
        return np.ones_like(s)
    long, wide = np.floor(s / random.uniform(6, 40)), np.floor(t / lane)
    cell = long.astype(np.int64) * 31 + wide.astype(np.int64)
    some = random.random(997) < random.uniform(0.02, 0.25)
    table = np.where(some, np.exp(random.normal(-0.1, 0.2, 997)), 1.0)
    return np.asarray(table[np.mod(cell * 7919, 997)], np.float32)


def _inside_crossings(canvas: Canvas, roads: Roads) -> Mask:
    inside = np.zeros((canvas.side, canvas.side), np.bool_)
    for x, y, radius in roads.crossings:
        local = canvas.local(Box(x, y, 0.0, 2 * radius, 2 * radius))
        if local is not None:
            inside[local.at] |= local.u**2 + local.v**2 < radius**2
    return inside


def _paint_lines(canvas: Canvas, roads: Roads, brush: Brush, free: Mask) -> None:
    """Paint centre, lane and edge lines; lines thinner than a sample are fainter."""
    random, looks = canvas.random, roads.looks
    k, s, t = brush.line, brush.along, brush.across
    white = np.array([232, 232, 228], np.float32) * random.uniform(0.9, 1.05)
    width = random.uniform(0.12, 0.35)
    drawn = max(width, canvas.step)
    period = random.choice([6.0, 9.0, 12.0, 18.0])
    dashed = np.mod(s, period) < period * random.uniform(0.3, 0.6)
    paint = np.clip(0.95 + 0.25 * brush.noise(4), 0.2, 1) * min(1.0, width / drawn)
    half, lane, solid = looks.half[k], looks.lane[k], looks.solid[k] > 0
    double = solid & (half > 4)
    middle = np.abs(np.where(double, np.abs(t) - max(0.2, canvas.step), t)) < drawn / 2
    middle &= dashed | solid
    brush.paint(free & middle, _YELLOW if random.random() < 0.35 else white,
                paint * looks.centre[k])  # fmt: skip
    offset = np.mod(t + half, lane)
    between = (np.minimum(offset, lane - offset) < drawn / 2) & (half - np.abs(t) > 1.5)
    between &= (np.abs(t) > 1.0) | (looks.centre[k] == 0)
    brush.paint(free & between & dashed, white, paint * looks.lanes[k])
    edge = np.abs(half - np.abs(t) - 0.45) < drawn / 2
    brush.paint(free & edge, white, paint * looks.edges[k])


def _paint_symbols(canvas: Canvas, roads: Roads) -> None:
    """Paint zebra crossings, stop lines and arrows before junctions of marked roads."""
    random = canvas.random
    often = random.choice([0.0, 0.3, 0.9])
    for k, street in enumerate(roads.streets):
        marked = float(max(roads.looks.centre[k], roads.looks.edges[k]))
        if marked == 0 or street.kind == "ring" or canvas.step > 0.45:
            continue
        for x, y, radius in roads.crossings:
            at = street.line.project(shapely.Point(x, y))
            if street.line.interpolate(at).distance(shapely.Point(x, y)) > 1:
                continue
            for side in (-1, 1):
                place = at + side * (radius + random.uniform(2, 5))
                if 0 < place < street.line.length and random.random() < often:
                    _paint_zebra(canvas, street, place, side, marked)


def _paint_zebra(canvas: Canvas, street: Street, place: float, side: int, share: float) -> None:
    random = canvas.random
    here = street.line.interpolate(place)
    ahead = street.line.interpolate(min(place + 0.5, street.line.length))
    angle = math.atan2(ahead.y - here.y, ahead.x - here.x)
    width = street.width_m
    box = Box(here.x, here.y, angle, random.uniform(2.5, 4.5), width - 0.6)
    local = canvas.local(box)
    white = (232, 232, 228)
    if local is not None:
        canvas.fill(local, white, (np.mod(local.v + 50, 1.1) < 0.55) * share)
    local = canvas.local(box.part(side * 4.5, side * width / 4, 0.5, width / 2 - 0.6))
    if local is not None:
        canvas.fill(local, white, share)
    for lane in np.arange(1.7, width / 2, 3.4):
        local = canvas.local(box.part(side * 11.0, side * float(lane), 4.5, 1.1))
        if local is not None:
            u = -side * local.u
            shaft, head = np.abs(local.v) < 0.12, (u > 0.6) & (np.abs(local.v) < (2.25 - u) * 0.35)
            canvas.fill(local, white, (shaft | head) * share)
