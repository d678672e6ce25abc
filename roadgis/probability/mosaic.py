"""The probability mosaic: a folder of raster chunks that a killed run resumes from.

::

    FOLDER/mosaic.json  grid, chunk size, imagery and the settings that decide the values
    FOLDER/chunks-N/    the chunks, see roadgis.probability.chunks: 0..254 = p * 254, 255 = nodata
    FOLDER/mosaic.vrt   all chunks as one raster, written on request

``mosaic.json`` names the folder of chunks that counts, so that chunks of changed imagery take the
place of the old ones in one step.
"""

from __future__ import annotations

import functools
import json
import os
import re
import secrets
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.shutil
from pyproj import CRS
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from roadgis.atomic import atomic_path
from roadgis.errors import OutputError, ReadError, ResumeError, RoadgisError
from roadgis.imagery.grid import Grid, Window
from roadgis.options.prediction import CHUNK_PX
from roadgis.plain_values import parse_json
from roadgis.probability.chunks import Chunks, remove_chunks
from roadgis.probability.source import NO_DATA

_FORMAT = 2
_HEAD, _VRT = "mosaic.json", "mosaic.vrt"
_Copy = Callable[[], "npt.NDArray[np.uint8]"]
#: The TIFF tag by which ``vectorize`` knows a raster of ours.
PROBABILITY_TAG = "ROADGIS_PROBABILITY"


