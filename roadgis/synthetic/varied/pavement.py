"""Roads as the camera sees them: surface, wear, patches, lines, kerbs, sidewalks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from roadgis.synthetic.varied.canvas import Band, Box, Canvas, Floats
from roadgis.synthetic.varied.climate import World
from roadgis.synthetic.varied.networks import BULB_M, Street

__all__ = ["Looks", "Roads", "lay_bands", "paint_roads", "surface_of"]

#: Kerbs at junctions are rounded with this radius, metres.
_FILLET_M = 4.0
_DIRT = np.array([(186, 160, 124), (160, 134, 104), (150, 100, 70), (196, 184, 160)])


def surface_of(streets: list[Street]) -> BaseGeometry:
    """Return the area of the roads, with turning circles and rounded kerbs."""
    areas = [street.line.buffer(street.width_m / 2, quad_segs=6) for street in streets]
    areas += [street.bulb.buffer(BULB_M) for street in streets if street.bulb is not None]
    area: BaseGeometry = shapely.union_all(areas).buffer(_FILLET_M).buffer(-_FILLET_M)
    return area


@dataclass(frozen=True)
class Looks:
    """Looks of each street; arrays over the streets.

    Attributes
    ----------
    half : Half the width, metres.
    colour : (N, 3).
    rough, worn : Strength of the grain and of the wheel tracks.
    joints : Distance of joints across, 0 for none.
    lane : Width of a lane, metres.
    centre, lanes, edges : Strength of the painted lines in the middle, between lanes, at the edge.
    yellow : Whether the line in the middle is yellow.
    solid : Whether it is solid.
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
    yellow: Floats
    solid: Floats
    walk: Floats
    gap: Floats
    shoulder: Floats
    walk_colour: Floats
    shoulder_colour: Floats


@dataclass(frozen=True)
class Roads:
    """The streets with their looks, and which street each sample belongs to."""

    streets: list[Street]
    looks: Looks
    band: Band
    on: np.ndarray
    crossings: np.ndarray


def _draw_looks(random: np.random.Generator, world: World, streets: list[Street]) -> Looks:
    count = len(streets)
    kind = np.array([street.kind for street in streets])
    half = np.array([street.width_m / 2 for street in streets])
    dirt = kind == "dirt"
    concrete = (random.random(count) < 0.12) & ~dirt
    tone = world.asphalt * np.exp(random.normal(0, 0.1, count))
    tone = np.where(random.random(count) < 0.12, tone * random.uniform(0.5, 0.75), tone)
    tone = np.where(concrete, random.uniform(150, 215), tone)
    tint = 1 + random.normal(0, 0.03, 3)
    earth = _DIRT[int(random.integers(len(_DIRT)))] * np.exp(random.normal(0, 0.15))
    earth = 0.6 * earth + 0.4 * world.ground[0] * 1.25
    colour = np.where(dirt[:, None], earth, np.clip(tone, 25, 225)[:, None] * tint)
    big = np.isin(kind, ["main", "carriageway", "ring"])
    lined = (random.random(count) < np.where(big, 0.5 + 0.5 * world.marked, world.marked)) & ~dirt
    lined &= half > 2.4
    two_way = np.isin(kind, ["main", "street", "lane"])
    strength = random.uniform(0.25, 1.0, count) * lined
    walks = (random.random(count) < world.sidewalks) & np.isin(kind, ["street", "main"])
    paving = random.uniform(120, 215) * np.array([1, 0.98, 0.95])
    dust = world.ground[int(random.integers(len(world.ground)))] * 0.5 + 0.5 * np.array(
        [170, 160, 140]
    )
    table = {
        "half": half,
        "colour": colour,
        "rough": np.where(dirt, 0.07, random.uniform(0.01, 0.05, count)),
        "worn": np.where(dirt, 0.12, random.uniform(0, 0.09, count)),
        "joints": concrete * random.uniform(3.5, 8),
        "lane": np.where(dirt, half, 2 * half / np.maximum(1, np.round(2 * half / 3.4))),
        "centre": strength * two_way,
        "lanes": strength * (2 * half > 9.5) * random.uniform(0.6, 1, count),
        "edges": strength * (random.random(count) < np.where(big, 0.8, 0.35)),
        "yellow": np.full(count, random.random() < 0.35),
        "solid": random.random(count) < 0.4,
        "walk": walks * random.uniform(1.2, 4.5, count),
        "gap": walks * random.choice([0.0, 0.0, 1.5, 3.0]),
        "shoulder": (random.random(count) < 0.5) * ~walks * random.uniform(0.3, 2.2, count),
        "walk_colour": paving * np.exp(random.normal(0, 0.06, (count, 1))),
        "shoulder_colour": dust * np.exp(random.normal(0, 0.12, (count, 1))),
    }
    return Looks(**{key: np.asarray(value, np.float32) for key, value in table.items()})


def lay_bands(canvas: Canvas, world: World, streets: list[Street]) -> Roads:
    """Find which street each sample belongs to."""
    order = sorted(range(len(streets)), key=lambda k: -streets[k].width_m)
    streets = [streets[k] for k in order]
    looks = _draw_looks(canvas.random, world, streets)
    band = Band(canvas)
    for k, street in enumerate(streets):
        reach = float(max(looks.gap[k] + looks.walk[k], looks.shoulder[k]) + 1.0)
        half = street.width_m / 2
        # As far as rounded kerbs and turning circles reach.
        points = shapely.get_coordinates(street.line)
        band.add(k, points, half, half + max(reach, 6.0))
        if street.bulb is not None:
            end = np.array(street.bulb.coords[0])
            band.add(k, np.array([end, end + 0.1]), half, BULB_M + reach)
    on = canvas.burn([surface_of(streets)] if streets else []) > 0
    return Roads(streets, looks, band, on, _crossings(streets))


