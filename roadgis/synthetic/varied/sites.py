"""Objects on the land: houses, halls, car parks, pools, pitches, cars."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from roadgis.synthetic.varied.canvas import Box, Canvas
from roadgis.synthetic.varied.climate import World
from roadgis.synthetic.varied.land import Land, Plot
from roadgis.synthetic.varied.pavement import Roads
from roadgis.synthetic.varied.roofs import draw_car, draw_hall, draw_house, draw_tank, is_free


def build(canvas: Canvas, world: World, land: Land, roads: Roads) -> None:
    """Build on the plots, then put cars on the roads."""
    canvas.built |= roads.on | (roads.band.excess < 1.5)
    for plot in land.plots:
        if plot.use == "water":
            canvas.built |= canvas.burn([plot.shape]) > 0
    makers = {
        "yard": _yards, "dense": _dense, "estate": _estate, "commerce": _commerce,
        "field": _farm, "park": _park, "bare": _works,
    }  # fmt: skip
    for plot in land.plots:
        area = plot.shape.intersection(canvas.frame)
        if plot.use in makers and area.area > 200:
            makers[plot.use](canvas, world, Plot(area, plot.use), roads)
        if plot.use in ("yard", "dense", "commerce") and area.area > 200:
            _clutter(canvas, Plot(area, plot.use))
    _traffic(canvas, roads)


def _clutter(canvas: Canvas, plot: Plot) -> None:
    """Scatter sheds, beds, heaps and paved corners."""
    random = canvas.random
    count = min(500, int(plot.shape.area / random.uniform(40, 250)))
    left, top, right, down = plot.shape.bounds
    x, y = random.uniform(left, right, count), random.uniform(top, down, count)
    inside = shapely.contains_xy(plot.shape, x, y)
    angle = _direction(plot.shape)
    for u, v in zip(x[inside], y[inside], strict=True):
        box = Box(u, v, angle, *np.exp(random.uniform(0, 1.9, 2)))
        local = canvas.local(box)
        if local is None or (local.inside & canvas.built[local.at]).any():
            continue
        colour = random.uniform(50, 215) * np.exp(random.normal(0, 0.12, 3))
        canvas.fill(local, colour, random.uniform(0.4, 1))
        if random.random() < 0.4:
            part = canvas.height[local.at]
            np.maximum(part, local.inside * np.float32(random.uniform(0.5, 2.5)), out=part)


def _direction(shape: BaseGeometry) -> float:
    """Return the direction of a shape's longest straight edge."""
    ring = max(shapely.get_parts(shape), key=lambda part: part.area).exterior.simplify(3.0)
    steps = np.diff(shapely.get_coordinates(ring), axis=0)
    longest = steps[int(np.argmax(np.hypot(*steps.T)))]
    return math.atan2(longest[1], longest[0])


def _along(shape: BaseGeometry, inset: float, every: float, random: np.random.Generator
           ) -> Iterator[tuple[float, float, float]]:  # fmt: skip
    """Yield positions along a shape's border, inside it, and the border's direction."""
    for part in shapely.get_parts(shape.buffer(-inset, join_style="mitre")):
        ring = part.exterior
        at = random.uniform(0, every)
        while at < ring.length:
            here, ahead = ring.interpolate(at), ring.interpolate(min(at + 1.5, ring.length))
            yield here.x, here.y, math.atan2(ahead.y - here.y, ahead.x - here.x)
            at += every * random.uniform(0.8, 1.35)


def _inside(shape: BaseGeometry, angle: float, du: float, dv: float,
            random: np.random.Generator) -> Iterator[tuple[float, float]]:  # fmt: skip
    """Yield the positions of a jittered grid inside a shape."""
    if shape.is_empty:
        return
    left, top, right, down = shape.bounds
    middle = np.array([(left + right) / 2, (top + down) / 2])
    reach = math.hypot(right - left, down - top) / 2
    u, v = np.meshgrid(np.arange(-reach, reach, du), np.arange(-reach, reach, dv))
    u = u.ravel() + random.uniform(-0.12, 0.12, u.size) * du
    v = v.ravel() + random.uniform(-0.12, 0.12, v.size) * dv
    x = middle[0] + u * math.cos(angle) - v * math.sin(angle)
    y = middle[1] + u * math.sin(angle) + v * math.cos(angle)
    inside = shapely.contains_xy(shape, x, y)
    yield from zip(x[inside].tolist(), y[inside].tolist(), strict=True)


