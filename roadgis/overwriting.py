"""Inputs are never targets: the one check of what a command writes against what it reads."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.etree import ElementTree

from roadgis.errors import InputError

#: The rasters that are read from a folder; sidecars such as .ovr, .msk and .aux.xml are not.
RASTER_SUFFIXES = (
    *(".tif", ".tiff", ".jp2", ".j2k", ".img", ".vrt", ".png", ".jpg", ".jpeg", ".webp"),
    *(".ecw", ".sid", ".asc", ".bil", ".kea", ".ntf"),
)
VECTOR_SUFFIXES = (
    *(".gpkg", ".geojson", ".json", ".shp", ".fgb", ".parquet", ".geoparquet", ".gml", ".kml"),
    *(".sqlite", ".tab", ".mif", ".dxf", ".csv"),
)
#: What is read of a folder that is named as an input: endings of names, and how deep.
_IN_FOLDER = {
    "raster": (RASTER_SUFFIXES, 1),
    "vector": (VECTOR_SUFFIXES, 1),
    "folder": ((*RASTER_SUFFIXES, *VECTOR_SUFFIXES), 2),
    "model": (("model.keras",), 2),
}
# Elements of GDAL's and OGR's virtual formats that name a source.
_VRT_SOURCES = ("SourceFilename", "SourceDataset", "SrcDataSource")
_PARTS = {".shp": (".shx", ".dbf", ".prj", ".cpg")}
_VRT_DEPTH = 8


def input_files(source: Path | str, kind: str = "file") -> Iterator[str]:
    """List the local files that are read for an input.

    Parameters
    ----------
    source : Path or str
        A file, a folder, a pattern, a GDAL path such as ``/vsizip/...``, or a URL (no file).
    kind : str
        Kind of the input, which decides which files of a folder are read: "raster", "vector",
        "folder" (training data), "model" (a training run); nothing for others.

    Yields
    ------
    str
        Paths of existing files, those named in virtual rasters and layers included.
    """
    name = str(source)
    path = _local(name)
    if path is None:
        if glob.has_magic(name):
            for match in glob.iglob(name, recursive=True):
                yield from _with_sources(match)
    elif not os.path.isdir(path):
        yield from _with_sources(path)
    elif kind in _IN_FOLDER:
        endings, levels = _IN_FOLDER[kind]
        for match in _below(path, levels):
            if match.lower().endswith(endings):
                yield from _with_sources(match)


def check_not_input(
    outputs: Iterable[Path | str | None], inputs: Iterable[Path | str | tuple[Path | str, str]]
) -> None:
    """Raise where an output would replace an input or another output.

    Links and hard links count as the file that they lead to. Neither is allowed by
    ``--overwrite``.

    Parameters
    ----------
    outputs : iterable of Path, str or None
        The files to write; None and folders are left out.
    inputs : iterable of Path or str, or of pairs with their kind
        Inputs; see :func:`input_files`. A bare name is of the kind "file"; a "raster tree"
        is a folder whose folders are read, too.

    Raises
    ------
    InputError
        If an output is an input, lies in a folder of rasters that is read as a whole and would
        be read by the next run, or two outputs are the same file.
    """
    wanted = [Path(output) for output in outputs if output is not None]
    targets: dict[object, Path] = {}
    for output in wanted:
        if os.path.isdir(output):
            continue
        key: object = _identity(output) or os.path.realpath(output)
        if key in targets:
            raise InputError(
                f"{output}: found one name for two outputs. Give each a name of its own."
            )
        targets[key] = output
    existing: dict[object, Path] = {
        key: output
        for output in wanted
        for part in (output, *map(output.with_suffix, _PARTS.get(output.suffix.lower(), ())))
        if (key := _identity(part)) is not None
    }
    for item in inputs:
        source, kind = item if isinstance(item, tuple) else (item, "file")
        if kind in ("raster", "raster tree"):
            _check_folder(source, wanted, levels=1 if kind == "raster" else None)
        for file in input_files(source, kind) if existing else ():
            target = existing.get(_identity(file))
            if target is not None:
                raise InputError(
                    f"{target}: is an input as well ({file}), and would be lost. Choose another "
                    "name for the output."
                )


def _check_folder(source: Path | str, outputs: Iterable[Path], levels: int | None) -> None:
    folder = _identity(source) if os.path.isdir(source) else None
    pattern = os.path.abspath(source) if folder is None and glob.has_magic(str(source)) else None
    for output in outputs:
        path = Path(os.path.abspath(output))
        inside = [_identity(parent) for parent in list(path.parents)[:levels]]
        found = folder is not None and folder in inside
        if pattern is not None:
            found = path.match(pattern)
        if found and output.suffix.lower() in RASTER_SUFFIXES:
            raise InputError(
                f"{output}: would be an input of the next run, which reads {source}. Write it to "
                "another folder."
            )


def _identity(path: Path | str) -> tuple[int, int] | None:
    """Return what is equal for all names of a file; None where there is none."""
    try:
        # The real path resolves names such as new/../a.tif, where the folder new is missing.
        status = os.stat(os.path.realpath(path))
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _local(name: str) -> str | None:
    """Return the file or folder on disk in which GDAL finds a name."""
    if os.path.exists(name):
        return name
    path = _without_scheme(name)
    while path.startswith("/vsi"):
        _, _, path = path[1:].partition("/")
    # The path of an archive or a database may continue inside it.
    while path and not os.path.exists(path):
        shorter = os.path.dirname(path)
        path = shorter if shorter != path else ""
    return path if path and os.path.isfile(path) else None


def _without_scheme(name: str) -> str:
    """Return the path in a file: or vrt: URL as rasterio reads it, and other names as they are."""
    scheme, colon, path = name.partition(":")
    if not colon or scheme.lower() not in ("file", "vrt"):
        return name
    path = path.removeprefix("//")
    return path.partition("?")[0] if scheme.lower() == "vrt" else path


def _with_sources(path: str, depth: int = _VRT_DEPTH) -> Iterator[str]:
    if os.path.isdir(path):
        return
    yield path
    if depth == 0:
        return
    for source in _vrt_sources(path):
        yield from _with_sources(source, depth - 1)


def _vrt_sources(path: str) -> Iterator[str]:
    """Yield the files on disk that a virtual raster or layer names, if the file is one."""
    try:
        with open(path, "rb") as file:
            if b"vrtdatas" not in file.read(1000).lower():
                return
            file.seek(0)
            root = ElementTree.parse(file).getroot()
    except (OSError, ElementTree.ParseError):
        return
    for element in root.iter():
        if element.tag in _VRT_SOURCES and element.text:
            name = element.text.strip()
            folders = [""]
            if element.get("relativeToVRT", "0") == "1":
                folders = [os.path.dirname(path), os.path.dirname(os.path.realpath(path))]
            for folder in folders:
                found = _local(os.path.join(folder, name))
                if found is not None:
                    yield found
                    break


def _below(folder: str, levels: int) -> Iterator[str]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.is_file():
            yield entry.path
        elif levels > 1 and entry.is_dir():
            yield from _below(entry.path, levels - 1)
