"""Where tasks are done: in this process, on processes of this machine, or on a cluster."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from roadgis.batch.plan import CountyPlan
from roadgis.batch.work import Task, UnitOutcome, close_opened, do_task, open_here
from roadgis.errors import InputError, MissingExtraError, ReadError, how_to_install
from roadgis.model.runtime import available_threads

__all__ = ["DaskEngine", "Engine", "InProcess"]

_LOG = logging.getLogger(__name__)
_CONNECT_S = 10
_CLOSE_S = 30
#: How often workers are counted.
_COUNT_S = 5.0


class Engine(Protocol):
    """Does tasks."""

    @property
    def free(self) -> int:
        """How many more tasks it takes now."""

    @property
    def busy(self) -> bool:
        """Whether it has tasks that have not ended."""

    def submit(self, task: Task) -> None:
        """Take a task."""

    def wait(self, timeout_s: float) -> Sequence[UnitOutcome]:
        """Return the tasks that have ended, after waiting for one for some time."""


class InProcess:
    """One task at a time, in this process; a context manager.

    Parameters
    ----------
    folder : Path
        The county's.
    plan : CountyPlan
        Its plan.
    threads : int, optional
        Threads inside the network; all cores by default.
    device : str
        Where the model runs.
    """

    def __init__(
        self, folder: Path, plan: CountyPlan, *, threads: int | None = None, device: str = "auto"
    ) -> None:
        self._call = (str(folder), plan.plan_id)
        self._how = (threads, device)
        self._tasks: list[Task] = []

    def __enter__(self) -> InProcess:
        open_here(*self._call, *self._how)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        close_opened()

    @property
    def free(self) -> int:
        """See :class:`Engine`."""
        return 1 - len(self._tasks)

    @property
    def busy(self) -> bool:
        """See :class:`Engine`."""
        return bool(self._tasks)

    def submit(self, task: Task) -> None:
        """See :class:`Engine`."""
        self._tasks.append(task)

    def wait(self, timeout_s: float) -> Sequence[UnitOutcome]:
        """See :class:`Engine`."""
        return [do_task(*self._call, self._tasks.pop(), *self._how)]


class DaskEngine:
    """Tasks on the workers of a Dask cluster; a context manager.

    Parameters
    ----------
    folder : Path
        The county's, at the same path on all workers.
    plan : CountyPlan
        Its plan.
    workers : int, optional
        Processes to start on this machine.
    address : str, optional
        Of the scheduler of a cluster that runs already, in place of such processes.
    threads : int, optional
        Threads inside the network, of each worker; by default the cores are shared.
    device : str
        Where the model runs.

    Raises
    ------
    MissingExtraError
        If distributed is not installed.
    ReadError
        If the scheduler does not answer.
    InputError
        If a worker has another version of roadgis or another model, or does not see the folder.
    """

    def __init__(
        self,
        folder: Path,
        plan: CountyPlan,
        *,
        workers: int | None = None,
        address: str | None = None,
        threads: int | None = None,
        device: str = "auto",
    ) -> None:
        plan.check_version()
        if threads is None and address is None:
            threads = max(1, available_threads() // (workers or 1))
        self._call = (str(folder.absolute()), plan.plan_id)
        self._how = (threads, device)
        self._workers, self._address = workers, address
        self._running: dict[Any, Task] = {}
        self._count, self._counted = 1, -math.inf

    def __enter__(self) -> DaskEngine:
        distributed = _distributed()
        self._cluster = None
        if self._address is None:
            self._cluster = distributed.LocalCluster(
                n_workers=self._workers,
                threads_per_worker=1,
                processes=True,
                dashboard_address=None,
                silence_logs=logging.CRITICAL,
            )
        try:
            self._client = distributed.Client(
                self._cluster or self._address,
                timeout=_CONNECT_S,
                set_as_default=False,
            )
        except (OSError, ValueError) as error:
            self._end_cluster()
            raise ReadError(
                f"{self._address}: no Dask scheduler answers there ({error}). Check the address, "
                "and that 'dask scheduler' runs."
            ) from error
        try:
            self._check_workers()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for future in self._running:
            future.cancel()
        with contextlib.suppress(TimeoutError, _distributed().TimeoutError):
            self._client.close(timeout=_CLOSE_S)
        self._end_cluster()

    def _end_cluster(self) -> None:
        if self._cluster is not None:
            with contextlib.suppress(TimeoutError, _distributed().TimeoutError):
                self._cluster.close(timeout=_CLOSE_S)

    def _check_workers(self) -> None:
        if self._cluster is not None:
            self._client.wait_for_workers(self._workers, timeout=120)
        names = self._client.scheduler_info(n_workers=-1)["workers"]
        if not names:
            raise ReadError(
                f"{self._address}: the scheduler has no workers. Start some with 'dask worker "
                f"{self._address} --nthreads 1'."
            )
        said = self._client.run(open_here, *self._call, *self._how, on_error="return")
        wrong = {
            name: str(answer) for name, answer in said.items() if isinstance(answer, BaseException)
        }
        if wrong:
            name, text = next(iter(sorted(wrong.items())))
            raise InputError(
                f"{len(wrong)} of {len(said)} workers cannot work on this county. {name}: {text}"
            )

    @property
    def free(self) -> int:
        """See :class:`Engine`."""
        if time.monotonic() - self._counted > _COUNT_S:  # workers come and go
            self._count = max(len(self._client.scheduler_info(n_workers=-1)["workers"]), 1)
            self._counted = time.monotonic()
        # One running and one waiting for each worker, so that none is idle.
        return 2 * self._count - len(self._running)

    @property
    def busy(self) -> bool:
        """See :class:`Engine`."""
        return bool(self._running)

    def submit(self, task: Task) -> None:
        """See :class:`Engine`."""
        future = self._client.submit(do_task, *self._call, task, *self._how, pure=False)
        self._running[future] = task

    def wait(self, timeout_s: float) -> Sequence[UnitOutcome]:
        """See :class:`Engine`."""
        distributed = _distributed()
        try:
            with self._client.as_current():
                done, _ = distributed.wait(
                    list(self._running), timeout=timeout_s, return_when="FIRST_COMPLETED"
                )
        except (TimeoutError, distributed.TimeoutError):
            done = set()
        except distributed.CancelledError:
            done = {future for future in self._running if future.status in ("lost", "cancelled")}
        if self._client.status != "running" or any(
            future.status in ("lost", "cancelled") for future in done
        ):
            raise ReadError(
                "The connection to the Dask scheduler was lost. Finished units are kept: start "
                "the scheduler, and run the same command again."
            )
        return [self._outcome(future) for future in done]

    def _outcome(self, future: Any) -> UnitOutcome:
        task = self._running.pop(future)
        if future.status == "finished":
            outcome: UnitOutcome = future.result()
            return outcome
        error = future.exception()
        if type(error).__name__ == "KilledWorker":
            return UnitOutcome(
                task,
                "worker",
                "The processes that worked on it ended, perhaps for want of memory. Give workers "
                "more memory, or plan with a smaller --unit-px.",
            )
        return UnitOutcome(task, "fault", f"{type(error).__name__}: {error}")


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise MissingExtraError(
            "Several workers need distributed, which is not installed. "
            f"{how_to_install('batch')} Or divide the work with --shard."
        ) from error
    return distributed