def _yards(canvas: Canvas, world: World, plot: Plot, roads: Roads) -> None:
    random = canvas.random
    size = random.uniform(8, 17)
    setback = random.uniform(4, 12) + size / 2
    every = size * random.uniform(1.2, 2.2)
    fences = random.random() < 0.5
    drives = random.uniform(0, 1)
    drive_colour = random.uniform(100, 210) * np.array([1, 0.98, 0.94])
    places = list(_along(plot.shape, setback + 3, every, random))
    if random.random() < 0.6:  # behind the first row
        angle = _direction(plot.shape)
        inner = plot.shape.buffer(-2 * setback - 3)
        places += [(x, y, angle) for x, y in _inside(inner, angle, every, 2 * setback, random)]
    for x, y, angle in places:
        turn = angle + (math.pi / 2 if random.random() < 0.3 else 0) + random.normal(0, 0.03)
        box = Box(x, y, turn, size * random.uniform(0.8, 1.5), size * random.uniform(0.55, 0.95))
        if not is_free(canvas, box, 1.0):
            continue
        draw_house(canvas, world, box)
        lot = Box(x, y, angle, every, 2 * setback)
        if random.random() < drives:
            _drive(canvas, lot, setback, drive_colour)
        if fences:
            _line(canvas, lot.part(every / 2, 5.0, 0.3, setback * 2), random.uniform(90, 200), 1.5)
        if random.random() < 0.12:
            _pool(canvas, lot, setback)
        if random.random() < 0.25:
            shed = lot.part(random.uniform(-0.3, 0.3) * every, setback, 4, 3)
            if is_free(canvas, shed, 0.5):
                draw_house(canvas, world, shed)


def _drive(canvas: Canvas, lot: Box, setback: float, colour: np.ndarray) -> None:
    """Pave the way from a house to the street; ignored in the mask."""
    random = canvas.random
    u = random.uniform(-0.3, 0.3) * lot.length
    width = random.uniform(2.6, 5.5)
    for side in (-1, 1):
        box = lot.part(u, side * (setback / 2 + 2), width, setback + 4)
        local = canvas.local(box)
        # The street is on the side where the drive ends on the road.
        if local is None:
            continue
        end = canvas.local(lot.part(u, side * (setback + 3.5), width, 1.0))
        if end is None or not canvas.built[end.at][end.inside].any():
            continue
        local.inside[canvas.built[local.at]] = False
        canvas.fill(local, colour * random.uniform(0.85, 1.1), 0.9)
        canvas.ignore[local.at] |= local.inside
        if random.random() < 0.4:
            draw_car(canvas, *box.moved(0, 0), lot.angle + math.pi / 2)
        return


def _line(canvas: Canvas, box: Box, grey: float, height: float) -> None:
    """Draw a wall, a fence or a hedge on free ground."""
    local = canvas.local(Box(box.x, box.y, box.angle, max(box.length, canvas.step * 1.01),
                             max(box.width, canvas.step * 1.01)))  # fmt: skip
    if local is None:
        return
    local.inside[canvas.built[local.at]] = False
    canvas.fill(local, grey * np.array([1, 0.98, 0.94]), 0.8)
    part = canvas.height[local.at]
    np.maximum(part, local.inside * np.float32(height), out=part)


def _pool(canvas: Canvas, lot: Box, setback: float) -> None:
    random = canvas.random
    side = random.choice([-1, 1])
    box = lot.part(random.uniform(-0.2, 0.2) * lot.length, side * setback * 0.9,
                   random.uniform(5, 11), random.uniform(3, 5.5))  # fmt: skip
    if is_free(canvas, box, 1.0):
        for grow, colour in ((2.4, (200, 196, 186)), (0.0, (90, 178, 200))):
            local = canvas.local(Box(box.x, box.y, box.angle, box.length + grow, box.width + grow))
            if local is not None:
                canvas.fill(local, colour, 0.95)
                canvas.built[local.at] |= local.inside


