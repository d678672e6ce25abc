"""Roofs and small things made of boxes: houses, halls, cars."""

from __future__ import annotations

import math

import numpy as np

from roadgis.synthetic.varied.canvas import Box, Canvas, Floats, Local
from roadgis.synthetic.varied.climate import World

_ROOFS: dict[str, tuple[tuple[float, float, float], ...]] = {
    "tiled": ((178, 100, 74), (150, 84, 62), (196, 128, 96), (160, 72, 58), (206, 150, 118)),
    "grey": ((140, 140, 140), (112, 112, 116), (166, 164, 158), (124, 118, 112)),
    "dark": ((74, 72, 72), (58, 58, 62), (88, 80, 76), (66, 70, 78)),
    "flat": ((196, 196, 190), (222, 222, 220), (170, 168, 160), (146, 142, 134), (120, 120, 120)),
    "metal": ((190, 194, 198), (150, 160, 170), (168, 90, 70), (214, 216, 218), (110, 120, 116)),
    "blue": ((62, 98, 178), (84, 128, 196), (50, 76, 140), (110, 160, 206)),
    "mixed": ((150, 120, 100), (90, 120, 100), (120, 140, 160), (170, 150, 120), (128, 62, 56)),
}
_CARS = np.array(
    [(226, 226, 226), (186, 188, 190), (60, 62, 66), (34, 36, 40), (124, 126, 130), (150, 40, 40),
     (50, 74, 130), (206, 190, 150), (70, 96, 80)], np.float32
)  # fmt: skip


def is_free(canvas: Canvas, box: Box, gap: float) -> bool:
    """Return whether nothing is built within `gap` of a box and it is inside the canvas."""
    wide = Box(box.x, box.y, box.angle, box.length + 2 * gap, box.width + 2 * gap)
    local = canvas.local(wide)
    return local is not None and not canvas.built[local.at][local.inside].any()


def _raise(canvas: Canvas, local: Local, height: Floats | float) -> None:
    part = canvas.height[local.at]
    np.maximum(part, local.inside * np.asarray(height, np.float32), out=part)
    canvas.built[local.at] |= local.inside
    canvas.ignore[local.at] &= ~local.inside


def _texture(canvas: Canvas, local: Local) -> Floats:
    """Return fine noise for a window."""
    return canvas.random.standard_normal(local.inside.shape, np.float32)


def _facing(world: World, angle: float) -> float:
    """Return how much a slope facing right of a box faces the sun, -1..1."""
    east, south = world.sun
    length = max(math.hypot(east, south), 1e-6)
    return (math.sin(angle) * east - math.cos(angle) * south) / length


def draw_house(canvas: Canvas, world: World, box: Box) -> None:
    """Draw a house with a roof in the local style, often with a wing."""
    random = canvas.random
    style = str(random.choice(world.roof_styles))
    colours = _ROOFS[style]
    colour = np.array(colours[int(random.integers(len(colours)))]) * math.exp(random.normal(0, 0.1))
    height = random.uniform(3.0, 8.5)
    parts = [box]
    if random.random() < 0.4:
        side = random.choice([-1, 1])
        parts.append(
            Box(*box.moved(box.length * random.uniform(-0.25, 0.25), side * box.width * 0.35),
                box.angle + math.pi / 2, box.width * 1.2, box.length * 0.45)
        )  # fmt: skip
    flat = style == "flat" or random.random() < 0.12
    for foot in parts:
        part = _lift(canvas, world, foot, height)
        local = canvas.local(part)
        if local is None:
            continue
        if flat:
            light = _parapet(canvas, local, part)
        else:
            light = _slopes(world, local, part, hipped=random.random() < 0.4)
        light = light * (1 + 0.035 * _texture(canvas, local))
        if style == "metal":
            light *= 1 + 0.05 * np.sin(local.u * (2 * math.pi / max(0.8, 2.2 * canvas.step)))
        canvas.fill(local, np.clip(colour * light[..., None], 0, 252), 1.0)
        _raise(canvas, local, height)
    if random.random() < 0.12:
        box = _lift(canvas, world, box, height)
        _panels(canvas, box.part(0, box.width / 4, box.length * 0.6, box.width * 0.35))


