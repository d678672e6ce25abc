"""The area in which sources are searched."""

from __future__ import annotations

import dataclasses
from typing import Any

from shapely.geometry.base import BaseGeometry

from roadgis.crs import LONLAT
from roadgis.imagery.area import load_area
from roadgis.options.sources import SourceOptions


def within(options: SourceOptions, aoi: Any) -> SourceOptions:
    """Return options that restrict the search to the bounds of the area of interest."""
    # A bare geometry is in the CRS of the imagery, which is not known yet.
    if options.bbox is not None or aoi is None or isinstance(aoi, BaseGeometry):
        return options
    return dataclasses.replace(options, bbox=load_area(aoi, LONLAT, LONLAT).bounds)