def _crossings(streets: list[Street]) -> np.ndarray:
    """Return where streets meet: (N, 3) of x, y and radius."""
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
    """Paint the roads' surfaces and what lies along them."""
    if not roads.streets:
        return
    band, looks = roads.band, roads.looks
    sel = np.flatnonzero((band.line >= 0).ravel())
    k = band.line.ravel()[sel]
    excess, t, s = (a.ravel()[sel] for a in (band.excess, band.across, band.along))
    on = roads.on.ravel()[sel]
    pixels = canvas.colour.reshape(-1, 3)
    out = pixels[sel]
    grain = canvas.noise(0.6).ravel()[sel]
    middle = canvas.noise(7).ravel()[sel]

    def mix(where: np.ndarray, colour: np.ndarray, share: np.ndarray | float) -> None:
        amount = (where * share)[:, None].astype(np.float32)
        out[:] += (colour - out) * amount

    beside = ~on
    mix(beside & (excess < looks.shoulder[k]), looks.shoulder_colour[k], 0.8)
    start = looks.gap[k]
    walk = beside & (excess > start) & (excess < start + looks.walk[k])
    mix(walk, looks.walk_colour[k] * (1 + 0.04 * grain[:, None]), 0.95)
    kerb = beside & (looks.walk[k] > 0) & (excess < max(0.3, canvas.step))
    mix(kerb, looks.walk_colour[k] * 1.12, min(1.0, 0.3 / canvas.step))
    light = 1 + looks.rough[k] * grain + 0.04 * middle
    light += looks.worn[k] * np.cos(2 * np.pi * t / looks.lane[k] * 2)
    light *= _patches(canvas, s, t, looks.lane[k])
    joints = looks.joints[k]
    gap = (joints > 0) & (np.mod(s, np.maximum(joints, 1)) < max(0.15, canvas.step))
    light -= 0.12 * gap * min(1.0, 0.15 / canvas.step)
    mix(on, looks.colour[k] * light[:, None], 1.0)
    free = on & ~_inside_crossings(canvas, roads.crossings).ravel()[sel]
    _lines(canvas, looks, k, s, t, free, mix)
    pixels[sel] = out


def _patches(canvas: Canvas, s: Floats, t: Floats, lane: Floats) -> Floats:
    """Return the light of repaired places, 1 elsewhere."""
    random = canvas.random
    if random.random() < 0.4:
        return np.ones_like(s)
    cell = np.floor(s / random.uniform(6, 40)).astype(np.int64) * 31 + np.floor(t / lane).astype(
        np.int64
    )
    table = np.where(
        random.random(997) < random.uniform(0.02, 0.25), np.exp(random.normal(-0.1, 0.2, 997)), 1.0
    )
    return table[np.mod(cell * 7919, 997)].astype(np.float32)


def _inside_crossings(canvas: Canvas, crossings: np.ndarray) -> np.ndarray:
    inside = np.zeros((canvas.side, canvas.side), np.bool_)
    for x, y, radius in crossings:
        local = canvas.local(Box(x, y, 0.0, 2 * radius, 2 * radius))
        if local is not None:
            inside[local.at] |= local.u**2 + local.v**2 < radius**2
    return inside


def _lines(canvas, looks, k, s, t, free, mix) -> None:  # type: ignore[no-untyped-def]
    """Paint centre, lane and edge lines; thinner than a sample, they are fainter."""
    random = canvas.random
    white = np.array([228, 228, 224], np.float32) * random.uniform(0.85, 1.05)
    yellow = np.array([222, 178, 70], np.float32)
    width = random.uniform(0.12, 0.3)
    drawn = max(width, canvas.step)
    share = min(1.0, width / drawn)
    period = random.choice([6.0, 9.0, 12.0])
    dashed = np.mod(s, period) < period * random.uniform(0.3, 0.6)
    worn = np.clip(0.9 + 0.3 * canvas.noise(4).ravel()[: len(s)], 0.2, 1)
    half, lane = looks.half[k], looks.lane[k]
    at_middle = np.abs(t) < drawn / 2
    double = looks.solid[k] * (half > 4)
    at_middle = np.where(double > 0, (np.abs(np.abs(t) - 0.2) < drawn / 2), at_middle)
    middle = free & at_middle & (dashed | (looks.solid[k] > 0))
    hue = np.where(looks.yellow[k][:, None] > 0, yellow, white)
    mix(middle, hue, share * looks.centre[k] * worn)
    offset = np.mod(t + half, lane)
    between = (np.minimum(offset, lane - offset) < drawn / 2) & (half - np.abs(t) > 1.5)
    between &= (np.abs(t) > 1.0) | (looks.centre[k] == 0)
    mix(free & between & dashed, white, share * looks.lanes[k] * worn)
    edge = np.abs(half - np.abs(t) - 0.45) < drawn / 2
    mix(free & edge, white, share * looks.edges[k] * worn)
