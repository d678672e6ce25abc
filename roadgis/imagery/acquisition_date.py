"""The day on which a raster was taken, from its metadata."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping

from rasterio.errors import RasterioIOError

from roadgis.errors import ReadError
from roadgis.imagery.dataset_pool import gdal_environment, open_dataset
from roadgis.imagery.raster import Raster

__all__ = ["acquisition_date", "raster_date"]

#: Metadata domains and keys of the acquisition date, the best one first. The date of a TIFF may be
#: that of the file; it is used where there is no other.
_KEYS = (
    ("IMAGERY", "ACQUISITIONDATETIME"),
    ("", "ACQUISITIONDATETIME"),
    ("", "NITF_IDATIM"),
    ("", "TIFFTAG_DATETIME"),
)
# 2019:07:03 10:11:12, 2019-07-03T10:11:12Z, 20190703101112; further digits are a time.
_DATE = re.compile(r"\s*(\d{4})([:/.-]?)(\d{2})\2(\d{2})(?=$|\D|\d{2}(?:\d{2}){0,2}(?:$|\D))")


def raster_date(raster: Raster) -> str | None:
    """Return the day on which a raster was taken; see :func:`acquisition_date`.

    Raises
    ------
    ReadError
        If the raster can no longer be opened.
    """
    try:
        with gdal_environment(raster.path), open_dataset(raster.path, None) as dataset:
            found = {domain: dataset.tags(ns=domain or None) for domain, _ in _KEYS}
    except RasterioIOError as error:
        raise ReadError(
            f"{raster.name}: can no longer be opened to read its date. Check that the file is "
            "still there, and run again."
        ) from error
    return acquisition_date(found)


def acquisition_date(metadata: Mapping[str, Mapping[str, str]]) -> str | None:
    """Return the day on which a raster was taken, according to its metadata.

    Parameters
    ----------
    metadata : mapping of str to mapping of str to str
        Domain (``""`` is GDAL's default one) to keys and values.

    Returns
    -------
    str or None
        ISO 8601, such as ``2019-07-03``; None where there is no valid date.
    """
    for domain, key in _KEYS:
        match = _DATE.match(metadata.get(domain, {}).get(key, ""))
        if match is None:
            continue
        year, _, month, day = match.groups()
        try:
            return datetime.date(int(year), int(month), int(day)).isoformat()
        except ValueError:
            # Such as 0000:00:00, which means unknown.
            continue
    return None
