"""Raster files that are cut short or damaged, which GDAL reads without an error or finds late."""

from __future__ import annotations

import logging
import mmap
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import rasterio
from rasterio._err import CPLE_BaseError  # has no public name: rasterio issue 1193
from rasterio.errors import RasterioError, RasterioIOError
from rasterio.windows import Window

from roadgis.errors import ReadError
from roadgis.imagery.gdal_warnings import quiet

# GDAL's fast path for whole PNG images takes a cut file for a whole one. Of damaged JPEG data it
# only warns. Environment variables are the only settings that hold in all threads.
os.environ.setdefault("GDAL_PNG_WHOLE_IMAGE_OPTIM", "NO")
os.environ.setdefault("GDAL_ERROR_ON_LIBJPEG_WARNING", "TRUE")

#: Warnings of GDAL's drivers that mean that pixels are not what was written.
_DAMAGE = re.compile(r"corrupt|premature end|stream does not end", re.IGNORECASE)
#: Largest number of blocks of a TIFF file that are looked at.
_MOST_BLOCKS = 200_000
#: Drivers of grids in text.
_ASCII_GRIDS = ("AAIGrid", "GRASSASCIIGrid", "ISG")
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_JP2, _J2K = b"\x00\x00\x00\x0cjP  ", b"\xff\x4f\xff\x51"
_PNG_END = b"IEND\xaeB`\x82"
_END = b"\xff\xd9"
_heard = threading.local()


