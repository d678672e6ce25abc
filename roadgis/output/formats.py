"""The output formats by suffix, with the checks that a run makes before it starts."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from roadgis.atomic import check_target, check_writable
from roadgis.errors import InputError, MissingExtraError, OutputError, how_to_install


@dataclass(frozen=True)
class OutputFormat:
    """A vector file format.

    Attributes
    ----------
    name, about : str
        Name for users, and what it is good for in a few words.
    media_type : str
        As in the HTTP header ``Content-Type``.
    has_nodes : bool
        Whether the nodes are a layer of their own; other formats have only the edges.
    needs : str
        Package that writing needs and that is not installed by default; empty for none.
    extra : str
        Extra of roadgis with that package.
    parts : tuple of str
        Endings, put in place of the suffix, of additional files of the format.
    stale : tuple of str
        Endings, put in place of the suffix, of files that other programs add to a file of
        this format and that would be wrong for a new one.
    """

    name: str
    about: str
    media_type: str = "application/octet-stream"
    has_nodes: bool = False
    needs: str = ""
    extra: str = ""
    parts: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()

    def stale_names(self, path: Path) -> list[str]:
        """Return the names of files that must not survive the file that they belong to."""
        return [path.stem + suffix for suffix in self.stale]


_SHP_PARTS = (".shx", ".dbf", ".prj", ".cpg", ".roadgis.json")
# Indexes of the old records, and QGIS's note of the old CRS.
_SHP_STALE = (".qix", ".sbn", ".sbx", ".fbn", ".fbx", ".ain", ".aih", ".ixs", ".mxs", ".qpj")
_PARQUET = OutputFormat(
    "GeoParquet",
    "for data science tools",
    "application/vnd.apache.parquet",
    needs="pyarrow",
    extra="parquet",
)

#: Output format of each suffix.
SUFFIXES: Mapping[str, OutputFormat] = MappingProxyType(
    {
        ".geojson": OutputFormat("GeoJSON", "longitude, latitude", "application/geo+json"),
        ".gpkg": OutputFormat(
            "GeoPackage", "styled for QGIS", "application/geopackage+sqlite3", has_nodes=True
        ),
        ".fgb": OutputFormat("FlatGeobuf", "fast to read"),
        ".parquet": _PARQUET,
        ".geoparquet": _PARQUET,
        ".shp": OutputFormat("Shapefile", "for older software", parts=_SHP_PARTS, stale=_SHP_STALE),
    }
)


def output_format(path: Path | str) -> OutputFormat:
    """Return the format of a file's suffix; upper case counts as lower case.

    Raises
    ------
    InputError
        If no format has this suffix.
    """
    suffix = Path(path).suffix
    try:
        return SUFFIXES[suffix.lower()]
    except KeyError:
        known = ", ".join(f"{s} ({f.name})" for s, f in SUFFIXES.items())
        found = f"the suffix {suffix!r}" if suffix else "no suffix"
        raise InputError(
            f"{path}: found {found}, expected one that names an output format: {known}. "
            "Give the output file one of them."
        ) from None


def check_output(path: Path | str, *, overwrite: bool = False) -> None:
    """Check before a long run that its result can be written.

    Parameters
    ----------
    path : Path or str
        The output file.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    InputError
        If the suffix is not known.
    MissingExtraError
        If the format needs a package that is not installed.
    OutputError
        If the folder is missing or not writable, or the file exists and may not be replaced.
    """
    kind = output_format(path)
    if kind.needs and importlib.util.find_spec(kind.needs) is None:
        raise MissingExtraError(
            f"{path}: {kind.name} needs {kind.needs}, which is not installed. "
            f"{how_to_install(kind.extra)} Or choose another suffix, such as .gpkg."
        )
    _check_target(path, kind.parts, overwrite=overwrite)


def check_raster(path: Path | str, *, overwrite: bool = False) -> None:
    """Check before a long run that a probability raster can be written.

    Parameters
    ----------
    path : Path or str
        The output file.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    InputError
        If the suffix is not ``.tif`` or ``.tiff``.
    OutputError
        If the folder is missing or not writable, or the file exists and may not be replaced.
    """
    if Path(path).suffix.lower() not in (".tif", ".tiff"):
        raise InputError(
            f"{path}: found the suffix {Path(path).suffix!r}, expected a probability raster that "
            "ends in .tif or .tiff. Give the raster such a name."
        )
    _check_target(path, (), overwrite=overwrite)


def _check_target(path: Path | str, parts: tuple[str, ...], *, overwrite: bool) -> None:
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise OutputError(
            f"{path}: the folder {target.parent} does not exist. Create it, or choose another."
        )
    check_target(path, overwrite=overwrite, parts=parts)
    check_writable(target)