def _dense(canvas: Canvas, world: World, plot: Plot, roads: Roads) -> None:
    """Fill a block with houses close together."""
    random = canvas.random
    angle = _direction(plot.shape)
    size = random.uniform(6, 20)
    gap = random.choice([0.0, 0.4, 1.5])
    for x, y, turn in _along(plot.shape, size / 2 + random.uniform(3, 6), size * 1.15, random):
        box = Box(x, y, turn, size * random.uniform(0.8, 1.2), size * random.uniform(0.7, 1.1))
        if is_free(canvas, box, gap):
            draw_house(canvas, world, box)
    if random.random() < 0.7:
        for x, y in _inside(plot.shape, angle, size * 1.25, size * 1.1, random):
            turn = angle + random.normal(0, 0.05) + random.choice([0, math.pi / 2])
            box = Box(x, y, turn, size * random.uniform(0.6, 1.3), size * random.uniform(0.5, 1.0))
            if random.random() < 0.8 and is_free(canvas, box, gap):
                draw_house(canvas, world, box)


def _estate(canvas: Canvas, world: World, plot: Plot, roads: Roads) -> None:
    """Build long blocks of flats, with parking between."""
    random = canvas.random
    angle = _direction(plot.shape)
    length, width = random.uniform(25, 75), random.uniform(10, 18)
    height = random.uniform(9, 45)
    for x, y in _inside(plot.shape, angle, length * 1.25, width * random.uniform(2, 3.4), random):
        box = Box(x, y, angle, length * random.uniform(0.7, 1.0), width)
        if is_free(canvas, box, 3.0):
            draw_hall(canvas, world, box, height)
    _car_parks(canvas, plot, angle, 1, roads)


def _commerce(canvas: Canvas, world: World, plot: Plot, roads: Roads) -> None:
    """Build halls and shops, their yards and car parks."""
    random = canvas.random
    angle = _direction(plot.shape)
    largest = random.uniform(40, 160)
    yards, pitch = random.random(), max(12.0, largest * random.uniform(0.3, 0.6))
    places = [(x, y) for x, y, _ in _along(plot.shape, pitch / 2 + 4, pitch * 1.3, random)]
    places += list(_inside(plot.shape, angle, pitch * 1.3, pitch * random.uniform(1, 1.6), random))
    full = random.uniform(0.5, 1.0)
    for middle in places[:120]:
        if random.random() > full:
            continue
        size = math.exp(random.uniform(math.log(18), math.log(largest)))
        share = random.uniform(0.3, 1.0)
        for shrink in (1.0, 0.75, 0.5, 0.3):
            box = Box(*middle, angle + random.choice([0, math.pi / 2]), size * shrink,
                      size * shrink * share)  # fmt: skip
            if is_free(canvas, box, 3.0):
                if random.random() < yards:
                    _yard(canvas, box)
                draw_hall(canvas, world, box, random.uniform(4, 16))
                break
    _car_parks(canvas, plot, angle, _count(plot, random.uniform(2000, 9000)), roads)
    for _ in range(_count(plot, 2500)):  # containers and lorries
        box = Box(*_somewhere(plot.shape, random), angle, random.uniform(6, 13), 2.6)
        if is_free(canvas, box, 0.5):
            draw_hall(canvas, world, box, 2.8)
    for _ in range(int(random.poisson(0.3))):
        x, y = _somewhere(plot.shape, random)
        radius = random.uniform(3, 16)
        for k in range(int(random.integers(1, 6))):
            box = Box(x + 2.4 * radius * k, y, 0.0, 2 * radius, 2 * radius)
            if is_free(canvas, box, 1.0):
                draw_tank(canvas, world, box.x, box.y, radius)


def _yard(canvas: Canvas, box: Box) -> None:
    """Pave the ground around a hall; lorries drive there, so it is ignored."""
    random = canvas.random
    wide = box.part(
        random.uniform(-6, 6),
        random.uniform(-10, 10),
        box.length + random.uniform(6, 24),
        box.width + random.uniform(6, 30),
    )
    local = canvas.local(wide)
    if local is None:
        return
    local.inside[canvas.built[local.at]] = False
    light = 1 + 0.03 * canvas.noise(6, local.at) + 0.03 * canvas.noise(0.6, local.at)
    canvas.fill(local, random.uniform(70, 195) * light[..., None] * np.ones(3), 0.95)
    canvas.ignore[local.at] |= local.inside


