"""Anybody's probability raster or road mask as something that can be vectorized."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from pyproj import CRS
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterWindow

from roadgis.errors import ReadError, SceneError
from roadgis.mosaic import PROBABILITY_TAG, Mosaic
from roadgis.scene.grid import NO_DATA, Grid, Window
from roadgis.scene.inputs import gdal_path
from roadgis.scene.options import SceneOptions
from roadgis.scene.source import Scene, open_scene

__all__ = ["MosaicProbability", "RasterProbability", "open_probability"]

logger = logging.getLogger(__name__)

#: Values are searched for their scale in strips of this many pixels.
_STRIP_PX = 1 << 24
#: Scenes read as bytes 0..255 of their value range; this gives p * 254, and our own values back.
_STORED = np.rint(np.arange(256) * (254 / 255)).astype(np.uint8)


@dataclass(frozen=True)
class _Scale:
    """How stored values become probability: ``value / divisor``; `what` is for people."""

    divisor: float
    what: str


class RasterProbability:
    """A raster file as a :class:`roadgis.scene.grid.ProbabilitySource`.

    Reads from any thread. Use :func:`open_probability`.

    Attributes
    ----------
    grid : Grid
        The raster's own pixels where they are metric, north-up and square; else a metric grid
        of about the same pixel size, onto which probability is resampled.
    native_crs : pyproj.CRS
        The raster's.
    threshold : float
        What the raster's provenance says, else 0.5.
    provenance : dict
        What made the raster, where it tells; its path otherwise.
    """

    def __init__(self, scene: Scene, made_by: dict[str, Any]) -> None:
        self._scene = scene
        self.grid: Grid = scene.grid
        self.native_crs: CRS = scene.native_crs
        self.threshold = float(made_by.get("threshold", 0.5))
        keys = ("model", "inputs", "grid")
        known: dict[str, Any] = {key: made_by[key] for key in keys if key in made_by}
        self.provenance: dict[str, Any] = known or {"inputs": list(scene.inputs)}

    def __enter__(self) -> RasterProbability:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._scene.close()

    def read(self, window: Window) -> npt.NDArray[np.uint8]:
        """Return probability of a window.

        Parameters
        ----------
        window : Window
            May reach beyond the grid.

        Returns
        -------
        ndarray of uint8, shape (height, width)
            0..254 = p * 254, 255 = no data or beyond the grid.

        Raises
        ------
        ReadError
            If the file cannot be read.
        """
        image, valid = self._scene.read(window)
        stored: npt.NDArray[np.uint8] = _STORED[image[..., 0]]
        stored[~valid] = NO_DATA
        return stored


class MosaicProbability:
    """A run's work folder, under the interface of :class:`RasterProbability`.

    Attributes
    ----------
    grid, native_crs, threshold, provenance
        See :class:`RasterProbability`.
    """

    def __init__(self, mosaic: Mosaic) -> None:
        self._mosaic = mosaic
        self.grid = mosaic.grid
        self.native_crs = mosaic.grid.crs
        self.threshold = 0.5
        inputs = [sheet["name"] for sheet in mosaic.imagery.get("sheets", ())]
        self.provenance: dict[str, Any] = {**mosaic.settings, "inputs": inputs}

    def __enter__(self) -> MosaicProbability:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def read(self, window: Window) -> npt.NDArray[np.uint8]:
        """Return probability of a window; see :meth:`RasterProbability.read`."""
        return self._mosaic.read(window)


def open_probability(
    path: str | Path, *, assume_crs: str | None = None
) -> RasterProbability | MosaicProbability:
    """Open a probability raster, a road mask or a mosaic folder.

    Parameters
    ----------
    path : str or Path
        One band of float 0..1; or of uint8 or uint16, whose scale is told by our tag, or else
        by its largest value: 1 is a mask of 0 and 1, anything more is a part of the type's
        range. Nodata, mask bands and NaN are honoured. A folder is taken for a mosaic.
    assume_crs : str, optional
        The CRS of a raster that has none.

    Returns
    -------
    RasterProbability or MosaicProbability
        A context manager.

    Raises
    ------
    SceneError
        If it is no raster, has no CRS, or its values are no probabilities.
    """
    if Path(path).is_dir():
        return MosaicProbability(Mosaic.open(Path(path)))
    options = SceneOptions(assume_crs=assume_crs, bands=(1,))
    # Says what is wrong with files that cannot be opened, before their values are looked at.
    open_scene(path, band_count=1, options=options).close()
    with rasterio.open(gdal_path(str(path))) as dataset:
        if dataset.count != 1:
            raise SceneError(
                f"{path}: found {dataset.count} bands, expected one band of probability. To "
                "extract roads from imagery use 'roadgis extract'."
            )
        scale = _scale(dataset, str(path))
        tags = dataset.tags()
    logger.info("%s: values are %s", path, scale.what)
    options = dataclasses.replace(options, value_range=(0.0, scale.divisor))
    made_by = json.loads(tags.get("ROADGIS_PROVENANCE", "{}"))
    return RasterProbability(open_scene(path, band_count=1, options=options), made_by)


def _scale(dataset: Any, path: str) -> _Scale:
    tags = dataset.tags()
    kind = np.dtype(dataset.dtypes[0])
    if PROBABILITY_TAG in tags:
        return _Scale(float(tags[PROBABILITY_TAG]), f"p * {tags[PROBABILITY_TAG]}")
    low, high = _extremes(dataset, path)
    if kind.kind == "f":
        if low < -1e-6 or high > 1 + 1e-6:
            raise SceneError(
                f"{path}: found values from {low:g} to {high:g}, expected probabilities from 0 "
                "to 1. Rescale the raster, or apply the sigmoid if these are logits."
            )
        return _Scale(1.0, "probability 0..1")
    if low < 0 or kind.itemsize > 2:
        raise SceneError(
            f"{path}: found values from {low:g} to {high:g} of type {kind}, expected float 0..1, "
            "uint8, uint16 or a mask of 0 and 1."
        )
    if high <= 1:
        return _Scale(1.0, "a mask of 0 and 1")
    full = float(np.iinfo(kind).max)
    return _Scale(full, f"probability times {full:g}")


def _extremes(dataset: Any, path: str) -> tuple[float, float]:
    """Return the least and largest valid value; reads all of the raster, strip by strip."""
    low, high = math.inf, -math.inf
    rows = max(1, min(dataset.height, _STRIP_PX // dataset.width))
    try:
        for row in range(0, dataset.height, rows):
            strip = RasterWindow(0, row, dataset.width, min(rows, dataset.height - row))
            values = dataset.read(1, window=strip)
            values = values[dataset.read_masks(1, window=strip) > 0]
            if values.dtype.kind == "f":
                values = values[~np.isnan(values)]
            if values.size:
                low, high = min(low, float(values.min())), max(high, float(values.max()))
    except RasterioError as error:
        raise ReadError(
            f"{path}: reading failed ({error}). The file may be truncated; copy or make it again."
        ) from error
    return (low, high) if low <= high else (0.0, 0.0)
