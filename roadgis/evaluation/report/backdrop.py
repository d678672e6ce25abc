"""Imagery behind the maps of a report: small pictures, north up in the metric CRS."""

from __future__ import annotations

import base64
import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import CRSError, NotGeoreferencedWarning, RasterioError
from rasterio.io import MemoryFile
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds

from roadgis.arrays import Bools, Bytes
from roadgis.dataset_names import display_name, gdal_path
from roadgis.errors import InputError, ReadError, SceneError
from roadgis.imagery.damage import check_whole, damage_raises, legible, missing_part
from roadgis.imagery.inputs import expand_sources

#: Colour of areas without an image.
_EMPTY = 225
#: Percentiles that become black and white where the image is not 8-bit.
_STRETCH = (0.5, 99.5)
_QUALITY = 80

_LOG = logging.getLogger(__name__)

_Bounds = tuple[float, float, float, float]


def north_up(bounds: _Bounds, width: int, height: int) -> Affine:
    """Return the transform from pixels of a picture to coordinates."""
    west, south, east, north = bounds
    return Affine((east - west) / width, 0, west, 0, (south - north) / height, north)


class Backdrop:
    """One or more rasters, read where a map needs them.

    Parameters
    ----------
    sources : str or Path
        A raster, a folder, a glob or a URL.
    crs : pyproj.CRS
        Metric CRS of the maps.
    assume_crs : str, optional
        CRS of rasters that have none.

    Raises
    ------
    SceneError
        If the raster does not exist or has no CRS.
    ReadError
        If one cannot be read.
    """

    def __init__(
        self, sources: str | Path, crs: pyproj.CRS, *, assume_crs: str | None = None
    ) -> None:
        self._crs = rasterio.crs.CRS.from_wkt(crs.to_wkt())
        self._assumed = assume_crs
        self._sources: list[tuple[str, _Bounds]] = []
        self._range: tuple[float, float] | None = None
        self._asked = False
        for name in expand_sources(sources):
            with _opened(name) as image:
                own = self._own_crs(image, name)
                bounds = self._placed(own, image.bounds, name)
                self._sources.append((name, bounds))

    def _own_crs(self, image: Any, name: str) -> Any:
        own = image.crs
        if own is None and self._assumed:
            try:
                own = rasterio.crs.CRS.from_user_input(self._assumed)
            except CRSError as error:
                raise InputError(
                    f"--assume-crs {self._assumed}: is not a known coordinate reference system. "
                    "Expected a code such as EPSG:25832, or WKT."
                ) from error
        if own is None:
            raise SceneError(
                f"{display_name(name)}: found an image without a CRS, which cannot be laid behind "
                "the maps. Give its CRS with --assume-crs, or leave --image out."
            )
        return own

    def _placed(self, own: Any, bounds: _Bounds, name: str) -> _Bounds:
        try:
            placed = transform_bounds(own, self._crs, *bounds, densify_pts=21)
        except (CRSError, RasterioError) as error:
            raise SceneError(
                f"{display_name(name)}: has no place on the maps ({error}). Check the image's CRS, "
                "or leave --image out."
            ) from error
        return placed[0], placed[1], placed[2], placed[3]

    def picture(self, bounds: _Bounds, width: int, height: int) -> Bytes | None:
        """Return what lies behind a map.

        Parameters
        ----------
        bounds : tuple of float
            West, south, east, north, metres of the metric CRS.
        width, height : int
            Pixels.

        Returns
        -------
        ndarray of uint8, shape (height, width, 3), or None
            None where no image lies.

        Raises
        ------
        ReadError
            If the image cannot be read.
        """
        picture = np.full((height, width, 3), _EMPTY, np.uint8)
        west, south, east, north = bounds
        transform = north_up(bounds, width, height)
        seen = False
        for name, (left, bottom, right, top) in self._sources:
            if left < east and right > west and bottom < north and top > south:
                seen |= self._draw(name, transform, picture)
        if not (seen or self._asked):
            _LOG.warning(
                "The image behind the maps does not show the roads of the first map: its place or "
                "CRS is another one, or it is blank there. Check --image."
            )
        self._asked = True
        return picture if seen else None

    def _draw(self, name: str, transform: Affine, picture: Bytes) -> bool:
        height, width = picture.shape[:2]
        with (
            _opened(name) as image,
            WarpedVRT(
                image,
                src_crs=self._own_crs(image, name),
                crs=self._crs,
                transform=transform,
                width=width,
                height=height,
                resampling=Resampling.bilinear,
                add_alpha=ColorInterp.alpha not in image.colorinterp,
            ) as warped,
        ):
            bands = _colours(image)
            values = warped.read(bands)
            valid = warped.dataset_mask() > 0
        if not valid.any():
            return False
        colours = self._bytes(values, valid)
        picture[valid] = np.moveaxis(colours, 0, -1)[valid]
        return True

    def _bytes(self, values: npt.NDArray[Any], valid: Bools) -> Bytes:
        if values.dtype == np.uint8:
            return values
        real = values.astype(np.float64)
        if self._range is None:
            # The first map is the overview; the others keep its range.
            inside = real[:, valid]
            inside = inside[np.isfinite(inside)]
            low, high = np.percentile(inside, _STRETCH) if inside.size else (0.0, 1.0)
            self._range = float(low), float(max(high, low + 1e-9))
        low, high = self._range
        return np.nan_to_num(np.clip((real - low) / (high - low), 0, 1) * 255).astype(np.uint8)


def _colours(image: Any) -> list[int]:
    """Return the numbers of the bands that become red, green and blue."""
    marked = [ColorInterp.red, ColorInterp.green, ColorInterp.blue]
    found = image.colorinterp
    if all(colour in found for colour in marked):
        return [found.index(colour) + 1 for colour in marked]
    plain = [band for band, kind in enumerate(found, 1) if kind != ColorInterp.alpha] or [1]
    return plain[:3] if len(plain) >= 3 else [plain[0]] * 3


@contextlib.contextmanager
def _opened(name: str) -> Iterator[Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with legible(), rasterio.open(gdal_path(name)) as image:
                check_whole(display_name(name), missing_part(image))
                with damage_raises():
                    yield image
    except RasterioError as error:
        raise ReadError(
            f"{display_name(name)}: the image behind the maps cannot be read ({error}). "
            "Check the file, or leave --image out."
        ) from error


def picture_uri(picture: Bytes) -> str:
    """Return a picture as a ``data:`` URI.

    Parameters
    ----------
    picture : ndarray of uint8, shape (H, W, 3) or (H, W, 4)
        Red, green, blue, which becomes a JPEG; or with alpha, which becomes a PNG.
    """
    height, width, count = picture.shape
    driver, kind = ("JPEG", "jpeg") if count == 3 else ("PNG", "png")
    settings = {"QUALITY": _QUALITY} if count == 3 else {"ZLEVEL": 9}
    with warnings.catch_warnings(), MemoryFile() as memory:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with memory.open(
            driver=driver, width=width, height=height, count=count, dtype="uint8", **settings
        ) as file:
            file.write(np.moveaxis(picture, -1, 0))
        data = bytes(memory.getbuffer())
    return f"data:image/{kind};base64," + base64.b64encode(data).decode("ascii")