def _lift(canvas: Canvas, world: World, box: Box, height: float) -> Box:
    """Draw the walls visible in a slanting view; return the position of the roof."""
    east, south = world.lean[0] * height, world.lean[1] * height
    count = int(math.hypot(east, south) / canvas.step)
    if count < 1:
        return box
    tone = canvas.random.uniform(80, 200) * np.array([1, 0.98, 0.94])
    for k in range(count):
        share = k / count
        at = Box(box.x + share * east, box.y + share * south, box.angle, box.length, box.width)
        local = canvas.local(at)
        if local is not None:
            floor = 0.8 if (share * height) % 3.2 < 1.4 else 1.0
            canvas.fill(local, tone * floor, 1.0)
            _raise(canvas, local, share * height)
    return Box(box.x + east, box.y + south, box.angle, box.length, box.width)


def _slopes(world: World, local: Local, box: Box, *, hipped: bool) -> Floats:
    """Return the light on a gabled or hipped roof."""
    across, along = _facing(world, box.angle), _facing(world, box.angle - math.pi / 2)
    light = 1 + 0.32 * across * np.sign(local.v)
    if hipped:
        ends = box.length / 2 - np.abs(local.u) < box.width / 2 - np.abs(local.v)
        light = np.where(ends, 1 + 0.32 * along * np.sign(local.u), light)
    ridge = np.abs(local.v) < 0.2
    return np.asarray(light * (1 + 0.12 * ridge), np.float32)


def _parapet(canvas: Canvas, local: Local, box: Box) -> Floats:
    """Return the light on a flat roof: a rim of another tone, and stains."""
    random = canvas.random
    rim = np.minimum(box.length / 2 - np.abs(local.u), box.width / 2 - np.abs(local.v))
    light = np.where(rim < random.uniform(0.2, 0.9), random.uniform(0.65, 1.35), 1.0)
    return np.asarray(light, np.float32)


def _panels(canvas: Canvas, box: Box) -> None:
    """Lay solar panels."""
    local = canvas.local(box)
    if local is None:
        return
    random = canvas.random
    colour = np.array([(40, 52, 84), (28, 32, 44), (58, 74, 110)])[int(random.integers(3))]
    pitch = random.uniform(1.0, 2.2)
    gap = np.mod(local.v + 50, pitch) < random.uniform(0.05, 0.4)
    seam = np.mod(local.u + 50, 1.0) < 0.06
    canvas.fill(local, colour, (~gap) * (1 - 0.3 * seam))


def draw_hall(canvas: Canvas, world: World, box: Box, height: float) -> None:
    """Draw a large roof: flat, ribbed, saw-toothed; bands, skylights and boxes on it.

    Many of its parts look like roads on purpose.
    """
    box = _lift(canvas, world, box, height)
    local = canvas.local(box)
    if local is None:
        return
    random = canvas.random
    names = ["flat", "metal", "grey", "dark", "mixed", "flat", "grey", "flat", "tiled", "metal",
             "blue"]  # fmt: skip
    style = str(random.choice(names))
    colours = _ROOFS[style]
    colour = np.array(colours[int(random.integers(len(colours)))])
    colour = colour * math.exp(random.normal(0, 0.12))
    light = np.ones(local.inside.shape, np.float32)
    draw = random.random()
    if draw < 0.45:
        light *= _ribs(canvas, local)
    elif draw < 0.55:
        pitch = random.uniform(4, 12)
        slope = np.mod(local.u + 500, pitch) / pitch
        light *= np.where(slope < 0.35, 1 - 0.35, 1 + 0.1 * slope).astype(np.float32)
    if random.random() < 0.4 and draw < 0.45:
        light *= _slopes(world, local, box, hipped=False)
    if random.random() < 0.7:
        light *= _parapet(canvas, local, box)
    light *= 1 + 0.03 * _texture(canvas, local) + 0.05 * canvas.noise(8, local.at)
    canvas.fill(local, np.clip(colour * light[..., None], 0, 252), 1.0)
    _raise(canvas, local, height)
    for _ in range(int(random.poisson(1.5))):
        _band(canvas, box)
    if random.random() < 0.4:
        _skylights(canvas, box)
    if random.random() < 0.5:
        _boxes(canvas, box, height)
    if random.random() < 0.15:
        _panels(canvas, box.part(0, 0, box.length * random.uniform(0.4, 0.9), box.width * 0.7))


