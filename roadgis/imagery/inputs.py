"""Expand the user's inputs (files, folders, patterns, URLs) to a list of rasters."""

from __future__ import annotations

import glob
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from roadgis.dataset_names import display_name, is_remote
from roadgis.errors import ReadError, SceneError
from roadgis.overwriting import RASTER_SUFFIXES, input_files
from roadgis.vector_files.light_pyogrio import light_pyogrio
from roadgis.workdir import MARKER

# Files that show that a folder is a raster by itself: Zarr arrays and groups, Esri grids.
_RASTER_FOLDERS = ("zarr.json", ".zarray", ".zgroup", "hdr.adf")

#: Names of object stores whose contents GDAL can list.
_OBJECT_STORES = ("/vsis3/", "/vsigs/", "/vsiaz/", "/vsiadls/", "/vsioss/", "/vsiswift/", "s3://")


def expand_sources(
    sources: str | Path | Sequence[str | Path], *, recursive: bool = False
) -> list[str]:
    """List the rasters that the user's sources name.

    Parameters
    ----------
    sources : str, path or sequence of them
        Files, VRTs, URLs, folders (the rasters in them, and no hidden files), quoted glob
        patterns. A folder that is itself a raster (Zarr, Esri grid) counts as one. A name in an
        object store that ends in ``/`` is a folder.
    recursive : bool
        Search the folders inside of folders too.

    Returns
    -------
    list of str
        In the order given, the contents of folders and patterns sorted; no repetitions.

    Raises
    ------
    SceneError
        If nothing is given, or something does not exist or holds no raster.
    """
    given = [sources] if isinstance(sources, (str, Path)) else list(sources)
    found = dict.fromkeys(name for source in given for name in _expand(str(source), recursive))
    if not found:
        raise SceneError("No imagery was given; expected at least one raster, folder or URL.")
    return list(found)


def _expand(source: str, recursive: bool) -> Iterator[str]:
    if source.startswith(_OBJECT_STORES) and source.endswith("/"):
        yield from _objects(source, recursive)
    elif is_remote(source) or source.startswith("/vsi") or _is_raster_folder(Path(source)):
        yield source
    elif os.path.isdir(source):
        yield from _folder(Path(source), recursive)
    elif os.path.exists(source):
        yield source
    elif glob.has_magic(source):
        matches = sorted(
            match
            for match in glob.glob(source, recursive=True)
            if (os.path.isfile(match) or _is_raster_folder(Path(match)))
            and not any(map(_is_work_directory, Path(match).parents))
        )
        if not matches:
            raise SceneError(
                f"{source}: no file matches this pattern. Check the folder and the quotes."
            )
        yield from matches
    else:
        raise SceneError(f"{source}: found no such file or folder. Check the path.")


def _is_work_directory(path: Path) -> bool:
    """Return whether a folder holds what a run of roadgis has computed so far."""
    return (path / MARKER).is_file()


def _is_raster_folder(path: Path) -> bool:
    return any(os.path.isfile(path / name) for name in _RASTER_FOLDERS)


def _folder(folder: Path, recursive: bool) -> Iterator[str]:
    rasters = sorted(_rasters(folder, recursive))
    # A VRT next to rasters is usually an index of them: they would be read twice.
    plain = [path for path in rasters if path.suffix.lower() != ".vrt"]
    if not rasters:
        more = (
            ""
            if recursive
            else " Folders inside it are not searched: use --recursive, name them, or use a "
            f"pattern such as '{folder}/**/*.tif'."
        )
        raise SceneError(
            f"{folder}: found no raster in this folder; expected files such as .tif or .jp2.{more}"
        )
    yield from (str(path) for path in (plain or rasters))


def _objects(folder: str, recursive: bool) -> Iterator[str]:
    """List the rasters in a folder of an object store."""
    pyogrio = light_pyogrio()
    path = folder.replace("s3://", "/vsis3/", 1)
    try:
        found = sorted(pyogrio.vsi_listtree(path))
    except (pyogrio.errors.DataSourceError, OSError) as error:
        raise ReadError(
            f"{folder}: cannot be listed ({error}). Check the name, the credentials and the "
            "connection."
        ) from error
    named = {name: PurePosixPath(name.removeprefix(path)) for name in found}
    rasters = [
        name
        for name, inside in named.items()
        if inside.suffix.lower() in RASTER_SUFFIXES
        and not any(part.startswith(".") for part in inside.parts)
        and (recursive or len(inside.parts) == 1)
    ]
    if not rasters:
        raise SceneError(
            f"{folder}: found no raster in this folder of an object store; expected objects such "
            "as .tif. Check the name and the credentials, or use --recursive."
        )
    yield from rasters


def _rasters(folder: Path, recursive: bool) -> Iterator[Path]:
    for path in folder.iterdir():
        # Hidden files are not images: macOS leaves a '._NAME' with each file that it copies.
        if path.name.startswith("."):
            continue
        if _is_raster_folder(path) or (path.is_file() and path.suffix.lower() in RASTER_SUFFIXES):
            yield path
        elif recursive and path.is_dir() and not _is_work_directory(path):
            yield from _rasters(path, recursive)


def stamp(name: str, files: Sequence[str]) -> list[list[str | int]]:
    """Return a stamp that differs if a raster has changed since an earlier run.

    Parameters
    ----------
    name : str
        The raster as given.
    files : sequence of str
        All files that GDAL reads for it, e.g. external masks and a VRT's sources.

    Returns
    -------
    list
        Absolute path, size and time of change of each file; for a URL its address without
        secrets, length, ETag and date.
    """
    if is_remote(name):
        return [[display_name(name), *_remote_stamp(name)]]
    stamps: list[list[str | int]] = []
    # GDAL lists the sources of a VRT, and not what those that are VRTs read in turn.
    for file in sorted({name, *files, *input_files(name)}):
        # GDAL writes statistics there when a program merely shows the file.
        if os.path.isfile(file) and not file.endswith(".aux.xml"):
            status = os.stat(file)
            stamps.append([os.path.abspath(file), status.st_size, status.st_mtime_ns])
        elif os.path.isdir(file):
            inside = [path.stat() for path in Path(file).rglob("*") if path.is_file()]
            size, changed = sum(s.st_size for s in inside), max(s.st_mtime_ns for s in inside)
            stamps.append([os.path.abspath(file), size, changed])
    return stamps or [[name]]


def _remote_stamp(name: str) -> tuple[str, ...]:
    url = name.removeprefix("/vsicurl/")
    if not url.startswith(("http://", "https://")):
        return ()
    request = urllib.request.Request(url, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            headers = answer.headers
    except (urllib.error.URLError, OSError):
        # Signed URLs often allow GET only; the address alone then has to do.
        return ()
    return tuple(headers.get(key, "") for key in ("Content-Length", "ETag", "Last-Modified"))
