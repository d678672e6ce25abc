"""Leases: which process works on which step; expired leases are taken over.

A lease is a file that its holder touches from time to time. It only saves work: results are named
after everything that determines them, so a step that is done twice, after a lease was lost, writes
the same file.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from roadgis.atomic import describe_failure
from roadgis.errors import OutputError
from roadgis.plain_values import parse_json

#: Seconds after the last touch at which a lease expires.
LEASE_S = 120.0


def here() -> str:
    """Return this worker's name in tables: host and process."""
    return f"{socket.gethostname()}:{os.getpid()}"


class Leases:
    """Leases of one run on the steps of a county; a context manager.

    Parameters
    ----------
    folder : Path
        Folder of the leases.
    lease_s : float
        Seconds after the last touch at which a lease expires.
    """

    def __init__(self, folder: Path, lease_s: float = LEASE_S) -> None:
        self._folder = folder
        self._lease_s = lease_s
        self._held: set[str] = set()
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._clock = folder / f".{secrets.token_hex(8)}.clock"
        self._thread = threading.Thread(target=self._touch_all, name="leases", daemon=True)

    def __enter__(self) -> Leases:
        now = self._now()
        for clock in self._folder.glob(".*.clock"):
            with contextlib.suppress(OSError):  # left by a run that was killed
                if now - clock.stat().st_mtime > 2 * LEASE_S:
                    clock.unlink()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        self._thread.join()
        for name in list(self._held):
            self.release(name)
        self._clock.unlink(missing_ok=True)

    def take(self, name: str) -> bool:
        """Take a lease that is free or expired; return whether this run holds it now.

        Raises
        ------
        OutputError
            If the folder cannot be written.
        """
        path = self._folder / name
        text = json.dumps({"worker": here(), "host": socket.gethostname(), "pid": os.getpid()})
        for _ in range(2):
            try:
                handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            except FileExistsError:
                if not self._ran_out(path):
                    return False
                path.unlink(missing_ok=True)
                continue
            except OSError as error:
                raise OutputError(describe_failure(path, error)) from error
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            with self._lock:
                self._held.add(name)
            return True
        return False

    def release(self, name: str) -> None:
        """Release a lease."""
        with self._lock:
            self._held.discard(name)
        with contextlib.suppress(OSError):
            (self._folder / name).unlink(missing_ok=True)

    def alive(self) -> dict[str, str]:
        """Return the worker of each lease that has not expired, by the name of the lease."""
        return {
            path.name: str(_content(path).get("worker", "unknown"))
            for path in sorted(self._folder.iterdir())
            if not path.name.startswith(".") and not self._ran_out(path)
        }

    def _ran_out(self, path: Path) -> bool:
        holder = _content(path)
        if holder.get("host") == socket.gethostname() and not _lives(holder.get("pid")):
            return True
        try:
            touched = path.stat().st_mtime
        except OSError:
            return True
        return self._now() - touched > self._lease_s

    def _now(self) -> float:
        """Return the time of the file system's clock, which also stamps touched files."""
        try:
            self._clock.touch()
            return self._clock.stat().st_mtime
        except OSError as error:
            raise OutputError(describe_failure(self._clock, error)) from error

    def _touch_all(self) -> None:
        while not self._end.wait(self._lease_s / 4):
            with self._lock:
                names = list(self._held)
            for name in names:
                with contextlib.suppress(OSError):
                    os.utime(self._folder / name)


def _content(path: Path) -> dict[str, Any]:
    """Return the content of a lease, empty while another process writes it."""
    try:
        found = parse_json(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _lives(pid: object) -> bool:
    if not isinstance(pid, int) or os.name == "nt":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
