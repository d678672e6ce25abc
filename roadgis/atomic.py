"""Write files atomically: they appear complete or not at all."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from roadgis.errors import InputError, OutputError, RoadgisError
from roadgis.locks import LOCK, take_lock

_LOG = logging.getLogger(__name__)
_ASK_OVERWRITE = "Choose another name, or ask for it to be replaced (--overwrite)."
_FULL = {errno.ENOSPC, errno.EDQUOT}
_CLEAR = {
    *(errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR),
    errno.ENAMETOOLONG,
}
# Characters of a file's name in the names of its temporary files; names have 255 bytes at most.
_NAME_CHARS = 50
# Longest wait while another run renames its files, which takes milliseconds.
_PLACING_S = 60.0
# With less free space than this, a vague message of a driver means a full disk.
_FULL_BELOW_BYTES = 64 * 1024


def describe_failure(path: Path, error: BaseException) -> str:
    """Return a message: why a file could not be written, and what to do.

    Parameters
    ----------
    path : Path
        The output; the free space of its folder is checked.
    error : BaseException
        Error of the operating system or a driver.
    """
    number = error.errno if isinstance(error, OSError) else None
    try:
        free: int | None = shutil.disk_usage(path.parent).free
    except OSError:
        free = None
    # Virtual file systems such as /proc never have free space.
    vague = number not in _CLEAR and free is not None and free < _FULL_BELOW_BYTES
    if number in _FULL or vague:
        left = "" if free is None else f" ({free:,} bytes are free)"
        return (
            f"{path}: the disk is full{left}: {error}. "
            "Free some space, or write to another disk; nothing was left under this name."
        )
    if number == errno.EFBIG:
        return (
            f"{path}: the file grew larger than the system allows here: {error}. "
            "Raise the limit ('ulimit -f'), or write to another file system."
        )
    if number in {errno.EACCES, errno.EPERM}:
        return (
            f"{path}: no permission to write here: {error}. Choose another folder, or close "
            "the program that has this file open."
        )
    if number == errno.EROFS:
        return f"{path}: the file system is read-only: {error}. Choose another folder."
    if number == errno.ENAMETOOLONG:
        return f"{path}: the name is too long for this file system. Choose a shorter one."
    if number in {errno.ENOENT, errno.ENOTDIR}:
        return f"{path}: the folder does not exist (any more): {error}. Create it and run again."
    return f"{path}: writing failed: {error}. Check the disk and its free space, and run again."


def check_geotiff(path: Path, what: str, *, overwrite: bool) -> None:
    """Check before a run that a GeoTIFF can be written; as :func:`check_target`.

    Raises
    ------
    InputError
        If the suffix is not ``.tif`` or ``.tiff``; `what` names the output in the message.
    """
    if path.suffix.lower() not in (".tif", ".tiff"):
        raise InputError(f"{path}: found the suffix {path.suffix!r}, expected .tif, as {what}.")
    check_target(path, overwrite=overwrite)


def check_target(path: Path | str, *, overwrite: bool, parts: Iterable[str] = ()) -> None:
    """Check before a run that a file of this name can be written.

    Parameters
    ----------
    path : Path or str
        The file to write.
    overwrite : bool
        Whether an existing file may be replaced.
    parts : iterable of str
        Suffixes of the files that belong to it (the ``.dbf`` of a ``.shp``).

    Raises
    ------
    OutputError
        If it is a folder, a device or a pipe, exists and may not be replaced, or its name is
        invalid for the file system.
    """
    target = Path(os.path.realpath(path))
    try:
        present = existing_parts(target, parts)
    except OSError as error:
        raise OutputError(describe_failure(target, error)) from error
    if target.is_dir():
        raise OutputError(f"{path}: is a folder, expected the name of a file to write.")
    if target in present and not target.is_file():
        raise OutputError(f"{path}: is a device or a pipe, expected the name of a file to write.")
    remove_leftovers(target)
    if present and not overwrite:
        raise OutputError(f"{present[0]}: exists already. {_ASK_OVERWRITE}")


def existing_parts(path: Path | str, parts: Iterable[str] = ()) -> list[Path]:
    """Return the existing files of an output: the file itself, and those of its `parts`."""
    target = Path(os.path.realpath(path))
    # exists() hides some errors: a name that is too long would fail after the run.
    return [p for p in (target, *map(target.with_suffix, parts)) if _present(p)]


def _present(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def make_folder(folder: Path) -> None:
    """Create a folder and its parents if they do not exist.

    Raises
    ------
    OutputError
        If the operating system refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder}: the folder cannot be created: {error}. Choose another name or place."
        ) from error


def check_writable(path: Path | str) -> None:
    """Check before a run that a file can be written in its folder.

    Raises
    ------
    OutputError
        If the folder is missing, or the operating system refuses.
    """
    target = Path(os.path.realpath(path))
    try:
        # Permissions are not enough: a read-only mount, a quota or a full disk fails as well.
        # Without a name on most systems, so that a killed run leaves nothing.
        with tempfile.TemporaryFile(dir=target.parent) as trial:
            trial.write(b"roadgis")
            trial.flush()
    except OSError as error:
        raise OutputError(describe_failure(target, error)) from error


