"""Learning rates over the steps of a run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from roadgis.errors import InputError
from roadgis.options.training import SCHEDULES
from roadgis.train.schedule import learning_rate

RUN: dict[str, Any] = {"peak": 0.1, "steps": 100, "warmup_steps": 10, "decay_steps": 40}


def test_learning_rate_trapezoid() -> None:
    def rate(step: int, **changed: Any) -> float:
        return float(learning_rate(step, schedule="trapezoid", **{**RUN, **changed}))

    assert rate(0) == pytest.approx(0.01)
    assert rate(4) == pytest.approx(0.05)
    assert [rate(step) for step in (9, 30, 60)] == [0.1, 0.1, 0.1]
    assert rate(80) == pytest.approx(0.05)
    assert rate(90) == pytest.approx(0.1 * (0.5 - 0.5 * np.cos(np.pi / 4)))
    assert rate(100) == 0.0
    assert all(rate(step, steps=200) == rate(step) for step in range(61))


def test_learning_rate_cosine_falls_after_the_warm_up() -> None:
    rates = [float(learning_rate(step, schedule="cosine", **RUN)) for step in (9, 10, 55, 100)]
    assert rates == pytest.approx([0.1, 0.1, 0.05, 0.0])


def test_learning_rate_one_cycle_peaks_at_three_tenths() -> None:
    rates = [float(learning_rate(step, schedule="one-cycle", **RUN)) for step in (0, 30, 65, 100)]
    assert rates == pytest.approx([0.1 / 25, 0.1, 0.1 * (0.5 + 0.5e-4), 0.1e-4])


def test_learning_rate_constant_after_the_warm_up() -> None:
    rates = [float(learning_rate(step, schedule="constant", **RUN)) for step in (0, 10, 99)]
    assert rates == pytest.approx([0.01, 0.1, 0.1])


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_scheduled_rate_equals_learning_rate(schedule: Any) -> None:
    pytest.importorskip("tensorflow", reason="needs the train extra")
    from roadgis.train.optimizer import ScheduledRate

    rate = ScheduledRate(20, schedule=schedule, **RUN)
    again = ScheduledRate.from_config(rate.get_config())
    for step in (0, 15, 60, 79):
        expected = float(learning_rate(20 + step, schedule=schedule, **RUN))
        assert float(rate(step)) == pytest.approx(expected, rel=1e-4, abs=1e-9)
        assert float(again(step)) == float(rate(step))


def test_learning_rate_rejects_unknown_schedules() -> None:
    with pytest.raises(InputError, match="expected one of trapezoid"):
        learning_rate(0, schedule="linear", **RUN)  # type: ignore[arg-type]
