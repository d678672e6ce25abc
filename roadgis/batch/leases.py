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

from roadgis.batch.storage import storage
from roadgis.plain_values import parse_json

#: Seconds after the last touch at which a lease expires.
LEASE_S = 120.0
_FOLDER = "leases"


def here() -> str:
    """Return this worker's name in tables: host and process."""
    return f"{socket.gethostname()}:{os.getpid()}"


class Leases:
    """Leases of one run on the steps of a county; a context manager.

    Parameters
    ----------
    lease_s : float
        Seconds after the last touch at which a lease expires.
    """

    def __init__(self, folder: Path, lease_s: float = LEASE_S) -> None:
        self._storage = storage(folder)
        self._lease_s = lease_s
        self._held: set[str] = set()
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._clock = f"{_FOLDER}/.{secrets.token_hex(8)}.clock"
        self._thread = threading.Thread(target=self._touch_all, name="leases", daemon=True)

    def __enter__(self) -> Leases:
        now = self._now()
        for entry in self._storage.names(_FOLDER):
            clock = f"{_FOLDER}/{entry}"
            if not entry.endswith(".clock"):
                continue
            with contextlib.suppress(OSError):  # left by a run that was killed
                if now - self._storage.changed_s(clock) > 2 * LEASE_S:
                    self._storage.remove(clock)
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
        self._storage.remove(self._clock)

    def take(self, name: str) -> bool:
        """Take a lease that is free or expired; return whether this run holds it now.

        Raises
        ------
        OutputError
            If the folder cannot be written.
        """
        text = json.dumps({"worker": here(), "host": socket.gethostname(), "pid": os.getpid()})
        for _ in range(2):
            if self._storage.create(f"{_FOLDER}/{name}", text):
                with self._lock:
                    self._held.add(name)
                return True
            if not self._ran_out(name):
                return False
            self._storage.remove(f"{_FOLDER}/{name}")
        return False

    def release(self, name: str) -> None:
        """Release a lease."""
        with self._lock:
            self._held.discard(name)
        with contextlib.suppress(OSError):
            self._storage.remove(f"{_FOLDER}/{name}")

    def alive(self) -> dict[str, str]:
        """Return the worker of each lease that has not expired, by the name of the lease."""
        return {
            name: str(self._content(name).get("worker", "unknown"))
            for name in sorted(self._storage.names(_FOLDER))
            if not name.startswith(".") and not self._ran_out(name)
        }

    def _ran_out(self, name: str) -> bool:
        holder = self._content(name)
        if holder.get("host") == socket.gethostname() and not _lives(holder.get("pid")):
            return True
        try:
            renewed = self._storage.changed_s(f"{_FOLDER}/{name}")
        except OSError:
            return True
        return self._now() - renewed > self._lease_s

    def _now(self) -> float:
        """Return the time of the storage's clock, which also stamps renewed files."""
        return self._storage.now_s(self._clock)

    def _touch_all(self) -> None:
        while not self._end.wait(self._lease_s / 4):
            with self._lock:
                names = list(self._held)
            for name in names:
                with contextlib.suppress(OSError):
                    self._storage.renew(f"{_FOLDER}/{name}")

    def _content(self, name: str) -> dict[str, Any]:
        """Return the content of a lease, empty while another process writes it."""
        try:
            found = parse_json(self._storage.read(f"{_FOLDER}/{name}"))
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
