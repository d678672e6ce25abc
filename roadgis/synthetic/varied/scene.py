"""A varied scene: a picture of a made-up place somewhere in the world, and its roads."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt
from affine import Affine
from rasterio.features import rasterize

from roadgis.synthetic.noise import generator
from roadgis.synthetic.varied.camera import photograph
from roadgis.synthetic.varied.canvas import Canvas
from roadgis.synthetic.varied.climate import World, draw_world
from roadgis.synthetic.varied.land import divide, paint_land
from roadgis.synthetic.varied.light import light_scene
from roadgis.synthetic.varied.linear import draw_linear
from roadgis.synthetic.varied.networks import Street, lay_streets
from roadgis.synthetic.varied.pavement import lay_bands, paint_roads, surface_of
from roadgis.synthetic.varied.sites import build
from roadgis.synthetic.varied.trees import grow

__all__ = ["IGNORE", "VariedScene"]

#: What counts neither as road nor as anything else.
IGNORE = 255
_MARGIN_PX = 12


class VariedScene:
    """A scene drawn from a seed.

    Parameters
    ----------
    size_px : int
        Side of the picture, pixels.
    gsd_m : float
        Pixel size, metres.
    seed, number : int
        Both together decide all that is drawn.
    """

    def __init__(self, size_px: int, gsd_m: float, seed: int, number: int = 0) -> None:
        self.size_px, self.gsd_m = size_px, gsd_m
        self._key = (seed, number)
        self.world: World = draw_world(generator(seed, 1, number))
        side = size_px * gsd_m
        self.streets: list[Street] = lay_streets(generator(seed, 2, number), self.world, side)

    @cached_property
    def _painted(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
        seed, number = self._key
        canvas = Canvas(self.size_px, self.gsd_m, _MARGIN_PX, generator(seed, 3, number))
        plots = divide(canvas, self.world, self.streets)
        land = paint_land(canvas, self.world, plots)
        draw_linear(canvas, self.world, land)
        roads = lay_bands(canvas, self.world, self.streets)
        paint_roads(canvas, roads)
        build(canvas, self.world, land, roads)
        light_scene(canvas, self.world, grow(canvas, self.world, land, roads))
        rim, fine = canvas.margin_px, canvas.FINE
        inner = slice(rim * fine, (rim + self.size_px) * fine)
        blocks = canvas.ignore[inner, inner].reshape(self.size_px, fine, self.size_px, fine)
        return photograph(canvas), blocks.mean((1, 3)) >= 0.5

    @property
    def image(self) -> npt.NDArray[np.uint8]:
        """The picture, uint8 (size, size, 3)."""
        return self._painted[0]

    @cached_property
    def road(self) -> npt.NDArray[np.bool_]:
        """Pixels whose centre is on a road, (size, size)."""
        if not self.streets:
            return np.zeros((self.size_px, self.size_px), np.bool_)
        step = self.gsd_m
        burnt = rasterize(
            [(surface_of(self.streets), 1)],
            (self.size_px, self.size_px),
            transform=Affine(step, 0, 0, 0, step, 0),
            dtype="uint8",
        )
        return np.asarray(burnt > 0)

    @property
    def mask(self) -> npt.NDArray[np.uint8]:
        """1 on roads, 255 where nobody can say, 0 elsewhere, uint8 (size, size)."""
        unknown = np.where(self._painted[1], IGNORE, 0)
        return np.where(self.road, 1, unknown).astype(np.uint8)
