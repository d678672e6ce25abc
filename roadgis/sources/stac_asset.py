"""Choosing the imagery asset of a STAC item, and reading its properties."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from roadgis.imagery.acquisition_date import stated_date
from roadgis.overwriting import RASTER_SUFFIXES
from roadgis.sources.sheet import Sheet

_RGB = ("red", "green", "blue")
#: Roles of assets that are not imagery, or only a preview.
_OTHER_ROLES = {"thumbnail", "overview", "metadata", "mask", "cloud", "snow-ice", "water-mask"}
_RASTER_TYPES = ("image/tiff", "image/jp2", "image/vnd.stac.geotiff", "image/geo+tiff")
#: Preferred names if several assets hold imagery, the best one first.
_KEYS = ("visual", "image", "data", "rgb", "cog")

Asset = Mapping[str, Any]


def imagery_sheet(
    item: Mapping[str, Any], resolve: Callable[[str], str], asset: str | None = None
) -> Sheet:
    """Return the sheet that a STAC item describes.

    Parameters
    ----------
    item : mapping
        STAC item as JSON values, version 1.0 or 1.1.
    resolve : callable
        Function that returns the absolute path or URL of an href.
    asset : str or None
        Name of the asset. By default the raster with red, green and blue bands, preferably with
        the role or name ``visual`` or ``data``, else the only raster.

    Returns
    -------
    Sheet
        Sheet with the date, CRS, nodata, bands and pixel size stated by the item.

    Raises
    ------
    ValueError
        If the asset does not exist, or several may be meant.
    """
    assets = item.get("assets") or {}
    found = assets.get(asset) if asset is not None else _chosen(assets)
    if found is None:
        raise ValueError(f"has no asset {asset!r} (assets: {', '.join(assets) or 'none'})")
    properties = item.get("properties") or {}
    date = properties.get("datetime") or properties.get("start_datetime")
    return Sheet(
        resolve(str(found["href"])),
        date=stated_date(date),
        crs=_crs(found) or _crs(properties),
        nodata=_nodata(found),
        bands=_bands(found),
        gsd_m=_gsd(found, properties),
    )


def _chosen(assets: Mapping[str, Asset]) -> Asset:
    rasters = {key: asset for key, asset in assets.items() if _is_imagery(asset)}
    coloured = {key: asset for key, asset in rasters.items() if _bands(asset) is not None}
    wanted = coloured or rasters
    for role in ("visual", "data"):
        of_role = {k: a for k, a in wanted.items() if role in (a.get("roles") or ())}
        wanted = of_role or wanted
        if len(wanted) == 1:
            break
    named = [key for key in _KEYS if key in wanted]
    if len(wanted) == 1 or named:
        return wanted[named[0]] if named else next(iter(wanted.values()))
    shown = ", ".join(assets) or "none"
    if not rasters:
        raise ValueError(f"has no asset with imagery (assets: {shown})")
    raise ValueError(
        f"has several assets with imagery ({', '.join(rasters)}). Choose one with --asset; bands "
        "in separate files can be combined with gdalbuildvrt -separate"
    )


def _is_imagery(asset: Asset) -> bool:
    if _OTHER_ROLES & set(asset.get("roles") or ()):
        return False
    media = str(asset.get("type") or "").partition(";")[0].strip().lower()
    if media:
        return media in _RASTER_TYPES
    path = urlsplit(str(asset.get("href", ""))).path
    return os.path.splitext(path)[1].lower() in RASTER_SUFFIXES


def _band_list(asset: Asset) -> Sequence[Mapping[str, Any]]:
    """Return the bands, from STAC 1.1 or the extensions of STAC 1.0."""
    return asset.get("bands") or asset.get("eo:bands") or ()


def _bands(asset: Asset) -> tuple[int, ...] | None:
    """Return the numbers of the red, green and blue band, or None."""
    colours = [
        str(b.get("eo:common_name") or b.get("common_name") or b.get("name") or "").lower()
        for b in _band_list(asset)
    ]
    if not all(colours.count(colour) == 1 for colour in _RGB):
        return None
    return tuple(colours.index(colour) + 1 for colour in _RGB)


def _nodata(asset: Asset) -> float | None:
    # JSON has no NaN and infinity, so these are strings.
    bands = [asset, *(asset.get("raster:bands") or ()), *_band_list(asset)]
    values = [band["nodata"] for band in bands if band.get("nodata") is not None]
    if not values or len(set(map(str, values))) > 1:
        return None
    try:
        return float(values[0])
    except (TypeError, ValueError) as error:
        raise ValueError(f"has the nodata value {values[0]!r}, expected a number") from error


def _gsd(asset: Asset, properties: Mapping[str, Any]) -> float | None:
    bands = [*(asset.get("raster:bands") or ()), *_band_list(asset)]
    stated = [
        asset.get("gsd"),
        *(band.get("gsd") for band in bands),
        properties.get("gsd"),
        asset.get("raster:spatial_resolution"),
        *(band.get("spatial_resolution") for band in bands),
    ]
    return next((float(value) for value in stated if isinstance(value, int | float)), None)


def _crs(fields: Mapping[str, Any]) -> str | None:
    code, number = fields.get("proj:code"), fields.get("proj:epsg")
    if code:
        return str(code)
    if number:
        return f"EPSG:{number}"
    text = fields.get("proj:wkt2")
    return str(text) if text else None