def _ribs(canvas: Canvas, local: Local) -> Floats:
    random = canvas.random
    place = local.u if random.random() < 0.7 else local.v
    period = max(math.exp(random.uniform(math.log(0.5), math.log(9))), 2.2 * canvas.step)
    wave = np.sin(place * (2 * math.pi / period))
    if random.random() < 0.5:
        wave = np.sign(wave - random.uniform(-0.2, 0.9))
    return np.asarray(1 + random.uniform(0.03, 0.25) * wave, np.float32)


def _band(canvas: Canvas, box: Box) -> None:
    """Draw a band along an edge or the ridge, as wide as a road, often with lines along it."""
    random = canvas.random
    width = min(random.uniform(0.6, 9.0), box.width * 0.4)
    v = random.choice([-1.0, 1.0, 0.0]) * (box.width - width) / 2
    part = box.part(0, v, box.length, width)
    if random.random() < 0.25:
        part = box.part((box.length - width) / 2, 0, width, box.width)
    local = canvas.local(part)
    if local is None:
        return
    grey = random.uniform(40, 230)
    canvas.fill(local, np.array([grey, grey, grey]) * (1 + random.normal(0, 0.04, 3)), 0.9)
    if random.random() < 0.6:
        period = random.uniform(0.8, 3.0)
        place = local.v if part.length > part.width else local.u
        if random.random() < 0.4:
            place = local.u if part.length > part.width else local.v
        line = np.mod(place + 100, period) < max(0.2, canvas.step)
        canvas.fill(local, random.choice([0.4, 1.6]) * grey * np.ones(3), line * 0.7)


def _skylights(canvas: Canvas, box: Box) -> None:
    random = canvas.random
    local = canvas.local(box.part(0, 0, box.length * 0.9, box.width * 0.9))
    if local is None:
        return
    pitch, wide = random.uniform(4, 14), random.uniform(0.6, 2)
    on = np.mod(local.u + 500, pitch) < wide
    if random.random() < 0.6:
        on &= np.mod(local.v + 500, random.uniform(6, 30)) < random.uniform(2, 8)
    canvas.fill(local, random.choice([235.0, 205.0, 70.0]) * np.array([0.97, 1, 1]), on * 0.8)


def _boxes(canvas: Canvas, box: Box, height: float) -> None:
    """Put machines on a roof."""
    random = canvas.random
    for _ in range(int(random.integers(1, 12))):
        u = random.uniform(-0.45, 0.45) * box.length
        v = random.uniform(-0.45, 0.45) * box.width
        local = canvas.local(box.part(u, v, *random.uniform(1.0, 5.0, 2)))
        if local is not None:
            canvas.fill(local, random.uniform(70, 240) * np.ones(3), 1.0)
            _raise(canvas, local, height + random.uniform(1, 3))


def draw_tank(canvas: Canvas, world: World, x: float, y: float, radius: float) -> None:
    """Draw a round tank or silo."""
    height = canvas.random.uniform(4, 15)
    local = canvas.local(Box(x, y, 0.0, 2 * radius, 2 * radius))
    if local is None:
        return
    local.inside[local.u**2 + local.v**2 > radius**2] = False
    side = (local.u * world.sun[0] + local.v * world.sun[1]) / (radius * math.hypot(*world.sun))
    grey = canvas.random.uniform(110, 235)
    canvas.fill(local, grey * (1 - 0.15 * side)[..., None] * np.ones(3), 1.0)
    _raise(canvas, local, height)


def draw_car(canvas: Canvas, x: float, y: float, angle: float) -> None:
    """Draw a car, a van or a lorry."""
    random = canvas.random
    draw = random.random()
    length, width, height = (4.5, 1.85, 1.5) if draw < 0.85 else (6.0, 2.1, 2.4)
    if draw > 0.96:
        length, width, height = float(random.uniform(8, 16)), 2.5, 3.6
    box = Box(x, y, angle, length * random.uniform(0.9, 1.1), width)
    local = canvas.local(box)
    if local is None or canvas.height[local.at].max() > 2:
        return
    colour = _CARS[int(random.integers(len(_CARS)))] * random.uniform(0.8, 1.1)
    canvas.fill(local, colour, 0.95)
    glass = np.abs(local.u - 0.12 * length) < 0.35
    canvas.fill(local, colour * 0.35, glass * 0.8 * (draw < 0.85))
    part = canvas.height[local.at]
    np.maximum(part, local.inside * np.float32(height), out=part)
