"""Pairs of image and mask files as labelled scenes, read by windows."""

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

from roadgis.arrays import Bools, Bytes
from roadgis.errors import DataError, ReadError
from roadgis.imagery.damage import check_whole, missing_part
from roadgis.imagery.dataset_pool import Handles, bound_block_cache
from roadgis.imagery.grid import Window
from roadgis.train.data.cache import CACHE_BYTES, CacheBudget, CachedScene
from roadgis.train.data.labelled_scene import FILL, IGNORE, LabelledScene, read_windows
from roadgis.train.data.pairs import find_pairs

#: Blocks of pure white or black of this side are a collar.
_BLANK_SIDE_PX = 15
# Reach of the opening with that block.
_BLANK_REACH_PX = _BLANK_SIDE_PX - 1
# Scenes with a smaller share of pure white or black have no collar.
_BLANK_SHARE = 0.001
_WHITE, _BLACK = 253, 2


def open_pairs(
    folders: Sequence[Path], *, classes: Sequence[str] = ("road",), cache_bytes: int = CACHE_BYTES
) -> list[LabelledScene]:
    """Open folders of image and mask pairs.

    Parameters
    ----------
    folders : sequence of Path
        As for :func:`roadgis.train.data.pairs.find_pairs`.
    classes : sequence of str
        One name: masks hold 0 and one other value. More names: class indices and 255.
    cache_bytes : int
        Size of the cache of decoded scenes.

    Returns
    -------
    list of LabelledScene
        In the order of the folders, sorted by name in each.

    Raises
    ------
    DataError
        If there are none, files do not pair, cannot be read, have another type, or differ in size.
        Mask values are checked at the first read.
    """
    pairs = [pair for folder in folders for pair in find_pairs(Path(folder))]
    if not pairs:
        raise DataError("Found no folder of training data. Give at least one.")
    bound_block_cache()
    handles, memory = Handles(), CacheBudget(cache_bytes)
    return [
        CachedScene(
            PairScene(pair.name, pair.image, pair.mask, classes=classes, handles=handles), memory
        )
        for pair in pairs
    ]


class PairScene:
    """An image file and a mask file of the same size.

    Pixels are invalid by the image's nodata, alpha or mask band. An image without any of these is
    searched for blocks of pure white or black, the collar of many mosaics; this is decided once for
    the whole image. Mask values are checked before the first read.

    Parameters
    ----------
    image, mask : Path
        The image has 8 bits: three bands or more (the first three that are not alpha are used),
        or one band of grey or with a palette. The mask holds integers.
    classes : sequence of str
        One name: the mask holds 0 and one other value, which becomes class 1; or 0, 1 and
        :data:`IGNORE`, which may also be its nodata value. More names: class indices and
        :data:`IGNORE`.
    handles : Handles
        Open files, shared by all scenes.

    Raises
    ------
    DataError
        If a file cannot be read, is of another type, or the sizes differ.
    ReadError
        If a file is incomplete.
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
        """Return image and labels.

        Raises
        ------
        DataError
            At the first call, if the mask holds unexpected values.
        ReadError
            If reading fails.
        """
        window = Window(row, col, height, width)
        image, valid = self._valid_image(window)
        labels = self._classes(window)
        image[~valid] = FILL
        labels[~valid] = IGNORE
        return image, labels

    def read_labels(self, row: int, col: int, height: int, width: int) -> Bytes:
        """Return the labels alone; the image is read only if it has a collar."""
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
        """Return the image and where it is valid."""
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
        """Return where the file declares valid pixels."""
        return np.asarray(self._raw(self._image, None, window) > 0)

    def _classes(self, window: Window) -> Bytes:
        self._blank_colours()  # the mask values are checked by then
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
        """Return whether the image has a white and a black collar; checks the mask on the way."""
        with self._lock:
            if self._blank is None:
                self._check_values()
                self._blank = self._find_blank_colours()
            return self._blank

    def _find_blank_colours(self) -> tuple[bool, bool]:
        counts = np.zeros(2, np.int64)
        for window in read_windows(self.height, self.width):
            if self._masked and not self._declared(window).all():
                return False, False  # the file declares its invalid pixels
            counts += [plain.sum() for plain in _plain(self._colour(window))]
        white, black = counts > _BLANK_SHARE * self.height * self.width
        return bool(white), bool(black)

    def _check_values(self) -> None:
        found: set[int] = set()
        for window in read_windows(self.height, self.width):
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
    """Return the band numbers to read, and the palette."""
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
    """Return where an image (H, W, 3) is pure white and pure black."""
    low = np.minimum(np.minimum(image[..., 0], image[..., 1]), image[..., 2])
    high = np.maximum(np.maximum(image[..., 0], image[..., 1]), image[..., 2])
    return low >= _WHITE, high <= _BLACK


def _values(band: npt.NDArray[Any]) -> list[int]:
    if band.dtype == np.uint8:
        return [int(v) for v in np.flatnonzero(np.bincount(band.ravel(), minlength=256))]
    return [int(v) for v in np.unique(band)]
