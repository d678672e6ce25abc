"""Linear features that are not roads: railways, canals, dry rivers, runways, paths, tracks."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import shapely
from shapely import LineString

from roadgis.synthetic.varied.brush import Brush, brush_along
from roadgis.synthetic.varied.canvas import Canvas, Mask, Points
from roadgis.synthetic.varied.climate import World
from roadgis.synthetic.varied.land import USES, Land

#: Mean number of each per scene.
_OFTEN = {"railway": 0.16, "canal": 0.25, "river": 0.12, "strip": 0.08, "path": 0.5, "track": 0.35,
          "runway": 0.03, "wall": 0.3}  # fmt: skip


def draw_linear(canvas: Canvas, world: World, land: Land) -> None:
    """Draw features that cross the roads; they avoid houses and trees."""
    random = canvas.random
    often = dict(_OFTEN)
    if world.place == "roadless":
        often = {name: 2.5 * value for name, value in often.items()}
    if world.climate == "paddy":
        often["canal"] += 0.8
    if world.climate in ("arid", "steppe"):
        often["river"] += 0.3
    for name, rate in often.items():
        for _ in range(int(random.poisson(rate))):
            MAKERS[name](canvas, world, land).done()


def _line(canvas: Canvas, sway: float) -> Points:
    random = canvas.random
    angle = random.uniform(0, 2 * math.pi)
    reach = 1.5 * (canvas.stop - canvas.start)
    u = np.linspace(-reach, reach, 160 if sway else 2)
    wave = random.uniform(60, 500)
    v = sway * np.sin(u / wave * 2 * np.pi + random.uniform(0, 6)) * min(1, wave / 200)
    v = v + 0.4 * sway * np.sin(u / wave * 5 + random.uniform(0, 6)) * min(1, wave / 200)
    middle = random.uniform(canvas.start, canvas.stop, 2)
    cos, sin = math.cos(angle), math.sin(angle)
    line = LineString(np.stack([middle[0] + u * cos - v * sin, middle[1] + u * sin + v * cos], 1))
    parts = shapely.get_parts(line.intersection(canvas.frame.buffer(30)))
    inside = [part for part in parts if part.geom_type == "LineString"]
    best = max(inside, key=lambda part: part.length, default=LineString([(0, 0), (0, 1)]))
    return shapely.get_coordinates(best.simplify(0.1))


def _open(land: Land) -> Mask:
    """Return where paths and tracks may run: not between houses, not in water."""
    return np.isin(land.use, [USES.index(n) for n in ("wild", "field", "forest", "park", "bare")])


def _railway(canvas: Canvas, world: World, land: Land) -> Brush:
    random = canvas.random
    tracks = int(random.choice([1, 2, 2, 4, 8]))
    pitch = random.uniform(4, 5.5)
    half = tracks * pitch / 2 + random.uniform(0.5, 3)
    brush = brush_along(canvas, _line(canvas, random.choice([0.0, 12.0])), half, 2.0)
    inside = brush.excess < 0
    ballast = np.array([(128, 112, 98), (150, 144, 138), (100, 84, 72)])[int(random.integers(3))]
    light = 1 + 0.06 * brush.noise(0.6) + 0.05 * brush.noise(6)
    brush.paint(inside, ballast * light[:, None] * random.uniform(0.8, 1.2))
    v = np.mod(brush.across + tracks * pitch / 2, pitch) - pitch / 2
    on = inside & (np.abs(brush.across) < tracks * pitch / 2)
    sleeper = on & (np.abs(v) < 1.3) & (np.mod(brush.along, 0.62) < 0.28)
    fine = min(1.0, 0.3 / canvas.step)
    brush.paint(sleeper, ballast * random.choice([0.6, 1.4]), 0.8 * fine)
    rail = on & (np.abs(np.abs(v) - 0.75) < max(0.08, canvas.step / 2))
    brush.paint(rail, random.choice([70.0, 205.0]) * np.ones(3), min(1.0, 0.16 / canvas.step))
    brush.mark(canvas.built, brush.excess < 1, True)
    return brush


def _canal(canvas: Canvas, world: World, land: Land) -> Brush:
    random = canvas.random
    half = math.exp(random.uniform(math.log(0.6), math.log(14)))
    brush = brush_along(canvas, _line(canvas, random.choice([0.0, 0.0, 6.0])), half, 5.0)
    bank = random.uniform(0.5, 4)
    if random.random() < 0.5:
        tone = random.uniform(140, 215) * np.array([1, 0.98, 0.94])
    else:
        tone = world.ground[0] * random.uniform(0.7, 1.2)
    brush.paint(brush.excess < bank, tone * (1 + 0.06 * brush.noise(1.5))[:, None], 0.85)
    tints = np.array([(30, 44, 46), (56, 76, 62), (92, 94, 76), (70, 92, 104), (24, 28, 26)])
    water = tints[int(random.integers(len(tints)))] * random.uniform(0.7, 1.4)
    if random.random() < 0.12:  # dry concrete channel
        water = tone * 0.9
    brush.paint(brush.excess < 0, water * (1 + 0.04 * brush.noise(8))[:, None], 0.97)
    brush.mark(canvas.built, brush.excess < 2, True)
    return brush


def _river(canvas: Canvas, world: World, land: Land) -> Brush:
    """Draw a river bed of varying width, dry or with some water."""
    random = canvas.random
    half = math.exp(random.uniform(math.log(3), math.log(22)))
    brush = brush_along(canvas, _line(canvas, random.uniform(15, 60)), half, 0.8 * half)
    edge = brush.excess + 0.3 * half * brush.noise(random.uniform(12, 50))
    sand = random.uniform(130, 220) * np.array([1, 0.94, 0.82])
    brush.paint(edge < 0, sand * (1 + 0.08 * brush.noise(2))[:, None], 0.9)
    if random.random() < 0.6:
        wet = edge < -half * random.uniform(0.2, 0.7)
        brush.paint(wet, np.array([70, 84, 84]) * random.uniform(0.5, 1.3), 0.95)
    brush.mark(canvas.built, edge < 1, True)
    return brush


def _strip(canvas: Canvas, world: World, land: Land) -> Brush:
    """Clear a strip for a power line."""
    random = canvas.random
    half = random.uniform(6, 20)
    brush = brush_along(canvas, _line(canvas, 0.0), half, 1.0)
    brush.mark(land.trees, brush.excess < 0, 0.02)
    brush.paint(brush.excess < 0, world.ground[0] * random.uniform(0.9, 1.3), 0.6)
    wire = np.abs(np.abs(brush.across) - random.uniform(0, 4)) < canvas.step / 2
    brush.paint(wire, np.array([210, 210, 210]), random.uniform(0, 0.3))
    return brush


def _path(canvas: Canvas, world: World, land: Land) -> Brush:
    """Draw a footpath, too narrow for a road."""
    random = canvas.random
    half = random.uniform(0.4, 1.2)
    brush = brush_along(canvas, _line(canvas, random.uniform(0, 25)), half, 1.0)
    free = brush.values(_open(land)) & (brush.excess < 0)
    tone = random.uniform(110, 220) * np.array([1, 0.96, 0.88])
    share = np.clip(0.75 + 0.35 * brush.noise(15), 0, 1)
    brush.paint(free, tone, share)
    brush.mark(land.trees, brush.excess < 1, 0.0)
    return brush


def _track(canvas: Canvas, world: World, land: Land) -> Brush:
    """Draw two faint wheel tracks, which may be a road and are therefore ignored."""
    random = canvas.random
    brush = brush_along(canvas, _line(canvas, random.uniform(0, 40)), 1.6, 1.0)
    free = brush.values(_open(land)) & (brush.excess < 0)
    wheel = np.abs(np.abs(brush.across) - 0.8) < random.uniform(0.25, 0.6)
    share = np.clip(random.uniform(0.3, 0.8) + 0.35 * brush.noise(25), 0, 1)
    brush.paint(wheel & free, world.ground[-1] * random.uniform(1.1, 1.5), share)
    brush.mark(canvas.ignore, free, True)
    brush.mark(land.trees, brush.excess < 1, 0.0)
    return brush


def _runway(canvas: Canvas, world: World, land: Land) -> Brush:
    random = canvas.random
    half = random.uniform(9, 30)
    brush = brush_along(canvas, _line(canvas, 0.0), half, 8.0)
    inside = brush.excess < 0
    grey = random.uniform(60, 190)
    brush.paint(brush.excess < 8, np.array([110, 124, 84]), 0.7)
    light = 1 + 0.04 * brush.noise(0.6) + 0.06 * brush.noise(20)
    brush.paint(inside, grey * light[:, None] * np.ones(3))
    line = (np.abs(brush.across) < 0.45) & (np.mod(brush.along, 50) < 30)
    edge = np.abs(brush.excess + 1.5) < 0.4
    brush.paint(inside & (line | edge), np.array([228, 228, 224]), 0.8)
    brush.mark(canvas.built, brush.excess < 12, True)
    brush.mark(land.trees, brush.excess < 12, 0.0)
    return brush


def _wall(canvas: Canvas, world: World, land: Land) -> Brush:
    """Draw a wall, a hedge or a dyke with its shadow."""
    random = canvas.random
    half = random.uniform(0.2, 1.0)
    brush = brush_along(canvas, _line(canvas, random.choice([0.0, 8.0])), half, 1.0)
    on = (brush.excess < max(0, canvas.step / 2 - half)) & brush.values(_open(land))
    green = random.random() < 0.4
    tone = world.crowns[0] if green else random.uniform(100, 225) * np.ones(3)
    brush.paint(on, tone, min(1.0, 2 * half / canvas.step))
    brush.mark(canvas.height, on, random.uniform(1, 3))
    return brush


MAKERS: dict[str, Callable[[Canvas, World, Land], Brush]] = {
    "railway": _railway, "canal": _canal, "river": _river, "strip": _strip, "path": _path,
    "track": _track, "runway": _runway, "wall": _wall,
}  # fmt: skip
