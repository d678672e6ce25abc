"""Roads drawn in code: as probability, and as imagery that the tiny model understands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pyproj import CRS

from roadgis.imagery.grid import Grid, Window
from roadgis.network.network import EDGE_ATTRIBUTES, RoadNetwork
from roadgis.probability.source import NO_DATA
from tests.factories.rasters import write_raster

#: A metric CRS far from its central meridian, so that grid and ground distances differ.
UTM = CRS.from_epsg(32632)
#: Colours (red, green, blue) that the models of :mod:`tests.factories.models` distinguish.
ROAD = (120, 120, 120)
GROUND = (60, 110, 50)

Stroke = tuple[float, float, float, float, float]

#: Roads over 600 x 500 px: a cross, a slanting road, a dead end, a lane near the border.
NET: tuple[Stroke, ...] = (
    (0, 120, 600, 120, 8),
    (200, 0, 200, 500, 8),
    (40, 480, 560, 160, 10),
    (420, 120, 420, 40, 6),
    (0, 470, 600, 470, 7),
)


class ArraySource:
    """A probability source over an array in memory; a mask if `is_mask` is set."""

    is_mask = False

    def __init__(self, array: npt.NDArray[np.uint8], gsd_m: float = 1.0) -> None:
        self.array = array
        self.grid = Grid(UTM, 500_000.0, 5_000_000.0, gsd_m, array.shape[1], array.shape[0])

    def read(self, window: Window) -> npt.NDArray[np.uint8]:
        """Return a window; nodata beyond the array."""
        out = np.full((window.height, window.width), NO_DATA, np.uint8)
        inside = window.intersection(self.grid.window)
        if not inside.is_empty:
            out[inside.slices_in(window)] = self.array[inside.slices_in(self.grid.window)]
        return out


def road(
    shape: tuple[int, int], *strokes: tuple[float, float, float, float, float]
) -> npt.NDArray[np.uint8]:
    """Draw straight bands (x0, y0, x1, y1, width) with flat ends, certain (254) on nothing (0).

    x and y count from the raster's corner: pixel centres are at halves.
    """
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    out = np.zeros(shape, np.uint8)
    for x0, y0, x1, y1, width in strokes:
        length = np.hypot(x1 - x0, y1 - y0)
        along = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length
        across = ((x - x0) * (y1 - y0) - (y - y0) * (x1 - x0)) / length
        out[(along >= 0) & (along <= length) & (np.abs(across) < width / 2)] = 254
    return out


def ring(
    shape: tuple[int, int], x: float, y: float, radius: float, width: float
) -> npt.NDArray[np.uint8]:
    """Draw a ring, certain on nothing."""
    rows, cols = np.mgrid[: shape[0], : shape[1]] + 0.5
    distance = np.hypot(cols - x, rows - y)
    return np.where(np.abs(distance - radius) < width / 2, 254, 0).astype(np.uint8)


def assert_networks_equal(a: RoadNetwork, b: RoadNetwork, *, without: Sequence[str] = ()) -> None:
    """Assert that two networks are equal to the last bit, order and numbers included.

    `without` names attributes that may differ.
    """
    assert [edge.wkb for edge in a.edges] == [edge.wkb for edge in b.edges]
    for name in ("start", "end", "nodes", *(set(EDGE_ATTRIBUTES) - set(without))):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


def pixel_xy(network: RoadNetwork, gsd_m: float = 1.0) -> npt.NDArray[np.float64]:
    """Return the nodes as (x, y) from the raster's corner, pixels."""
    return (
        np.stack([network.nodes[:, 0] - 500_000.0, 5_000_000.0 - network.nodes[:, 1]], axis=1)
        / gsd_m
    )


def painted(shape: tuple[int, int], strokes: Sequence[Stroke]) -> npt.NDArray[np.uint8]:
    """Return an image (3, height, width): bands (x0, y0, x1, y1, width) of road on ground."""
    is_road = road(shape, *strokes) > 0
    image = np.where(is_road, np.array(ROAD)[:, None, None], np.array(GROUND)[:, None, None])
    return image.astype(np.uint8)


def write_net(path: Path, *, seed: int | None = None, **keywords: Any) -> Path:
    """Write :data:`NET` as a scene of 600 x 500 px at 1 m; with a seed, with noise."""
    image = painted((500, 600), NET)
    if seed is not None:
        rng = np.random.default_rng(seed)
        image = np.clip(image + rng.integers(-25, 26, image.shape), 1, 254).astype(np.uint8)
    return write_raster(path, image, **keywords)
