"""A georeferenced raster mask, read on any grid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from pyproj import CRS
from rasterio.errors import RasterioError
from rasterio.warp import Resampling, reproject, transform_bounds
from rasterio.windows import Window as FileWindow

from roadgis.affine import composed, mapped
from roadgis.errors import DataError, ReadError
from roadgis.imagery.damage import check_whole, missing_part
from roadgis.imagery.dataset_pool import Handles
from roadgis.imagery.gdal_warnings import quiet
from roadgis.train.data.labelled_scene import IGNORE, Bytes

Bounds = tuple[float, float, float, float]


class MaskLayer:
    """A raster with a class per pixel; made by :meth:`MaskLayer.open`."""

    def __init__(self, path: Path, crs: CRS, class_count: int, handles: Handles) -> None:
        self.path = path
        self.crs = crs
        self._class_count = class_count
        self._handles = handles

    @classmethod
    def open(cls, path: Path | str, *, classes: Sequence[str] = ("road",)) -> MaskLayer:
        """Open a mask.

        Parameters
        ----------
        path : Path or str
            One georeferenced band of integers.
        classes : sequence of str
            One name: any value but 0 is class 1. More names: values are class indices or `IGNORE`.

        Raises
        ------
        DataError
            If it cannot be read, has no CRS, or is not a mask.
        ReadError
            If the file is incomplete.
        """
        handles = Handles()
        try:
            with handles.borrow(str(path)) as dataset:
                if dataset.crs is None:
                    raise DataError(
                        f"{path}: has no coordinate reference system. Assign one with "
                        "gdal_edit.py -a_srs, or train on folders of image and mask pairs."
                    )
                kind = np.dtype(dataset.dtypes[0]).kind
                if dataset.count != 1 or kind not in "ui":
                    raise DataError(
                        f"{path}: has {dataset.count} bands of {dataset.dtypes[0]}; expected one "
                        "band of whole numbers, one for each class."
                    )
                crs = CRS.from_wkt(dataset.crs.to_wkt())
                check_whole(str(path), missing_part(dataset))
        except RasterioError as error:
            raise DataError(f"{path}: cannot be read as a raster mask ({error}).") from error
        return cls(Path(path), crs, len(classes), handles)

    def on(self, crs: CRS, *, bounds: Bounds | None = None) -> MaskSurface:
        """Return the mask in another CRS; `bounds` is ignored."""
        return MaskSurface(self.path, CRS.from_user_input(crs), self._class_count, self._handles)


class MaskSurface:
    """A mask in another CRS; made by :meth:`MaskLayer.on`. Burning is thread-safe.

    Attributes
    ----------
    bounds : tuple of float
        (west, south, east, north) in that CRS.
    """

    def __init__(self, path: Path, crs: CRS, class_count: int, handles: Handles) -> None:
        self._path = path
        self._crs = crs
        self._class_count = class_count
        self._handles = handles
        with handles.borrow(str(path)) as dataset, quiet():
            self.bounds: Bounds = transform_bounds(dataset.crs, crs.to_wkt(), *dataset.bounds)

    def burn(self, transform: Affine, height: int, width: int) -> Bytes:
        """Return the class of the nearest mask pixel.

        Parameters
        ----------
        transform : Affine
            From (col, row) of pixel corners in the window to the surface's CRS.

        Returns
        -------
        ndarray of uint8, shape (height, width)
            Class indices; `IGNORE` outside the mask.

        Raises
        ------
        DataError
            If the mask holds other values than its classes.
        ReadError
            If reading fails.
        """
        out = np.zeros((height, width), np.uint16)
        corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64)
        x, y = mapped(transform, corners[:, 0], corners[:, 1])
        box = (x.min(), y.min(), x.max(), y.max())
        try:
            with self._handles.borrow(str(self._path)) as dataset, quiet():
                window = _window(dataset, transform_bounds(self._crs.to_wkt(), dataset.crs, *box))
                if window is not None:
                    # Class plus one, so that 0 is outside the mask.
                    classes = self._classes(dataset.read(1, window=window)).astype(np.uint16) + 1
                    shift = Affine.translation(window.col_off, window.row_off)
                    reproject(
                        classes, out, resampling=Resampling.nearest, src_nodata=0, dst_nodata=0,
                        src_transform=composed(dataset.transform, shift), src_crs=dataset.crs,
                        dst_transform=transform, dst_crs=self._crs.to_wkt(),
                    )  # fmt: skip
        except RasterioError as error:
            raise ReadError(
                f"{self._path}: reading around {box} failed ({error}). The file may be truncated: "
                "check it and run again."
            ) from error
        out[out == 0] = IGNORE + 1
        return (out - 1).astype(np.uint8)

    def _classes(self, values: Bytes) -> Bytes:
        if self._class_count == 1:
            return np.asarray(values != 0, np.uint8)
        strange = np.unique(values[(values >= self._class_count) & (values != IGNORE)])
        if len(strange):
            raise DataError(
                f"{self._path}: found mask values {strange[:8].tolist()}; expected class indices "
                f"0 to {self._class_count - 1}, and {IGNORE} for unknown."
            )
        return values.astype(np.uint8)


def _window(dataset: Any, bounds: Bounds) -> FileWindow | None:
    """Return the mask pixels around bounds in the raster's CRS, or None outside of it."""
    inverse = ~dataset.transform
    west, south, east, north = bounds
    cols, rows = mapped(
        inverse, np.array([west, east, east, west]), np.array([south, south, north, north])
    )
    # Bounds of a curved outline are approximate.
    slack = 2 + 0.01 * max(np.ptp(cols), np.ptp(rows))
    col, row = (max(int(np.floor(v.min() - slack)), 0) for v in (cols, rows))
    end_col = min(int(np.ceil(cols.max() + slack)), dataset.width)
    end_row = min(int(np.ceil(rows.max() + slack)), dataset.height)
    if end_col <= col or end_row <= row:
        return None
    return FileWindow(col, row, end_col - col, end_row - row)