def _count(plot: Plot, every_m2: float) -> int:
    """Return the number of attempts for a plot."""
    return min(60, 1 + int(plot.shape.area / every_m2))


def _somewhere(shape: BaseGeometry, random: np.random.Generator) -> tuple[float, float]:
    left, top, right, down = shape.bounds
    for _ in range(8):
        x, y = random.uniform(left, right), random.uniform(top, down)
        if shapely.contains_xy(shape, x, y):
            break
    return float(x), float(y)


def _car_parks(canvas: Canvas, plot: Plot, angle: float, count: int, roads: Roads) -> None:
    random = canvas.random
    for _ in range(count):
        middle = _somewhere(plot.shape, random)
        length, rows = random.uniform(20, 110), int(random.integers(1, 6))
        for shrink in (1.0, 0.6):
            box = Box(*middle, angle, length * shrink, rows * 16.0)
            if is_free(canvas, box, 1.0):
                _access(canvas, box, roads)
                draw_car_park(canvas, box, rows)
                break


def _access(canvas: Canvas, box: Box, roads: Roads) -> None:
    """Pave a way from a car park to the nearest road; it is ignored."""
    lines = shapely.MultiLineString([street.line for street in roads.streets])
    way = shapely.shortest_line(shapely.Point(box.x, box.y), lines)
    if way is None or way.is_empty or way.length > 120:
        return
    (ax, ay), (bx, by) = way.coords
    length = way.length
    road = Box((ax + bx) / 2, (ay + by) / 2, math.atan2(by - ay, bx - ax), length, 6.0)
    local = canvas.local(road)
    if local is None:
        return
    local.inside[canvas.built[local.at]] = False
    canvas.fill(local, canvas.random.uniform(80, 170) * np.ones(3), 0.9)
    canvas.ignore[local.at] |= local.inside


def draw_car_park(canvas: Canvas, box: Box, rows: int) -> None:
    """Lay out rows of stalls; the aisles between them are ignored."""
    random = canvas.random
    local = canvas.local(box)
    if local is None:
        return
    grey = random.uniform(50, 185)
    light = 1 + 0.03 * canvas.noise(4, local.at) + 0.03 * canvas.noise(0.6, local.at)
    canvas.fill(local, grey * light[..., None] * (1 + random.normal(0, 0.02, 3)), 1.0)
    canvas.built[local.at] |= local.inside
    place = np.mod(local.v + box.width / 2, 16.0)
    aisle = np.abs(place - 8.0) < 3.0
    canvas.ignore[local.at] &= ~local.inside
    canvas.ignore[local.at] |= local.inside & aisle
    lines = ~aisle & (np.mod(local.u + 500, 2.6) < max(0.14, canvas.step))
    canvas.fill(local, (225, 225, 220), lines * 0.7 * min(1.0, 0.14 / canvas.step))
    full = random.uniform(0, 0.95)
    trees = random.random() < 0.4
    for row in range(rows):
        for side in (-5.6, 5.6):
            v = -box.width / 2 + 16 * row + 8 + side
            for u in np.arange(-box.length / 2 + 1.3, box.length / 2, 2.6):
                draw = random.random()
                if draw < full:
                    draw_car(canvas, *box.moved(float(u), v), box.angle + math.pi / 2)
                elif trees and draw > 0.94:
                    island = canvas.local(box.part(float(u), v, 2.4, 4.6))
                    if island is not None:
                        canvas.fill(island, (96, 112, 72), 0.9)


def _farm(canvas: Canvas, world: World, plot: Plot, roads: Roads) -> None:
    """Sometimes put a farm, greenhouses or solar panels on a field."""
    random = canvas.random
    draw, angle = random.random(), _direction(plot.shape)
    if draw < 0.25:
        x, y = _somewhere(plot.shape, random)
        for _ in range(int(random.integers(2, 7))):
            box = Box(x + random.normal(0, 22), y + random.normal(0, 22), angle,
                      random.uniform(10, 45), random.uniform(8, 18))  # fmt: skip
            if is_free(canvas, box, 2.0):
                draw_hall(canvas, world, box, random.uniform(4, 9))
    elif draw < 0.37:
        _rows(canvas, plot, angle)


