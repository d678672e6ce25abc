"""A varied scene: picture and roads of a made-up place somewhere in the world."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import shapely
from affine import Affine
from rasterio.features import rasterize
from shapely.geometry.base import BaseGeometry

from roadgis.arrays import Bools, Bytes
from roadgis.imagery.grid import Grid, Window
from roadgis.network.network import RoadNetwork
from roadgis.options.synthetic import VariedOptions
from roadgis.synthetic.noise import generator
from roadgis.synthetic.through_streets import Road
from roadgis.synthetic.town import projected_crs
from roadgis.synthetic.truth import node_roads
from roadgis.synthetic.varied.camera import binned, photograph
from roadgis.synthetic.varied.canvas import Canvas
from roadgis.synthetic.varied.climate import World, draw_world
from roadgis.synthetic.varied.land import divide, paint_land
from roadgis.synthetic.varied.light import light_scene
from roadgis.synthetic.varied.linear import draw_linear
from roadgis.synthetic.varied.networks import Street, lay_streets
from roadgis.synthetic.varied.pavement import lay_bands, paint_roads, surface_of
from roadgis.synthetic.varied.sites import build
from roadgis.synthetic.varied.trees import grow

#: Label of ignored pixels.
IGNORE = 255
_MARGIN_PX = 12


class VariedScene:
    """A scene drawn from a seed: roads and all that surrounds them.

    Attributes
    ----------
    streets : list of Street
        The roads before noding, in metres from the top left corner, y to the south.

    Raises
    ------
    InputError
        If the CRS is unknown or not projected in metres.
    """

    def __init__(self, options: VariedOptions) -> None:
        self.options = options
        size, gsd = options.size_px, options.gsd_m
        self.grid = Grid(projected_crs(options.crs), options.x0, options.y0, gsd, size, size)
        self.world: World = draw_world(self._random(1))
        self.streets: list[Street] = lay_streets(self._random(2), self.world, size * gsd)

    def _random(self, salt: int) -> np.random.Generator:
        return generator(self.options.seed, salt, self.options.number)

    @cached_property
    def _painted(self) -> tuple[Bytes, Bools]:
        """The picture, and the ignored pixels."""
        size = self.options.size_px
        canvas = Canvas(size, self.options.gsd_m, _MARGIN_PX, self._random(3))
        land = paint_land(canvas, self.world, divide(canvas, self.world, self.streets))
        draw_linear(canvas, self.world, land)
        roads = lay_bands(canvas, self.world, self.streets)
        paint_roads(canvas, roads)
        build(canvas, self.world, land, roads)
        light_scene(canvas, self.world, grow(canvas, self.world, land, roads))
        rim, fine = canvas.margin_px, canvas.fine
        inner = slice(rim * fine, (rim + size) * fine)
        unknown = binned(canvas.ignore[inner, inner].astype(np.float32), fine) >= 0.5
        return photograph(canvas), unknown

    @property
    def image(self) -> Bytes:
        """The picture, uint8 (height, width, 3)."""
        return self._painted[0]

    def render(self, window: Window) -> Bytes:
        """Return a part of the picture, uint8 (height, width, 3)."""
        rows = slice(window.row, window.row + window.height)
        return self.image[rows, window.col : window.col + window.width]

    @cached_property
    def road_mask(self) -> Bools:
        """Pixels whose centre is on a road, (height, width)."""
        return self._burn(surface_of(self.streets))

    def _burn(self, shape: BaseGeometry) -> Bools:
        size, gsd = self.options.size_px, self.options.gsd_m
        if shape.is_empty:
            return np.zeros((size, size), np.bool_)
        transform = Affine(gsd, 0, 0, 0, gsd, 0)
        return np.asarray(
            rasterize([(shape, 1)], (size, size), transform=transform, dtype="uint8") > 0
        )

    def mask(self, line_width_m: float | None = None) -> Bytes:
        """Return 1 on roads, IGNORE where it is ambiguous, 0 elsewhere.

        Parameters
        ----------
        line_width_m : float, optional
            Draw all roads in this width along their centrelines; the rest of their surface is
            IGNORE. Default: full width.
        """
        unknown, road = self._painted[1], self.road_mask
        if line_width_m is not None:
            unknown = unknown | road
            lines = [street.line.buffer(line_width_m / 2) for street in self.streets]
            road = self._burn(shapely.union_all(lines))
        return np.where(road, 1, np.where(unknown, IGNORE, 0)).astype(np.uint8)

    @cached_property
    def centerlines(self) -> RoadNetwork:
        """The road centrelines, noded, in the grid's CRS.

        Cut at the frame; `width_m` is the width of the surface; no confidence.
        """
        roads = [Road(s.line, s.width_m, s.kind, s.bulb) for s in self.streets]
        side = self.options.size_px * self.options.gsd_m
        return node_roads(roads, shapely.box(0, 0, side, side), self.options)
