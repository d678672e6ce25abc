"""Paths of sheets in tables and indexes."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from roadgis.dataset_names import is_remote
from roadgis.errors import SceneError
from roadgis.sources.sheet import Sheet

#: Names with a driver in front, such as ``GTIFF_DIR:1:a.tif``; one letter is a Windows drive.
_DRIVER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]+:")
_MOST_LISTED = 100


def located(index: Path, name: str) -> str:
    """Return the GDAL name of a path in an index; relative paths start at the index."""
    if _elsewhere(name) or os.path.isabs(name):
        return name
    return str(index.parent / name)


def check_found(index: Path, sheets: Sequence[Sheet]) -> None:
    """Check that the files named by an index exist.

    Raises
    ------
    SceneError
        If files do not exist; the message lists all of them.
    """
    missing = [s.name for s in sheets if not _elsewhere(s.name) and not os.path.exists(s.name)]
    if missing:
        raise SceneError(
            f"{index}: names {len(missing)} of {len(sheets)} sheets that do not exist:\n"
            f"{listed(missing)}\nRelative paths start at the folder of {index.name}. Correct the "
            "paths, or leave these sheets out with --on-error skip."
        )


def counted(sheets: Sequence[object]) -> str:
    """Return the number of sheets as text, such as ``2 sheets``."""
    return f"{len(sheets)} sheet{'' if len(sheets) == 1 else 's'}"


def listed(lines: Sequence[str]) -> str:
    """Return an indented list with one line per entry, shortened if it is very long."""
    more = len(lines) - _MOST_LISTED
    shown = [f"  {line}" for line in lines[:_MOST_LISTED]]
    return "\n".join([*shown, f"  and {more} more"] if more > 0 else shown)


def _elsewhere(name: str) -> bool:
    return is_remote(name) or name.startswith("/vsi") or bool(_DRIVER_NAME.match(name))