def _rows(canvas: Canvas, plot: Plot, angle: float) -> None:
    """Lay long parallel rows: greenhouses, tunnels of foil, solar panels."""
    random = canvas.random
    box = Box(*_somewhere(plot.shape, random), angle, *random.uniform(40, 160, 2))
    local = canvas.local(box)
    if local is None:
        return
    local.inside[canvas.built[local.at]] = False
    pitch = random.uniform(2.5, 12)
    share = random.uniform(0.4, 0.95)
    place = np.mod(local.v + 500, pitch) / pitch
    on = place < share
    colour = np.array(
        [(222, 226, 224), (190, 200, 196), (44, 54, 84), (30, 34, 46), (170, 176, 160)]
    )
    light = 1 + 0.15 * np.sin(place / share * math.pi)
    hue = colour[int(random.integers(len(colour)))]
    canvas.fill(local, hue * light[..., None], on * 0.9)
    canvas.built[local.at] |= local.inside
    part = canvas.height[local.at]
    np.maximum(part, (local.inside & on) * np.float32(2.0), out=part)


def _park(canvas: Canvas, world: World, plot: Plot, roads: Roads) -> None:
    """Put a pitch or a running track in a park."""
    random = canvas.random
    box = Box(*_somewhere(plot.shape, random), _direction(plot.shape), *random.choice(
        [[100.0, 64.0], [36.0, 18.0], [60.0, 36.0], [28.0, 15.0]]))  # fmt: skip
    if not is_free(canvas, box, 2.0):
        return
    local = canvas.local(box)
    if local is None:
        return
    colour = np.array([(86, 128, 72), (160, 88, 64), (70, 104, 150), (120, 140, 90)])
    stripe = 1 + 0.06 * np.sign(np.sin(local.u * 2 * math.pi / 10))
    canvas.fill(local, colour[int(random.integers(4))] * stripe[..., None], 0.95)
    rim = np.minimum(box.length / 2 - np.abs(local.u), box.width / 2 - np.abs(local.v))
    wide = max(0.15, canvas.step)
    lines = (np.abs(rim - 2.0) < wide / 2) | (np.abs(local.u) < wide / 2) & (rim > 2)
    canvas.fill(local, (232, 232, 228), lines * min(1.0, 0.15 / canvas.step))
    canvas.built[local.at] |= local.inside


def _works(canvas: Canvas, world: World, plot: Plot, roads: Roads) -> None:
    """Scatter the objects of a building site."""
    random = canvas.random
    for _ in range(int(random.poisson(2))):
        box = Box(*_somewhere(plot.shape, random), random.uniform(0, 3.1),
                  *random.uniform(4, 40, 2))  # fmt: skip
        if is_free(canvas, box, 2.0):
            draw_hall(canvas, world, box, random.uniform(1, 9))


def _traffic(canvas: Canvas, roads: Roads) -> None:
    random = canvas.random
    busy, parked = random.choice([0.0, 0.3, 1.0]), random.choice([0.0, 0.5, 1.0])
    for k, street in enumerate(roads.streets):
        half, lane = street.width_m / 2, float(roads.looks.lane[k])
        rate = busy * (3.0 if street.kind in ("main", "carriageway") else 0.7)
        count = random.poisson(rate * street.line.length / 60)
        edge = half - 1.2
        offsets = random.uniform(-1, 1, count) * max(half - lane / 2, 0)
        if street.kind == "street" and half > 2.8 and random.random() < parked:
            extra = random.poisson(street.line.length / 25)
            offsets = np.concatenate([offsets, random.choice([-edge, edge], extra)])
        for offset in offsets:
            at = random.uniform(0, street.line.length)
            here = street.line.interpolate(at)
            ahead = street.line.interpolate(min(at + 1, street.line.length))
            angle = math.atan2(ahead.y - here.y, ahead.x - here.x)
            x, y = here.x - offset * math.sin(angle), here.y + offset * math.cos(angle)
            if canvas.start < x < canvas.stop and canvas.start < y < canvas.stop:
                draw_car(canvas, x, y, angle)
