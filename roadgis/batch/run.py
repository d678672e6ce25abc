"""Running a county until all units are done or have failed."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from roadgis.batch.board import Board, Shard
from roadgis.batch.engine import Engine
from roadgis.batch.leases import LEASE_S, Leases, here
from roadgis.batch.plan import PLAN, CountyPlan
from roadgis.batch.storage import county_address, storage
from roadgis.batch.store import Failure, ResultStore
from roadgis.batch.work import UnitOutcome
from roadgis.errors import InputError, OutputError, RoadgisError
from roadgis.progress import Progress, no_progress

_LOG = logging.getLogger(__name__)
_POLL_S = 1.0


@dataclass(frozen=True)
class RunSummary:
    """Summary of a run.

    Attributes
    ----------
    done, failed : int
        Number of steps of units that this run finished, and that failed for good.
    pixels : float
        Number of pixels under sheets that this run did.
    seconds : float
        Duration of the run.
    """

    done: int
    failed: int
    pixels: float
    seconds: float


def run_county(
    folder: Path,
    plan: CountyPlan,
    engine: Engine,
    *,
    retries: int = 2,
    max_failures: int | None = None,
    shard: Shard | None = None,
    lease_s: float = LEASE_S,
    progress: Progress = no_progress,
) -> RunSummary:
    """Process the remaining units of a county, or of one shard.

    Several runs may work on one county at the same time.

    Parameters
    ----------
    engine : Engine
        Executor of the tasks.
    retries : int
        Number of retries of a step after a temporary error.
    max_failures : int, optional
        Number of failed steps above which the run stops.
    shard : tuple of int, optional
        Number, from 1, and count of shards: process only this part.
    lease_s : float
        Seconds without a sign of life after which a lease expires.

    Raises
    ------
    OutputError
        If a result cannot be written.
    RoadgisError
        If too many steps failed, or the plan changed during the run.
    """
    started, store = time.monotonic(), ResultStore(folder)
    store.make()
    stamp = storage(folder).version(PLAN)
    done = failed = 0
    with Leases(folder, lease_s) as leases:
        board = Board(plan, store, shard)
        report = _Report(board, progress)
        report()
        while _hand_out(engine, board, leases, store) or _has_more(board):
            for outcome in engine.wait(_POLL_S) if engine.busy else ():
                failed += _settle(outcome, board, store, retries)
                leases.release(outcome.task.name)
                done += not outcome.code
                if max_failures is not None and failed > max_failures:
                    raise RoadgisError(
                        f"{failed} units have failed, more than --max-failures {max_failures}; the "
                        f"last one: {outcome.message} 'roadgis batch status' lists all."
                    )
            if storage(folder).version(PLAN) != stamp:
                raise RoadgisError(
                    f"{county_address(folder)}: the plan was changed while this run worked on it. "
                    "Run the same command again."
                )
            report()
        return RunSummary(done, failed, board.done_here_px, time.monotonic() - started)


def _hand_out(engine: Engine, board: Board, leases: Leases, store: ResultStore) -> bool:
    """Submit tasks while the engine takes some; return whether any has not ended yet."""
    while engine.free > 0 and (task := board.next()) is not None:
        if not leases.take(task.name):
            board.elsewhere(task)
        elif store.has(task.step, task.unit, task.key):
            leases.release(task.name)  # another run has finished it since we looked
            board.finish(task)
        else:
            engine.submit(task)
    return engine.busy


def _has_more(board: Board) -> bool:
    """Wait for delayed tasks and other runs; return whether anything is left to do."""
    pause = board.pause_s()
    if pause is None:
        # Other runs may have predicted what lines of ours wait for.
        board.refresh()
        return not board.is_idle
    time.sleep(min(pause, _POLL_S))
    if pause >= _POLL_S:
        board.refresh()
    return True


def _settle(outcome: UnitOutcome, board: Board, store: ResultStore, retries: int) -> bool:
    """Record the outcome of a task; return whether it failed for good."""
    task = outcome.task
    if outcome.stops:
        kind = OutputError if outcome.code == "write" else InputError
        raise kind(outcome.message)
    if not outcome.code:
        store.forgive(task.step, task.unit, task.key)
        board.finish(task)
        return False
    failure = Failure(
        outcome.code,
        outcome.message,
        permanent=not outcome.passing,
        attempts=task.attempts,
        worker=here(),
        finished=datetime.now().astimezone().isoformat(timespec="seconds"),
    )
    store.fail(task.step, task.unit, task.key, failure)
    again = board.fail(task, failure, retries)
    first_line = outcome.message.splitlines()[0] if outcome.message else outcome.code
    _LOG.warning(
        "unit %s failed (%s)%s: %s",
        task.unit.name,
        outcome.code,
        ", tried again later" if again else "",
        first_line,
    )
    return not again


class _Report:
    """Reports progress as the share of pixels under sheets that are done."""

    def __init__(self, board: Board, progress: Progress) -> None:
        self._board, self._progress = board, progress
        self._most = 0.0

    def __call__(self) -> None:
        total = max(self._board.total_px, 1)
        # Another run's results may make lines untraced again; progress does not go back.
        self._most = max(self._most, self._board.done_px)
        self._progress(
            self._most / total, f"mapping: {self._most / 1e6:.1f} of {total / 1e6:.1f} Mpx"
        )