@contextmanager
def atomic_path(
    path: Path | str,
    *,
    overwrite: bool = True,
    stale: Iterable[str] = (),
    record: Callable[[Mapping[Path, Path]], None] | None = None,
) -> Iterator[Path]:
    """Write a file that gets its name only when it is complete, as a context manager.

    The block writes to a path of the same name in a new hidden folder next to the target, on the
    same file system. At its end everything in that folder is flushed to disk and renamed: first
    other files that the block wrote (the ``.dbf`` of a ``.shp``), the target last. If the block
    raises, the folder is removed and an existing file of that name is unchanged. A killed process
    leaves at most the hidden folder, which :func:`remove_leftovers` recognizes.

    Parameters
    ----------
    path : Path or str
        The file to write. A symbolic link is followed.
    overwrite : bool
        Whether a file that exists at the end of the block is replaced.
    stale : iterable of str
        Names in the target's folder that belong to the replaced file and are wrong for the new
        one, such as spatial indexes. They are removed just before the renaming.
    record : callable, optional
        Called just before the renaming with the written files by their final paths.

    Yields
    ------
    Path
        Path to write to; it does not exist yet.

    Raises
    ------
    OutputError
        If writing fails (no space, no permission, no folder), the block wrote no file, or the
        target exists and may not be replaced.
    """
    target = Path(os.path.realpath(path))
    try:
        folder, lock = own_folder(target)
    except OSError as error:
        raise OutputError(describe_failure(target, error)) from error
    try:
        partial = folder / target.name
        try:
            yield partial
            if not partial.exists():
                raise OutputError(f"{target}: nothing was written; this is a fault in roadgis.")
            with _placing(target):
                if not overwrite and target.exists():
                    raise OutputError(
                        f"{target}: was created by another program meanwhile. {_ASK_OVERWRITE}"
                    )
                _put_in_place(partial, target, stale, record)
        except RoadgisError:
            raise  # some RoadgisErrors are OSErrors as well
        except OSError as error:
            raise OutputError(describe_failure(target, error)) from error
    finally:
        remove_folder(folder, lock)


def hidden_prefix(target: Path) -> str:
    """Return the first part of the names of temporary files next to a target."""
    return f".{target.name[:_NAME_CHARS]}."


def own_folder(target: Path) -> tuple[Path, FileLock]:
    """Make a hidden folder next to the target, with a lock that marks it as in use.

    Raises
    ------
    OSError
        If the operating system refuses.
    """
    while True:
        folder = Path(
            tempfile.mkdtemp(prefix=hidden_prefix(target), suffix=".partial", dir=target.parent)
        )
        try:
            lock = take_lock(folder / LOCK)
        except FileNotFoundError:
            if not target.parent.is_dir():
                raise
            lock = None
        if lock is not None:
            return folder, lock
        # Another run removed the folder as a leftover before it was locked.


def remove_folder(folder: Path, lock: FileLock) -> None:
    """Remove a folder and release the lock in it."""
    if os.name == "nt":
        lock.release()  # a locked file cannot be removed there
    shutil.rmtree(folder, ignore_errors=True)
    lock.release()


def remove_leftovers(target: Path) -> None:
    """Remove temporary files of killed runs next to a target; those of other runs are kept.

    Parameters
    ----------
    target : Path
        The file, or the work directory, that the runs were writing.
    """
    prefix = hidden_prefix(target)
    ours = re.compile(re.escape(prefix) + r"(?:[a-z0-9_]{8}\.partial|placing)")
    try:
        found = [entry for entry in os.scandir(target.parent) if ours.fullmatch(entry.name)]
    except OSError:
        return  # writing there reports the error
    for entry in found:
        path = Path(entry.path)
        with contextlib.suppress(OSError):
            if not entry.is_dir(follow_symlinks=False):
                lock = take_lock(path)
                if lock is not None:
                    path.unlink(missing_ok=True)
                    lock.release()
            elif not (path / LOCK).exists():
                path.rmdir()  # of a killed run, or not yet locked; fails unless it is empty
            elif (lock := take_lock(path / LOCK)) is not None:
                remove_folder(path, lock)


@contextmanager
def _placing(target: Path) -> Iterator[None]:
    """Keep other runs from renaming files to the same target at the same time."""
    path = target.with_name(hidden_prefix(target) + "placing")
    lock = take_lock(path, timeout_s=_PLACING_S)
    if lock is None:
        raise OutputError(
            f"{target}: another run has kept this file locked for a minute. End it, or choose "
            "another name."
        )
    try:
        yield
    finally:
        if os.name == "nt":
            lock.release()
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        lock.release()


def _put_in_place(
    partial: Path,
    target: Path,
    stale: Iterable[str],
    record: Callable[[Mapping[Path, Path]], None] | None,
) -> None:
    others = sorted(
        p for p in partial.parent.iterdir() if p not in (partial, partial.parent / LOCK)
    )
    for written in [*others, partial]:
        _flush(written)
    if record is not None:
        record({target.with_name(written.name): written for written in [*others, partial]})
    obsolete = [target.with_name(name) for name in stale]
    if others and target.exists():
        # Old and new parts must never be read as one file: without its main file a set of
        # parts is unreadable, which is better than wrong.
        obsolete.insert(0, target)
    for path in obsolete:
        path.unlink(missing_ok=True)
    for written in others:
        os.replace(written, target.with_name(written.name))
    os.replace(partial, target)
    _flush(target.parent)


def _flush(path: Path) -> None:
    """Flush a file or folder to disk, if the system supports it."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems cannot flush folders (EINVAL); other errors are raised.
        if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.EBADF}:
            raise
        _LOG.debug("%s: not flushed: %s", path, error)
    finally:
        os.close(handle)
