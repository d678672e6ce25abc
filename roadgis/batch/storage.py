"""The folder of a county: on a file system, or in an object store such as S3.

Names are relative to the county's folder. Files are written and read in a local folder. If the
county is in an object store, this folder is a mirror: complete files are uploaded, files to be read
are downloaded, and what exists is what the store lists. Mirrors are in the user's cache folder and
can be removed at any time.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from roadgis.atomic import atomic_path, describe_failure, make_folder
from roadgis.errors import MissingExtraError, OutputError, ReadError, RoadgisError, how_to_install

#: File in a mirror with the address of the object store.
_ADDRESS = ".address"
#: Transfers at the same time.
_TRANSFERS = 16
_METADATA = "169.254.169.254"
_SCHEMES = ("s3://", "gs://", "az://")


def county_folder(address: str | Path) -> Path:
    """Return the local folder of a county; for an object store this is its mirror.

    Parameters
    ----------
    address : str or Path
        Path, or an address such as ``s3://bucket/county``.

    Raises
    ------
    MissingExtraError
        If the package for object stores is not installed.
    OutputError
        If the mirror cannot be made.
    """
    text = str(address)
    if text.startswith("/vsis3/"):
        text = "s3://" + text.removeprefix("/vsis3/")
    if not text.startswith(_SCHEMES):
        return Path(address)
    text = text.rstrip("/")
    _obstore()
    base = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    mirror = base / "roadgis" / "counties" / digest
    make_folder(mirror)
    with atomic_path(mirror / _ADDRESS) as partial:
        partial.write_text(text, encoding="utf-8")
    return mirror


def county_address(folder: Path) -> str:
    """Return the address of a county, from the folder that :func:`county_folder` returned."""
    return storage(folder).address


class Storage(Protocol):
    """Files of a county; see :class:`LocalFolder` and :class:`ObjectFolder`.

    Reading raises FileNotFoundError if a file does not exist, and other errors as OSError.
    Writing raises OutputError.
    """

    @property
    def address(self) -> str:
        """Absolute path or URL of the county."""

    def place(self, name: str) -> str:
        """Return the path or URL of a file, for messages."""

    def names(self, inside: str = "") -> list[str]:
        """Return the names of all entries of a folder, in any order; none if it is missing."""

    def exists(self, name: str) -> bool:
        """Return whether a file exists."""

    def read(self, name: str) -> bytes:
        """Return the current content of a file."""

    def fetch(self, names: Iterable[str]) -> None:
        """Make files readable in the local folder; files that are there already are kept."""

    def publish(self, *names: str) -> None:
        """Publish complete files of the local folder."""

    def remove(self, *names: str) -> None:
        """Remove files; missing ones are ignored."""

    def create(self, name: str, text: str) -> bool:
        """Write a file unless it exists; return whether it was written."""

    def renew(self, name: str) -> None:
        """Set the time of change of an existing file to now."""

    def now_s(self, name: str) -> float:
        """Write an empty file, and return its time of change, seconds since 1970."""

    def changed_s(self, name: str) -> float:
        """Return the time of change of a file, seconds since 1970."""

    def version(self, name: str) -> object:
        """Return a value that changes when a file is replaced."""


class LocalFolder:
    """A county on a file system; see :class:`Storage`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def address(self) -> str:  # noqa: D102 - documented in Storage, as all methods below
        return str(self._folder.absolute())

    def place(self, name: str) -> str:  # noqa: D102
        return str(self._folder / name)

    def names(self, inside: str = "") -> list[str]:  # noqa: D102
        try:
            return os.listdir(self._folder / inside)
        except (FileNotFoundError, NotADirectoryError):
            return []

    def exists(self, name: str) -> bool:  # noqa: D102
        return (self._folder / name).is_file()

    def read(self, name: str) -> bytes:  # noqa: D102
        return (self._folder / name).read_bytes()

    def fetch(self, names: Iterable[str]) -> None:  # noqa: D102
        del names

    def publish(self, *names: str) -> None:  # noqa: D102
        del names

    def remove(self, *names: str) -> None:  # noqa: D102
        for name in names:
            (self._folder / name).unlink(missing_ok=True)

    def create(self, name: str, text: str) -> bool:  # noqa: D102
        path = self._folder / name
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            return False
        except OSError as error:
            raise OutputError(describe_failure(path, error)) from error
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        return True

    def renew(self, name: str) -> None:  # noqa: D102
        os.utime(self._folder / name)

    def now_s(self, name: str) -> float:  # noqa: D102
        path = self._folder / name
        try:
            path.touch()
            return path.stat().st_mtime
        except OSError as error:
            raise OutputError(describe_failure(path, error)) from error

    def changed_s(self, name: str) -> float:  # noqa: D102
        return (self._folder / name).stat().st_mtime

    def version(self, name: str) -> object:  # noqa: D102
        return (self._folder / name).stat().st_mtime_ns


