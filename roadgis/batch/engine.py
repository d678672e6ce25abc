"""Executors of tasks: this process, or Dask workers on this machine or a cluster."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from roadgis.batch.plan import CountyPlan
from roadgis.batch.silence import silenced
from roadgis.batch.storage import county_address
from roadgis.batch.work import Task, UnitOutcome, close_opened, do_task, open_here
from roadgis.errors import InputError, MissingExtraError, ReadError, RoadgisError, how_to_install
from roadgis.model.runtime import available_threads

_LOG = logging.getLogger(__name__)
_CONNECT_S = 10
_START_S = 120
_CLOSE_S = 30
#: Interval between counts of the workers, seconds.
_COUNT_S = 5.0
#: What distributed raises when the scheduler is gone; more kinds once its client has closed.
_LOST = (OSError, asyncio.TimeoutError, asyncio.CancelledError, concurrent.futures.CancelledError)
#: What Dask watches more often than a worker of local units needs; each wake-up takes CPU time.
_LOCAL_CONFIG = {
    "distributed.worker.profile.enabled": False,
    "distributed.worker.memory.monitor-interval": "1s",
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.admin.tick.interval": "1s",
    # With Dask's value, the memory of each array is returned to the system at once.
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None,
}
#: Loggers that write tracebacks of a lost connection to stderr; users get an error instead.
_SILENCED = ("distributed", "distributed.client", "tornado.application", "asyncio")


class Engine(Protocol):
    """Protocol of an executor of tasks."""

    @property
    def free(self) -> int:
        """Number of tasks that can be submitted now."""

    @property
    def busy(self) -> bool:
        """Whether submitted tasks have not ended yet."""

    def submit(self, task: Task) -> None:
        """Start a task, or queue it."""

    def wait(self, timeout_s: float) -> Sequence[UnitOutcome]:
        """Wait until a task ends or the time is up; return the outcomes of ended tasks."""


class InProcess:
    """Executor that does one task at a time in this process; a context manager.

    Parameters
    ----------
    threads : int, optional
        Number of CPU threads for inference; all cores by default.
    device : str
        Device of the model.
    """

    def __init__(
        self, folder: Path, plan: CountyPlan, *, threads: int | None = None, device: str = "auto"
    ) -> None:
        self._call = (county_address(folder), plan.plan_id)
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
    """Executor on the workers of a Dask cluster; a context manager.

    Parameters
    ----------
    folder : Path
        Folder of the county, at the same path on all workers.
    workers : int, optional
        Number of processes to start on this machine.
    address : str or distributed cluster, optional
        Running cluster, or the address of its scheduler, instead of `workers`.
    threads : int, optional
        Number of CPU threads for inference on each worker; by default local workers share the
        cores.
    device : str
        Device of the model.

    Raises
    ------
    MissingExtraError
        If distributed is not installed.
    ReadError
        If the scheduler does not answer, has no workers, or the connection to it is lost.
    InputError
        If a worker has another version of roadgis or of the model, or cannot read the folder.
    """

    def __init__(
        self,
        folder: Path,
        plan: CountyPlan,
        *,
        workers: int | None = None,
        address: Any = None,
        threads: int | None = None,
        device: str = "auto",
    ) -> None:
        plan.check_version()
        if threads is None and address is None:
            threads = max(1, available_threads() // (workers or 1))
        self._call = (county_address(folder), plan.plan_id)
        self._how = (threads, device)
        self._workers, self._address = workers, address
        self._running: dict[Any, Task] = {}
        self._count, self._counted = 1, -math.inf

    def __enter__(self) -> DaskEngine:
        distributed = _distributed()
        self._cluster = None
        with contextlib.ExitStack() as stack:
            stack.enter_context(silenced(*_SILENCED))
            if self._address is None:
                self._cluster = _local_cluster(self._workers)
                stack.callback(_closed, self._cluster)
            try:
                self._client = distributed.Client(
                    self._cluster or self._address,
                    timeout=_CONNECT_S,
                    set_as_default=False,
                )
            except (OSError, ValueError) as error:
                raise ReadError(
                    f"{self._address}: no Dask scheduler answers there ({error}). Check the "
                    "address, and that 'dask scheduler' runs."
                ) from error
            stack.callback(_closed, self._client)
            with self._scheduler():
                self._check_workers()
            self._open = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._open, contextlib.suppress(ReadError), self._scheduler():
            self._client.cancel(list(self._running))

    @contextlib.contextmanager
    def _scheduler(self) -> Iterator[None]:
        """Turn any error of a lost scheduler into one message."""
        try:
            yield
        except RoadgisError:
            raise
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, _LOST) or self._client.status != "running":
                raise ReadError(
                    "The connection to the Dask scheduler was lost. Finished units are kept: start "
                    "the scheduler, and run the same command again."
                ) from error
            raise

    def _check_workers(self) -> None:
        if self._cluster is not None:
            try:
                self._client.wait_for_workers(self._workers, timeout=_START_S)
            except asyncio.TimeoutError as error:
                raise ReadError(
                    f"{self._workers} worker processes did not start within {_START_S} seconds. "
                    "Start fewer with --workers, or free some memory."
                ) from error
        known = self._client.scheduler_info(n_workers=-1)
        if not known["workers"]:
            raise ReadError(
                f"{known['address']}: the scheduler has no workers. Start some with 'dask worker "
                f"{known['address']} --nthreads 1'."
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
            with self._scheduler():
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
        with self._scheduler():
            future = self._client.submit(do_task, *self._call, task, *self._how, pure=False)
        self._running[future] = task

    def wait(self, timeout_s: float) -> Sequence[UnitOutcome]:
        """See :class:`Engine`."""
        distributed = _distributed()
        with self._scheduler():
            try:
                with self._client.as_current():
                    done, _ = distributed.wait(
                        list(self._running), timeout=timeout_s, return_when="FIRST_COMPLETED"
                    )
            except asyncio.TimeoutError:
                done = set()
            if self._client.status != "running":
                raise ConnectionError(f"the client of Dask is {self._client.status}")
            return [self._outcome(future) for future in done]

    def _outcome(self, future: Any) -> UnitOutcome:
        task = self._running[future]
        error = None if future.status == "finished" else future.exception()
        if error is None:
            outcome: UnitOutcome = future.result()
        elif isinstance(error, _LOST):
            raise error  # lost or cancelled with the scheduler; tasks return their own errors
        elif type(error).__name__ == "KilledWorker":
            outcome = UnitOutcome(
                task,
                "worker",
                "The processes that worked on this unit ended, perhaps because memory ran out. "
                "Give workers more memory, or plan with a smaller --unit-px.",
            )
        else:
            outcome = UnitOutcome(task, "fault", f"{type(error).__name__}: {error}")
        del self._running[future]
        return outcome


def _local_cluster(workers: int | None) -> Any:
    import dask

    with dask.config.set(_LOCAL_CONFIG):
        return _distributed().LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": ":0"},  # several runs on a machine
            silence_logs=logging.CRITICAL,
        )


def _closed(resource: Any) -> None:
    """Close a client or a cluster, whose scheduler may be gone."""
    with contextlib.suppress(OSError, asyncio.TimeoutError):
        resource.close(timeout=_CLOSE_S)


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise MissingExtraError(
            "Several workers need distributed, which is not installed. "
            f"{how_to_install('batch')} Or divide the work with --shard."
        ) from error
    return distributed
