"""Land use between the roads, and ground colours."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import shapely
from scipy import ndimage
from shapely import Polygon
from shapely.geometry.base import BaseGeometry
from shapely.ops import substring

from roadgis.synthetic.varied.canvas import Canvas, Floats, Mask, spread
from roadgis.synthetic.varied.climate import World
from roadgis.synthetic.varied.networks import Street

USES = ("wild", "yard", "dense", "estate", "commerce", "field", "forest", "park", "bare", "water")
_SHARES: dict[str, dict[str, float]] = {
    "suburb": {"yard": 0.82, "park": 0.06, "bare": 0.06, "commerce": 0.06},
    "town": {"dense": 0.45, "estate": 0.2, "commerce": 0.12, "yard": 0.13, "park": 0.06,
             "bare": 0.04},
    "village": {"field": 0.75, "forest": 0.1, "wild": 0.15},
    "works": {"commerce": 0.74, "bare": 0.1, "field": 0.08, "wild": 0.08},
    "fields": {"field": 0.88, "wild": 0.08, "forest": 0.04},
    "forest": {"forest": 0.8, "wild": 0.1, "field": 0.1},
    "highway": {"field": 0.4, "forest": 0.15, "wild": 0.15, "commerce": 0.2, "yard": 0.1},
    "barren": {"bare": 0.5, "wild": 0.5},
    "roadless": {"field": 0.4, "forest": 0.2, "commerce": 0.2, "bare": 0.1, "wild": 0.1},
}  # fmt: skip
#: Share of trees by land use.
_TREES = {"wild": 0.12, "yard": 0.35, "dense": 0.12, "estate": 0.3, "commerce": 0.05,
          "field": 0.0, "forest": 1.0, "park": 0.3, "bare": 0.03, "water": 0.0}  # fmt: skip
#: Appearance of each land use in a scene.
_KINDS = 61


@dataclass(frozen=True)
class Plot:
    """A piece of land and its use, one of USES."""

    shape: BaseGeometry
    use: str


@dataclass(frozen=True, slots=True)
class Land:
    """Land use and ground over the canvas.

    Attributes
    ----------
    plots : list of Plot
        From large to small.
    use : ndarray of uint8, (R, C)
        Index into USES.
    trees : ndarray of float32, (R, C)
        Chance of a tree.
    """

    plots: list[Plot]
    use: np.ndarray
    trees: Floats


def divide(canvas: Canvas, world: World, streets: list[Street]) -> list[Plot]:
    """Divide the land along the roads and assign uses."""
    random = canvas.random
    shares = _SHARES[world.place]
    names, weights = list(shares), np.array(list(shares.values()))
    lines = [street.line for street in streets]
    ground = shapely.union_all([*lines, canvas.frame.buffer(2).exterior])
    plots = []
    for face in shapely.get_parts(shapely.polygonize(shapely.get_parts(ground))):
        use = str(random.choice(names, p=weights / weights.sum()))
        small = face.area < 900
        plots.append(Plot(face, "wild" if small else use))
    if world.place == "village":
        plots += _hamlets(canvas, streets)
    plots += _waters(canvas, world)
    return plots


def _hamlets(canvas: Canvas, streets: list[Street]) -> list[Plot]:
    """Put yards along parts of the streets."""
    random, plots = canvas.random, []
    for street in streets:
        at = random.uniform(0, 150)
        while at < street.line.length:
            reach = random.uniform(60, 260)
            piece = substring(street.line, at, at + reach)
            if random.random() < 0.7 and piece.length > 20:
                wide = piece.buffer(random.uniform(25, 48), cap_style="flat")
                plots.append(Plot(wide, str(random.choice(["yard", "yard", "dense"]))))
            at += reach + random.uniform(0, 200)
    return plots


def _waters(canvas: Canvas, world: World) -> list[Plot]:
    random = canvas.random
    often = {"arid": 0.1, "paddy": 0.8, "steppe": 0.15}.get(world.climate, 0.35)
    return [
        Plot(blob(canvas, math.exp(random.normal(3.1, 0.7))), "water")
        for _ in range(int(random.poisson(often)))
    ]


def blob(canvas: Canvas, radius: float) -> BaseGeometry:
    """Return a rounded shape somewhere in the canvas."""
    random = canvas.random
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    reach = np.ones(64)
    for k in range(1, 6):
        reach += random.normal(0, 0.22 / k) * np.sin(k * angle + random.uniform(0, 6.3))
    reach = radius * np.clip(reach, 0.3, 2)
    stretch, turn = random.uniform(0.5, 1), random.uniform(0, np.pi)
    u, v = reach * np.cos(angle), reach * np.sin(angle) * stretch
    middle = random.uniform(canvas.start, canvas.stop, 2)
    points = np.stack([u * np.cos(turn) - v * np.sin(turn), u * np.sin(turn) + v * np.cos(turn)])
    return Polygon(points.T + middle).buffer(0)


def _parcels(canvas: Canvas, world: World) -> tuple[np.ndarray, Floats, float]:
    """Return numbers of fields, the distance to their borders, and their direction."""
    random = canvas.random
    angle = random.uniform(0, math.pi)
    if world.climate in ("paddy", "mediterranean", "tropical") and random.random() < 0.3:
        level = canvas.noise(random.uniform(60, 160)) * random.uniform(2, 7)
        step = np.abs(np.gradient(level)[0]) + np.abs(np.gradient(level)[1]) + 1e-4
        number = np.floor(level)
        edge = np.minimum(level - number, 1 - level + number) / step * canvas.step
        return number.astype(np.int64) + 50, edge.astype(np.float32), angle
    cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    warp = canvas.noise(90) * random.choice([0.0, 2.0, 6.0])
    u = canvas.x * cos + canvas.y * sin + warp
    v = canvas.y * cos - canvas.x * sin + warp
    deep = random.uniform(15, 150)
    wide = random.uniform(10, 200) if random.random() < 0.5 else random.uniform(60, 300)
    row = np.floor(v / deep)
    edge = np.minimum(v - row * deep, row * deep + deep - v)
    start = random.uniform(0, 1, 256)[np.mod(row.astype(np.int64), 256)].astype(np.float32)
    share = (0.4 + 1.2 * start) * np.float32(wide)
    place = u / share + 7 * start
    col = np.floor(place)
    edge = np.minimum(edge, np.minimum(place - col, 1 - place + col) * share)
    number = row.astype(np.int64) * 4099 + col.astype(np.int64) * 131 + 100_000_000
    return number, edge.astype(np.float32), angle


@dataclass(frozen=True)
class _Looks:
    """Tables over USES x _KINDS: colours, and the strength and wavelength of furrows."""

    colour: np.ndarray
    other: np.ndarray
    furrow: np.ndarray
    wave: np.ndarray
    rough: np.ndarray
    tracks: np.ndarray


def _looks(canvas: Canvas, world: World, angle: float) -> _Looks:
    random = canvas.random
    count = len(USES) * _KINDS
    use = np.repeat(np.arange(len(USES)), _KINDS)
    ground = world.ground[random.integers(0, len(world.ground), count)]
    other = world.ground[random.integers(0, len(world.ground), count)]
    fields = world.fields[random.integers(0, len(world.fields), count)]
    is_field = use == USES.index("field")
    colour = np.where(is_field[:, None], fields, ground)
    colour = colour * np.exp(random.normal(0, 0.1, (count, 1)))
    other = np.where(is_field[:, None], colour * 0.5 + 0.5 * other, other)
    bare = random.uniform(110, 205) * np.array([1, random.uniform(0.76, 0.97), 0])
    bare[2] = bare[1] * random.uniform(0.65, 0.97)
    earth = bare * np.exp(random.normal(0, 0.12, (count, 1)))
    colour[use == USES.index("bare")] = earth[use == USES.index("bare")]
    paved = random.uniform(90, 190) * np.array([1.0, 1.0, 0.97])
    hard = np.isin(use, [USES.index("dense"), USES.index("commerce")])
    hard &= random.random(count) < 0.6
    colour[hard] = (paved * np.exp(random.normal(0, 0.15, (count, 1))))[hard]
    other[hard] = colour[hard] * 0.94
    tints = np.array([(28, 42, 44), (48, 66, 58), (84, 88, 72), (60, 84, 96), (20, 26, 24)])
    water = tints[random.integers(0, len(tints), count)] * np.exp(random.normal(0, 0.15))
    wet = use == USES.index("water")
    colour[wet], other[wet] = water[wet], water[wet] * 1.08
    turn = angle + np.where(random.random(count) < 0.5, 0, np.pi / 2)
    turn = np.where(random.random(count) < 0.1, random.uniform(0, np.pi, count), turn)
    period = np.exp(random.uniform(np.log(0.9), np.log(9), count))
    period = np.maximum(period, 2.2 * canvas.step)
    wave = 2 * np.pi / period * np.stack([np.cos(turn), np.sin(turn)])
    furrow = is_field * np.abs(random.normal(0, 0.09, count)) * (random.random(count) < 0.75)
    rough = np.where(
        wet, 0.015, np.where(hard, 0.035, np.where(is_field, 0.05, 0.1))
    ) * random.uniform(0.4, 1.4, count)
    tracks = is_field * (random.random(count) < 0.3) * random.uniform(0.1, 0.5, count)
    return _Looks(
        *(np.asarray(a, np.float32) for a in (colour, other, furrow, wave, rough, tracks))
    )


def paint_land(canvas: Canvas, world: World, plots: list[Plot]) -> Land:
    """Paint the ground and return the land.

    One sample per pixel is enough, and faster.
    """
    ground = Canvas(canvas.size_px, canvas.gsd_m, canvas.margin_px, canvas.random, fine=1)
    land = _paint_ground(ground, world, plots)
    fine = canvas.fine
    canvas.colour = spread(ground.colour, fine)
    canvas.height = spread(ground.height, fine)
    return Land(plots, spread(land.use, fine), spread(land.trees, fine))


def _paint_ground(canvas: Canvas, world: World, plots: list[Plot]) -> Land:
    random = canvas.random
    which = canvas.burn([plot.shape for plot in plots])
    use = np.array([0, *(USES.index(plot.use) for plot in plots)], np.uint8)[which]
    number, edge, angle = _parcels(canvas, world)
    field = use == USES.index("field")
    number = np.where(field, number, 0) + which * 7919
    look = use.astype(np.int64) * _KINDS + np.mod(number * 2654435761 // 65536, _KINDS)
    looks = _looks(canvas, world, angle)
    mottle = np.clip(0.45 + 0.4 * canvas.noise(random.uniform(6, 40)), 0, 1)
    colour = looks.colour[look]
    colour += (looks.other[look] - colour) * (mottle * 0.7)[..., None]
    light = 1 + looks.rough[look] * (0.7 * canvas.noise(0.8) + 0.7 * canvas.noise(2.5))
    light += 0.05 * canvas.noise(30) + 0.04 * canvas.noise(9)
    if field.any():
        phase = canvas.x * looks.wave[0][look] + canvas.y * looks.wave[1][look]
        light += looks.furrow[look] * np.sin(phase)
        place = np.mod(phase * np.float32(random.uniform(1.0, 2.0)), np.float32(24.0))
        light += looks.tracks[look] * ((place < 0.6) | ((place > 1.6) & (place < 2.2)))
    canvas.colour[:] = colour * light[..., None]
    _shrubs(canvas, world, use)
    trees = np.array([_TREES[name] for name in USES], np.float32)[use]
    trees = trees * np.clip(1 + 0.8 * canvas.noise(random.uniform(15, 60)), 0, 2)
    if field.any():
        _borders(canvas, world, field, edge, trees)
    return Land(plots, use, trees)


def _shrubs(canvas: Canvas, world: World, use: np.ndarray) -> None:
    """Scatter shrubs, tufts and stones with small shadows over open ground."""
    random = canvas.random
    if random.random() < 0.35:
        return
    wild = np.isin(use, [USES.index(name) for name in ("wild", "yard", "bare", "forest", "park")])
    thick = random.uniform(1.2, 2.2) + 0.5 * canvas.noise(25)
    on = wild & (canvas.noise(random.uniform(0.6, 1.8)) > thick)
    colour = world.crowns[0] if random.random() < 0.8 else world.ground[1] * 1.3
    canvas.colour[on] = 0.3 * canvas.colour[on] + 0.7 * np.asarray(colour, np.float32)
    canvas.height[on] = random.uniform(0.2, 1.6)


def _borders(canvas: Canvas, world: World, field: Mask, edge: Floats, trees: Floats) -> None:
    """Paint the borders of fields: grass, paths, ditches, hedges; none of them is a road."""
    random = canvas.random
    half = random.uniform(0.2, 1.4)
    kind = random.choice(["none", "grass", "path", "ditch", "hedge", "path", "wall"])
    on = field & (edge < half)
    some = canvas.noise(50) > random.choice([-2.0, 0.0])
    on &= some
    share = ndimage.uniform_filter(on.astype(np.float32), 3)[..., None]
    ground = world.ground[random.integers(len(world.ground))]
    colours = {
        "grass": ground,
        "path": 0.4 * ground + 0.6 * np.array([190, 176, 150]),
        "ditch": np.array([40, 48, 42]),
        "hedge": world.crowns[0],
        "wall": np.array([150, 148, 140]),
    }
    if kind == "none":
        return
    canvas.colour += (np.asarray(colours[str(kind)], np.float32) - canvas.colour) * share * 0.85
    if kind == "hedge":
        trees[on] = 0.8
