"""Map tiles of imagery and probability."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.enums import Resampling
from rio_tiler.errors import NoOverviewWarning, TileOutsideBounds
from rio_tiler.io import Reader
from rio_tiler.models import ImageData

from roadgis.imagery.damage import legible

_SIZE = 256
#: Colours of probability, at these shares: dark violet to yellow, over transparent.
PROBABILITY_COLOURS = (
    (0.0, (68, 1, 84, 0)),
    (0.1, (72, 35, 116, 60)),
    (0.3, (64, 67, 135, 150)),
    (0.5, (33, 144, 140, 210)),
    (0.75, (94, 201, 97, 235)),
    (1.0, (253, 231, 37, 245)),
)
#: Rasters with more pixels than this get overviews.
_LARGE = 4_000_000


@lru_cache(maxsize=1)
def _colour_table() -> dict[int, tuple[int, int, int, int]]:
    shares = np.array([share for share, _ in PROBABILITY_COLOURS])
    colours = np.array([colour for _, colour in PROBABILITY_COLOURS], np.float64)
    at = np.arange(255) / 254
    table = np.stack([np.interp(at, shares, colours[:, band]) for band in range(4)], axis=1)
    return {i: (int(r), int(g), int(b), int(a)) for i, (r, g, b, a) in enumerate(table.round())}


@lru_cache(maxsize=1)
def empty_tile() -> bytes:
    """Return a transparent tile, PNG."""
    blank = np.ma.masked_array(np.zeros((3, 8, 8), np.uint8), mask=True)
    return bytes(ImageData(blank).render(img_format="PNG"))


@contextlib.contextmanager
def _reader(path: Path) -> Iterator[Reader]:
    with warnings.catch_warnings():
        # Small rasters, and the finished part of a run, have none.
        warnings.simplefilter("ignore", NoOverviewWarning)
        with Reader(str(path)) as reader:
            yield reader


def probability_tile(path: Path, z: int, x: int, y: int) -> bytes:
    """Return a tile of a probability raster, PNG.

    Parameters
    ----------
    path : Path
        uint8, 0..254 = p * 254, 255 = nodata.
    z, x, y : int
        Zoom level, column and row of the tile.
    """
    try:
        with _reader(path) as reader:
            image = reader.tile(x, y, z, tilesize=_SIZE, resampling_method="average")
    except TileOutsideBounds:
        return empty_tile()
    return bytes(image.render(img_format="PNG", colormap=_colour_table()))


def imagery_tile(paths: Sequence[Path], facts: Mapping[str, Any], z: int, x: int, y: int) -> bytes:
    """Return a tile of imagery, PNG; the first sheet lies on top.

    Parameters
    ----------
    paths : sequence of Path
        The sheets.
    facts : mapping
        Result of ``roadgis info``.
    z, x, y : int
        Zoom level, column and row of the tile.
    """
    merged: np.ma.MaskedArray[Any, Any] | None = None
    for path, about in zip(paths, facts.get("inputs", []), strict=False):
        part = _sheet_tile(path, tuple(about.get("bands_used", (1, 2, 3))), z, x, y)
        if part is None:
            continue
        if merged is None:
            merged = part
        else:
            hole = np.ma.getmaskarray(merged)
            merged = np.ma.masked_array(
                np.where(hole, part.data, merged.data), hole & np.ma.getmaskarray(part)
            )
        if not np.ma.getmaskarray(merged).any():
            break
    if merged is None:
        return empty_tile()
    return bytes(ImageData(merged).render(img_format="PNG"))


def _sheet_tile(
    path: Path, bands: tuple[int, ...], z: int, x: int, y: int
) -> np.ma.MaskedArray[Any, Any] | None:
    try:
        with _reader(path) as reader:
            shown = bands[:3] if len(bands) >= 3 else (bands[0],) * 3
            image = reader.tile(x, y, z, tilesize=_SIZE, indexes=shown, resampling_method="average")
            palette = reader.colormap
    except TileOutsideBounds:
        return None
    if palette:
        image = image.apply_colormap(palette)
        coloured: np.ma.MaskedArray[Any, Any] = image.array[:3]
        return coloured
    array: np.ma.MaskedArray[Any, Any] = image.array
    if array.dtype != np.uint8:
        low, high = _stretch(path, bands[:3], path.stat().st_mtime_ns)
        scaled = (array.data.astype(np.float64) - low) / max(high - low, 1e-9) * 255
        array = np.ma.masked_array(np.clip(scaled, 0, 255).astype(np.uint8), array.mask)
    return array


@lru_cache(maxsize=64)
def _stretch(path: Path, bands: tuple[int, ...], version: int) -> tuple[float, float]:
    """Return the values that are shown black and white."""
    with rasterio.open(path) as dataset:
        scale = max(dataset.width, dataset.height) / 1024
        shape = (
            len(bands),
            max(1, round(dataset.height / max(scale, 1))),
            max(1, round(dataset.width / max(scale, 1))),
        )
        values = dataset.read(list(bands), out_shape=shape, masked=True).compressed()
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    low, high = np.percentile(values, (1, 99))
    return float(low), float(high)


def build_overviews(path: Path, shown: Path, crs: str | None = None) -> None:
    """Make a VRT of a raster with overviews, for fast tiles.

    The raster itself is unchanged: a run must not use overviews that the user's file lacks.

    Parameters
    ----------
    path : Path
        The raster.
    shown : Path
        The VRT.
    crs : str, optional
        CRS of a raster without one.

    Raises
    ------
    rasterio.errors.RasterioError
        If it cannot be read.
    """
    shown.parent.mkdir(parents=True, exist_ok=True)
    partial = shown.with_name(f".{shown.name}")
    with legible():
        rasterio.shutil.copy(path.resolve(), partial, driver="VRT")
    partial.replace(shown)
    with legible(), rasterio.open(shown, "r+") as dataset:
        if crs is not None and dataset.crs is None:
            dataset.crs = crs
    with legible(), rasterio.open(shown, "r+") as dataset:
        if dataset.width * dataset.height <= _LARGE or dataset.overviews(1):
            return
        side, factors = max(dataset.width, dataset.height), [2]
        while side / factors[-1] > 512:
            factors.append(2 * factors[-1])
        with rasterio.Env(GDAL_NUM_THREADS="2", COMPRESS_OVERVIEW="DEFLATE"):
            dataset.build_overviews(factors, Resampling.average)
