"""Writing a scene: a GeoTIFF of its picture and its exact centrelines."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterWindow

from roadgis.atomic import atomic_path, check_geotiff, describe_failure
from roadgis.errors import OutputError
from roadgis.imagery.grid import Window
from roadgis.options.synthetic import TILE_PX, TownOptions
from roadgis.output import check_output, write_network
from roadgis.overwriting import check_not_input
from roadgis.progress import Progress, no_progress
from roadgis.synthetic.town import Town, make_town
from roadgis.synthetic.varied import VariedScene

#: Side of the GeoTIFF's tiles, pixels.
_BLOCK_PX = 256


def write_town(
    town: Town | VariedScene,
    image_path: Path | str,
    truth_path: Path | str | None = None,
    *,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> None:
    """Write a scene's picture and optionally its exact centrelines.

    The picture is rendered and written tile by tile: memory does not grow with the scene. Files are
    complete or do not exist.

    Parameters
    ----------
    image_path : Path or str
        GeoTIFF, uint8 RGB, tiled, in the scene's CRS; JPEG or DEFLATE as its options say.
    truth_path : Path or str, optional
        Centrelines in the format of the suffix; see :func:`roadgis.output.write_network`.

    Raises
    ------
    InputError
        If a suffix is unknown, or both names are the same.
    OutputError
        If a file exists and `overwrite` is not set, or if a file cannot be written.
    Cancelled
        If `progress` raises it; no file is left then.
    """
    image_path = Path(image_path)
    check_not_input([image_path, truth_path], [])
    check_geotiff(image_path, "the picture is a GeoTIFF", overwrite=overwrite)
    if truth_path is not None:
        check_output(truth_path, overwrite=overwrite)
    with atomic_path(image_path, overwrite=overwrite) as partial:
        try:
            _write_image(town, partial, progress)
        except RasterioError as error:
            raise OutputError(describe_failure(image_path, error)) from error
        if truth_path is not None:
            write_network(town.centerlines, truth_path, overwrite=overwrite)
    progress(1.0, "scene written")


def write_large_town(
    options: TownOptions,
    image_path: Path | str,
    *,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> None:
    """Write a scene of any size quickly: the town repeats, and each tile is rendered once.

    Parameters
    ----------
    options : TownOptions
        `repeating` is set.
    image_path, overwrite, progress
        As in :func:`write_town`.

    Raises
    ------
    InputError
        If the pixel size does not allow repetition.
    OutputError, Cancelled
        As in :func:`write_town`.
    """
    town = make_town(dataclasses.replace(options, repeating=True))
    write_town(town, image_path, overwrite=overwrite, progress=progress)


def _write_image(town: Town | VariedScene, path: Path, progress: Progress) -> None:
    grid, quality = town.grid, town.options.jpeg_quality
    packing: dict[str, Any] = {"compress": "deflate", "predictor": 2}
    if quality:
        packing = {"compress": "jpeg", "jpeg_quality": quality, "photometric": "ycbcr"}
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=grid.width,
        height=grid.height,
        count=3,
        dtype="uint8",
        crs=rasterio.crs.CRS.from_wkt(grid.crs.to_wkt()),
        transform=grid.transform,
        tiled=True,
        blockxsize=_BLOCK_PX,
        blockysize=_BLOCK_PX,
        bigtiff="if_safer",
        **packing,
    ) as target:
        for row in range(0, grid.height, TILE_PX):
            for col in range(0, grid.width, TILE_PX):
                progress((row + TILE_PX * col / grid.width) / grid.height, "rendering the scene")
                height, width = min(TILE_PX, grid.height - row), min(TILE_PX, grid.width - col)
                pixels = town.render(Window(row, col, height, width))
                target.write(
                    np.moveaxis(pixels, 2, 0), window=RasterWindow(col, row, width, height)
                )
