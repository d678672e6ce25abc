"""Reading a CSV table of sheets."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping
from pathlib import Path

from pyproj import CRS
from pyproj.exceptions import CRSError

from roadgis.errors import ReadError, SceneError
from roadgis.imagery.acquisition_date import stated_date
from roadgis.sources.location import listed, located
from roadgis.sources.sheet import Sheet


def read_table(path: Path) -> list[Sheet]:
    """Read sheets from a CSV file.

    Parameters
    ----------
    path : Path
        CSV file, separated by commas, semicolons or tabs. Its header has ``path`` and optionally
        ``date``, ``crs``, ``nodata`` and ``bands`` (such as ``1 2 3``); others are ignored.

    Returns
    -------
    list of Sheet
        One per row, in the file's order.

    Raises
    ------
    SceneError
        If the column ``path`` or all rows are missing, or values are invalid; lists all of them.
    ReadError
        If the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ReadError(f"{path}: cannot be read as UTF-8 text ({error}).") from error
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.DictReader(text.splitlines(), delimiter=delimiter, skipinitialspace=True)
    names = [name.strip().lower() for name in reader.fieldnames or ()]
    if "path" not in names:
        raise SceneError(
            f"{path}: has no column 'path' (columns: {', '.join(names) or 'none'}). Expected a "
            "table of sheets with the columns path and, where known, date, crs, nodata, bands."
        )
    reader.fieldnames = names
    sheets, wrong = [], []
    for row in reader:
        values = {k: (row[k] or "").strip() for k in names if k}
        if not any(values.values()):
            continue
        try:
            sheets.append(_sheet(path, values))
        except ValueError as error:
            wrong.append(f"line {reader.line_num}: {error}")
    if wrong:
        raise SceneError(f"{path}: holds values that cannot be used:\n{listed(wrong)}")
    if not sheets:
        raise SceneError(f"{path}: lists no sheets; expected one row per raster.")
    return sheets


def _sheet(table: Path, values: Mapping[str, str]) -> Sheet:
    if not values["path"]:
        raise ValueError("path is empty")
    return Sheet(
        located(table, values["path"]),
        date=stated_date(values.get("date")),
        crs=_crs(values.get("crs", "")),
        nodata=_nodata(values.get("nodata", "")),
        bands=_bands(values.get("bands", "")),
    )


def _crs(text: str) -> str | None:
    if not text:
        return None
    try:
        CRS.from_user_input(text)
    except CRSError as error:
        raise ValueError(f"crs is {text!r}, expected a code such as EPSG:25832") from error
    return text


def _nodata(text: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise ValueError(f"nodata is {text!r}, expected a number") from error
    if math.isinf(value):
        raise ValueError(f"nodata is {text!r}, expected a finite number")
    return value


def _bands(text: str) -> tuple[int, ...] | None:
    if not text:
        return None
    parts = re.split(r"[\s,;]+", text)
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ValueError(f"bands is {text!r}, expected band numbers such as 1 2 3")
    return tuple(map(int, parts))
