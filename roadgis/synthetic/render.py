"""The picture of a town, tile by tile, with camera effects."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from roadgis.arrays import Bools, Singles
from roadgis.imagery.grid import Window
from roadgis.options.synthetic import TILE_PX, TownOptions
from roadgis.synthetic.layout import Layout
from roadgis.synthetic.noise import Frame, smooth_noise, white_noise
from roadgis.synthetic.paint import paint
from roadgis.synthetic.rasters import asphalt, burn, burn_layout

#: Samples per pixel, along each axis.
_OVERSAMPLING = 2
#: Largest reach of shadows and crowns, metres.
_HALO_M = 28.0

Picture = npt.NDArray[np.uint8]


class Renderer:
    """Renders windows of a town from aligned tiles, so that all windows agree exactly."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._options: TownOptions = layout.options
        # A repeating town is fast only if all its tiles are cached; their number is bounded.
        self._tile = lru_cache(maxsize=256 if self._options.repeating else 4)(self._make_tile)

    def image(self, window: Window) -> Picture:
        """Return the picture of a window, uint8 (height, width, 3)."""
        out = np.empty((window.height, window.width, 3), np.uint8)
        last_row, last_col = window.end_row, window.end_col
        for row in range(window.row // TILE_PX, -(-last_row // TILE_PX)):
            for col in range(window.col // TILE_PX, -(-last_col // TILE_PX)):
                r0, c0 = row * TILE_PX, col * TILE_PX
                top, left = max(r0, window.row), max(c0, window.col)
                down, right = min(r0 + TILE_PX, last_row), min(c0 + TILE_PX, last_col)
                tile = self._tile(*self._canonical(row, col))
                part = tile[top - r0 : down - r0, left - c0 : right - c0]
                top, left = top - window.row, left - window.col
                out[top : top + part.shape[0], left : left + part.shape[1]] = part
        return out

    def mask(self, window: Window) -> Bools:
        """Return which pixels of a window have their centre on a road, bool (height, width)."""
        frame = self._frame(window.row, window.col, window.height, window.width, 1)
        return burn(frame, [asphalt(self._layout.roads(_grown(frame.bounds, 30.0)))]) > 0

    def _canonical(self, row: int, col: int) -> tuple[int, int]:
        tiles = self._options.repeat_px // TILE_PX
        return (row % tiles, col % tiles) if tiles else (row, col)

    def _frame(self, row: int, col: int, rows: int, cols: int, fine: int) -> Frame:
        options = self._options
        return Frame(
            row=row * fine,
            col=col * fine,
            rows=rows * fine,
            cols=cols * fine,
            step_m=options.gsd_m / fine,
            seed=options.seed,
            wrap_m=options.repeat_px * options.gsd_m,
        )

    def _make_tile(self, row: int, col: int) -> Picture:
        options = self._options
        halo = math.ceil(_HALO_M / options.gsd_m)
        size = TILE_PX + 2 * halo
        row, col = row * TILE_PX - halo, col * TILE_PX - halo
        frame = self._frame(row, col, size, size, _OVERSAMPLING)
        reach = 1 / math.tan(math.radians(options.sun_elevation_deg))
        azimuth = math.radians(options.sun_azimuth_deg)
        # Away from the sun; rows count southwards.
        sun = (-reach * math.sin(azimuth), reach * math.cos(azimuth))
        light = paint(burn_layout(self._layout, frame), frame, sun, options.tree_density)
        for k in range(3):
            ndimage.gaussian_filter(
                light[..., k], options.blur_px * _OVERSAMPLING, output=light[..., k], truncate=3
            )
        fine = _OVERSAMPLING
        pixels = light.reshape(size, fine, size, fine, 3).mean((1, 3), dtype=np.float32)
        inner = slice(halo, halo + TILE_PX)
        plain = self._frame(row + halo, col + halo, TILE_PX, TILE_PX, 1)
        return self._sense(pixels[inner, inner], plain)

    def _sense(self, pixels: Singles, frame: Frame) -> Picture:
        """Add haze, uneven light and the sensor's noise."""
        options = self._options
        pixels = pixels * (1 + 0.03 * smooth_noise(frame, 256, 91))[..., None] + 3
        grey = white_noise(frame, 92) * np.float32(3.2 * options.noise)
        for k in range(3):
            pixels[..., k] += grey + white_noise(frame, 93 + k) * np.float32(1.5 * options.noise)
        return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def _grown(
    bounds: tuple[float, float, float, float], by: float
) -> tuple[float, float, float, float]:
    return bounds[0] - by, bounds[1] - by, bounds[2] + by, bounds[3] + by
