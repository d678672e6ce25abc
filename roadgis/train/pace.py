"""Remaining time of a training run, from the steps and epochs measured."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from roadgis.imagery.size import duration

# Steps before the first estimate, and steps that an estimate averages over.
_FIRST_ESTIMATE = 5
_AVERAGED = 100


class Pace:
    """Times the steps of a run, and the validation and checkpoint after each epoch.

    The first step is left out, as the model is compiled in it.

    Parameters
    ----------
    epoch_end_s : float or None
        Duration of a validation, if known before the first epoch ends.
    slower_later : bool
        Whether later steps take longer, as after a frozen encoder.
    clock : callable
        Returns the time in seconds.
    """

    def __init__(
        self,
        steps: int,
        epoch_steps: int,
        *,
        epoch_end_s: float | None = None,
        slower_later: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._steps = steps
        self._epoch_steps = epoch_steps
        self._clock = clock
        self._at_least = "at least " if slower_later else "about "
        self._mark: float | None = None
        self._compiled = False
        self._step_s: deque[float] = deque(maxlen=_AVERAGED)
        self._epoch_end_s = epoch_end_s

    def epoch_began(self) -> None:
        """Start timing the first step of an epoch."""
        self._mark = self._clock()

    def step_ended(self) -> bool:
        """Time a step; return True if the first estimate is possible now."""
        seconds = self._lap()
        if not self._compiled:
            self._compiled = True
            return False
        self._step_s.append(seconds)
        return len(self._step_s) == _FIRST_ESTIMATE

    def epoch_ended(self) -> None:
        """Time the validation and checkpoint after an epoch."""
        self._epoch_end_s = self._lap()

    def _lap(self) -> float:
        now = self._clock()
        seconds = 0.0 if self._mark is None else now - self._mark
        self._mark = now
        return seconds

    def seconds_left(self, step: int) -> float | None:
        """Return the remaining time after `step` steps; None before the first estimate."""
        if not self._step_s:
            return None
        mean_s = sum(self._step_s) / len(self._step_s)
        epochs_left = self._steps // self._epoch_steps - step // self._epoch_steps
        return (self._steps - step) * mean_s + epochs_left * (self._epoch_end_s or 0.0)

    def left(self, step: int) -> str:
        """Return the remaining time as a suffix of a message, such as ``, about 12 min left``."""
        seconds = self.seconds_left(step)
        if seconds is None or step >= self._steps:
            return ""
        return f", {self._at_least}{duration(seconds)} left"

    def estimate(self, step: int) -> str:
        """Return a sentence with the remaining time and its basis."""
        seconds = self.seconds_left(step)
        assert seconds is not None
        text = (
            f"training takes {self._at_least}{duration(seconds)} on this machine: "
            f"{self._steps - step} steps of {sum(self._step_s) / len(self._step_s):.2g} s"
        )
        if self._epoch_end_s is not None:
            epochs = self._steps // self._epoch_steps - step // self._epoch_steps
            return f"{text}, {epochs} validations of {duration(self._epoch_end_s)}"
        return f"{text}, not counting validation"
