"""Short work in one process that is kept, so that it does not block the server."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

_R = TypeVar("_R")


def _prepare() -> None:
    """Leave Ctrl-C to the server, and end when the server has ended in any way."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_server, name="server watch", daemon=True).start()


def _end_with_server() -> None:
    server = multiprocessing.parent_process()
    assert server is not None
    server.join()
    os._exit(0)


class Pool:
    """A process that runs functions of :mod:`roadgis.web.tasks`, one after the other."""

    def __init__(self) -> None:
        self._executor = self._started()

    @staticmethod
    def _started() -> ProcessPoolExecutor:
        # "spawn": forking a process with threads may copy a lock that is held.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(1, mp_context=context, initializer=_prepare)

    async def run(self, function: Callable[..., _R], *arguments: Any) -> _R:
        """Run a function there and return what it returns.

        Raises
        ------
        MemoryError
            If the process was killed; the next call starts another one.
        Exception
            The exception of the function.
        """
        executor = self._executor
        try:
            return await asyncio.get_running_loop().run_in_executor(executor, function, *arguments)
        except BrokenProcessPool as error:
            if self._executor is executor:
                self._executor = self._started()
            raise MemoryError("the process was killed") from error

    def close(self) -> None:
        """End the process."""
        self._executor.shutdown(wait=False, cancel_futures=True)
