"""Stopping when the program that started roadgis is gone.

A program that drives roadgis (QGIS) keeps the child's stdin open and never writes to it. When
it closes stdin, or dies, by whatever means, stdin ends, and the run stops as by SIGTERM: files
are put in order and the exit status is 143. This is asked for by an environment variable, as a
run whose stdin ends at once is common (shell loops, cron) and must not stop.
"""

from __future__ import annotations

import _thread
import os
import signal
import stat
import threading
import time
from types import TracebackType

__all__ = ["GRACE_S", "VARIABLE", "StdinWatch"]

#: Set to 1 to have stdin watched, with ``--progress jsonl``.
VARIABLE = "ROADGIS_WATCH_STDIN"
#: How long a stop may take, seconds; then the process ends at once. Native code that hangs
#: (a network drive) cannot be interrupted otherwise.
GRACE_S = 20.0
_STDIN = 0


class StdinWatch:
    """Reads stdin to its end in a thread, then stops the process.

    Use as a context: a run that has ended is not stopped any more.

    Attributes
    ----------
    active : bool
        Whether there is something to watch.
    """

    #: Why the process was told to stop, empty when not by a watch. Of the class, because the
    #: signal's handler, which belongs to no watch, tells it.
    reason = ""

    def __init__(self, *, active: bool) -> None:
        self.active = active
        self._over = threading.Event()

    @classmethod
    def asked_for(cls) -> StdinWatch:
        """Return a watch, active if the environment asks for one and stdin can end."""
        return cls(active=os.environ.get(VARIABLE, "") not in {"", "0"} and _can_end())

    def __enter__(self) -> StdinWatch:
        if self.active:
            threading.Thread(target=self._watch, name="stdin watch", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def end(self) -> None:
        """Let the end of stdin mean nothing from now on: the work is done."""
        self._over.set()

    def _watch(self) -> None:
        try:
            while os.read(_STDIN, 4096):
                pass
        except OSError:
            pass  # a reset connection, a closed terminal: the other side is gone as well
        if self._over.is_set():
            return
        StdinWatch.reason = "stdin was closed"
        _interrupt()
        # A daemon thread: it ends with the process, if that comes to its end by itself.
        time.sleep(GRACE_S)
        os._exit(128 + signal.SIGTERM)


def _interrupt() -> None:
    """Have the main thread run its handler of SIGTERM, out of a system call if need be."""
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, signal.SIGTERM)
    else:
        _thread.interrupt_main(signal.SIGTERM)


def _can_end() -> bool:
    """Return whether stdin is a pipe or socket: files and /dev/null are at their end already."""
    try:
        mode = os.fstat(_STDIN).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
