"""One sheet of imagery as the user's sources describe it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

__all__ = ["Sheet"]


@dataclass(frozen=True)
class Sheet:
    """A raster to read, and what is known of it besides what the raster says itself.

    Attributes
    ----------
    name : str
        Path, URL or any other name that GDAL opens.
    date : str or None
        When it was taken, ISO 8601 (``2019-07-03``, ``2019-07`` or ``2019``). None takes the
        raster's own.
    crs : str or None
        CRS where the raster has none: a code or WKT.
    nodata : float or None
        Value that means no data, in place of what the raster declares.
    bands : tuple of int or None
        1-based bands to read, in the model's order.
    gsd_m : float or None
        Pixel size as stated, metres; for information.
    """

    name: str
    date: str | None = None
    crs: str | None = None
    nodata: float | None = None
    bands: tuple[int, ...] | None = None
    gsd_m: float | None = None

    def merged(self, other: Sheet) -> Sheet | None:
        """Return this sheet with what another description of it adds; None if they disagree."""
        values = dataclasses.asdict(self)
        for name, value in dataclasses.asdict(other).items():
            if name == "name" or value is None:
                continue
            if values[name] not in (None, value):
                return None
            values[name] = value
        return Sheet(**values)
