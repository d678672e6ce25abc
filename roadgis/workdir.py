"""Work directories: marked, locked by one run at a time, removed file by file.

::

    FOLDER/roadgis-work.json  the marker: run that made the folder, current run, outputs
    FOLDER/roadgis.lock       held by the current run
    FOLDER/mosaic.json, ...   see roadgis.probability.mosaic

roadgis removes only files that it wrote and folders that it made.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from roadgis.atomic import (
    atomic_path,
    describe_failure,
    existing_parts,
    hidden_prefix,
    own_folder,
    remove_folder,
    remove_leftovers,
)
from roadgis.errors import OutputError
from roadgis.locks import LOCK, take_lock
from roadgis.plain_values import parse_json

MARKER = "roadgis-work.json"
_FORMAT = 1
_LOG = logging.getLogger(__name__)
#: Removes the files of a run from its folder and keeps all others.
Cleaner = Callable[[Path], None]


@dataclass
class WorkDirectory:
    """A folder that is locked by this run; made by :func:`work_directory`."""

    folder: Path
    _marker: dict[str, Any]

    def record(self, files: Mapping[Path, Path]) -> None:
        """Record outputs before they are renamed: the written files by their final paths.

        A run that resumes after a kill then knows that they are not files of the user.
        """
        for final, written in files.items():
            self._marker["outputs"][str(final)] = _identity(written)
        self._write()

    def wrote(self, path: Path, parts: Iterable[str] = ()) -> bool:
        """Return whether an existing output was written by an interrupted run of this folder."""
        return _wrote(self._marker, path, parts)

    def _write(self) -> None:
        with atomic_path(self.folder / MARKER) as partial:
            partial.write_text(json.dumps(self._marker, indent=1) + "\n", encoding="utf-8")


def check_work_directory(folder: Path) -> None:
    """Check before a run that a folder can be its work directory; writes nothing.

    Raises
    ------
    OutputError
        If it is not a folder, or contains files without the marker of a work directory.
    """
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise OutputError(f"{folder}: is not a folder. Choose another --work-dir.")
    if _read(folder) is None and not _is_empty(folder):
        raise OutputError(
            f"{folder}: holds files and is not a roadgis work directory: it has no valid {MARKER}. "
            "Nothing was written to it. Choose a new or an empty folder with --work-dir; if it is "
            "from an older version of roadgis, remove it yourself."
        )


def wrote_outputs(folder: Path, path: Path, parts: Iterable[str] = ()) -> bool:
    """Return whether an existing output was written by a run that was killed.

    Parameters
    ----------
    folder : Path
        Work directory of that run; it may be missing.
    path : Path
        The output.
    parts : iterable of str
        Suffixes of the files that belong to it.
    """
    marker = _read(folder)
    return marker is not None and _wrote(marker, path, parts)


@contextmanager
def work_directory(
    folder: Path, clean: Cleaner, *, restart: bool = False, keep: bool = False
) -> Iterator[WorkDirectory]:
    """Create or resume a work directory, locked by this run.

    It is kept if the run fails, and cleared at the end of a successful run.

    Parameters
    ----------
    folder : Path
        Created with its parents if missing.
    clean : callable
        Removes the files of a run from a folder.
    restart : bool
        Remove the files of an earlier run first.
    keep : bool
        Keep everything at the end.

    Raises
    ------
    OutputError
        If it holds other files, is in use by another run, or cannot be written.
    """
    check_work_directory(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
        lock = _made(folder) or take_lock(folder / LOCK)
        if lock is None:
            raise OutputError(_in_use(folder))
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(
            f"{describe_failure(folder, error)} The work directory can be elsewhere: --work-dir."
        ) from error
    try:
        work = _taken(folder, clean, restart=restart)
        yield work
        if keep:
            work._marker["outputs"] = {}
            work._write()
        else:
            _finish(work, clean, lock)
    finally:
        lock.release()


def _made(folder: Path) -> FileLock | None:
    """Create a missing folder, marked and locked in one step; return its lock."""
    if folder.exists():
        return None
    hidden, guard = own_folder(folder)
    try:
        inner = hidden / "work"
        inner.mkdir()
        lock = take_lock(inner / LOCK)
        (inner / MARKER).write_text(json.dumps(_marker(made=True)) + "\n", encoding="utf-8")
        if lock is not None and os.name == "nt":
            lock.release()  # a folder with a locked file cannot be renamed there
            lock = None
        try:
            inner.rename(folder)
        except OSError:
            if lock is not None:
                lock.release()
            if not folder.is_dir():
                raise
            return None  # another run was faster
        return lock
    finally:
        remove_folder(hidden, guard)


def _marker(*, made: bool) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "id": secrets.token_hex(16),
        "made": made,
        "run": {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": datetime.now().astimezone().isoformat(timespec="seconds"),
        },
        "outputs": {},
    }


def _taken(folder: Path, clean: Cleaner, *, restart: bool) -> WorkDirectory:
    """Return the locked folder with a marker that names this run."""
    # Another run may have written to it since the check.
    check_work_directory(folder)
    new = _marker(made=False)
    marker = _read(folder) or new
    marker["run"] = new["run"]
    if restart or marker.pop("finished", False):
        clean(folder)
    work = WorkDirectory(folder, marker)
    for name in (MARKER, "mosaic.json", "mosaic.vrt"):
        remove_leftovers(folder / name)
    work._write()
    return work


def _finish(work: WorkDirectory, clean: Cleaner, lock: FileLock) -> None:
    """Remove the files of the run, in an order that allows a kill at any point."""
    folder = work.folder
    work._marker["finished"] = True
    work._write()
    clean(folder)
    others = [path for path in folder.iterdir() if path.name not in (MARKER, LOCK)]
    made = work._marker.get("made")
    if made and not others and os.name != "nt":
        # Removed in one step; the hidden folder is a leftover like others.
        hidden, guard = own_folder(folder)
        folder.rename(hidden / "work")
        remove_folder(hidden, guard)
        return
    (folder / MARKER).unlink()
    if os.name == "nt":
        lock.release()  # a locked file cannot be removed there
    (folder / LOCK).unlink(missing_ok=True)
    if made:
        with contextlib.suppress(OSError):
            folder.rmdir()
    if others:
        _LOG.warning(
            "%s: is kept, as it contains %s, which roadgis did not write.",
            folder,
            others[0].name,
        )


def _read(folder: Path) -> dict[str, Any] | None:
    """Return the marker of a work directory, None if there is no valid one."""
    try:
        marker = parse_json((folder / MARKER).read_bytes())
        valid = marker["format"] == _FORMAT and isinstance(marker["id"], str)
        return marker if valid and isinstance(marker["outputs"], dict) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_empty(folder: Path) -> bool:
    """Return whether a folder has no files except those of a run killed at its start."""
    own = hidden_prefix(folder / MARKER)
    return all(name == LOCK or name.startswith(own) for name in os.listdir(folder))


def _wrote(marker: dict[str, Any], path: Path, parts: Iterable[str]) -> bool:
    outputs = marker["outputs"]
    present = existing_parts(path, parts)
    return bool(present) and all(outputs.get(str(p)) == _identity(p) for p in present)


def _identity(path: Path) -> list[int]:
    """Return values that a rename keeps and an edit changes."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def _in_use(folder: Path) -> str:
    run = (_read(folder) or {}).get("run") or {}
    who = (
        f"process {run.get('pid')} on {run.get('host')}, since {run.get('since')}"
        if run
        else "a process that has just started"
    )
    return (
        f"{folder}: is in use by another roadgis run ({who}). Wait for its end or stop it, or "
        "choose another output or --work-dir."
    )
