"""Layers written into a GeoPackage, with everything else in it left unchanged."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from roadgis.atomic import atomic_path
from roadgis.errors import OutputError

__all__ = ["geopackage"]

_MAGIC = b"SQLite format 3\0"
#: SQLite would apply a journal left by a killed program to the new file.
_STALE = ("-wal", "-shm", "-journal")
# Wait for another program that is writing the file.
_BUSY_S = 10.0


@contextmanager
def geopackage(
    path: Path,
    *,
    overwrite: bool,
    record: Callable[[Mapping[Path, Path]], None] | None = None,
) -> Iterator[Path]:
    """Let a block write layers of a GeoPackage, which is replaced in one step.

    Where the file exists and may be overwritten, the block works on a copy of it: layers that it
    writes take the place of those of the same name, and other layers, styles and projects stay.
    What is not a GeoPackage is replaced as a whole.

    Parameters
    ----------
    path : Path
        Ends in ``.gpkg``.
    overwrite, record
        See :func:`roadgis.atomic.atomic_path`.

    Yields
    ------
    Path
        Where the block writes; a file is there already where one is updated.

    Raises
    ------
    OutputError
        If the file exists and may not be replaced, is in use by another program, or cannot be
        written.
    """
    stale = [path.name + ending for ending in _STALE]
    with atomic_path(path, overwrite=overwrite, stale=stale, record=record) as partial:
        if overwrite and _is_geopackage(path):
            _copy(path, partial)
        yield partial


def _is_geopackage(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                return False
        with closing(sqlite3.connect(path, timeout=_BUSY_S)) as database:
            found = database.execute("SELECT 1 FROM sqlite_master WHERE name = 'gpkg_contents'")
            return found.fetchone() is not None
    except FileNotFoundError:
        return False
    except (OSError, sqlite3.Error) as error:
        raise OutputError(_unreadable(path, error)) from error


def _copy(path: Path, partial: Path) -> None:
    """Copy a database between two changes, with what is still in its journal."""
    try:
        with (
            closing(sqlite3.connect(path, timeout=_BUSY_S)) as source,
            closing(sqlite3.connect(partial)) as target,
        ):
            # What a program that has the file open (QGIS does so in this mode) wrote after the
            # replacement would be lost. SQLite leaves the mode only if no other one has it open.
            if source.execute("PRAGMA journal_mode").fetchone() == ("wal",):
                source.execute("PRAGMA journal_mode = DELETE")
            source.backup(target)
            # A journal of the copy would stay next to it, as only the copy is renamed.
            target.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise OutputError(_unreadable(path, error)) from error


def _unreadable(path: Path, error: Exception) -> str:
    return (
        f"{path}: its other layers cannot be kept, as it is in use or damaged ({error}). Close "
        "the program that has it open, or choose another name."
    )
