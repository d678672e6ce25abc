"""Inspecting sheets: which are usable, and which is on top."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from roadgis.dataset_names import display_name
from roadgis.errors import InputError, ReadError, SceneError
from roadgis.imagery.damage import check_whole
from roadgis.imagery.dataset_pool import bound_block_cache
from roadgis.imagery.raster import Raster, inspect_raster
from roadgis.options.imagery import SceneOptions
from roadgis.options.sources import SourceOptions
from roadgis.sources.area import within
from roadgis.sources.location import listed
from roadgis.sources.request_pace import RequestPace
from roadgis.sources.sheet import Sheet
from roadgis.sources.web import is_web, web_dataset, web_host, web_name

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class InspectedSheets:
    """Usable sheets, and errors of the others.

    Attributes
    ----------
    sheets : tuple of Sheet
        Usable sheets, the topmost first.
    rasters : tuple of Raster
        Raster of each sheet, for :func:`roadgis.imagery.scene.compose_scene`.
    errors : mapping of str to SceneError or ReadError
        Errors of the unusable sheets by name, without secrets. A SceneError is permanent (not a
        raster, no CRS, too few bands); a ReadError may be temporary (unreachable, truncated).
    """

    sheets: tuple[Sheet, ...]
    rasters: tuple[Raster, ...]
    errors: Mapping[str, SceneError | ReadError]

    @property
    def skipped(self) -> dict[str, str]:
        """Return the error messages of the unusable sheets, by name."""
        return {name: str(error) for name, error in self.errors.items()}


def inspect_sheets(
    sheets: Sequence[Sheet],
    scene: SceneOptions,
    channels: int,
    options: SourceOptions | None = None,
    *,
    gsd_m: float | None = None,
) -> InspectedSheets:
    """Open and order all sheets, without reading pixels.

    Parameters
    ----------
    sheets : sequence of Sheet
        Sheets, from :func:`roadgis.sources.find_sheets`.
    scene : SceneOptions
        Options for all sheets; bands given here override those of sheets.
    channels : int
        Number of input channels of the model.
    options : SourceOptions, optional
        Handling of unusable sheets, and order of sheets.
    gsd_m : float, optional
        Pixel size at which web map services are read, metres; required for these.

    Returns
    -------
    InspectedSheets
        Result with at least one usable sheet.

    Raises
    ------
    SceneError, ReadError
        If sheets are unusable (not a raster, truncated, no CRS, too few bands) and ``on_error`` is
        ``stop``, or if no sheet is usable. The message lists all of them.
    """
    options = options or SourceOptions()
    bound_block_cache()
    usable: list[tuple[Sheet, Raster]] = []
    errors: dict[str, SceneError | ReadError] = {}
    for sheet in sheets:
        try:
            usable.append((sheet, _raster(sheet, scene, channels, options, gsd_m)))
        except (SceneError, ReadError) as error:
            errors[shown_name(sheet)] = error
    if errors and (options.on_error == "stop" or not usable):
        raise _unusable(list(errors.values()), len(sheets))
    for failure in errors.values():
        _LOG.warning("Skipped: %s", failure)
    if options.order == "newest":
        # The sort is stable: sheets of one date, and sheets without a date, keep their order.
        usable.sort(key=lambda pair: pair[1].date or "", reverse=True)
    return InspectedSheets(
        tuple(sheet for sheet, _ in usable), tuple(raster for _, raster in usable), errors
    )


def shown_name(sheet: Sheet) -> str:
    """Return the name of a sheet without user, password and keys."""
    return web_name(sheet.name) if is_web(sheet.name) else display_name(sheet.name)


def _raster(
    sheet: Sheet,
    scene: SceneOptions,
    channels: int,
    options: SourceOptions,
    gsd_m: float | None,
) -> Raster:
    asked = dataclasses.replace(
        scene,
        bands=scene.bands or sheet.bands,
        assume_crs=sheet.crs or scene.assume_crs,
    )
    if is_web(sheet.name):
        raster = _web_raster(sheet.name, asked, channels, within(options, scene.aoi), gsd_m)
    else:
        if os.path.isabs(sheet.name) and not sheet.name.startswith("/vsi"):
            _check_there(sheet.name)
        raster = inspect_raster(sheet.name, asked, channels)
        check_whole(raster.name, raster.damage)
    return stated(sheet, raster)


def stated(sheet: Sheet, raster: Raster) -> Raster:
    """Return the raster of a sheet with the date and nodata value that its source states."""
    if sheet.date is not None:
        raster = dataclasses.replace(raster, date=sheet.date)
    if sheet.nodata is not None:
        raster = dataclasses.replace(
            raster,
            nodata=(sheet.nodata,) * len(raster.bands),
            stamp=(*raster.stamp, ("nodata", sheet.nodata)),
        )
    return raster


def _check_there(path: str) -> None:
    if not os.path.exists(path):
        raise SceneError(
            f"{path}: found no such file. Correct the path where it is named, or put the file back."
        )


def _web_raster(
    name: str, scene: SceneOptions, channels: int, options: SourceOptions, gsd_m: float | None
) -> Raster:
    if gsd_m is None:
        raise InputError(f"{web_name(name)}: a pixel size is needed to read a web map service.")
    path = web_dataset(name, gsd_m, options)
    pace = RequestPace(web_host(name), options.request_rate, path.with_suffix(".blocks"))
    raster = inspect_raster(str(path), scene, channels)
    return dataclasses.replace(raster, name=web_name(name), damage=None, fetch=pace)


def _unusable(errors: Sequence[SceneError | ReadError], count: int) -> SceneError | ReadError:
    if len(errors) == 1 == count:
        return errors[0]
    kind = ReadError if all(isinstance(error, ReadError) for error in errors) else SceneError
    todo = (
        "Repair or replace them."
        if len(errors) == count
        else "Repair or replace them, or leave them out with --on-error skip."
    )
    return kind(
        f"{len(errors)} of {count} sheets cannot be used:\n"
        f"{listed([str(error) for error in errors])}\n{todo}"
    )
