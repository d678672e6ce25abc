"""Sheets of a county: which can be used, and what is wrong with the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from roadgis.errors import InputError, ReadError, SceneError
from roadgis.imagery.raster import Raster, inspect_raster
from roadgis.options.imagery import SceneOptions
from roadgis.options.sources import SourceOptions
from roadgis.sources import Sheet, inspect_sheets, shown_name
from roadgis.sources.web import is_web

__all__ = ["BadSheet", "inspected"]


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
    InputError
        If a sheet is a web map service.
    SceneError, ReadError
        If no sheet can be used.
    """
    for sheet in sheets:
        if is_web(sheet.name):
            raise InputError(
                f"{shown_name(sheet)}: web map services cannot be mapped in batches. Use "
                "'roadgis extract', or download the imagery."
            )
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
