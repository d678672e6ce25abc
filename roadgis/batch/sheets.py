"""Usable and unusable sheets of a county."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from roadgis.batch.silence import silenced
from roadgis.errors import ReadError, SceneError
from roadgis.imagery.raster import Raster, inspect_raster
from roadgis.options.extraction import ExtractOptions
from roadgis.options.imagery import SceneOptions
from roadgis.options.sources import SourceOptions
from roadgis.sources import InspectedSheets, Sheet, find_sheets, inspect_sheets, shown_name
from roadgis.sources.web import is_web


@dataclass(frozen=True)
class BadSheet:
    """A sheet that cannot be used.

    Attributes
    ----------
    name : str
        Name as shown to users.
    message : str
        Cause and remedy.
    raster : Raster or None
        Description of the raster, if it could be opened.
    """

    name: str
    message: str
    raster: Raster | None = None


def absolute_sources(sources: Iterable[str | Path]) -> list[str]:
    """Return sources with absolute paths, because runs may start in another folder."""
    return [
        text if "://" in text or text.startswith("/vsi") else str(Path(text).absolute())
        for text in map(str, sources)
    ]


def county_sheets(sources: Sequence[str], options: ExtractOptions) -> tuple[Sheet, ...]:
    """Find the sheets of a county; those that an index names in vain are inspected later.

    Parameters
    ----------
    sources : sequence of str
        Sources, from :func:`absolute_sources`.
    options : ExtractOptions
        Options of sources, and the area of interest.

    Raises
    ------
    InputError, SceneError
        As :func:`roadgis.sources.find_sheets`.
    """
    skipping = dataclasses.replace(options.sources, on_error="skip")
    return find_sheets(sources, skipping, aoi=options.scene.aoi)


def inspected(
    sheets: Sequence[Sheet],
    scene: SceneOptions,
    channels: int,
    sources: SourceOptions,
    *,
    gsd_m: float | None = None,
) -> tuple[InspectedSheets, list[BadSheet]]:
    """Inspect all sheets, and separate the usable ones from the others.

    Parameters
    ----------
    sheets : sequence of Sheet
        Sheets, from :func:`roadgis.sources.find_sheets`.
    scene : SceneOptions
        How sheets are read, as far as they do not specify it themselves.
    channels : int
        Number of input channels of the model.
    sources : SourceOptions
        Order of sheets that overlap.
    gsd_m : float, optional
        Pixel size at which web map services are read, metres.

    Returns
    -------
    found : InspectedSheets
        Usable sheets, the topmost first.
    bad : list of BadSheet
        Sheets that are not rasters, have no CRS, are truncated, or cannot be reached.

    Raises
    ------
    SceneError, ReadError
        If no sheet can be used.
    """
    skipping = dataclasses.replace(sources, on_error="skip")
    found = inspect_sheets(sheets, scene, channels, skipping, gsd_m=gsd_m)
    named = {shown_name(sheet): sheet for sheet in sheets}
    bad = [
        BadSheet(name, text.removeprefix(f"{name}: "), _outlined(named[name], scene, channels))
        for name, text in found.skipped.items()
    ]
    return found, bad


def _outlined(sheet: Sheet, scene: SceneOptions, channels: int) -> Raster | None:
    """Describe a damaged sheet, to draw its outline; None if it cannot be opened."""
    if is_web(sheet.name):
        return None
    try:
        with silenced("roadgis.imagery"):  # what it warns of was said when it was inspected
            return inspect_raster(
                sheet.name,
                dataclasses.replace(scene, assume_crs=sheet.crs or scene.assume_crs),
                channels,
            )
    except (SceneError, ReadError):
        return None
