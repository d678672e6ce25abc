"""Layers written into a GeoPackage, with everything else in it left unchanged."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from roadgis.atomic import atomic_path
from roadgis.errors import OutputError

_MAGIC = b"SQLite format 3\0"
#: SQLite would apply a journal left by a killed program to the new file.
_STALE = ("-wal", "-shm", "-journal")
# Wait for another program that is writing the file.
_BUSY_S = 10.0
_STYLES = """
CREATE TABLE IF NOT EXISTS layer_styles (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    f_table_catalog TEXT(256),
    f_table_schema TEXT(256),
    f_table_name TEXT(256),
    f_geometry_column TEXT(256),
    styleName TEXT(30),
    styleQML TEXT,
    styleSLD TEXT,
    useAsDefault BOOLEAN,
    description TEXT,
    owner TEXT(30),
    ui TEXT(30),
    update_time DATETIME DEFAULT CURRENT_TIMESTAMP
)
"""


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
    Other files are replaced as a whole.

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


def add_default_styles(path: Path, styles: Mapping[str, str], made_by: str) -> None:
    """Store a default style for layers of a GeoPackage, in the way that QGIS looks for them.

    Parameters
    ----------
    path : Path
        The file; layers that it lacks are left out.
    styles : mapping of str to str
        QML by layer.
    made_by : str
        Name of the maker; styles of the same maker are replaced, and default styles of others
        kept.
    """
    with closing(sqlite3.connect(path)) as file, file:
        file.execute(_STYLES)
        file.execute(
            "INSERT OR IGNORE INTO gpkg_contents (table_name, data_type, identifier, description) "
            "VALUES ('layer_styles', 'attributes', 'layer_styles', 'Styles for QGIS')"
        )
        geometry = dict(file.execute("SELECT table_name, column_name FROM gpkg_geometry_columns"))
        for name, qml in styles.items():
            if name not in geometry:
                continue
            told = f"{made_by}: {name}"
            file.execute(
                "DELETE FROM layer_styles WHERE f_table_name = ? AND description = ?",
                (name, told),
            )
            # A style that a user has made the default of an earlier file stays it.
            file.execute(
                "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, "
                "f_geometry_column, styleName, styleQML, useAsDefault, description, owner) "
                "SELECT '', '', ?1, ?2, ?1, ?3, NOT EXISTS (SELECT 1 FROM layer_styles "
                "WHERE f_table_name = ?1 AND useAsDefault), ?4, ''",
                (name, geometry[name], qml, told),
            )


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
        f"{path}: it is in use or damaged ({error}), so its other layers cannot be kept. Close the "
        "program that has it open, or choose another name."
    )
