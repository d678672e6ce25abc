"""Stop when the program that started roadgis has ended.

A program that drives roadgis (QGIS) keeps the child's stdin open and never writes to it. When it
closes stdin or dies, the run stops as by SIGTERM: files are cleaned up and the exit status is 143.
An environment variable turns this on, because runs whose stdin ends at once are common (shell
loops, cron) and must not stop.
"""

from __future__ import annotations

import _thread
import os
import signal
import stat
import threading
import time
from types import TracebackType

#: Set to 1 to watch stdin, with ``--progress jsonl``.
VARIABLE = "ROADGIS_WATCH_STDIN"
#: Longest time for a stop, seconds; then the process exits at once, because native code that
#: hangs (a network drive) cannot be interrupted.
GRACE_S = 20.0
_STDIN = 0


class StdinWatch:
    """Reads stdin to its end in a thread, then stops the process.

    Used as a context manager: a run that has ended is not stopped.

    Attributes
    ----------
    active : bool
        Whether stdin is watched.
    """

    #: Reason of the stop, empty if it was not caused by a watch. An attribute of the class, because
    #: the signal handler has no instance.
    reason = ""

    def __init__(self, *, active: bool) -> None:
        self.active = active
        self._over = threading.Event()

    @classmethod
    def asked_for(cls) -> StdinWatch:
        """Return a watch, active if the environment variable is set and stdin can end."""
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
        """Ignore the end of stdin from now on."""
        self._over.set()

    def _watch(self) -> None:
        try:
            while os.read(_STDIN, 4096):
                pass
        except OSError:
            pass  # a reset connection or a closed terminal
        if self._over.is_set():
            return
        StdinWatch.reason = "stdin was closed"
        _interrupt()
        # A daemon thread: it ends with the process.
        time.sleep(GRACE_S)
        os._exit(128 + signal.SIGTERM)


def _interrupt() -> None:
    """Run the SIGTERM handler in the main thread; a system call is interrupted."""
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, signal.SIGTERM)
    else:
        _thread.interrupt_main(signal.SIGTERM)


def _can_end() -> bool:
    """Return whether stdin is a pipe or socket: files and /dev/null end at once."""
    try:
        mode = os.fstat(_STDIN).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
