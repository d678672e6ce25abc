"""Read the pixels of a raster, and which of them are valid."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from rasterio.errors import RasterioError
from rasterio.windows import Window as FileWindow

from roadgis.arrays import Bools
from roadgis.errors import ReadError
from roadgis.imagery.dataset_pool import Handles
from roadgis.imagery.raster import Raster, failure_reason


def read_pixels(
    handles: Handles, raster: Raster, box: tuple[int, int, int, int], nodata: float | None
) -> tuple[npt.NDArray[Any], Bools]:
    """Read a rectangle of a raster.

    Parameters
    ----------
    handles : Handles
        Where the open dataset comes from.
    raster : Raster
        Which raster, at which overview.
    box : tuple of int
        row, col, height, width in the raster, north-up; wholly inside.
    nodata : float or None
        The user's own nodata value.

    Returns
    -------
    values : ndarray, shape (C, height, width)
        In the raster's dtype, or uint8 colours of a palette.
    valid : ndarray of bool, shape (height, width)
        Where there is an image.

    Raises
    ------
    ReadError
        If the file or URL fails.
    """
    row, col, height, width = box
    file_row = raster.height - row - height if raster.flip[0] else row
    file_col = raster.width - col - width if raster.flip[1] else col
    window = FileWindow(file_col, file_row, width, height)
    try:
        with handles.borrow(raster.path, raster.level) as dataset:
            if raster.fetch is not None:
                raster.fetch(dataset, window)
            values = dataset.read(list(raster.bands), window=window)
            valid = _valid(dataset, raster, values, window, nodata)
    except RasterioError as error:
        failure = ReadError(
            f"{raster.name}: reading rows {file_row}..{file_row + height - 1}, columns "
            f"{file_col}..{file_col + width - 1} failed ({failure_reason(error, raster.path)}). "
            "The file may be truncated or the connection broken: check it and run again; finished "
            "parts are kept."
        )
        failure.sheet = raster.name
        raise failure from error
    if raster.palette is not None:
        entry = raster.palette[values[0]]
        valid &= entry[..., 3] > 0
        values = np.moveaxis(entry[..., :3], -1, 0)
    rows = slice(None, None, -1 if raster.flip[0] else 1)
    cols = slice(None, None, -1 if raster.flip[1] else 1)
    return values[:, rows, cols], valid[rows, cols]


def _valid(
    dataset: Any, raster: Raster, values: npt.NDArray[Any], window: FileWindow, nodata: float | None
) -> Bools:
    valid = np.ones(values.shape[1:], np.bool_)
    if values.dtype.kind == "f":
        valid &= np.isfinite(values).all(axis=0)
    if any(value is not None for value in raster.nodata):
        # A single band may well be 0 in a shadow: only all of them together mean nodata.
        valid &= ~np.all(
            [_equals(v, n) for v, n in zip(values, raster.nodata, strict=True)], axis=0
        )
    if nodata is not None:
        valid &= ~np.all([_equals(v, nodata) for v in values], axis=0)
    if raster.alpha is not None:
        valid &= dataset.read(raster.alpha, window=window) > 0
    if raster.mask:
        valid &= (dataset.read_masks(list(raster.bands), window=window) > 0).all(axis=0)
    return valid


def _equals(band: npt.NDArray[Any], nodata: float | None) -> Bools:
    if nodata is None:
        return np.zeros(band.shape, np.bool_)
    if np.isnan(nodata):
        return np.isnan(band) if band.dtype.kind == "f" else np.zeros(band.shape, np.bool_)
    if band.dtype.kind == "f":
        # A float32 file cannot hold most float64 nodata values exactly.
        with np.errstate(over="ignore"):
            return np.asarray(band == band.dtype.type(nodata))
    if not np.isfinite(nodata) or nodata != int(nodata):
        return np.zeros(band.shape, np.bool_)
    if not np.iinfo(band.dtype).min <= nodata <= np.iinfo(band.dtype).max:
        return np.zeros(band.shape, np.bool_)
    return np.asarray(band == int(nodata))
