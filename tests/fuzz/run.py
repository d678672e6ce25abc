"""One case in a forked child, with limits of time, memory and file size."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from roadgis.errors import RoadgisError

__all__ = ["FAULT", "Child", "start"]

#: Exit status of a child that raised an unexpected exception.
FAULT = 99
_CPU_S = 60
_WALL_S = 600
_FILE_BYTES = 1 << 30
#: Memory that a case may use beyond that of the parent.
_MEMORY_BYTES = 3 << 30


@dataclass
class Child:
    """A case that runs.

    Attributes
    ----------
    pid : int
    started : float
        Monotonic clock, seconds.
    """

    pid: int
    started: float

    def ended(self) -> int | None:
        """Return the exit status, negative for a signal, or None while it runs."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() - self.started > _WALL_S:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            return -signal.SIGXCPU
        return None


def start(work: Callable[[], int], printed: Path) -> Child:
    """Run a function in a child; its output and tracebacks go to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return Child(pid, time.monotonic())
    status = FAULT
    try:
        _redirect(printed)
        _limit()
        status = work()
    except RoadgisError as error:
        print(f"Error: {error}", file=sys.stderr)
        status = 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _redirect(printed: Path) -> None:
    target = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for old, new in ((nothing, 0), (target, 1), (target, 2)):
        os.dup2(old, new)


def _limit() -> None:
    with open("/proc/self/statm") as file:
        mapped = int(file.read().split()[0]) * resource.getpagesize()
    for what, limit, more in (
        (resource.RLIMIT_AS, mapped + _MEMORY_BYTES, 0),
        (resource.RLIMIT_CPU, _CPU_S, 5),  # at the hard limit it is SIGKILL
        (resource.RLIMIT_FSIZE, _FILE_BYTES, 0),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        resource.setrlimit(what, (limit, limit + more))
