"""The day on which a raster was taken, from its metadata or from what a table says."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import Any

#: Metadata domains and keys of the acquisition date, the best one first. The date of a TIFF may be
#: that of the file; it is used where there is no other.
DATE_KEYS = (
    ("IMAGERY", "ACQUISITIONDATETIME"),
    ("", "ACQUISITIONDATETIME"),
    ("", "NITF_IDATIM"),
    ("", "TIFFTAG_DATETIME"),
)
# 2019:07:03 10:11:12, 2019-07-03T10:11:12Z, 20190703101112; further digits are a time.
_DATE = re.compile(r"\s*(\d{4})([:/.-]?)(\d{2})\2(\d{2})(?=$|\D|\d{2}(?:\d{2}){0,2}(?:$|\D))")
_YEAR_OR_MONTH = re.compile(r"\d{4}(-(0[1-9]|1[0-2]))?")


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
    # 0000:00:00 means that the date is not known.
    days = (_day(metadata.get(domain, {}).get(key, "")) for domain, key in DATE_KEYS)
    return next((day for day in days if day is not None), None)


def stated_date(value: Any) -> str | None:
    """Return a date that a user or a table states, as ISO 8601.

    Parameters
    ----------
    value : object
        A date, or text or a number such as ``2019``, ``2019-07``, ``2019-07-03T10:11:12Z`` or
        ``20190703``.

    Returns
    -------
    str or None
        The day; only the year or month where no more is stated; None for no value.

    Raises
    ------
    ValueError
        If it is not a date.
    """
    if value is None or value != value:  # NaN and NaT
        return None
    if isinstance(value, datetime.date):
        return value.isoformat()[:10]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip()
    if not text:
        return None
    if _YEAR_OR_MONTH.fullmatch(text):
        return text
    day = _day(text)
    if day is None:
        raise ValueError(f"{text!r} is not a date such as 2019-07-03")
    return day


def _day(text: str) -> str | None:
    match = _DATE.match(text)
    if match is None:
        return None
    year, _, month, day = match.groups()
    try:
        return datetime.date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        return None