class _Listener(logging.Filter):
    """Notes what GDAL says about damage in the thread that reads; lets everything pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        messages = getattr(_heard, "messages", None)
        if messages is not None and record.levelno >= logging.WARNING:
            message = record.getMessage()
            if _DAMAGE.search(message):
                messages.append(message)
        return True


for _name in ("rasterio._err", "rasterio._env"):
    logging.getLogger(_name).addFilter(_Listener())


@contextmanager
def legible() -> Iterator[None]:
    """Raise rasterio's own error where a damaged file makes it raise others.

    The others are GDAL's own errors, and errors of decoding a GDAL message that is not UTF-8.
    """
    try:
        yield
    except UnicodeDecodeError:
        raise RasterioIOError("it is damaged: it holds text that is not UTF-8") from None
    except CPLE_BaseError as error:
        raise RasterioIOError(f"it is damaged: {error}") from error


@contextmanager
def damage_raises() -> Iterator[None]:
    """Turn a driver's warning about damaged data into an error.

    Raises
    ------
    RasterioIOError
        At the end of the block, with the driver's words.
    """
    before = getattr(_heard, "messages", None)
    _heard.messages = messages = list[str]()
    try:
        yield
    finally:
        _heard.messages = before
    if messages:
        raise RasterioIOError(messages[0])


def check_whole(name: str, damage: str | None) -> None:
    """Refuse a raster that is cut short.

    Parameters
    ----------
    name : str
        Name for users.
    damage : str or None
        Result of :func:`missing_part`.

    Raises
    ------
    ReadError
        If it found something.
    """
    if damage is not None:
        raise ReadError(
            f"{name}: the file is not whole: {damage}. Copy, download or make it again."
        )


def missing_part(dataset: Any) -> str | None:
    """Say what is missing of a raster on a disk, as far as that shows before it is read.

    It looks at the end of a picture, at where a TIFF's blocks lie, at the last pixel of other
    formats, and at all files that a VRT is made of. Web map services are asked for nothing.

    Parameters
    ----------
    dataset : rasterio.DatasetReader
        Open.

    Returns
    -------
    str or None
        A clause such as "it ends after 1,000 bytes, ..."; None where nothing is known to be
        missing.
    """
    path = dataset.name
    if dataset.driver in ("WMS", "WMTS"):
        return None
    if dataset.driver == "VRT":
        return _missing_source(dataset)
    if not os.path.isfile(path):
        return None
    if dataset.driver in ("GTiff", "COG"):
        return _missing_block(dataset, os.path.getsize(path))
    if dataset.driver in ("PNG", "JPEG", "JP2OpenJPEG"):
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return missing_end(data)
    try:
        # GDAL looks for a row of text from the top, and each missing row above the wanted one
        # doubles the time. Read in order, the first missing row is an error at once.
        top = 0 if dataset.driver in _ASCII_GRIDS else dataset.height - 1
        dataset.read(1, window=Window(dataset.width - 1, top, 1, dataset.height - top))
    except RasterioError as error:
        return f"its last pixel cannot be read: {error.__cause__ or error}"
    return None


def _missing_source(dataset: Any) -> str | None:
    for file in dataset.files[1:]:
        if file.startswith("/vsi") or "://" in file or file.endswith(".aux.xml"):
            continue
        try:
            # It need not be a file: a table of a GeoPackage is "GPKG:file:table".
            with quiet(), legible(), rasterio.open(file) as source:
                reason = missing_part(source)
        except RasterioError as error:
            if not os.path.exists(file):
                return f"its source {file} does not exist"
            return f"its source {file} cannot be opened: {error}"
        if reason is not None:
            return f"its source {file} is damaged: {reason}"
    return None


def _missing_block(dataset: Any, size: int) -> str | None:
    """Return what is wrong with a TIFF whose blocks lie beyond its end."""
    bands = dataset.indexes if dataset.profile.get("interleave") == "band" else (1,)
    for band in bands:
        rows, cols = dataset.block_shapes[band - 1]
        down, across = -(-dataset.height // rows), -(-dataset.width // cols)
        step = -(-down * across // _MOST_BLOCKS)
        for number in [*range(0, down * across, step), down * across - 1]:
            place = f"{number % across}_{number // across}"
            # Both are None where a sparse file leaves the block out.
            offset = dataset.get_tag_item(f"BLOCK_OFFSET_{place}", "TIFF", bidx=band)
            length = dataset.get_tag_item(f"BLOCK_SIZE_{place}", "TIFF", bidx=band)
            if not offset or not length or int(offset) + int(length) <= size:
                continue
            # Some programs give the last block of a whole file a length that is too large.
            row, col = number // across * rows, number % across * cols
            last = Window(col, min(row + rows, dataset.height) - 1, 1, 1)
            try:
                dataset.read(band, window=last)
            except RasterioError:
                return (
                    f"it ends after {size:,} bytes, but its image data goes up to byte "
                    f"{int(offset) + int(length):,}"
                )
    return None


def missing_end(data: Any) -> str | None:
    """Say whether the end of a PNG, JPEG or JPEG 2000 file is missing.

    Parameters
    ----------
    data : bytes or mmap
        The whole file.

    Returns
    -------
    str or None
        A clause; None where the end is there, or the kind of file is another one.
    """
    found = True
    if data[:8] == _PNG:
        found = data.rfind(_PNG_END) >= 0
    elif data[:3] == _JPEG:
        found = data.find(_END, _jpeg_scan(data)) >= 0
    elif data[:4] == _J2K:
        found = _ends(data, 0, len(data))
    elif data[:8] == _JP2:
        found = _jp2_ends(data)
    return None if found else f"it ends after {len(data):,} bytes, without the mark of its end"


def _jpeg_scan(data: Any) -> int:
    """Return where a JPEG's image begins, behind its header, which may hold a thumbnail."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return at


def _jp2_ends(data: Any) -> bool:
    at = 0
    while at + 8 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        head = 8
        if length == 1:
            length, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        if length == 0:
            length = len(data) - at
        if kind == b"jp2c":
            return at + length <= len(data) and _ends(data, at + head, at + length)
        if length < head:
            return True  # not as the standard says: the driver judges
        at += length
    return False


def _ends(data: Any, start: int, end: int) -> bool:
    """Return whether a codestream has its last marker; zeros may follow it."""
    tail = bytes(data[max(start, end - 65536) : end]).rstrip(b"\0")
    return tail.endswith(_END)
