"""Scheduling: which steps of a county are done, and which can be done next."""

from __future__ import annotations

import heapq
import itertools
import time
from collections import deque
from collections.abc import Iterator

from roadgis.batch.failures import delay_s
from roadgis.batch.plan import CountyPlan
from roadgis.batch.store import STEPS, Failure, ResultStore, Step
from roadgis.batch.units import Unit
from roadgis.batch.work import Task, traced_key
from roadgis.errors import InputError

#: Number of a shard, from 1, and number of shards.
Shard = tuple[int, int]
#: Share of a unit's time that each step takes.
_SHARE: dict[Step, float] = {"predicted": 0.9, "traced": 0.1}


class Board:
    """Queue of the steps of a county that one run can do.

    A unit is traced when all units within reach are predicted, or have failed permanently.

    Parameters
    ----------
    shard : tuple of int, optional
        Predict this part only, and trace the units that touch it.
    """

    def __init__(self, plan: CountyPlan, store: ResultStore, shard: Shard | None = None) -> None:
        self.plan = plan
        self.store = store
        self._own = _part(plan.units, shard)
        self._own_names = {unit.name for unit in self._own}
        self._near = {
            near.name for unit in self._own for near in plan.around[unit.row, unit.col]
        } | self._own_names
        self._later: list[tuple[float, int, Task]] = []
        self._count = itertools.count()
        self._elsewhere: list[Task] = []
        self._given_up: dict[tuple[Step, str], Failure] = {}
        self._queue: deque[Task] = deque()
        self._queued: set[tuple[Step, str, str]] = set()
        #: ``UNIT.KEY`` of finished results, by step.
        self.done: dict[Step, set[str]] = {step: set() for step in STEPS}
        self._done_px = 0.0
        self.refresh()
        self._start_px = self._done_px

    def refresh(self) -> None:
        """Read the state of all files again: other runs may have finished units."""
        for step in STEPS:
            self.done[step] = self.store.done(step)
        failures = self.store.failed()
        for unit in self.plan.units:
            known = self.store.failure("predicted", unit, unit.key) if (
                f"predicted.{unit.name}.{unit.key}" in failures
            ) else None  # fmt: skip
            if known is not None and known.permanent:
                self._given_up["predicted", unit.name] = known
        waiting, self._elsewhere = self._elsewhere, []
        self._queued -= {self._id(task) for task in waiting}
        if not self.plan.of_masks:
            for unit in self._own:
                self._put(Task("predicted", unit, unit.key))
        for unit in self.plan.units:
            self._put_trace(unit, failures)
        self._done_px = sum(unit.pixels * self._share(unit) for unit in self._own)

    def next(self) -> Task | None:
        """Return the next task, or None if none can be done at the moment."""
        while self._later and self._later[0][0] <= time.monotonic():
            self._queue.appendleft(heapq.heappop(self._later)[2])
        return self._queue.popleft() if self._queue else None

    def pause_s(self) -> float | None:
        """Return the seconds until the next task may be possible, or None if nothing is left."""
        if self._later:
            return max(self._later[0][0] - time.monotonic(), 0.05)
        return 2.0 if self._elsewhere else None

    @property
    def is_idle(self) -> bool:
        """Whether no task is queued, delayed, or leased by another run."""
        return not (self._queue or self._later or self._elsewhere)

    def elsewhere(self, task: Task) -> None:
        """Record that another run holds the lease of a task."""
        self._elsewhere.append(task)

    def finish(self, task: Task) -> None:
        """Record that a task is done, and queue the tasks that depend on it."""
        self.done[task.step].add(f"{task.unit.name}.{task.key}")
        if task.unit.name in self._own_names:
            share = 1.0 if self.plan.of_masks else _SHARE[task.step]
            self._done_px += share * task.unit.pixels
        if task.step == "predicted":
            self._settled(task.unit)

    def fail(self, task: Task, failure: Failure, retries: int) -> bool:
        """Record that a task failed; return whether this run will retry it."""
        if not failure.permanent and task.attempts <= retries:
            again = Task(task.step, task.unit, task.key, task.around, task.attempts + 1)
            at = time.monotonic() + delay_s(task.attempts)
            heapq.heappush(self._later, (at, next(self._count), again))
            return True
        self._given_up[task.step, task.unit.name] = failure
        if task.step == "predicted":
            self._settled(task.unit)
        return False

    @property
    def total_px(self) -> int:
        """Number of pixels under sheets in this run's units."""
        return sum(unit.pixels for unit in self._own)

    @property
    def done_px(self) -> float:
        """Number of pixels done; a unit that is predicted but not traced counts in part."""
        return self._done_px

    @property
    def done_here_px(self) -> float:
        """Number of pixels done since the run began."""
        return self._done_px - self._start_px

    def traced_keys(self) -> Iterator[tuple[Unit, str]]:
        """Yield each predicted unit with the current key of its traced lines."""
        for unit in self.plan.units:
            if self.is_predicted(unit):
                yield unit, traced_key(self.plan, unit, self._around(unit))

    def is_traced(self, unit: Unit, key: str) -> bool:
        """Return whether a unit's lines are traced."""
        return f"{unit.name}.{key}" in self.done["traced"]

    def _share(self, unit: Unit) -> float:
        if not self.is_predicted(unit):
            return 0.0
        traced = self.is_traced(unit, traced_key(self.plan, unit, self._around(unit)))
        if self.plan.of_masks:
            return float(traced)
        return _SHARE["predicted"] + _SHARE["traced"] * traced

    def is_predicted(self, unit: Unit) -> bool:
        """Return whether a unit's probability exists; masks always do."""
        return self.plan.of_masks or f"{unit.name}.{unit.key}" in self.done["predicted"]

    def _around(self, unit: Unit) -> dict[str, str]:
        """Return the keys of the predicted units within reach, by unit name."""
        if self.plan.of_masks:
            return {}
        near = self.plan.around[unit.row, unit.col]
        return {other.name: other.key for other in near if self.is_predicted(other)}

    def _settled(self, unit: Unit) -> None:
        for near in (unit, *self.plan.around[unit.row, unit.col]):
            self._put_trace(near)

    def _put_trace(self, unit: Unit, failures: set[str] | None = None) -> None:
        if unit.name not in self._near or not self.is_predicted(unit):
            return
        around = self._around(unit)
        if not self.plan.of_masks:
            open_ = (
                other.name
                for other in self.plan.around[unit.row, unit.col]
                if other.name not in around and ("predicted", other.name) not in self._given_up
            )
            if next(open_, None) is not None:
                return
        key = traced_key(self.plan, unit, around)
        if failures and f"traced.{unit.name}.{key}" in failures:
            known = self.store.failure("traced", unit, key)
            if known is not None and known.permanent:
                self._given_up["traced", unit.name] = known
                return
        self._put(Task("traced", unit, key, around))

    def _put(self, task: Task) -> None:
        if f"{task.unit.name}.{task.key}" in self.done[task.step]:
            return
        if task.step == "predicted" and ("predicted", task.unit.name) in self._given_up:
            return
        if self._id(task) in self._queued:
            return
        self._queued.add(self._id(task))
        if task.step == "traced":
            self._queue.appendleft(task)
        else:
            self._queue.append(task)

    @staticmethod
    def _id(task: Task) -> tuple[Step, str, str]:
        return task.step, task.unit.name, task.key


def _part(units: tuple[Unit, ...], shard: Shard | None) -> list[Unit]:
    """Return consecutive units that hold about 1/count of all pixels."""
    if shard is None:
        return list(units)
    number, count = shard
    if not 1 <= number <= count:
        raise InputError(
            f"--shard is {number}/{count}, expected N/COUNT with N from 1 to COUNT, such as 3/16."
        )
    total = sum(unit.pixels for unit in units)
    before, part = 0, []
    for unit in units:
        if (number - 1) * total <= before * count < number * total:
            part.append(unit)
        before += unit.pixels
    return part
