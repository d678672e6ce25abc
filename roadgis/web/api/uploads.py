"""Checks of uploaded files: name, first bytes, decoded size, disk space."""

from __future__ import annotations

import contextlib
import re
import shutil
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from roadgis.errors import InputError

#: Disk space to leave free, bytes.
_RESERVE = 200_000_000
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_JP2 = (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")
_JPEG, _PNG = (b"\xff\xd8\xff",), (b"\x89PNG\r\n\x1a\n",)
#: The first bytes that a file may have, by what it is for and by its suffix; None: anything, as
#: GDAL opens no such file by itself. GDAL goes by content, not by name: a VRT under another name
#: could make it read any file of this machine.
_CONTENT: dict[str, dict[str, tuple[bytes, ...] | None]] = {
    "roads": {
        **dict.fromkeys((".tif", ".tiff"), _TIFF),
        **dict.fromkeys((".jp2", ".j2k"), _JP2),
        **dict.fromkeys((".jpg", ".jpeg"), _JPEG),
        ".png": _PNG,
        **dict.fromkeys((".tfw", ".tifw", ".jgw", ".j2w", ".pgw", ".wld", ".prj"), None),
    },
    "video": {
        **dict.fromkeys((".jpg", ".jpeg"), _JPEG),
        ".png": _PNG,
        **dict.fromkeys((".mp4", ".webm", ".mkv", ".avi", ".mov", ".m4v"), None),
    },
    "base": {
        **dict.fromkeys((".geojson", ".json"), (b"{", b"\xef\xbb\xbf{")),
        ".gpkg": (b"SQLite format 3\0",),
        ".fgb": (b"fgb",),
        ".parquet": (b"PAR1",),
    },
}
#: Suffixes of files for each kind of job, and of layers to compare with.
SUFFIXES_OF = {kind: list(known) for kind, known in _CONTENT.items()}
_DRIVERS = {
    **dict.fromkeys((".tif", ".tiff"), "GTiff"),
    **dict.fromkeys((".jp2", ".j2k"), "JP2OpenJPEG"),
    **dict.fromkeys((".jpg", ".jpeg"), "JPEG"),
    ".png": "PNG",
}


class UploadError(InputError):
    """A file was rejected.

    Attributes
    ----------
    status : int
        HTTP status of the answer.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def safe_name(given: str, kind: str) -> str:
    """Return the last part of a name as a safe file name with a supported suffix.

    Raises
    ------
    UploadError
        If the suffix is not supported for this kind of job.
    """
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", given))[-1]
    clean = "".join(c if c.isalnum() or c in "._- ()" else "_" for c in last).strip(". ")
    stem, suffix = Path(clean).stem[:80], Path(clean).suffix.lower()
    known = _CONTENT[kind]
    if suffix not in known or not stem:
        raise UploadError(
            415,
            f"{printable(last or given)}: unsupported file type. Expected one of: "
            f"{', '.join(known)}.",
        )
    return stem + suffix


def printable(text: str) -> str:
    """Return printable text of at most 120 characters."""
    return "".join(c for c in text if c.isprintable())[:120]


def check_content(path: Path, kind: str) -> None:
    """Check that a file's first bytes are those of its suffix.

    Raises
    ------
    UploadError
        If they are not.
    """
    expected = _CONTENT[kind][path.suffix]
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        raise UploadError(422, f"{path.name}: the file is empty. Choose another one.")
    if expected is not None and not head.lstrip(b" \t\r\n").startswith(expected):
        raise UploadError(
            422,
            f"{path.name}: the content does not match the suffix {path.suffix}. Choose another "
            "file, or correct the suffix.",
        )


def check_pixels(paths: Sequence[Path], max_mpx: float) -> None:
    """Check the decoded size of imagery or pictures, from their headers.

    Raises
    ------
    UploadError
        If a file is not a raster, or all together are too large.
    """
    pixels = 0
    for path in paths:
        driver = _DRIVERS.get(path.suffix)
        if driver is None:
            continue
        try:
            with _quiet(), rasterio.open(path, driver=driver) as dataset:
                pixels += dataset.width * dataset.height
        except RasterioError as error:
            raise UploadError(
                422, f"{path.name}: cannot be read as imagery. The file is damaged or incomplete."
            ) from error
    if pixels > max_mpx * 1e6:
        raise UploadError(
            413,
            f"The files have {pixels / 1e6:,.0f} megapixels, more than {max_mpx:,.0f}. Send fewer "
            "or smaller files, or start the server with a larger --max-mpx.",
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Ignore that pictures have no place on the earth."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


def data_path(given: str, folders: Sequence[Path]) -> Path:
    """Return the file or folder that a path names, if it lies in one of the data folders.

    Raises
    ------
    UploadError
        If it does not, or does not exist.
    """
    if not folders:
        raise UploadError(
            403,
            "Files on the server cannot be used. Start it with --data-dir FOLDER to allow this.",
        )
    if "\0" not in given:
        for folder in folders:
            root = folder.resolve()
            path = (root / given).resolve()
            if path.is_relative_to(root) and path.exists():
                return path
    raise UploadError(404, f"{printable(given)}: not found in the data folders.")


def check_free(folder: Path, incoming: int, quota: float) -> None:
    """Check that an upload fits on the disk and into the quota.

    Raises
    ------
    UploadError
        If it does not.
    """
    if shutil.disk_usage(folder).free < incoming + _RESERVE:
        raise UploadError(507, "The server's disk is full. Free some space, or delete old jobs.")
    if folder_bytes(folder) + incoming > quota:
        raise UploadError(
            507,
            f"All jobs together would take more than {quota / 1e6:,.0f} MB. Delete old jobs, or "
            "start the server with a larger --quota-mb.",
        )


def folder_bytes(folder: Path) -> int:
    """Return what the files in a folder take."""
    total = 0
    for path in folder.rglob("*"):
        try:
            if path.is_file() and not path.is_symlink():
                total += path.stat().st_size
        except OSError:
            continue  # removed a moment ago
    return total
