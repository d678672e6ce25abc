"""Field names that every output format can hold side by side."""

from __future__ import annotations

from collections.abc import Iterable

from roadgis.network.network import EDGE_ATTRIBUTES

#: Names that formats reserve for geometries, boxes and row numbers.
_RESERVED = frozenset(["bbox", "fid", "geom", "geometry", "ogc_fid", "rowid"])
_SHAPEFILE_BYTES = 10


def distinct_names(names: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Return a name to write for each field; they differ even where case does not count.

    Parameters
    ----------
    names : iterable of str
        The fields' own names.
    taken : iterable of str
        Names of other columns of the same table.

    Returns
    -------
    dict of str to str
        Each name with ``_in`` after it where a format reserves it or a column before it has it,
        in any case (SQLite and dBASE ignore case); with ``_in2`` and so on where that is taken
        too.
    """
    used = _RESERVED | {name.lower() for name in taken}
    written: dict[str, str] = {}
    for name in names:
        free, number = name, 1
        while free.lower() in used:
            free, number = f"{name}_in{number if number > 1 else ''}", number + 1
        written[name] = free
        used = used | {free.lower()}
    return written


def shapefile_names(names: Iterable[str]) -> dict[str, str]:
    """Return a name of at most 10 bytes for each column of a Shapefile, all different."""
    written: dict[str, str] = {}
    used: set[str] = set()
    for name in names:
        attribute = EDGE_ATTRIBUTES.get(name)
        free, number = (attribute and attribute.shapefile) or _cut(name, _SHAPEFILE_BYTES), 1
        while free.lower() in used:
            free = f"{_cut(name, _SHAPEFILE_BYTES - 1 - len(str(number)))}_{number}"
            number += 1
        written[name] = free
        used.add(free.lower())
    return written


def _cut(name: str, size: int) -> str:
    """Return the beginning of a name of at most `size` bytes in UTF-8."""
    return name.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")
