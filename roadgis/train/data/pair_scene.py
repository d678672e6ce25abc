"""A pair of image and mask files as a labelled scene, read by windows."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import RasterioError
from rasterio.windows import Window as FileWindow
from scipy import ndimage

from roadgis.errors import DataError, ReadError
from roadgis.imagery.damage import check_whole, missing_part
from roadgis.imagery.dataset_pool import Handles
from roadgis.imagery.grid import Window
from roadgis.train.data.labelled_scene import FILL, IGNORE, Bytes, blocks

__all__ = ["PairScene"]

#: A block of this many pixels a side that is purely white or black is taken for a collar.
_BLANK_SIDE_PX = 15
# How far from a pixel the opening with that block looks.
_BLANK_REACH_PX = _BLANK_SIDE_PX - 1
# A scene of which less than this share is purely white, or black, has no collar of it.
_BLANK_SHARE = 0.001
_WHITE, _BLACK = 253, 2

Bools = npt.NDArray[np.bool_]


class PairScene:
    """An image file and a mask file of the same size.

    Pixels are invalid where the image says so (nodata, alpha, mask band). An image that marks
    none is searched for blocks of pure white or black, which is how mosaics without a mask leave
    out what was not flown; whether it has them is decided once, on the whole image.

    The mask is looked through once, before anything is read.

    Parameters
    ----------
    name : str
        What to call it.
    image, mask : Path
        The image: 8 bits; three bands or more, of which the first three that are not alpha count,
        or one band of grey or with a palette. The mask: integers.
    classes : sequence of str
        One name: the mask holds 0 and one other value, which becomes class 1; or 0, 1 and
        :data:`IGNORE` where the class is unknown. A mask that declares :data:`IGNORE` as its
        nodata value means that, too. More names: the mask holds class indices and
        :data:`IGNORE`.
    handles : Handles
        Open files, shared by all scenes.

    Raises
    ------
    DataError
        If a file cannot be read, is of another type, or the sizes differ.
    ReadError
        If a file is not whole.
    """

    def __init__(
        self, name: str, image: Path, mask: Path, *, classes: Sequence[str], handles: Handles
    ) -> None:
        self.name = name
        self._image, self._mask = str(image), str(mask)
        self._class_count = len(classes)
        self._handles = handles
        self._lock = threading.Lock()
        self._blank: tuple[bool, bool] | None = None
        self._has_unknown = self._declares_unknown = False
        try:
            with handles.borrow(self._image) as dataset:
                check_whole(self._image, missing_part(dataset))
                self.height, self.width = dataset.height, dataset.width
                self._bands, self._palette = _colours(dataset, self._image)
                self._masked = any(
                    MaskFlags.all_valid not in flags for flags in dataset.mask_flag_enums
                )
            with handles.borrow(self._mask) as dataset:
                check_whole(self._mask, missing_part(dataset))
                self._check_mask(dataset)
        except RasterioError as error:
            raise DataError(f"{image} or {mask}: cannot be read as an image ({error}).") from error
        files = [(os.stat(path).st_size, os.stat(path).st_mtime_ns) for path in (image, mask)]
        about = (name, self.height, self.width, files, len(classes))
        self.fingerprint = hashlib.sha256(repr(about).encode()).hexdigest()

    def read(self, row: int, col: int, height: int, width: int) -> tuple[Bytes, Bytes]:
        """Return image and labels; see :class:`roadgis.train.data.labelled_scene.LabelledScene`.

        Raises
        ------
        DataError
            On the first call, if the mask holds unexpected values.
        ReadError
            If a file fails.
        """
        window = Window(row, col, height, width)
        image, valid = self._valid_image(window)
        labels = self._classes(window)
        image[~valid] = FILL
        labels[~valid] = IGNORE
        return image, labels

    def read_labels(self, row: int, col: int, height: int, width: int) -> Bytes:
        """Return the labels alone; decodes the image only where it has a blank collar."""
        window = Window(row, col, height, width)
        labels = self._classes(window)
        if any(self._blank_colours()):
            labels[~self._valid_image(window)[1]] = IGNORE
        elif self._masked:
            labels[~self._declared(window)] = IGNORE
        return labels

    def _check_mask(self, dataset: Any) -> None:
        if (dataset.height, dataset.width) != (self.height, self.width):
            raise DataError(
                f"{self._mask}: the mask is {dataset.width} x {dataset.height} px, its image "
                f"{self.width} x {self.height} px; expected the same size."
            )
        dtype = np.dtype(dataset.dtypes[0])
        if dtype.kind not in "ui":
            raise DataError(
                f"{self._mask}: the mask is {dtype}; expected whole numbers. Convert it with "
                "gdal_translate -ot Byte."
            )
        self._declares_unknown = dataset.nodata == IGNORE
        colours = [c for c in dataset.colorinterp if c != ColorInterp.alpha]
        self._mask_bands = [1, 2, 3] if len(colours) >= 3 else [1]

    def _valid_image(self, window: Window) -> tuple[Bytes, Bools]:
        """Return the image as it is, and where it is valid."""
        blank = self._blank_colours()
        if not any(blank):
            image = self._colour(window)
            whole = np.ones((window.height, window.width), np.bool_)
            return image, self._declared(window) if self._masked else whole
        whole_scene = Window(0, 0, self.height, self.width)
        wide = window.buffered(_BLANK_REACH_PX).intersection(whole_scene)
        image = self._colour(wide)
        valid = np.ones(image.shape[:2], np.bool_)
        for plain, wanted in zip(_plain(image), blank, strict=True):
            if wanted and plain.any():
                size = (_BLANK_SIDE_PX, _BLANK_SIDE_PX)
                valid &= ndimage.grey_opening(plain.astype(np.uint8), size) == 0
        inside = window.slices_in(wide)
        return np.ascontiguousarray(image[inside]), valid[inside]

    def _colour(self, window: Window) -> Bytes:
        values = self._raw(self._image, self._bands, window)
        if self._palette is not None:
            return np.asarray(self._palette[values[0]])
        three = np.broadcast_to(values, (3, window.height, window.width))
        return np.ascontiguousarray(np.moveaxis(three, 0, -1))

    def _declared(self, window: Window) -> Bools:
        """Return where the file says that there is an image."""
        return np.asarray(self._raw(self._image, None, window) > 0)

    def _classes(self, window: Window) -> Bytes:
        self._blank_colours()  # by then the mask's values are known to be right
        values = self._raw(self._mask, [1], window)[0]
        if self._class_count == 1:
            labels = np.asarray(values != 0, np.uint8)
            if self._has_unknown:
                labels[values == IGNORE] = IGNORE
            return labels
        return np.array(values, np.uint8)

    def _raw(self, path: str, bands: list[int] | None, window: Window) -> npt.NDArray[Any]:
        """Return bands (B, height, width), or the file's mask (height, width) for None."""
        part = FileWindow(window.col, window.row, window.width, window.height)
        try:
            with self._handles.borrow(path) as dataset:
                if bands is None:
                    return np.asarray(dataset.dataset_mask(window=part))
                return np.asarray(dataset.read(bands, window=part))
        except RasterioError as error:
            raise ReadError(
                f"{path}: reading rows {window.row}..{window.row + window.height - 1} failed "
                f"({error}). The file may be truncated: check it and run again."
            ) from error

    def _blank_colours(self) -> tuple[bool, bool]:
        """Return whether the image has a white and a black collar; looks once through both."""
        with self._lock:
            if self._blank is None:
                self._check_values()
                self._blank = self._find_blank_colours()
            return self._blank

    def _find_blank_colours(self) -> tuple[bool, bool]:
        counts = np.zeros(2, np.int64)
        for window in blocks(self.height, self.width):
            if self._masked and not self._declared(window).all():
                return False, False  # the file knows itself what is invalid
            counts += [plain.sum() for plain in _plain(self._colour(window))]
        white, black = counts > _BLANK_SHARE * self.height * self.width
        return bool(white), bool(black)

    def _check_values(self) -> None:
        found: set[int] = set()
        for window in blocks(self.height, self.width):
            values = self._raw(self._mask, self._mask_bands, window)
            if (values != values[0]).any():
                raise DataError(
                    f"{self._mask}: is a picture in colours; expected one value for each class. "
                    "Convert it to one band."
                )
            found.update(_values(values[0]))
        binary = self._class_count == 1
        self._has_unknown = binary and (found == {0, 1, IGNORE} or self._declares_unknown)
        if self._has_unknown:
            found.discard(IGNORE)
        allowed = {0, *found} if binary else {*range(self._class_count), IGNORE}
        if not found <= allowed or (binary and len(allowed) > 2):
            expected = (
                f"0 and one other value for road, or 0, 1 and {IGNORE} for unknown"
                if binary
                else f"class indices 0 to {self._class_count - 1}, and {IGNORE} for unknown"
            )
            raise DataError(
                f"{self._mask}: found mask values {sorted(found)[:8]}; expected {expected}."
            )


