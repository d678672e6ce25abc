"""Web map services as rasters that GDAL opens: XYZ tiles, WMS, WMTS."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from xml.sax.saxutils import escape

import rasterio
from affine import Affine
from pyproj import CRS
from pyproj.exceptions import CRSError
from rasterio.errors import RasterioError

from roadgis.affine import composed, mapped
from roadgis.crs import LONLAT, ground_size, transformer
from roadgis.dataset_names import display_name
from roadgis.errors import InputError, OutputError, ReadError, SceneError
from roadgis.options.sources import SourceOptions

_KINDS = ("xyz", "wms", "wmts")
_MERCATOR = CRS.from_epsg(3857)
_HALF_WORLD = math.pi * 6378137.0
_TILE_PX, _WMS_BLOCK_PX = 256, 512
#: Factor by which pixels may exceed the requested size.
_TOLERANCE = 1.01
_MOST_ZOOM = 24
#: HTTP status codes that mean that there is no image.
_EMPTY_CODES = "204,404"
_FAR_FUTURE_S = 3650 * 24 * 3600
#: Seconds that GDAL waits for an answer.
_TIMEOUT_S = 60
_NO_LIMIT = 10**15
#: Parameters of a WMS request set here; others, such as keys, are passed through.
_WMS_OWN = ("service", "request", "version", "layers", "styles", "crs", "srs", "format",
            "transparent", "bbox", "width", "height")  # fmt: skip

Box = tuple[float, float, float, float]


def is_web(name: str) -> bool:
    """Return whether a source is a web map service: ``xyz:``, ``wms:`` or ``wmts:`` and a URL."""
    return name.partition(":")[0] in _KINDS and "://" in name


def web_name(name: str) -> str:
    """Return the name of a service without user, password and keys."""
    kind, _, url = name.partition(":")
    layers = [value for key, value in _query(url) if key.lower() in ("layers", "layer")]
    return f"{kind}:{display_name(url)}" + (f" ({', '.join(layers)})" if layers else "")


def web_host(name: str) -> str:
    """Return the server, for the rate limit."""
    return urlsplit(name.partition(":")[2]).netloc.rpartition("@")[2]


def check_web(name: str, options: SourceOptions) -> None:
    """Check that the licence of a web map service and an area are given.

    Raises
    ------
    InputError
        If the licence or the area is missing.
    """
    if not options.imagery_licence:
        raise InputError(
            f"{web_name(name)}: is a web map service. Many services do not allow downloads or "
            "derived maps: check its terms of use, and state the licence with --imagery-licence, "
            "e.g. 'CC BY 4.0 Example Agency'. It is kept in the provenance."
        )
    if options.bbox is None:
        raise InputError(
            f"{web_name(name)}: covers more than can be mapped at once. Give the area with --bbox "
            "or --aoi."
        )


def web_dataset(name: str, gsd_m: float, options: SourceOptions) -> Path:
    """Describe a web map service in a file that GDAL opens as a raster.

    Parameters
    ----------
    name : str
        ``xyz:`` and a URL with ``{z}``, ``{x}`` and ``{y}`` (or ``{-y}``, from the bottom), and
        ``#zoom=18`` for a fixed zoom level; ``wms:`` and a URL with ``LAYERS=``; ``wmts:`` and the
        address of the capabilities, with ``layer=`` and ``tilematrixset=`` where there are several.
    gsd_m : float
        Requested pixel size on the ground, metres. For services with fixed levels, the coarsest
        level that is not coarser is used.
    options : SourceOptions
        Area, licence and cache.

    Returns
    -------
    Path
        File in the cache; only written if its content changes.

    Raises
    ------
    InputError
        As :func:`check_web`, or if the address is incomplete.
    OutputError
        If the cache cannot be written.
    """
    check_web(name, options)
    assert options.bbox is not None
    kind, _, url = name.partition(":")
    cache = cache_folder(options)
    describe = {"xyz": _xyz, "wms": _wms, "wmts": _wmts}[kind]
    text = describe(url, gsd_m, options.bbox, cache)
    digest = hashlib.sha256(text.encode()).hexdigest()[:24]
    return _stored(cache / f"{kind}-{digest}.xml", text)


def cache_folder(options: SourceOptions) -> Path:
    """Return the folder of cached tiles."""
    if options.cache_dir is not None:
        return Path(options.cache_dir).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "roadgis" / "tiles"


def _stored(path: Path, text: str) -> Path:
    try:
        if not (path.is_file() and path.read_text(encoding="utf-8") == text):
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(f".{os.getpid()}.part")
            partial.write_text(text, encoding="utf-8")
            os.replace(partial, path)
    except OSError as error:
        raise OutputError(
            f"{path.parent}: the cache of tiles cannot be written ({error.strerror}). Choose "
            "another folder with --cache-dir."
        ) from error
    return path


def _xyz(url: str, gsd_m: float, box: Box, cache: Path) -> str:
    template, _, fragment = url.partition("#")
    bottom = "{-y}" in template
    for part in ("{z}", "{x}", "{-y}" if bottom else "{y}"):
        if part not in template:
            raise InputError(
                f"xyz:{display_name(url)}: has no {part}. Expected a URL such as "
                "https://example.org/{z}/{x}/{y}.png."
            )
    server = template.replace("{-y}", "{y}")
    for part in "zxy":
        server = server.replace(f"{{{part}}}", f"${{{part}}}")
    west, south, east, north = _bounds(box, _MERCATOR)
    latitude = math.radians((box[1] + box[3]) / 2)
    zoom = _zoom(fragment, 2 * _HALF_WORLD / _TILE_PX * math.cos(latitude) / gsd_m)
    size = 2 * _HALF_WORLD / 2**zoom
    left, right = (math.floor((x + _HALF_WORLD) / size) for x in (west, east))
    top, low = (math.floor((_HALF_WORLD - y) / size) for y in (north, south))
    window = (
        *(left * size - _HALF_WORLD, _HALF_WORLD - top * size),
        *((right + 1) * size - _HALF_WORLD, _HALF_WORLD - (low + 1) * size),
    )
    # With rows from the bottom, GDAL counts rows of the window and subtracts TileY.
    first = low + 1 - 2**zoom if bottom else top
    levels = (
        f"<TileLevel>{zoom}</TileLevel><TileX>{left}</TileX><TileY>{first}</TileY>"
        f"<YOrigin>{'bottom' if bottom else 'top'}</YOrigin>"
    )
    pixels = ((right - left + 1) * _TILE_PX, (low - top + 1) * _TILE_PX)
    service = f'<Service name="TMS"><ServerUrl>{escape(server)}</ServerUrl></Service>'
    return _gdal_wms(service, "EPSG:3857", window, pixels, levels, _TILE_PX, cache)


def _zoom(fragment: str, ratio: float) -> int:
    if fragment.startswith("zoom="):
        text = fragment.removeprefix("zoom=")
        if not text.isdecimal() or int(text) > _MOST_ZOOM:
            raise InputError(f"zoom is {text!r}, expected a number from 0 to {_MOST_ZOOM}.")
        return int(text)
    return min(max(math.ceil(math.log2(ratio / _TOLERANCE)), 0), _MOST_ZOOM)


def _wms(url: str, gsd_m: float, box: Box, cache: Path) -> str:
    given = {key.lower(): value for key, value in _query(url)}
    if not given.get("layers"):
        raise InputError(
            f"wms:{display_name(url)}: names no layer. Expected a URL such as "
            "https://example.org/wms?LAYERS=ortho."
        )
    version = given.get("version", "1.1.1")
    code = given.get("crs") or given.get("srs") or "EPSG:3857"
    crs = _crs(code)
    bounds = _bounds(box, crs)
    step = 1e-5 if crs.is_geographic else 1.0
    middle = ((bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2)
    sizes = ground_size(crs, Affine(step, 0.0, middle[0], 0.0, -step, middle[1]), 0, 0)
    # Three digits, so that neighbouring areas have one pixel size.
    across, down = (float(f"{gsd_m * step / size:.3g}") for size in sizes)
    left, right = math.floor(bounds[0] / across), math.ceil(bounds[2] / across)
    low, top = math.floor(bounds[1] / down), math.ceil(bounds[3] / down)
    window = (left * across, top * down, right * across, low * down)
    swapped = version >= "1.3" and crs.axis_info[0].direction == "north"
    others = [(k, v) for k, v in _query(url) if k.lower() not in _WMS_OWN]
    parts = urlsplit(url)
    server = urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(others), ""))
    fields = {
        "Version": version,
        "ServerUrl": server + ("&" if others else "?"),
        "CRS" if version >= "1.3" else "SRS": code,
        "ImageFormat": given.get("format", "image/png"),
        "Transparent": given.get("transparent", "TRUE"),
        "Layers": given["layers"],
        "Styles": given.get("styles", ""),
        "BBoxOrder": "yxYX" if swapped else "xyXY",
    }
    service = f'<Service name="WMS">{_elements(fields)}</Service>'
    return _gdal_wms(service, code, window, (right - left, top - low), "", _WMS_BLOCK_PX, cache)


def _gdal_wms(
    service: str,
    crs: str,
    window: tuple[float, ...],
    pixels: tuple[int, int],
    levels: str,
    block_px: int,
    cache: Path,
) -> str:
    left, top, right, low = window
    corners = {
        "UpperLeftX": repr(left), "UpperLeftY": repr(top),
        "LowerRightX": repr(right), "LowerRightY": repr(low),
        "SizeX": str(pixels[0]), "SizeY": str(pixels[1]),
    }  # fmt: skip
    return (
        f"<GDAL_WMS>{service}<DataWindow>{_elements(corners)}{levels}</DataWindow>"
        f"<Projection>{escape(crs)}</Projection><OverviewCount>0</OverviewCount>"
        f"<BlockSizeX>{block_px}</BlockSizeX><BlockSizeY>{block_px}</BlockSizeY>{_common(cache)}"
        "</GDAL_WMS>\n"
    )


def _common(cache: Path) -> str:
    # Four bands: the fourth is 0 where there is no image.
    return (
        "<BandsCount>4</BandsCount>"
        f"<ZeroBlockHttpCodes>{_EMPTY_CODES}</ZeroBlockHttpCodes>"
        f"<MaxConnections>2</MaxConnections><Timeout>{_TIMEOUT_S}</Timeout>"
        f"<Cache><Path>{escape(str(cache))}</Path><Type>file</Type>"
        f"<Expires>{_FAR_FUTURE_S}</Expires><MaxSize>{_NO_LIMIT}</MaxSize></Cache>"
    )


def _wmts(url: str, gsd_m: float, box: Box, cache: Path) -> str:
    """Return a VRT of an area of a WMTS layer at one of its levels."""
    own = {"layer": "Layer", "tilematrixset": "TileMatrixSet", "style": "Style"}
    fields = {own[k.lower()]: v for k, v in _query(url) if k.lower() in own}
    others = [(k, v) for k, v in _query(url) if k.lower() not in own]
    parts = urlsplit(url)
    server = urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(others), ""))
    text = (
        f"<GDAL_WMTS><GetCapabilitiesUrl>{escape(server)}</GetCapabilitiesUrl>{_elements(fields)}"
        f"{_common(cache)}</GDAL_WMTS>\n"
    )
    digest = hashlib.sha256(text.encode()).hexdigest()[:24]
    service = _stored(cache / f"wmts-{digest}-service.xml", text)
    try:
        with rasterio.open(service) as dataset:
            return _part(dataset, service, gsd_m, box)
    except RasterioError as error:
        raise ReadError(
            f"{web_name(f'wmts:{url}')}: cannot be opened ({error}). Check the address of the "
            "capabilities, the layer and the connection, then run again."
        ) from error


def _part(dataset: Any, service: Path, gsd_m: float, box: Box) -> str:
    crs, transform = CRS.from_wkt(dataset.crs.to_wkt()), dataset.transform
    west, south, east, north = _bounds(box, crs)
    col, row = mapped(~transform, (west + east) / 2, (south + north) / 2)
    pixel_m = max(ground_size(crs, transform, col, row))
    fitting = [
        (f, i) for i, f in enumerate(dataset.overviews(1)) if pixel_m * f <= gsd_m * _TOLERANCE
    ]
    factor, level = max(fitting, default=(1, None))
    steps = composed(transform, Affine.scale(factor))
    (left, top), (right, low) = mapped(~steps, west, north), mapped(~steps, east, south)
    width, height = -(-dataset.width // factor), -(-dataset.height // factor)
    # Whole tiles: a read of a part of one downloads all of it.
    left, top = (max(math.floor(v / _TILE_PX) * _TILE_PX, 0) for v in (left, top))
    right = min(math.ceil(right / _TILE_PX) * _TILE_PX, width)
    low = min(math.ceil(low / _TILE_PX) * _TILE_PX, height)
    if right <= left or low <= top:
        raise SceneError(f"{service}: its layer does not reach the area. Check --bbox or --aoi.")
    place = composed(steps, Affine.translation(left, top))
    rectangle = f'xSize="{right - left}" ySize="{low - top}"'
    level_option = (
        ""
        if level is None
        else f'<OpenOptions><OOI key="OVERVIEW_LEVEL">{level}</OOI></OpenOptions>'
    )
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{band}" blockXSize="{_TILE_PX}" '
        f'blockYSize="{_TILE_PX}"><ColorInterp>{colour}</ColorInterp><SimpleSource>'
        f'<SourceFilename relativeToVRT="1">{escape(service.name)}</SourceFilename>{level_option}'
        f"<SourceBand>{band}</SourceBand>"
        f'<SrcRect xOff="{left}" yOff="{top}" {rectangle}/><DstRect xOff="0" yOff="0" {rectangle}/>'
        "</SimpleSource></VRTRasterBand>"
        for band, colour in enumerate(("Red", "Green", "Blue", "Alpha"), 1)
    )
    return (
        f'<VRTDataset rasterXSize="{right - left}" rasterYSize="{low - top}">'
        f"<SRS>{escape(crs.to_wkt())}</SRS>"
        f"<GeoTransform>{', '.join(map(repr, place.to_gdal()))}</GeoTransform>{bands}"
        "</VRTDataset>\n"
    )


def _bounds(box: Box, crs: CRS) -> Box:
    bounds: Box = transformer(LONLAT, crs).transform_bounds(*box, densify_pts=21)
    if not all(map(math.isfinite, bounds)):
        raise InputError(f"bbox is {box}, which {crs.name} cannot express. Check --bbox or --aoi.")
    return bounds


def _crs(code: str) -> CRS:
    try:
        return CRS.from_user_input(code)
    except CRSError as error:
        raise InputError(
            f"CRS={code}: is not known, expected a code such as EPSG:25832."
        ) from error


def _query(url: str) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(url).query, keep_blank_values=True)


def _elements(values: Mapping[str, str]) -> str:
    return "".join(f"<{name}>{escape(value)}</{name}>" for name, value in values.items())
