"""Sheets of a county: which can be used, and what is wrong with the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from roadgis.errors import InputError, ReadError, SceneError
from roadgis.imagery.raster import Raster, inspect_raster
from roadgis.options.extraction import ExtractOptions
from roadgis.options.imagery import SceneOptions
from roadgis.options.sources import SourceOptions
from roadgis.sources import Sheet, find_sheets, inspect_sheets, shown_name
from roadgis.sources.web import is_web, web_name

__all__ = ["BadSheet", "absolute_sources", "county_sheets", "inspected"]


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


def absolute_sources(sources: Iterable[str | Path]) -> list[str]:
    """Return sources with absolute paths, as runs may start in another folder; URLs stay."""
    return [
        text if "://" in text or text.startswith("/vsi") else str(Path(text).absolute())
        for text in map(str, sources)
    ]


def county_sheets(sources: Sequence[str], options: ExtractOptions) -> tuple[Sheet, ...]:
    """Find the sheets of a county.

    Parameters
    ----------
    sources : sequence of str
        From :func:`absolute_sources`.
    options : ExtractOptions
        How to search.

    Raises
    ------
    InputError
        If a source is a web map service.
    SceneError
        As :func:`roadgis.sources.find_sheets`.
    """
    for source in filter(is_web, sources):
        raise InputError(
            f"{web_name(source)}: web map services cannot be mapped in batches. Use 'roadgis "
            "extract', or download the imagery."
        )
    return find_sheets(sources, options.sources, aoi=options.scene.aoi)


def inspected(
    sheets: Sequence[Sheet], scene: SceneOptions, channels: int, sources: SourceOptions
) -> tuple[list[Raster], list[BadSheet]]:
    """Open every sheet once, and separate those that can be used from those that cannot.

    Parameters
    ----------
    sheets : sequence of Sheet
        From :func:`roadgis.sources.find_sheets`.
    scene : SceneOptions
        How they are read where a sheet does not say so itself.
    channels : int
        Number of channels that the model takes.
    sources : SourceOptions
        Order of sheets that overlap.

    Returns
    -------
    rasters : list of Raster
        Those that can be used, the first on top.
    bad : list of BadSheet
        Not rasters, without a CRS, not whole, or out of reach.

    Raises
    ------
    SceneError, ReadError
        If no sheet can be used.
    """
    found = inspect_sheets(sheets, scene, channels, dataclasses.replace(sources, on_error="skip"))
    named = {shown_name(sheet): sheet for sheet in sheets}
    bad = [
        BadSheet(name, text.removeprefix(f"{name}: "), _outlined(named[name], scene, channels))
        for name, text in found.skipped.items()
    ]
    return list(found.rasters), bad


def _outlined(sheet: Sheet, scene: SceneOptions, channels: int) -> Raster | None:
    """Return what is known of a damaged sheet, to draw where it lies; None if it does not open."""
    try:
        return inspect_raster(
            sheet.name,
            dataclasses.replace(scene, assume_crs=sheet.crs or scene.assume_crs),
            channels,
        )
    except (SceneError, ReadError):
        return None
