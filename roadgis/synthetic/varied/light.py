"""Tree crowns from above, and shadows of all objects."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from roadgis.synthetic.varied.canvas import Canvas, Floats, spread
from roadgis.synthetic.varied.climate import World
from roadgis.synthetic.varied.trees import TreeCrowns


def light_scene(canvas: Canvas, world: World, crowns: TreeCrowns) -> None:
    """Paint the crowns, then darken the shadows."""
    on = crowns.height > canvas.height
    if world.leafless:
        on &= canvas.noise(0.5) > -0.1
    tops = np.where(on, crowns.height, 0)
    if on.any():
        _paint_crowns(canvas, world, crowns, on)
    np.maximum(canvas.height, tops, out=canvas.height)
    top = _shadow_height(canvas, world)
    shadow = (top > canvas.height + 0.5).astype(np.float32)
    if canvas.random.random() < 0.6:
        shadow = ndimage.uniform_filter(shadow, 3)
    dark = 1 - np.float32(world.shade)
    # Skylight is bluish.
    for band, share in enumerate((1.0, 0.97, 0.88)):
        canvas.colour[..., band] *= 1 - dark * np.float32(share) * shadow


def _shadow_height(canvas: Canvas, world: World) -> Floats:
    """Return the height that shadows reach, (R, C), from one height per pixel for speed.

    A pixel casts no shadow on itself: the pixel of a wall may be half sunlit ground.
    """
    fine = canvas.fine
    blocks = [canvas.height[row::fine, col::fine] for row in range(fine) for col in range(fine)]
    height = np.maximum.reduce(blocks)
    top = shaded(height, world.sun, canvas.step * fine, itself=False)
    return spread(top, fine)


def _paint_crowns(canvas: Canvas, world: World, crowns: TreeCrowns, on: np.ndarray) -> None:
    random = canvas.random
    palette = world.crowns.astype(np.float32)
    kind = (crowns.tone[on] * 3.99).astype(np.int64) % len(palette)
    if random.random() < 0.4:  # one kind of tree
        kind = np.minimum(kind, 1)
    colour = palette[kind]
    rows, cols = np.nonzero(on)
    length = max(math.hypot(*world.sun), 1e-6)
    row, col = (round(1.5 * part / length) for part in (world.sun[1], world.sun[0]))
    lit = crowns.height - _shifted(crowns.height, row, col)
    light = 0.82 + 0.3 * np.tanh(lit[on] * random.uniform(0.3, 1.0))
    light += 0.35 * ((crowns.tone[on] * 53) % 1.0 - 0.5) + 0.12 * canvas.noise(0.7, (rows, cols))
    canvas.colour[on] = colour * np.clip(light, 0.25, 2)[:, None]


def shaded(height: Floats, sun: tuple[float, float], step: float, *, itself: bool = True) -> Floats:
    """Return the height that shadows reach over each sample, metres, (R, C).

    Shifts by 1, 2, 4... samples away from the sun, each lowered by the descent of the ray. Without
    `itself` a sample's own height counts for others only.
    """
    length = math.hypot(*sun)
    lost, highest = step / length, float(height.max(initial=0.0))
    east, south = sun[0] / length, sun[1] / length
    top: Floats = height if itself else _shifted(height, round(south), round(east)) - lost
    count = 1
    while count * lost < highest and count < len(height):
        moved = _shifted(top, round(count * south), round(count * east))
        top = np.maximum(top, moved - np.float32(count * lost))
        count *= 2
    return top


def _shifted(field: Floats, row: int, col: int) -> Floats:
    """Shift a raster down and to the right, filled with 0."""
    out: Floats = np.zeros_like(field)
    rows, cols = field.shape
    out[max(row, 0) : rows + min(row, 0), max(col, 0) : cols + min(col, 0)] = field[
        max(-row, 0) : rows + min(-row, 0), max(-col, 0) : cols + min(-col, 0)
    ]
    return out