def _colours(dataset: Any, path: str) -> tuple[list[int], Bytes | None]:
    """Return the numbers of the bands to read, and the colours of a palette."""
    bands = [n for n, what in enumerate(dataset.colorinterp, 1) if what != ColorInterp.alpha]
    dtype = dataset.dtypes[0]
    if dtype != "uint8":
        raise DataError(
            f"{path}: is {dtype}; pairs of image and mask are read as uint8, without any stretch. "
            "Train on it as georeferenced imagery (--images with --labels), which is scaled to "
            "8 bits, or convert it with gdal_translate -ot Byte -scale."
        )
    if len(bands) in (0, 2):
        raise DataError(
            f"{path}: found {len(bands)} bands of colour; expected three or more, or one of grey."
        )
    if dataset.colorinterp[0] != ColorInterp.palette:
        return bands[:3], None
    table = np.zeros((256, 3), np.uint8)
    for value, colour in dataset.colormap(1).items():
        table[value] = colour[:3]
    return bands[:1], table


def _plain(image: Bytes) -> tuple[Bools, Bools]:
    """Return where an image (H, W, 3) is purely white and purely black."""
    low = np.minimum(np.minimum(image[..., 0], image[..., 1]), image[..., 2])
    high = np.maximum(np.maximum(image[..., 0], image[..., 1]), image[..., 2])
    return low >= _WHITE, high <= _BLACK


def _values(band: npt.NDArray[Any]) -> list[int]:
    if band.dtype == np.uint8:
        return [int(v) for v in np.flatnonzero(np.bincount(band.ravel(), minlength=256))]
    return [int(v) for v in np.unique(band)]
