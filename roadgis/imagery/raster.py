"""One raster: its facts, in its own pixel grid."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from affine import Affine
from pyproj import CRS
from pyproj.exceptions import CRSError
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import RasterioIOError
from rasterio.transform import from_gcps
from rasterio.windows import Window as FileWindow

from roadgis.affine import composed, has_area, mapped
from roadgis.arrays import Bytes
from roadgis.crs import without_heights
from roadgis.dataset_names import display_name, gdal_path, is_remote
from roadgis.errors import ReadError, SceneError
from roadgis.imagery.acquisition_date import DATE_KEYS, acquisition_date
from roadgis.imagery.damage import missing_part
from roadgis.imagery.dataset_pool import gdal_environment, open_dataset
from roadgis.imagery.inputs import stamp
from roadgis.options.imagery import SceneOptions

_LOG = logging.getLogger(__name__)

# Ground control points that are farther than this from a common affine map need a real warp.
_MOST_OFF_PX = 3.0


class PixelDecoder(Protocol):
    """Meaning of the values of a probability raster or mask."""

    @property
    def is_mask(self) -> bool:
        """Whether there are two values only."""

    @property
    def background(self) -> bool:
        """Whether pixels without data count as background."""

    def stored(self, pixels: npt.NDArray[Any]) -> Bytes:
        """Return pixels (C, H, W) as probability, 0..254 = p * 254, shape (1, H, W)."""


@dataclass(frozen=True)
class Raster:
    """Facts about one raster, known without reading its pixels; C channels are read from it.

    Attributes
    ----------
    path, name : str
        Path or URL for GDAL; name for users.
    driver, dtype : str
        GDAL's names.
    crs : pyproj.CRS
        Horizontal CRS.
    transform : Affine
        (col, row) to (x, y); of an unrotated raster always north-up, see `flip`.
    flip : tuple of bool
        Whether rows, columns are reversed on reading, to be north-up.
    width, height, count : int
        Pixels and bands of the file (at overview level `level`).
    bands : tuple of int
        1-based bands that are read.
    palette : ndarray of uint8, shape (256, 4), or None
        Colours of the values.
    alpha : int or None
        The band that says where the image is valid.
    mask : bool
        Whether there is a mask band, internal or external.
    nodata : tuple of (float or None), shape (len(bands),)
        As the file declares it.
    overviews : tuple of int
        Decimation factors, at full resolution.
    level : int or None
        The overview that is read in place of full resolution.
    damage : str or None
        Missing part of the file, as far as it can be detected before reading.
    stamp : tuple
        Changes when the file does.
    decoder : PixelDecoder or None
        Encoding of a probability raster; None for imagery.
    date : str or None
        When it was taken, ISO 8601.
    fetch : callable or None
        Called as ``fetch(dataset, window)`` before a window is read: brings what lies on a slow
        server into a cache.
    """

    path: str
    name: str
    driver: str
    dtype: str
    crs: CRS
    transform: Affine
    flip: tuple[bool, bool]
    width: int
    height: int
    count: int
    bands: tuple[int, ...]
    palette: Bytes | None = field(compare=False)
    alpha: int | None
    mask: bool
    nodata: tuple[float | None, ...]
    overviews: tuple[int, ...]
    level: int | None = None
    damage: str | None = None
    stamp: tuple[Any, ...] = ()
    decoder: PixelDecoder | None = None
    date: str | None = None
    fetch: Callable[[Any, FileWindow], None] | None = field(default=None, compare=False)

    @property
    def channels(self) -> int:
        """C, the number of channels that :func:`read_pixels` gives."""
        return len(self.bands) if self.palette is None else 3

    @property
    def north_up(self) -> bool:
        """Whether rows run along y and columns along x."""
        return bool(self.transform.b == 0 == self.transform.d)


def inspect_raster(name: str, options: SceneOptions, channels: int) -> Raster:
    """Open a raster and note what reading it needs.

    Parameters
    ----------
    name : str
        Path or URL.
    options : SceneOptions
        Bands and the CRS to assume.
    channels : int
        How many channels the model takes.

    Raises
    ------
    SceneError
        If it is not a raster, has no CRS, or too few bands.
    ReadError
        If a URL cannot be opened.
    """
    path, shown = gdal_path(name), display_name(name)
    with gdal_environment(path):
        try:
            with open_dataset(path, None) as dataset:
                return _facts(dataset, name, path, shown, options, channels)
        except RasterioIOError as error:
            if is_remote(name):
                raise ReadError(
                    f"{shown}: cannot be opened ({failure_reason(error, name)}). Check the address "
                    "and the connection, then run again."
                ) from error
            raise SceneError(
                f"{shown}: is not a raster that can be opened ({failure_reason(error, name)}). "
                "Expected a whole GeoTIFF, VRT, JPEG 2000 or another format that GDAL reads."
            ) from error


def _facts(
    dataset: Any, name: str, path: str, shown: str, options: SceneOptions, channels: int
) -> Raster:
    if dataset.count == 0:
        raise SceneError(
            f"{shown}: holds no raster bands of its own. Name one of its parts instead: "
            f"{', '.join(dataset.subdatasets[:5]) or 'none found'}."
        )
    _reject_unrectified(dataset, shown)
    palette = _palette(dataset, options, channels)
    bands = _bands(dataset, shown, options, channels, palette is not None)
    alphas = [i for i, c in enumerate(dataset.colorinterp, 1) if c == ColorInterp.alpha]
    alpha = next((i for i in alphas if i not in bands), None)
    dtypes = {dataset.dtypes[b - 1] for b in bands}
    dtype = str(np.result_type(*dtypes)) if "complex_int16" not in dtypes else "complex64"
    if np.dtype(dtype).kind == "c":
        raise SceneError(f"{shown}: holds complex numbers; expected imagery with real values.")
    flags = dataset.mask_flag_enums[bands[0] - 1]
    crs = _crs(dataset, shown, options)  # first: without it, its place does not matter
    transform, flip = _transform(dataset, shown)
    return Raster(
        path=path,
        name=shown,
        driver=dataset.driver,
        dtype=dtype,
        crs=crs,
        transform=transform,
        flip=flip,
        width=dataset.width,
        height=dataset.height,
        count=dataset.count,
        bands=bands,
        palette=palette,
        alpha=alpha,
        mask=_has_mask(flags),
        nodata=tuple(dataset.nodatavals[b - 1] for b in bands),
        overviews=tuple(dataset.overviews(bands[0])),
        damage=missing_part(dataset),
        stamp=tuple(tuple(s) for s in stamp(name, dataset.files)),
        date=acquisition_date({d: dataset.tags(ns=d or None) for d, _ in DATE_KEYS}),
    )


def _has_mask(flags: list[MaskFlags]) -> bool:
    """Return whether there is a mask band that is not made from alpha or nodata."""
    return not {MaskFlags.all_valid, MaskFlags.nodata, MaskFlags.alpha} & set(flags)


def failure_reason(error: BaseException, name: str) -> str:
    """Return what GDAL says of a failure, without secrets in addresses."""
    cause = error.__cause__ or error
    text = " ".join(str(cause).split()) or type(cause).__name__
    text = text.replace(gdal_path(name), display_name(name)).replace(name, display_name(name))
    # GDAL also shortens an address to its end, where a signature is.
    _, mark, query = name.partition("?")
    return text.replace(mark + query, "") if is_remote(name) and query else text


def _palette(dataset: Any, options: SceneOptions, channels: int) -> Bytes | None:
    if (
        channels != 3
        or options.bands is not None
        or dataset.colorinterp[0] != ColorInterp.palette
        or dataset.dtypes[0] != "uint8"
    ):
        return None
    table = np.zeros((256, 4), np.uint8)
    for value, colour in dataset.colormap(1).items():
        table[value] = colour
    return table


def _bands(
    dataset: Any, shown: str, options: SceneOptions, channels: int, palette: bool
) -> tuple[int, ...]:
    roles = list(dataset.colorinterp)
    colours = [i for i, role in enumerate(roles, 1) if role != ColorInterp.alpha]
    if options.bands is not None:
        bands = options.bands
        if max(bands) > dataset.count:
            raise SceneError(
                f"{shown}: has {dataset.count} band(s), but bands {_comma(bands)} were asked for. "
                "Choose bands that it has with --bands."
            )
        if len(bands) not in (1, channels):
            raise SceneError(
                f"{len(bands)} bands were named ({_comma(bands)}), but the model takes {channels}. "
                f"Name {channels} with --bands, or one to feed all channels."
            )
        return bands
    if palette or len(colours) == 1:
        return (colours[0],)
    rgb = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
    if channels == 3 and all(roles.count(role) == 1 for role in rgb):
        return tuple(roles.index(role) + 1 for role in rgb)
    if len(colours) < channels:
        raise SceneError(
            f"{shown}: has {len(colours)} band(s) besides alpha, but the model takes {channels}. "
            "Name the bands to use with --bands (one band feeds all channels)."
        )
    return tuple(colours[:channels])


def _comma(bands: tuple[int, ...]) -> str:
    return ",".join(map(str, bands))


def _crs(dataset: Any, shown: str, options: SceneOptions) -> CRS:
    found = dataset.crs or (dataset.gcps[1] if dataset.gcps[0] else None)
    if found:
        crs = _horizontal(found.to_wkt())
        if crs.is_projected or crs.is_geographic:
            return crs
    if options.assume_crs is None:
        what = "a CRS without a place on the Earth" if found else "no coordinate reference system"
        raise SceneError(
            f"{shown}: has {what}. If you know it, say so with --assume-crs, "
            "e.g. --assume-crs EPSG:25832."
        )
    try:
        crs = CRS.from_user_input(options.assume_crs)
    except CRSError as error:
        raise SceneError(
            f"--assume-crs {options.assume_crs}: is not a known coordinate reference system. "
            "Expected a code such as EPSG:25832, or WKT."
        ) from error
    if not (crs.is_projected or crs.is_geographic):
        raise SceneError(
            f"--assume-crs {options.assume_crs}: is neither a projected nor a geographic CRS. "
            "Expected a code such as EPSG:25832."
        )
    return crs


@lru_cache(maxsize=64)
def _horizontal(wkt: str) -> CRS:
    return without_heights(CRS.from_wkt(wkt))


def _transform(dataset: Any, shown: str) -> tuple[Affine, tuple[bool, bool]]:
    """Return the transform, made north-up by reversing rows or columns if that is enough."""
    t: Affine = dataset.transform
    if t.is_identity:
        if dataset.gcps[0]:
            t = _fitted(dataset, shown)
        else:
            _LOG.warning(
                "%s has no position: it is placed at the CRS's origin with pixels of one unit.",
                shown,
            )
            t = Affine(1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
    if not has_area(t):
        raise SceneError(
            f"{shown}: its pixels have no area or no place (transform {tuple(t)[:6]}). Correct "
            "its georeference, e.g. with gdal_edit.py -a_ullr."
        )
    w, h = dataset.width, dataset.height
    # A rotation that moves nothing by a hundredth of a pixel is a rounding error.
    if max(abs(t.b) * h, abs(t.d) * w) > 0.01 * min(abs(t.a), abs(t.e)):
        return t, (False, False)
    rows, cols = t.e > 0, t.a < 0
    return (
        Affine(abs(t.a), 0.0, t.c + (t.a * w if cols else 0.0),
               0.0, -abs(t.e), t.f + (t.e * h if rows else 0.0)),
        (rows, cols),
    )  # fmt: skip


def _reject_unrectified(dataset: Any, shown: str) -> None:
    """Refuse imagery that only a camera model and the terrain's height place on the ground."""
    rpcs = dataset.rpcs
    if rpcs is None or not dataset.transform.is_identity or dataset.gcps[0]:
        return
    zone = int((rpcs.long_off + 180) // 6) % 60 + 1
    utm = (32600 if rpcs.lat_off >= 0 else 32700) + zone
    raise SceneError(
        f"{shown}: is not orthorectified: it has no map coordinates, only a camera model (RPC). "
        "Orthorectify it with an elevation model first, e.g. with 'gdalwarp -rpc -to "
        f"RPC_DEM=dem.tif -t_srs EPSG:{utm} {shown} ortho.tif'."
    )


def _fitted(dataset: Any, shown: str) -> Affine:
    """Return the affine transform of ground control points, if they have one."""
    points, crs = dataset.gcps
    if np.linalg.matrix_rank([(p.col, p.row, 1.0) for p in points]) < 3:
        raise SceneError(
            f"{shown}: its {len(points)} ground control points do not determine where it lies; "
            "expected at least 3 that are not on one line."
        )
    t: Affine = from_gcps(points)
    if has_area(t):
        place = np.array([(p.x, p.y, p.col, p.row) for p in points]).T
        col, row = mapped(~t, place[0], place[1])
        off_px = float(np.hypot(col - place[2], row - place[3]).max())
        if off_px > _MOST_OFF_PX:
            raise SceneError(
                f"{shown}: its {len(points)} ground control points do not fit a plain image (by "
                f"{off_px:.0f} pixels): it is not rectified. Rectify it first, e.g. with "
                f"'gdalwarp -tps -t_srs {_code(crs)} {shown} rectified.tif'."
            )
    return t


def _code(crs: Any) -> str:
    code = crs.to_epsg() if crs else None
    return f"EPSG:{code}" if code else "EPSG:CODE"


def at_overview(raster: Raster, factor: float) -> Raster:
    """Return the raster as its coarsest overview that shrinks by at most `factor`.

    The raster itself is returned where no overview fits, or where the overviews lack the mask.
    """
    levels = [(f, i) for i, f in enumerate(raster.overviews) if 2 <= f <= factor * 1.01]
    if not levels:
        return raster
    level = max(levels)[1]
    with gdal_environment(raster.path), open_dataset(raster.path, level) as dataset:
        width, height = dataset.width, dataset.height
        flags = dataset.mask_flag_enums[raster.bands[0] - 1]
        overview_nodata = tuple(dataset.nodatavals[b - 1] for b in raster.bands)
    if _has_mask(flags) != raster.mask or repr(overview_nodata) != repr(raster.nodata):
        _LOG.info("%s: its overviews lack the mask or nodata and are not used.", raster.name)
        return raster
    scale = Affine.scale(raster.width / width, raster.height / height)
    return dataclasses.replace(
        raster, transform=composed(raster.transform, scale), width=width, height=height, level=level
    )
