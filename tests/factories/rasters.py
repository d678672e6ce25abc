"""Rasters made in code: the one raster writer of the tests."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import NotGeoreferencedWarning

from roadgis.affine import composed

#: Default upper left corner: EPSG:32632, on whole metres.
X0, Y0 = 500_000.0, 5_300_000.0
METRIC = "EPSG:32632"


def texture(height: int, width: int, bands: int = 3, dtype: str = "uint8", seed: int = 0) -> Any:
    """Return noise (bands, height, width) without repetition, so that every shift shows."""
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return rng.random((bands, height, width)).astype(dtype)
    # Avoids 0 and the maximum, which tests use as nodata.
    return rng.integers(1, min(np.iinfo(dtype).max, 4000) - 1, (bands, height, width), dtype)


def write_raster(
    path: Path,
    values: Any,
    *,
    crs: str | None = METRIC,
    x0: float = X0,
    y0: float = Y0,
    pixel: float = 1.0,
    transform: Affine | None = None,
    mask: Any = None,
    overviews: Sequence[int] = (),
    colorinterp: Sequence[ColorInterp] | None = None,
    colormap: dict[int, tuple[int, ...]] | None = None,
    **profile: Any,
) -> Path:
    """Write an array (bands, height, width) as a raster and return its path.

    `mask` becomes an internal mask band. Further keywords go to rasterio, such as nodata,
    driver, compress, tiled.
    """
    values = np.asarray(values)
    bands, height, width = values.shape
    if transform is None:
        transform = Affine(pixel, 0.0, x0, 0.0, -pixel, y0)
    driver = "PNG" if path.suffix == ".png" else "GTiff"
    settings: dict[str, Any] = {"driver": driver, **profile}
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(
            path, "w", width=width, height=height, count=bands, dtype=values.dtype,
            crs=crs, transform=transform, **settings,
        ) as dataset,
    ):  # fmt: skip
        if colorinterp is not None:
            dataset.colorinterp = colorinterp
        dataset.write(values)
        if colormap is not None:
            dataset.write_colormap(1, colormap)
        if mask is not None:
            dataset.write_mask(np.asarray(mask, bool))
    if overviews:
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
            dataset.build_overviews(list(overviews), Resampling.average)
    return path


def write_image(path: Path, values: Any, **options: Any) -> Path:
    """Write an array (bands, height, width) as a raster without CRS and position."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return write_raster(path, values, crs=None, transform=Affine.identity(), **options)


def cut_into_sheets(whole: Path, folder: Path, rows: Sequence[int], cols: Sequence[int]) -> Path:
    """Cut a raster at the given rows and columns into files of a folder; masks are kept."""
    with rasterio.open(whole) as source:
        tops, lefts = [0, *rows, source.height], [0, *cols, source.width]
        masked = source.mask_flag_enums[0] == [rasterio.enums.MaskFlags.per_dataset]
        for i, (top, bottom) in enumerate(pairwise(tops)):
            for j, (left, right) in enumerate(pairwise(lefts)):
                window = ((top, bottom), (left, right))
                write_raster(
                    folder / f"sheet_{i:02d}_{j:02d}.tif",
                    source.read(window=window),
                    crs=source.crs,
                    transform=composed(source.transform, Affine.translation(left, top)),
                    mask=source.dataset_mask(window=window) if masked else None,
                    colorinterp=source.colorinterp,
                    nodata=source.nodata,
                )
    return folder
