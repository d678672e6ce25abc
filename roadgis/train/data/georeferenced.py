"""Georeferenced imagery with labels from a vector layer or a raster mask, on the scene's grid."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from pyproj import CRS

from roadgis.affine import composed
from roadgis.crs import transformer
from roadgis.dataset_names import display_name
from roadgis.errors import DataError, InputError
from roadgis.imagery.area import load_area
from roadgis.imagery.grid import Window
from roadgis.imagery.inputs import expand_sources
from roadgis.imagery.scene import Scene, open_scene
from roadgis.options.imagery import SceneOptions
from roadgis.train.data.cache import CACHE_BYTES, CacheBudget, CachedScene
from roadgis.train.data.labelled_scene import IGNORE, Bytes, LabelledScene, grid_blocks

_LOG = logging.getLogger(__name__)

# Labels are burnt in fixed blocks, so that they do not depend on the window.
_BLOCK_PX = 512
_LABEL_BLOCKS = 512

Bounds = tuple[float, float, float, float]


class LabelSurface(Protocol):
    """Labels in one CRS; thread-safe."""

    @property
    def bounds(self) -> Bounds:
        """(west, south, east, north) in that CRS; NaN if empty."""

    def burn(self, transform: Affine, height: int, width: int) -> npt.NDArray[np.uint8]:
        """Return class indices, uint8 (height, width), `IGNORE` if unknown."""


class LabelLayer(Protocol):
    """Labels in their own CRS: a ``RoadLayer`` or a ``MaskLayer``."""

    @property
    def path(self) -> Path:
        """The file."""

    def on(self, crs: CRS, *, bounds: Bounds | None = None) -> LabelSurface:
        """Return the labels in another CRS; labels outside `bounds` may be left out."""


def open_labelled(
    images: Sequence[Path | str],
    roads: LabelLayer,
    *,
    gsd_m: float | tuple[float, float],
    area: Any = None,
    options: SceneOptions | None = None,
    cache_bytes: int = CACHE_BYTES,
) -> list[LabelledScene]:
    """Open georeferenced imagery with labels from a layer, as one scene per file.

    Parameters
    ----------
    images : sequence of path or str
        Files, folders and patterns.
    roads : RoadLayer or MaskLayer
        Roads in any CRS, assumed to be complete within the area.
    gsd_m : float or tuple of two floats
        Pixel size to train at, metres; or the smallest and the largest one, between which imagery
        keeps its own.
    area : path, geometry, GeoSeries or GeoDataFrame, optional
        Polygons inside which the layer is complete. Pixels outside are ignored, and imagery wholly
        outside is left out.
    options : SceneOptions, optional
        Reading options, the same as for prediction.
    cache_bytes : int
        Size of the cache of decoded scenes.

    Returns
    -------
    list of LabelledScene
        In the order of the images.

    Raises
    ------
    SceneError
        If imagery or area cannot be used.
    DataError
        If the layer does not touch a scene, or no image touches the area.
    """
    options = options or SceneOptions()
    if area is not None and options.aoi is not None:
        raise InputError("Found both an area and options.aoi; expected one area of interest.")
    names = expand_sources(list(images))
    budget = CacheBudget(cache_bytes)
    scenes: list[LabelledScene] = []
    for name in names:
        scene = _open(name, gsd_m, area, options)
        if scene is not None:
            scenes.append(CachedScene(GeoScene(_stem(name), scene, roads), budget))
    if not scenes:
        raise DataError(f"None of the {len(names)} images touches the area. Check the CRS of both.")
    return scenes


def _open(
    name: str, gsd_m: float | tuple[float, float], area: Any, options: SceneOptions
) -> Scene | None:
    """Open a scene, cut to the area; None if the area does not touch it."""
    scene = open_scene(name, gsd_m=gsd_m, options=options)
    if area is None:
        return scene
    grid = scene.grid
    scene.close()
    inside = load_area(area, scene.native_crs, grid.crs)
    if not shapely.intersects(inside, shapely.box(*grid.bounds)):
        _LOG.warning("%s: lies outside the area, left out.", name)
        return None
    return open_scene(name, gsd_m=gsd_m, options=replace(options, aoi=area))


def _stem(name: str) -> str:
    return Path(display_name(name)).stem


class GeoScene:
    """A scene labelled by a layer; `IGNORE` where the image is invalid or outside the area.

    Parameters
    ----------
    scene : Scene
        Imagery with three bands.

    Attributes
    ----------
    gsd_m : float
        Pixel size, metres.

    Raises
    ------
    DataError
        If the layer does not touch the scene.
    """

    def __init__(self, name: str, scene: Scene, roads: LabelLayer) -> None:
        self.name = name
        self.height, self.width = scene.grid.height, scene.grid.width
        self.gsd_m = scene.grid.gsd_m
        self._scene = scene
        self._surface = _touching(scene, roads)
        self._block = lru_cache(maxsize=_LABEL_BLOCKS)(self._burn)
        stamp = roads.path.stat()
        about = (scene.fingerprint, stamp.st_size, stamp.st_mtime_ns)
        self.fingerprint = hashlib.sha256(repr(about).encode()).hexdigest()

    def read(self, row: int, col: int, height: int, width: int) -> tuple[Bytes, Bytes]:
        """Return image and labels."""
        image, _ = self._scene.read(Window(row, col, height, width))
        return image, self.read_labels(row, col, height, width)

    def read_labels(self, row: int, col: int, height: int, width: int) -> Bytes:
        """Return the labels alone."""
        window = Window(row, col, height, width)
        out = np.empty((height, width), np.uint8)
        for i, j in grid_blocks(window, _BLOCK_PX):
            block = self._block(i, j)
            top, left = i * _BLOCK_PX - row, j * _BLOCK_PX - col
            part = block[max(-top, 0) : height - top, max(-left, 0) : width - left]
            top, left = max(top, 0), max(left, 0)
            out[top : top + part.shape[0], left : left + part.shape[1]] = part
        return out

    def _burn(self, i: int, j: int) -> Bytes:
        row, col = i * _BLOCK_PX, j * _BLOCK_PX
        window = Window(
            row, col, min(_BLOCK_PX, self.height - row), min(_BLOCK_PX, self.width - col)
        )
        labels = np.full((window.height, window.width), IGNORE, np.uint8)
        wanted = self._scene.wanted(window)
        if self._scene.is_blank(window) or not wanted.any():
            return labels
        wanted &= self._scene.read(window)[1]
        transform = composed(self._scene.grid.transform, Affine.translation(col, row))
        burnt = self._surface.burn(transform, window.height, window.width)
        labels[wanted] = burnt[wanted]
        return labels


def _touching(scene: Scene, roads: LabelLayer) -> LabelSurface:
    grid = scene.grid
    surface = roads.on(grid.crs, bounds=grid.bounds)
    if _overlap(surface.bounds, grid.bounds):
        return surface
    whole = roads.on(grid.crs).bounds
    raise DataError(
        f"{roads.path}: does not touch {scene.inputs[0]}. The labels cover "
        f"{_show(whole, grid.crs)}, the image {_show(grid.bounds, grid.crs)} in "
        f"{grid.crs.name}. Check the CRS of both, or leave the image out."
    )


def _overlap(a: Bounds, b: Bounds) -> bool:
    # False if a bound is NaN.
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _show(bounds: Bounds, crs: CRS) -> str:
    """Format bounds in the CRS, with the centre in degrees."""
    west, south, east, north = bounds
    to_degrees = transformer(crs, CRS.from_epsg(4326))
    lon, lat = to_degrees.transform((west + east) / 2, (south + north) / 2)
    return f"{west:.0f} {south:.0f} {east:.0f} {north:.0f} (around {lon:.4f} E, {lat:.4f} N)"
