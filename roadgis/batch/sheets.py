"""Sheets: from what the user names to the rasters of a county, in the order of their layers."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from roadgis.dataset_names import display_name, is_remote
from roadgis.errors import ReadError, RoadgisError, SceneError
from roadgis.imagery.inputs import expand_sources
from roadgis.imagery.raster import Raster, inspect_raster
from roadgis.options.imagery import SceneOptions

__all__ = ["BadSheet", "Order", "Sheet", "inspected", "ordered", "sheets_of"]

_LOG = logging.getLogger(__name__)

#: How sheets that overlap lie on each other.
Order = str


@dataclass(frozen=True)
class Sheet:
    """A sheet as a source names it, before it is opened.

    Attributes
    ----------
    path : str
        Path or URL.
    date : str or None
        Day on which it was taken, ISO 8601.
    crs : str or None
        CRS to assume where the file has none.
    nodata : float or None
        Value to treat as nodata, in addition to what the file declares.
    bands : tuple of int or None
        Bands to read, from 1.
    """

    path: str
    date: str | None = None
    crs: str | None = None
    nodata: float | None = None
    bands: tuple[int, ...] | None = None


@dataclass(frozen=True)
class BadSheet:
    """A sheet that cannot be used.

    Attributes
    ----------
    name : str
        As shown to users.
    message : str
        What is wrong and what to do.
    raster : Raster or None
        What is known of it, where it could be opened.
    """

    name: str
    message: str
    raster: Raster | None = None


def sheets_of(source: str | Path | Sequence[str | Path]) -> list[Sheet]:
    """Return the sheets of a source: files, folders, patterns and URLs.

    Parameters
    ----------
    source : str, Path or sequence of them
        See :func:`roadgis.imagery.inputs.expand_sources`.

    Returns
    -------
    list of Sheet
        In the order given. A file that is named twice, also by a link, is one sheet.

    Raises
    ------
    SceneError
        If something does not exist or holds no raster.
    """
    found: dict[str, Sheet] = {}
    for name in expand_sources(source):
        real = name if is_remote(name) or name.startswith("/vsi") else os.path.realpath(name)
        if real in found:
            _LOG.warning("%s: is the same file as %s; read once.", name, found[real].path)
        else:
            found[real] = Sheet(name if real == name else os.path.abspath(name))
    return list(found.values())


def ordered(sheets: Iterable[Sheet], order: Order) -> list[Sheet]:
    """Return sheets as they lie on each other, the first on top.

    Parameters
    ----------
    sheets : iterable of Sheet
        In the order given.
    order : {"newest", "given"}
        "newest": those with a later date lie on top, those without a date at the bottom; of one
        day, and without dates, as given.
    """
    if order not in ("newest", "given"):
        raise SceneError(f"--order is {order!r}, expected 'newest' or 'given'.")
    listed = list(sheets)
    return listed if order == "given" else sorted(listed, key=lambda s: s.date or "", reverse=True)


def inspected(
    sheets: Iterable[Sheet], options: SceneOptions, channels: int
) -> tuple[list[Raster], list[BadSheet]]:
    """Open every sheet once, and separate those that can be used from those that cannot.

    Parameters
    ----------
    sheets : iterable of Sheet
        In their order.
    options : SceneOptions
        How they are read where a sheet does not say so itself.
    channels : int
        How many channels the model takes.

    Returns
    -------
    rasters : list of Raster
        Those that can be used, in the same order.
    bad : list of BadSheet
        Not rasters, without a CRS, not whole, or out of reach.
    """
    rasters: list[Raster] = []
    bad: list[BadSheet] = []
    for sheet in sheets:
        own = dataclasses.replace(
            options,
            assume_crs=sheet.crs or options.assume_crs,
            bands=sheet.bands or options.bands,
        )
        try:
            raster = inspect_raster(sheet.path, own, channels)
        except (SceneError, ReadError) as error:
            bad.append(BadSheet(display_name(sheet.path), _without_name(error, sheet.path)))
            continue
        if sheet.nodata is not None:
            raster = dataclasses.replace(raster, nodata=(sheet.nodata,) * len(raster.bands))
        if raster.damage is not None:
            bad.append(BadSheet(raster.name, f"is not whole: {raster.damage}", raster))
        else:
            rasters.append(raster)
    return rasters, bad


def _without_name(error: RoadgisError, path: str) -> str:
    return str(error).removeprefix(f"{display_name(path)}: ")
