"""Learning rate schedules: pure functions of the step, so that a resumed run needs no state."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from roadgis.errors import InputError
from roadgis.options.training import SCHEDULES, Schedule

# One-cycle (Smith 2018): start and end as a share of the peak, and position of the peak.
_CYCLE_START = 1 / 25
_CYCLE_END = 1e-4
_CYCLE_PEAK_AT = 0.3


def learning_rate(
    step: Any,
    *,
    schedule: Schedule,
    peak: float,
    steps: int,
    warmup_steps: int,
    decay_steps: int,
    xp: Any = np,
) -> Any:
    """Return the learning rate of a step.

    Parameters
    ----------
    step : number
        From 0; a float32 tensor if `xp` is not numpy.
    schedule : {"trapezoid", "cosine", "one-cycle", "constant"}
        "trapezoid": constant after the warm-up, then half a cosine to zero over the last
        `decay_steps`; the constant part does not depend on the length of the run, so a longer run
        can resume a shorter one that had not begun to decay. "cosine": half a cosine from the end
        of the warm-up to the end of the run. "one-cycle": half a cosine up to the peak at 30 % of
        the run and half a cosine down to nearly zero; `warmup_steps` is ignored. "constant":
        constant after the warm-up.
    steps : int
        Length of the run.
    warmup_steps, decay_steps : int
        Length of the linear warm-up, and of the trapezoid's decay.
    xp : module
        numpy, or ``keras.ops`` within a training step.
    """
    if schedule not in SCHEDULES:
        raise InputError(f"schedule is {schedule!r}, expected one of {', '.join(SCHEDULES)}.")
    if schedule == "one-cycle":
        top = max(1, round(steps * _CYCLE_PEAK_AT))
        rising = _between(_CYCLE_START, 1.0, step / top, xp)
        falling = _between(1.0, _CYCLE_END, (step - top) / max(steps - top, 1), xp)
        return peak * xp.where(step < top, rising, falling)
    rate = peak * xp.minimum(1.0, (step + 1) / max(warmup_steps, 1))
    fall = {"trapezoid": decay_steps, "cosine": max(steps - warmup_steps, 1)}.get(schedule, 0)
    return rate * _between(0.0, 1.0, (steps - step) / fall, xp) if fall else rate


def _between(start: float, end: float, share: Any, xp: Any) -> Any:
    """Return a point of half a cosine from `start` to `end`."""
    share = xp.minimum(xp.maximum(share, 0.0), 1.0)
    return start + (end - start) * (0.5 - 0.5 * xp.cos(math.pi * share))
