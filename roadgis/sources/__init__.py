"""Imagery sources: files, folders, indexes, tables, STAC and web map services as sheets.

In order of dependency: `sheet` · `location` · `table`, `tile_index`,
`stac_asset`, `area` · `stac`, `web`, `request_pace` · `find` · `inspect`.
"""

from __future__ import annotations

from roadgis.options.sources import SourceOptions
from roadgis.sources.find import Sources, find_sheets
from roadgis.sources.inspect import InspectedSheets, inspect_sheets, shown_name, stated
from roadgis.sources.sheet import Sheet

__all__ = [
    "InspectedSheets",
    "Sheet",
    "SourceOptions",
    "Sources",
    "find_sheets",
    "inspect_sheets",
    "shown_name",
    "stated",
]
