"""A sheet of imagery as described by its source."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass


@dataclass(frozen=True)
class Sheet:
    """A raster to read, and properties stated by its source.

    Attributes
    ----------
    name : str
        Path, URL or any other name that GDAL opens.
    date : str or None
        Acquisition date, ISO 8601 (``2019-07-03``, ``2019-07`` or ``2019``); by default that of
        the raster's metadata.
    crs : str or None
        CRS of a raster without one: a code or WKT.
    nodata : float or None
        Nodata value, overriding that of the raster.
    bands : tuple of int or None
        Numbers of the bands to read, from 1, in the order of the model.
    gsd_m : float or None
        Stated pixel size, metres; for information.
    """

    name: str
    date: str | None = None
    crs: str | None = None
    nodata: float | None = None
    bands: tuple[int, ...] | None = None
    gsd_m: float | None = None

    def merged(self, other: Sheet) -> Sheet | None:
        """Combine two descriptions of a sheet; None if they disagree."""
        values = dataclasses.asdict(self)
        for name, value in dataclasses.asdict(other).items():
            if name == "name" or value is None:
                continue
            if values[name] not in (None, value):
                return None
            values[name] = value
        return Sheet(**values)
