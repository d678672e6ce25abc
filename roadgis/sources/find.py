"""Listing the sheets of sources."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from roadgis.dataset_names import display_name, is_remote
from roadgis.errors import SceneError
from roadgis.imagery.inputs import expand_sources
from roadgis.options.sources import SourceOptions
from roadgis.sources.area import within
from roadgis.sources.location import check_found, counted, listed
from roadgis.sources.sheet import Sheet
from roadgis.sources.stac import STAC_PREFIX, is_stac_file, read_stac
from roadgis.sources.table import read_table
from roadgis.sources.tile_index import is_vector, read_tile_index
from roadgis.sources.web import check_web, is_web

_LOG = logging.getLogger(__name__)

#: Files, folders, patterns, URLs, indexes, tables, or sheets found before.
Sources = str | Path | Sheet | Sequence[str | Path | Sheet]

_VECTORS = (".shp", ".fgb", ".geojson", ".json", ".gpkg", ".parquet", ".geoparquet")
_STAC = (".json", ".geojson", ".parquet", ".geoparquet")
_REMOTE_STAC = re.compile(r"^https?://[^?#]*\.(json|geojson)([?#]|$)", re.IGNORECASE)
#: Formats that can hold rasters as well.
_EITHER = (".gpkg",)


def find_sheets(
    sources: Sources, options: SourceOptions | None = None, *, aoi: Any = None
) -> tuple[Sheet, ...]:
    """List the sheets of sources; no raster is opened.

    Parameters
    ----------
    sources : str, Path, Sheet or sequence of them
        Rasters (files, VRTs, URLs), folders, quoted glob patterns, tile indexes, CSV tables,
        STAC files, URLs and APIs (``stac:URL``), web map services (``xyz:``, ``wms:``,
        ``wmts:`` and a URL); sheets found before are returned unchanged.
    options : SourceOptions, optional
        Options of the search.
    aoi : path, GeoSeries, GeoDataFrame or other
        Area of interest; its bounds restrict the search of STAC unless `options` have a bbox.

    Returns
    -------
    tuple of Sheet
        Sheets in the order given, contents of folders and patterns sorted. A sheet that is named
        more than once is listed once.

    Raises
    ------
    SceneError
        If there is no source, a source does not exist or has no sheet, an index names missing
        files (unless these are skipped), or two descriptions of a sheet disagree.
    """
    options = options or SourceOptions()
    given = [sources] if isinstance(sources, (str, Path, Sheet)) else list(sources)
    found = [sheet for source in given for sheet in _sheets(source, options, aoi)]
    if not found:
        raise SceneError("No imagery was given; expected at least one raster, folder or URL.")
    return _unique(found)


def _sheets(source: str | Path | Sheet, options: SourceOptions, aoi: Any) -> Sequence[Sheet]:
    if isinstance(source, Sheet):
        return (source,)
    name = str(source)
    path = Path(source)
    suffix = path.suffix.lower()
    if is_web(name):
        check_web(name, within(options, aoi))
        return [Sheet(name)]
    if name.startswith(STAC_PREFIX) or (is_remote(name) and _REMOTE_STAC.search(name)):
        return read_stac(name, within(options, aoi))
    if os.path.isfile(path) and suffix in _STAC and is_stac_file(path):
        return _checked(path, read_stac(name, within(options, aoi)), options)
    if os.path.isfile(path) and suffix == ".csv":
        return _checked(path, read_table(path), options)
    if os.path.isfile(path) and suffix in _VECTORS and (suffix not in _EITHER or is_vector(path)):
        return _checked(path, read_tile_index(path, options.date_field), options)
    return [Sheet(raster) for raster in expand_sources(source, recursive=options.recursive)]


def _checked(index: Path, sheets: Sequence[Sheet], options: SourceOptions) -> Sequence[Sheet]:
    # With on_error "skip", missing sheets are reported when they are opened.
    if options.on_error == "stop":
        check_found(index, sheets)
    return sheets


def _unique(sheets: Sequence[Sheet]) -> tuple[Sheet, ...]:
    unique: dict[str, Sheet] = {}
    repeated, contrary = [], []
    for sheet in sheets:
        key = os.path.realpath(sheet.name) if os.path.exists(sheet.name) else sheet.name
        if key not in unique:
            unique[key] = sheet
            continue
        repeated.append(display_name(sheet.name))
        merged = unique[key].merged(sheet)
        if merged is None:
            contrary.append(display_name(sheet.name))
        else:
            unique[key] = merged
    if contrary:
        raise SceneError(
            "Sheets are described twice, with different dates, CRSs, nodata values or bands: "
            f"{counted(contrary)}\n{listed(contrary)}\nRemove the wrong entries."
        )
    if repeated:
        _LOG.warning(
            "Named more than once, and read once: %s\n%s", counted(repeated), listed(repeated)
        )
    return tuple(unique.values())
