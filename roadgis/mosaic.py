"""The probability mosaic: a folder of raster chunks that a killed run can go on with.

::

    FOLDER/mosaic.json        grid, chunk size and the settings that decide the values
    FOLDER/RRRRR/CCCCC.tif    a chunk, uint8, 0..254 = p * 254, 255 = no data
    FOLDER/RRRRR/CCCCC.blank  a chunk that is all no data
    FOLDER/mosaic.vrt         all chunks as one raster, written on request

A chunk appears under its name in one step, when all of it is written; that it is there is
the mark that it is done.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.shutil
from pyproj import CRS
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window as RasterWindow

from roadgis.atomic import atomic_path
from roadgis.errors import OutputError, ReadError, ResumeError
from roadgis.scene.grid import NO_DATA, Grid, Window
from roadgis.scene.plane import composed

__all__ = ["CHUNK_PX", "Mosaic", "write_cog"]

#: Side of a chunk, in pixels. Three of them with the default model's margin are what 2 GiB hold.
CHUNK_PX = 768
_FORMAT = 1
#: The TIFF tag by which ``vectorize`` knows a raster of ours.
PROBABILITY_TAG = "ROADGIS_PROBABILITY"


class Mosaic:
    """Road probability on a grid, in chunks on disk; a :class:`ProbabilitySource`.

    Use :meth:`create` to make one or to go on with one.

    Attributes
    ----------
    folder : Path
        Where it lies.
    grid : Grid
        Its pixels.
    chunk_px : int
        Side of a chunk.
    settings : dict
        What decides the values.
    """

    def __init__(self, folder: Path, grid: Grid, chunk_px: int, settings: dict[str, Any]) -> None:
        self.folder = folder
        self.grid = grid
        self.chunk_px = chunk_px
        self.settings = settings

    @classmethod
    def create(
        cls,
        folder: Path,
        grid: Grid,
        settings: Mapping[str, Any],
        *,
        chunk_px: int = CHUNK_PX,
    ) -> Mosaic:
        """Make a mosaic, or take up the one that is in the folder.

        Parameters
        ----------
        folder : Path
            Made when missing.
        grid : Grid
            The pixels.
        settings : mapping
            All that decides the values, as JSON values by name.
        chunk_px : int
            Side of a chunk.

        Raises
        ------
        ResumeError
            If the folder holds a mosaic with other settings; the message names them.
        OutputError
            If the folder cannot be made.
        """
        head = {
            "format": _FORMAT,
            "grid": _grid_to_json(grid),
            "chunk_px": chunk_px,
            "settings": json.loads(json.dumps(dict(settings), sort_keys=True)),
        }
        path = folder / "mosaic.json"
        if path.is_file():
            found = _read_head(path)
            _check_same(folder, found, head)
        else:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                with atomic_path(path) as partial:
                    partial.write_text(json.dumps(head, indent=1) + "\n", encoding="utf-8")
            except OSError as error:
                raise OutputError(
                    f"{folder}: the work folder cannot be written ({error}). Choose another "
                    "place with --work-dir."
                ) from error
        return cls(folder, grid, chunk_px, head["settings"])

    @classmethod
    def open(cls, folder: Path) -> Mosaic:
        """Open an existing mosaic.

        Raises
        ------
        ReadError
            If the folder holds none.
        """
        path = folder / "mosaic.json"
        if not path.is_file():
            raise ReadError(f"{folder}: found no mosaic.json; expected a folder made by predict.")
        head = _read_head(path)
        return cls(folder, _grid_from_json(head["grid"]), head["chunk_px"], head["settings"])

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of chunks."""
        return -(-self.grid.height // self.chunk_px), -(-self.grid.width // self.chunk_px)

    def _path(self, row: int, col: int, suffix: str) -> Path:
        return self.folder / f"{row:05d}" / f"{col:05d}{suffix}"

    def _window(self, row: int, col: int) -> Window:
        size = self.chunk_px
        return Window(
            row * size,
            col * size,
            min(size, self.grid.height - row * size),
            min(size, self.grid.width - col * size),
        )

    def _chunks(self, window: Window) -> list[tuple[int, int]]:
        """Return the chunks that a window touches, within the grid."""
        size = self.chunk_px
        rows, cols = self.shape
        first_row, first_col = max(window.row // size, 0), max(window.col // size, 0)
        last_row = min(-(-(window.row + window.height) // size), rows)
        last_col = min(-(-(window.col + window.width) // size), cols)
        return [
            (row, col) for row in range(first_row, last_row) for col in range(first_col, last_col)
        ]

    def is_done(self, window: Window) -> bool:
        """Return whether all chunks that the window touches are written."""
        return all(
            self._path(*chunk, ".tif").exists() or self._path(*chunk, ".blank").exists()
            for chunk in self._chunks(window)
        )

    def write(self, window: Window, probability: npt.NDArray[np.uint8] | None) -> None:
        """Write the chunks of a window.

        Parameters
        ----------
        window : Window
            Starts at a chunk's corner and ends at a chunk's or the grid's.
        probability : ndarray of uint8, shape (height, width), or None
            0..254 and 255 for no data; None for a window without data.

        Raises
        ------
        OutputError
            If the disk is full or the folder cannot be written.
        """
        for row, col in self._chunks(window):
            chunk = self._window(row, col)
            top, left = chunk.row - window.row, chunk.col - window.col
            if (
                min(top, left) < 0
                or top + chunk.height > window.height
                or left + chunk.width > window.width
            ):
                raise ValueError(f"{window} does not hold whole chunks of {self.chunk_px} px")
            part = None
            if probability is not None:
                part = probability[top : top + chunk.height, left : left + chunk.width]
            self._write_chunk(row, col, chunk, part)

    def _write_chunk(
        self, row: int, col: int, chunk: Window, part: npt.NDArray[np.uint8] | None
    ) -> None:
        path = self._path(row, col, ".tif")
        try:
            path.parent.mkdir(exist_ok=True)
            if part is None or bool((part == NO_DATA).all()):
                path.with_suffix(".blank").touch()
                return
            with (
                atomic_path(path) as partial,
                rasterio.open(
                    partial,
                    "w",
                    driver="GTiff",
                    height=chunk.height,
                    width=chunk.width,
                    count=1,
                    dtype="uint8",
                    nodata=NO_DATA,
                    crs=self.grid.crs.to_wkt(),
                    transform=composed(
                        self.grid.transform, rasterio.Affine.translation(chunk.col, chunk.row)
                    ),
                    compress="ZSTD",
                    zstd_level=1,
                    tiled=True,
                    blockxsize=256,
                    blockysize=256,
                ) as dataset,
            ):
                dataset.write(part, 1)
                # A full disk may show only when GDAL closes the file, and then silently.
            self._check_chunk(path)
        except (OSError, RasterioError) as error:
            if isinstance(error, OutputError):
                raise
            raise OutputError(
                f"{path}: the mosaic cannot be written ({error}). Free some space or choose "
                "another place with --work-dir; a next run goes on from here."
            ) from error

    def _check_chunk(self, path: Path) -> None:
        """Read the chunk's last block back, and remove the chunk where that fails."""
        try:
            with rasterio.open(path) as dataset:
                dataset.read(1, window=RasterWindow(dataset.width - 1, dataset.height - 1, 1, 1))
        except RasterioError as error:
            path.unlink(missing_ok=True)
            raise OutputError(
                f"{path}: the chunk could not be read back after writing ({error}); the disk is "
                "probably full. Free some space; a next run goes on from here."
            ) from error

    def read(self, window: Window) -> npt.NDArray[np.uint8]:
        """Return probability of a window, uint8 (height, width).

        Parameters
        ----------
        window : Window
            May reach beyond the grid.

        Returns
        -------
        ndarray of uint8
            0..254 = p * 254; 255 beyond the grid, where no data, and in chunks not written.

        Raises
        ------
        ReadError
            If a chunk is damaged.
        """
        result = np.full((window.height, window.width), NO_DATA, np.uint8)
        for row, col in self._chunks(window):
            path = self._path(row, col, ".tif")
            if not path.exists():
                continue
            chunk = self._window(row, col)
            top, left = max(window.row, chunk.row), max(window.col, chunk.col)
            bottom = min(window.row + window.height, chunk.row + chunk.height)
            right = min(window.col + window.width, chunk.col + chunk.width)
            inside = RasterWindow(left - chunk.col, top - chunk.row, right - left, bottom - top)
            try:
                with rasterio.open(path) as dataset:
                    result[
                        top - window.row : bottom - window.row,
                        left - window.col : right - window.col,
                    ] = dataset.read(1, window=inside)
            except RasterioError as error:
                raise ReadError(
                    f"{path}: the chunk is damaged ({error}). Remove this file and run again; "
                    "only it is made anew."
                ) from error
        return result

    def is_blank(self, window: Window) -> bool:
        """Return True when certainly no pixel of the window has data."""
        return not any(self._path(*chunk, ".tif").exists() for chunk in self._chunks(window))

    def write_vrt(self, window: Window | None = None) -> Path:
        """Write ``mosaic.vrt``, which shows all chunks as one raster, and return its path.

        Parameters
        ----------
        window : Window, optional
            The part to show; by default all.
        """
        shown = window or self.grid.window
        grid = self.grid.part(shown)
        sources = []
        for row, col in self._chunks(shown):
            path = self._path(row, col, ".tif")
            if path.exists():
                chunk = self._window(row, col)
                size = f'xSize="{chunk.width}" ySize="{chunk.height}"'
                name = escape(str(path.relative_to(self.folder)))
                sources.append(
                    f'<SimpleSource><SourceFilename relativeToVRT="1">{name}</SourceFilename>'
                    "<SourceBand>1</SourceBand>"
                    f'<SourceProperties RasterXSize="{chunk.width}" RasterYSize="{chunk.height}" '
                    'DataType="Byte" BlockXSize="256" BlockYSize="256"/>'
                    f'<SrcRect xOff="0" yOff="0" {size}/>'
                    f'<DstRect xOff="{chunk.col - shown.col}" yOff="{chunk.row - shown.row}" '
                    f"{size}/></SimpleSource>"
                )
        transform = ", ".join(repr(value) for value in grid.transform.to_gdal())
        text = (
            f'<VRTDataset rasterXSize="{grid.width}" rasterYSize="{grid.height}">'
            f"<SRS>{escape(grid.crs.to_wkt())}</SRS><GeoTransform>{transform}</GeoTransform>"
            f'<Metadata><MDI key="{PROBABILITY_TAG}">254</MDI></Metadata>'
            '<VRTRasterBand dataType="Byte" band="1" blockXSize="256" blockYSize="256">'
            f"<NoDataValue>{NO_DATA}</NoDataValue>{''.join(sources)}"
            "</VRTRasterBand></VRTDataset>\n"
        )
        path = self.folder / "mosaic.vrt"
        with atomic_path(path) as partial:
            partial.write_text(text, encoding="utf-8")
        return path


def write_cog(
    mosaic: Mosaic,
    path: Path,
    *,
    window: Window | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write a mosaic as a Cloud Optimized GeoTIFF with overviews.

    Parameters
    ----------
    mosaic : Mosaic
        What to write.
    path : Path
        The file; replaced in one step.
    window : Window, optional
        The part to write; by default all.
    tags : mapping of str to str, optional
        TIFF metadata, beside the one by which ``vectorize`` knows the scale.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    vrt = mosaic.write_vrt(window)
    try:
        if tags:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                with rasterio.open(vrt, "r+") as dataset:
                    dataset.update_tags(**tags)
        with atomic_path(path) as partial:
            rasterio.shutil.copy(
                str(vrt),
                str(partial),
                driver="COG",
                compress="DEFLATE",
                level=6,
                blocksize=512,
                overviews="IGNORE_EXISTING",
                overview_resampling="AVERAGE",
                bigtiff="IF_SAFER",
                num_threads=str(os.cpu_count() or 1),
            )
            with rasterio.open(partial) as dataset:
                dataset.checksum(1)  # a full disk shows only when the file is read back
    except (OSError, RasterioError) as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(
            f"{path}: the probability raster cannot be written ({error}). Free some space or "
            "choose another place; what was predicted is kept."
        ) from error


def _grid_to_json(grid: Grid) -> dict[str, Any]:
    return {
        "crs": grid.crs.to_wkt(),
        "x0": grid.x0,
        "y0": grid.y0,
        "gsd_m": grid.gsd_m,
        "width": grid.width,
        "height": grid.height,
    }


def _grid_from_json(values: dict[str, Any]) -> Grid:
    return Grid(**{**values, "crs": CRS.from_wkt(values["crs"])})


def _read_head(path: Path) -> dict[str, Any]:
    try:
        head: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if head["format"] == _FORMAT and {"grid", "chunk_px", "settings"} <= set(head):
            return head
    except (ValueError, KeyError, TypeError):
        pass
    raise ResumeError(
        f"{path}: found no mosaic of format {_FORMAT} in it. Remove the folder {path.parent} "
        "and run again."
    )


def _check_same(folder: Path, found: dict[str, Any], asked: dict[str, Any]) -> None:
    before = {**found["settings"], "grid": found["grid"], "chunk_px": found["chunk_px"]}
    now = {**asked["settings"], "grid": asked["grid"], "chunk_px": asked["chunk_px"]}
    differ = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    if differ:
        lines = "; ".join(
            f"{key}: {_short(before.get(key))} before, {_short(now.get(key))} now" for key in differ
        )
        raise ResumeError(
            f"{folder} holds the unfinished mosaic of a run with other settings ({lines}). "
            "Run with those to go on with it, or start anew with --restart, or choose another "
            "--work-dir. If you changed nothing, another version of roadgis began it."
        )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
