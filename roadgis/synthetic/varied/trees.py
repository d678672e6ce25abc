"""Trees: single ones, rows and woods."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import shapely

from roadgis.synthetic.varied.canvas import Canvas, Floats, Points
from roadgis.synthetic.varied.climate import World
from roadgis.synthetic.varied.land import USES, Land
from roadgis.synthetic.varied.pavement import Roads

_MOST = 5000


@dataclass(frozen=True, slots=True)
class TreeCrowns:
    """Tree crowns over the canvas, (R, C).

    Attributes
    ----------
    height : ndarray of float32
        Metres, 0 without trees.
    tone : ndarray of float32
        One number in 0..1 per tree.
    """

    height: Floats
    tone: Floats


def grow(canvas: Canvas, world: World, land: Land, roads: Roads) -> TreeCrowns:
    """Plant trees by their probability on the land, and rows along streets."""
    random = canvas.random
    size = random.uniform(2.2, 4.6)
    places = [_scattered(canvas, land, world, size)]
    if random.random() < 0.5:
        places.append(_rows(canvas, roads, size))
    if random.random() < 0.25:
        places.append(_orchard(canvas, land, size))
    stems = np.concatenate(places)
    if len(stems) > _MOST:
        stems = stems[random.permutation(len(stems))[:_MOST]]
    crowns = TreeCrowns(np.zeros_like(canvas.height), np.zeros_like(canvas.height))
    sprites = [
        _sprite(canvas, size * share * (0.7 if world.conifers else 1.0), world.conifers)
        for share in (0.45, 0.65, 0.85, 1.0, 1.25, 1.6)
    ]
    for (x, y), draw in zip(stems, random.random(len(stems)), strict=True):
        sprite = sprites[min(int(draw * 6), 5)]
        _stamp(canvas, crowns, sprite, x, y, 0.7 + 0.6 * ((draw * 37) % 1.0), (draw * 91) % 1.0)
    return crowns


def _scattered(canvas: Canvas, land: Land, world: World, size: float) -> Points:
    random = canvas.random
    cell = size * 1.35
    count = int((canvas.side * canvas.step / cell) ** 2)
    stems = random.uniform(canvas.start, canvas.stop, (count, 2))
    cols, rows = ((stems - canvas.start) / canvas.step).astype(int).clip(0, canvas.side - 1).T
    wood = land.trees[rows, cols] > 0.75
    chance = land.trees[rows, cols] * np.where(wood, 1.6, world.trees)
    kept = (random.random(count) < chance) & ~canvas.built[rows, cols]
    return np.asarray(stems[kept])


def _orchard(canvas: Canvas, land: Land, size: float) -> Points:
    """Plant trees in rows on a part of the fields."""
    random = canvas.random
    angle = random.uniform(0, np.pi)
    u = np.arange(0, random.uniform(40, 250), size * random.uniform(1.0, 2.4))
    v = np.arange(0, random.uniform(40, 250), size * random.uniform(1.6, 3.2))
    u, v = (a.ravel() for a in np.meshgrid(u, v))
    cos, sin = np.cos(angle), np.sin(angle)
    middle = random.uniform(canvas.start, canvas.stop, 2)
    stems = middle + np.stack([u * cos - v * sin, u * sin + v * cos], 1)
    stems = stems[((stems > canvas.start) & (stems < canvas.stop)).all(1)]
    cols, rows = ((stems - canvas.start) / canvas.step).astype(int).clip(0, canvas.side - 1).T
    grown = np.isin(land.use[rows, cols], [USES.index("field"), USES.index("wild")])
    return np.asarray(stems[grown & ~canvas.built[rows, cols]])


def _rows(canvas: Canvas, roads: Roads, size: float) -> Points:
    random = canvas.random
    places = [np.zeros((0, 2))]
    for street in roads.streets:
        if random.random() < 0.5:
            continue
        every = size * random.uniform(1.6, 5)
        offset = street.width_m / 2 + random.uniform(1.0, 4.5)
        for side in (-1, 1):
            line = shapely.offset_curve(street.line, side * offset)
            if line.is_empty:
                continue
            at = np.arange(random.uniform(0, every), line.length, every)
            at = at[random.random(len(at)) < 0.85]
            places.append(shapely.get_coordinates(shapely.line_interpolate_point(line, at)))
    stems = np.concatenate(places)
    inside = ((stems > canvas.start) & (stems < canvas.stop)).all(1)
    stems = stems[inside]
    cols, rows = ((stems - canvas.start) / canvas.step).astype(int).clip(0, canvas.side - 1).T
    return np.asarray(stems[~roads.on[rows, cols] & (canvas.height[rows, cols] < 2.5)])


def _sprite(canvas: Canvas, radius: float, pointed: bool) -> Floats:
    """Return the heights of a crown, 0..1 of its top."""
    reach = max(1, math.ceil(radius / canvas.step))
    steps = (np.arange(-reach, reach + 1) * canvas.step / radius) ** 2
    dome = 1 - (steps[:, None] + steps[None, :])
    lumps = canvas.random.normal(0, 0.16, dome.shape)
    dome = np.where(dome > 0.25 * canvas.random.random(dome.shape), dome, 0)
    shape = np.sqrt(np.clip(dome, 0, 1)) * (1 + lumps)
    if pointed:
        shape = 1.6 * (1 - np.sqrt(np.clip(1 - dome, 0, 1))) * (1 + lumps)
    return np.asarray(np.where(dome > 0, np.clip(0.35 + 0.65 * shape, 0.2, 1.6), 0), np.float32)


def _stamp(canvas: Canvas, crowns: TreeCrowns, sprite: Floats, x: float, y: float, scale: float,
           tone: float) -> None:  # fmt: skip
    reach = len(sprite) // 2
    row, col = canvas.index(y) - reach, canvas.index(x) - reach
    r0, c0 = max(row, 0), max(col, 0)
    r1, c1 = min(row + len(sprite), canvas.side), min(col + len(sprite), canvas.side)
    if r0 >= r1 or c0 >= c1:
        return
    part = sprite[r0 - row : r1 - row, c0 - col : c1 - col] * np.float32(
        scale * (reach * canvas.step * 1.7 + 2)
    )
    height = crowns.height[r0:r1, c0:c1]
    higher = part > height
    height[higher] = part[higher]
    crowns.tone[r0:r1, c0:c1][higher] = tone