class Mosaic:
    """Road probability on a grid, in chunks on disk; a :class:`ProbabilitySource`.

    Use :meth:`create` to make one or to resume one.

    Attributes
    ----------
    folder : Path
        Where it lies.
    grid : Grid
        Its pixels.
    chunk_px : int
        Side of a chunk.
    settings : dict
        What decides the values, the imagery left out.
    imagery : dict
        The imagery that the values are of, as JSON values; empty where nobody said.
    about : dict
        What else outputs made from the values say of them, as JSON values.
    """

    def __init__(self, folder: Path, head: dict[str, Any], chunks: Chunks | None = None) -> None:
        self.folder = folder
        self.grid = _grid_from_json(head["grid"])
        self.chunk_px: int = head["chunk_px"]
        self.settings: dict[str, Any] = head["settings"]
        self.imagery: dict[str, Any] = head["imagery"]
        # Mosaics of earlier versions have none.
        about = head.get("about")
        self.about: dict[str, Any] = about if isinstance(about, dict) else {}
        self._head = head
        self._chunks = chunks or Chunks(
            folder / head["chunks"], self.grid, self.chunk_px, head["id"]
        )

    @classmethod
    def create(
        cls,
        folder: Path,
        grid: Grid,
        settings: Mapping[str, Any],
        *,
        chunk_px: int = CHUNK_PX,
        imagery: Mapping[str, Any] | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> Mosaic:
        """Make a mosaic, or resume the one in the folder.

        Parameters
        ----------
        folder : Path
            Made when missing.
        grid : Grid
            The pixels.
        settings : mapping
            All that decides the values besides the imagery, as JSON values by name.
        chunk_px : int
            Side of a chunk.
        imagery : mapping, optional
            What the values are of, as JSON values. A mosaic of other imagery or of another grid
            is returned unchanged: see :meth:`renewed`. Without it the grid has to be the same.
        about : mapping, optional
            What does not decide the values, but belongs to them: kept with a new mosaic.

        Raises
        ------
        ResumeError
            If the folder holds a mosaic with other settings; the message names them.
        OutputError
            If the folder cannot be made.
        """
        head = {
            "format": _FORMAT,
            "id": secrets.token_hex(8),
            "chunks": "chunks-1",
            "grid": _grid_to_json(grid),
            "chunk_px": chunk_px,
            "settings": _plain(settings),
            "imagery": _plain(imagery or {}),
            "about": _plain(about or {}),
        }
        if (folder / _HEAD).is_file():
            found = _read_head(folder / _HEAD)
            _check_same(folder, found, head, with_grid=imagery is None)
            return cls(folder, found)
        return cls._begun(folder, head)

    @classmethod
    def open(cls, folder: Path) -> Mosaic:
        """Open an existing mosaic.

        Raises
        ------
        ReadError
            If the folder holds none.
        """
        if not (folder / _HEAD).is_file():
            raise ReadError(f"{folder}: found no {_HEAD}; expected a folder made by predict.")
        return cls(folder, _read_head(folder / _HEAD))

    @classmethod
    def _begun(
        cls, folder: Path, head: dict[str, Any], copies: Iterable[tuple[Window, _Copy]] = ()
    ) -> Mosaic:
        """Make a mosaic without chunks, or with copies of others; it counts once all are there."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            grid = _grid_from_json(head["grid"])
            chunks = Chunks.begun(folder / head["chunks"], grid, head["chunk_px"], head["id"])
            made = cls(folder, head, chunks)
            for window, copy in copies:
                made.write(window, copy())
            with atomic_path(folder / _HEAD) as partial:
                partial.write_text(json.dumps(head, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            if isinstance(error, RoadgisError) and not isinstance(error, OutputError):
                raise
            raise OutputError(
                f"{folder}: the work directory cannot be written ({error}). Choose another "
                "--work-dir."
            ) from error
        return made

    def renewed(
        self,
        grid: Grid,
        imagery: Mapping[str, Any],
        kept: Iterable[tuple[Window, Window]],
    ) -> Mosaic:
        """Put a mosaic of changed imagery in place of this one, and return it.

        Parameters
        ----------
        grid : Grid
            Of the new one.
        imagery : mapping
            What its values are of.
        kept : iterable of pairs of Window
            Windows of this mosaic whose values hold, and where they lie in the new one; the
            latter consist of whole chunks.
        """
        number = int(self._head["chunks"].rpartition("-")[2]) + 1
        head = self._head | {
            "id": secrets.token_hex(8),
            "chunks": f"chunks-{number}",
            "grid": _grid_to_json(grid),
            "imagery": _plain(imagery),
        }
        copies = ((there, functools.partial(self.read, here)) for here, there in kept)
        made = Mosaic._begun(self.folder, head, copies)
        remove_chunks(self._chunks.folder)
        return made

    def is_done(self, window: Window) -> bool:
        """Return whether all chunks that the window touches are written.

        Raises
        ------
        ReadError
            If one of them was written and is gone.
        """
        return all(self._chunks.is_done(*chunk) for chunk in self._chunks.touching(window))

    def write(self, window: Window, probability: npt.NDArray[np.uint8] | None) -> None:
        """Write the chunks of a window.

        Parameters
        ----------
        window : Window
            Starts at a chunk's corner and ends at a chunk's or the grid's.
        probability : ndarray of uint8, shape (height, width), or None
            0..254 and 255 for nodata; None for a window without data.

        Raises
        ------
        OutputError
            If the disk is full or the folder cannot be written.
        """
        rows: dict[int, dict[int, npt.NDArray[np.uint8] | None]] = {}
        for row, col in self._chunks.touching(window):
            chunk = self._chunks.window(row, col)
            if not window.contains(chunk):
                raise ValueError(f"{window} does not hold whole chunks of {self.chunk_px} px")
            part = None if probability is None else probability[chunk.slices_in(window)]
            rows.setdefault(row, {})[col] = part
        for row, parts in rows.items():
            self._chunks.write(row, parts)

    def read(self, window: Window) -> npt.NDArray[np.uint8]:
        """Return probability of a window, uint8 (height, width).

        Parameters
        ----------
        window : Window
            May reach beyond the grid.

        Returns
        -------
        ndarray of uint8
            0..254 = p * 254; 255 = nodata or beyond the grid.

        Raises
        ------
        ReadError
            If a chunk is not finished, missing, damaged, or belongs to another mosaic.
        """
        result = np.full((window.height, window.width), NO_DATA, np.uint8)
        for row, col in self._chunks.touching(window):
            if self._chunks.is_blank(row, col):
                continue
            chunk = self._chunks.window(row, col)
            shared = chunk.intersection(window)
            values = self._chunks.read(row, col)
            result[shared.slices_in(window)] = values[shared.slices_in(chunk)]
        return result

    def is_blank(self, window: Window) -> bool:
        """Return True when certainly no pixel of the window has data."""
        return all(self._chunks.is_blank(*chunk) for chunk in self._chunks.touching(window))

    def write_vrt(
        self, window: Window | None = None, *, path: Path | None = None, unfinished: bool = False
    ) -> Path:
        """Write a VRT that shows all chunks as one raster, and return its path.

        Parameters
        ----------
        window : Window, optional
            The part to show; by default all.
        path : Path, optional
            Where; by default ``mosaic.vrt`` in the folder.
        unfinished : bool
            Show chunks that are not finished as nodata; otherwise they are an error.
        """
        shown = window or self.grid.window
        path = path or self.folder / _VRT
        grid = self.grid.part(shown)
        sources = []
        for row, col in self._chunks.touching(shown):
            if unfinished and not self._chunks.is_marked(row, col):
                continue
            if not self._chunks.is_blank(row, col):
                with self._chunks.opened(row, col):
                    file, chunk = self._chunks.path(row, col), self._chunks.window(row, col)
                size = f'xSize="{chunk.width}" ySize="{chunk.height}"'
                name = escape(os.path.relpath(file, path.parent))
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
        with atomic_path(path) as partial:
            partial.write_text(text, encoding="utf-8")
        return path


def remove_mosaic(folder: Path) -> None:
    """Remove a mosaic's files from a folder, and leave all others."""
    # The head first: without it the rest counts as nothing.
    for name in (_HEAD, _VRT):
        (folder / name).unlink(missing_ok=True)
    for chunks in folder.glob("chunks-*"):
        if re.fullmatch(r"chunks-[0-9]+", chunks.name) and not chunks.is_symlink():
            remove_chunks(chunks)


def write_cog(
    mosaic: Mosaic,
    path: Path,
    *,
    window: Window | None = None,
    tags: Mapping[str, str] | None = None,
    overwrite: bool = True,
    record: Callable[[Mapping[Path, Path]], None] | None = None,
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
        TIFF metadata besides the tag by which ``vectorize`` knows the scale.
    overwrite, record
        See :func:`roadgis.atomic.atomic_path`.

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
        with atomic_path(path, overwrite=overwrite, record=record) as partial:
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
        head: dict[str, Any] = parse_json(path.read_bytes())
        keys = {"id", "chunks", "grid", "chunk_px", "settings", "imagery"}
        if head["format"] == _FORMAT and keys <= set(head):
            return head
    except (ValueError, KeyError, TypeError):
        pass
    raise ResumeError(
        f"{path}: found no mosaic of format {_FORMAT} in it. Remove the folder {path.parent} "
        "and run again."
    )


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(dict(values), sort_keys=True))
    return plain


def _check_same(
    folder: Path, found: dict[str, Any], asked: dict[str, Any], *, with_grid: bool
) -> None:
    names = ("grid", "chunk_px") if with_grid else ("chunk_px",)
    before = found["settings"] | {name: found[name] for name in names}
    now = asked["settings"] | {name: asked[name] for name in names}
    differ = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    if differ:
        lines = "; ".join(
            f"{key}: {_short(before.get(key))} before, {_short(now.get(key))} now" for key in differ
        )
        raise ResumeError(
            f"{folder} holds the unfinished mosaic of a run with other settings ({lines}). "
            "Run with those to resume it, or start anew with --restart, or choose another "
            "--work-dir. If you changed nothing, another version of roadgis began it."
        )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
