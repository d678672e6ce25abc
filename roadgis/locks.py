"""Locks on files: who holds one is known to the operating system, so a dead holder holds none."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

#: Name of the lock in a folder that belongs to one run.
LOCK = "roadgis.lock"


def take_lock(path: Path, *, timeout_s: float = 0.0) -> FileLock | None:
    """Lock a file; the operating system releases it when the process ends, however it ends.

    Parameters
    ----------
    path : Path
        The lock file, made if missing.
    timeout_s : float
        How long to wait for another holder.

    Returns
    -------
    FileLock or None
        To be released; None where another run holds it.

    Raises
    ------
    OSError
        If the file cannot be made.
    """
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=timeout_s)
    except Timeout:
        return None
    if not path.exists():
        # Its holder removed it before we had it: such a lock guards nothing.
        lock.release()
        return None
    return lock
