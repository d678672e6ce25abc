"""Chunks of a raster in a folder: each a GeoTIFF, with a record of the finished ones.

::

    FOLDER/done.bin         a byte for each chunk, row by row: 0 to do, 1 written, 2 nodata
    FOLDER/RRRRR/CCCCC.tif  a chunk, uint8; none where all is nodata

A chunk appears under its name in one step, when all of it is written, and is then marked in
``done.bin``; a byte is written whole or not at all. Each chunk carries the id of its raster and
its own place, so that a file of another raster is never read as if it belonged here.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile

from roadgis.atomic import atomic_path
from roadgis.errors import OutputError, ReadError, RoadgisError
from roadgis.imagery.damage import legible
from roadgis.imagery.grid import Grid, Window
from roadgis.probability.source import NO_DATA

_DONE = "done.bin"
_TO_DO, _WRITTEN, _BLANK = 0, 1, 2
#: The TIFF tag that says to which raster a chunk belongs, and where in it.
_TAG = "ROADGIS_CHUNK"
#: Chunks that are kept in memory: some rows of blocks of a wide scene.
_RECENT_BYTES = 48 * 2**20
_ANEW = "Repeat the run that made it with --restart."


class Chunks:
    """The chunks of a raster on disk.

    Attributes
    ----------
    folder : Path
        Where they lie.
    grid : Grid
        Pixels of the whole raster.
    side_px : int
        Side of a chunk.
    raster_id : str
        What the chunks are marked with.
    """

    def __init__(self, folder: Path, grid: Grid, side_px: int, raster_id: str) -> None:
        self.folder = folder
        self.grid = grid
        self.side_px = side_px
        self.raster_id = raster_id
        self._done = self._read_done()
        self._recent: OrderedDict[Any, npt.NDArray[np.uint8]] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def begun(cls, folder: Path, grid: Grid, side_px: int, raster_id: str) -> Chunks:
        """Make the folder with nothing done, in place of chunks that lie there."""
        remove_chunks(folder)
        folder.mkdir(exist_ok=True)
        rows, cols = _shape(grid, side_px)
        with atomic_path(folder / _DONE) as partial:
            partial.write_bytes(bytes([_TO_DO]) * (rows * cols))
        return cls(folder, grid, side_px, raster_id)

    def _read_done(self) -> bytearray:
        path = self.folder / _DONE
        rows, cols = self.shape
        try:
            found = bytearray(path.read_bytes())
        except OSError as error:
            raise ReadError(f"{path}: cannot be read ({error}). {_ANEW}") from error
        if len(found) != rows * cols or max(found, default=0) > _BLANK:
            raise ReadError(f"{path}: is damaged; it does not fit the mosaic. {_ANEW}")
        return found

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of chunks."""
        return _shape(self.grid, self.side_px)

    def path(self, row: int, col: int) -> Path:
        """Return where a chunk lies, if it is not blank."""
        return self.folder / f"{row:05d}" / f"{col:05d}.tif"

    def window(self, row: int, col: int) -> Window:
        """Return the pixels of a chunk."""
        size = self.side_px
        return Window(row * size, col * size, size, size).intersection(self.grid.window)

    def touching(self, window: Window) -> list[tuple[int, int]]:
        """Return row and column of the chunks that a window touches, within the grid."""
        size = self.side_px
        inside = window.intersection(self.grid.window)
        if inside.is_empty:
            return []
        return [
            (row, col)
            for row in range(inside.row // size, -(-inside.end_row // size))
            for col in range(inside.col // size, -(-inside.end_col // size))
        ]

    def is_done(self, row: int, col: int) -> bool:
        """Return whether a chunk is finished; one that only lacks its mark is marked.

        Raises
        ------
        ReadError
            If it was written and is gone, or a file of another raster lies in its place.
        """
        state = self._state(row, col)
        if state == _WRITTEN and not self.path(row, col).exists():
            raise ReadError(self._gone(row, col))
        if state == _TO_DO and self.path(row, col).exists():
            with self._checked(row, col):
                self._mark(row, {col: _WRITTEN})  # its run was killed between the two
            return True
        return state != _TO_DO

    def is_marked(self, row: int, col: int) -> bool:
        """Return whether a chunk was marked as finished when this object was made."""
        return self._state(row, col) != _TO_DO

    def is_blank(self, row: int, col: int) -> bool:
        """Return whether a chunk is finished and holds nodata only."""
        return self._state(row, col) == _BLANK

    def read(self, row: int, col: int) -> npt.NDArray[np.uint8]:
        """Return the values of a finished chunk that is not blank; not to be changed.

        The chunks read or written last are kept: neighbouring windows share them, and opening one
        takes as long as reading it. Errors are those of :meth:`opened`.
        """
        key = self._key(row, col)
        with self._lock:
            if key in self._recent:
                self._recent.move_to_end(key)
                return self._recent[key]
        with self.opened(row, col) as dataset:
            values: npt.NDArray[np.uint8] = dataset.read(1)
        self._keep(key, values)
        return values

    def _key(self, row: int, col: int) -> Any:
        """Return an identifier of the content of a chunk's file; None if the file is missing."""
        try:
            state = self.path(row, col).stat()
        except OSError:
            return None
        return row, col, state.st_mtime_ns, state.st_size

    def _keep(self, key: Any, values: npt.NDArray[np.uint8]) -> None:
        if key is None:
            return
        with self._lock:
            self._recent[key] = values
            while sum(kept.nbytes for kept in self._recent.values()) > _RECENT_BYTES:
                self._recent.popitem(last=False)

    @contextmanager
    def opened(self, row: int, col: int) -> Iterator[Any]:
        """Open a finished chunk that is not blank, and make sure that it is the one.

        Raises
        ------
        ReadError
            If it is not finished, missing, damaged, or of another raster.
        """
        path = self.path(row, col)
        if self._state(row, col) == _TO_DO:
            raise ReadError(
                f"{path}: this chunk is not finished. Run the command that made "
                f"{self.folder.parent} again to resume."
            )
        if not path.exists():
            raise ReadError(self._gone(row, col))
        with self._checked(row, col) as dataset:
            yield dataset

    def write(self, row: int, parts: Mapping[int, npt.NDArray[np.uint8] | None]) -> None:
        """Write some chunks of a row of chunks, and mark them as finished.

        Parameters
        ----------
        row : int
            The row.
        parts : mapping of int to ndarray of uint8, shape (height, width), or None
            Values by column; None for nodata only.

        Raises
        ------
        OutputError
            If the disk is full or the folder cannot be written.
        ReadError
            If a file in the place of a chunk is not a chunk of this raster.
        """
        shown = {
            col: values
            for col, values in parts.items()
            if values is not None and not bool((values == NO_DATA).all())
        }
        folder = self.path(row, 0).parent
        try:
            for col in parts:
                if self.path(row, col).exists():
                    with self._checked(row, col):
                        pass  # ours: its run was killed before it was marked
            if shown:
                folder.mkdir(exist_ok=True)
                write_chunks(
                    (self.path(row, col), values, self.grid.part(self.window(row, col)),
                     self._tag(row, col))
                    for col, values in shown.items()
                )  # fmt: skip
            self._mark(row, {col: _WRITTEN if col in shown else _BLANK for col in parts})
            for col, values in shown.items():
                self._keep(self._key(row, col), values.copy())
        except (OSError, RasterioError) as error:
            if isinstance(error, RoadgisError):
                raise
            raise OutputError(
                f"{folder}: the mosaic cannot be written ({error}). Free some space or choose "
                "another --work-dir; the next run resumes from here."
            ) from error

    @contextmanager
    def _checked(self, row: int, col: int) -> Iterator[Any]:
        window = self.window(row, col)
        shape = window.height, window.width
        with checked_chunk(self.path(row, col), shape, self._tag(row, col), _ANEW) as dataset:
            yield dataset

    def _tag(self, row: int, col: int) -> str:
        return f"{self.raster_id} {row} {col}"

    def _gone(self, row: int, col: int) -> str:
        return f"{self.path(row, col)}: this chunk was finished, and is missing now. {_ANEW}"

    def _state(self, row: int, col: int) -> int:
        return self._done[row * self.shape[1] + col]

    def _mark(self, row: int, states: Mapping[int, int]) -> None:
        with (self.folder / _DONE).open("r+b") as file:
            for col, state in states.items():
                file.seek(row * self.shape[1] + col)
                file.write(bytes([state]))
            file.flush()
            os.fsync(file.fileno())
        for col, state in states.items():
            self._done[row * self.shape[1] + col] = state


def write_chunks(chunks: Iterable[tuple[Path, npt.NDArray[np.uint8], Grid, str]]) -> None:
    """Write rasters of one folder and one CRS, which appear when all are complete.

    Parameters
    ----------
    chunks : iterable of (Path, ndarray of uint8, Grid, str)
        File, values (0..254 = p * 254, 255 = nodata), pixels, and a tag that says to which raster
        it belongs, and where in it; see :func:`checked_chunk`.

    Raises
    ------
    OSError, RasterioError
        If one cannot be written.
    """
    *others, last = chunks
    crs = last[2].crs.to_wkt()
    # One environment for all: setting one up takes a third of the time of a chunk.
    with atomic_path(last[0]) as partial, rasterio.Env():
        for path, values, grid, tag in (*others, last):
            # By way of memory: on a full disk GDAL may fail silently when it closes a file.
            with MemoryFile() as memory:
                _write_tiff(memory, values, grid, crs, tag)
                partial.with_name(path.name).write_bytes(memory.getbuffer())


def _write_tiff(
    memory: MemoryFile, values: npt.NDArray[np.uint8], grid: Grid, crs: str, tag: str
) -> None:
    with memory.open(
        driver="GTiff",
        height=grid.height,
        width=grid.width,
        count=1,
        dtype="uint8",
        nodata=NO_DATA,
        crs=crs,
        transform=grid.transform,
        compress="ZSTD",
        zstd_level=1,
        tiled=True,
        blockxsize=256,
        blockysize=256,
    ) as dataset:
        dataset.update_tags(**{_TAG: tag})
        dataset.write(values, 1)


@contextmanager
def checked_chunk(path: Path, shape: tuple[int, int], tag: str, remedy: str) -> Iterator[Any]:
    """Open a chunk, and make sure that it is the one.

    Parameters
    ----------
    path : Path
        The file.
    shape : tuple of int
        Height and width that it must have.
    tag : str
        As it was written with.
    remedy : str
        A sentence that says what to do otherwise.

    Raises
    ------
    ReadError
        If it is damaged, or another one.
    """
    try:
        with legible(), rasterio.open(path) as dataset:
            if dataset.tags().get(_TAG) != tag or dataset.shape != shape:
                raise ReadError(
                    f"{path}: this file is not the chunk that belongs here, but one of another "
                    f"run or place. {remedy}"
                )
            yield dataset
    except RasterioError as error:
        raise ReadError(f"{path}: the chunk is damaged ({error}). {remedy}") from error


def remove_chunks(folder: Path) -> None:
    """Remove chunks and their record from a folder; other files stay, and with them the folder."""
    partial = re.compile(r"\.([0-9]{5,}\.tif|done\.bin)\.([a-z0-9_]{8}\.partial|placing)")
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir() and re.fullmatch(r"[0-9]{5,}", path.name):
            for file in path.iterdir():
                if re.fullmatch(r"[0-9]{5,}\.tif", file.name):
                    file.unlink()
                elif partial.fullmatch(file.name):
                    _remove(file)
            with contextlib.suppress(OSError):
                path.rmdir()
        elif path.name == _DONE or partial.fullmatch(path.name):
            _remove(path)
    with contextlib.suppress(OSError):
        folder.rmdir()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def _shape(grid: Grid, side_px: int) -> tuple[int, int]:
    return -(-grid.height // side_px), -(-grid.width // side_px)