class ObjectFolder:
    """A county in an object store; see :class:`Storage`.

    Parameters
    ----------
    mirror : Path
        Local folder.
    address : str
        Address, such as ``s3://bucket/county``.
    """

    def __init__(self, mirror: Path, address: str) -> None:
        self._api = _obstore()
        self._mirror = mirror
        self.address = address
        with self._failing("", ReadError):
            self._store = self._api.store.from_url(
                address,
                config=_endpoint() if address.startswith("s3://") else None,
                client_options={"connect_timeout": "10s", "timeout": "120s", "allow_http": True},
                retry_config={"max_retries": 5, "retry_timeout": timedelta(seconds=60)},
            )

    def place(self, name: str) -> str:  # noqa: D102 - documented in Storage, as all methods below
        return f"{self.address}/{name}"

    def names(self, inside: str = "") -> list[str]:  # noqa: D102
        with contextlib.suppress(FileNotFoundError), self._failing(inside, ReadError):
            found = self._api.list_with_delimiter(self._store, prefix=inside or None)
            paths = [entry["path"] for entry in found["objects"]] + found["common_prefixes"]
            return [path.rstrip("/").rpartition("/")[2] for path in paths]
        return []

    def exists(self, name: str) -> bool:  # noqa: D102
        try:
            self._head(name)
        except FileNotFoundError:
            return False
        return True

    def read(self, name: str) -> bytes:  # noqa: D102
        with self._failing(name, ReadError):
            return bytes(self._api.get(self._store, name).bytes())

    def fetch(self, names: Iterable[str]) -> None:  # noqa: D102
        missing = [name for name in names if not (self._mirror / name).exists()]
        with ThreadPoolExecutor(_TRANSFERS) as pool:
            list(pool.map(self._download, missing))

    def _download(self, name: str) -> None:
        content = self.read(name)
        make_folder((self._mirror / name).parent)
        with atomic_path(self._mirror / name) as partial:
            partial.write_bytes(content)

    def publish(self, *names: str) -> None:  # noqa: D102
        for name in names:
            with self._failing(name, OutputError):
                self._api.put(self._store, name, self._mirror / name)

    def remove(self, *names: str) -> None:  # noqa: D102
        if names:
            with self._failing(names[0], OutputError):
                self._api.delete(self._store, list(names))
        for name in names:
            (self._mirror / name).unlink(missing_ok=True)

    def create(self, name: str, text: str) -> bool:  # noqa: D102
        with self._failing(name, OutputError):
            try:
                self._api.put(self._store, name, text.encode(), mode="create")
            except self._api.exceptions.AlreadyExistsError:
                return False
        return True

    def renew(self, name: str) -> None:  # noqa: D102
        content = self.read(name)
        with self._failing(name, OutputError):
            self._api.put(self._store, name, content)

    def now_s(self, name: str) -> float:  # noqa: D102
        with self._failing(name, OutputError):
            self._api.put(self._store, name, b"")
        return self.changed_s(name)

    def changed_s(self, name: str) -> float:  # noqa: D102
        changed: float = self._head(name)["last_modified"].timestamp()
        return changed

    def version(self, name: str) -> object:  # noqa: D102
        return self._head(name)["e_tag"]

    def _head(self, name: str) -> Any:
        with self._failing(name, ReadError):
            return self._api.head(self._store, name)

    @contextlib.contextmanager
    def _failing(self, name: str, kind: type[RoadgisError]) -> Iterator[None]:
        """Turn errors of the object store into ours."""
        try:
            yield
        except (FileNotFoundError, self._api.exceptions.BaseError) as error:
            absent = (FileNotFoundError, self._api.exceptions.NotFoundError)
            if kind is ReadError and isinstance(error, absent):
                found = FileNotFoundError(errno.ENOENT, "no such object", self.place(name))
                raise found from error
            what = "read" if kind is ReadError else "written"
            text = str(error).strip().splitlines()[0]
            if _METADATA in text:  # where machines of a cloud find the credentials of their role
                text = "found no credentials"
            raise kind(
                f"{self.place(name)}: cannot be {what} ({text}). Check the address, the "
                "credentials and the connection."
            ) from error


def _endpoint() -> dict[str, str] | None:
    """Return the endpoint of GDAL's variables, so that sheets and county need only one setting."""
    host = os.environ.get("AWS_S3_ENDPOINT")
    if host is None or any(name in os.environ for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT")):
        return None
    plain = os.environ.get("AWS_HTTPS", "YES").upper() in ("NO", "FALSE", "OFF")
    return {"endpoint": f"{'http' if plain else 'https'}://{host}"}


def _obstore() -> Any:
    try:
        import obstore
        import obstore.exceptions
        import obstore.store
    except ImportError as error:
        raise MissingExtraError(
            "A county in an object store needs obstore, which is not installed. "
            f"{how_to_install('batch')} Or use a folder on a file system."
        ) from error
    return obstore


def storage(folder: Path) -> Storage:
    """Return the storage behind a folder that :func:`county_folder` returned."""
    return _storage(folder.absolute())


@lru_cache(maxsize=8)
def _storage(folder: Path) -> Storage:
    try:
        address = (folder / _ADDRESS).read_text(encoding="utf-8")
    except OSError:
        return LocalFolder(folder)
    return ObjectFolder(folder, address)
