"""Remaining time of a training run, with a clock controlled by the test."""

from __future__ import annotations

from roadgis.train.pace import Pace


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def run(pace: Pace, clock: Clock, *seconds: float) -> list[bool]:
    """Time an epoch with steps of given durations."""
    pace.epoch_began()
    first_estimate = []
    for each in seconds:
        clock.now += each
        first_estimate.append(pace.step_ended())
    return first_estimate


def test_pace_leaves_out_the_first_step_and_counts_validation() -> None:
    clock = Clock()
    pace = Pace(30, 10, clock=clock)
    assert pace.left(0) == ""
    first_estimate = run(pace, clock, 60, *[2.0] * 9)
    # The first estimate after five measured steps.
    assert first_estimate == [False] * 5 + [True] + [False] * 4
    assert pace.seconds_left(6) == 24 * 2.0
    assert pace.estimate(6) == (
        "training takes about 48 s on this machine: 24 steps of 2 s, not counting validation"
    )
    clock.now += 100
    pace.epoch_ended()
    assert pace.seconds_left(10) == 20 * 2.0 + 2 * 100
    assert pace.left(10) == ", about 4 min left"
    assert pace.left(30) == ""


def test_pace_first_estimate_includes_the_validation_of_epoch_0() -> None:
    clock = Clock()
    pace = Pace(20, 10, epoch_end_s=120.0, slower_later=True, clock=clock)
    run(pace, clock, 60, *[1.0] * 5)
    assert pace.seconds_left(6) == 14 + 2 * 120
    assert pace.estimate(6) == (
        "training takes at least 4 min on this machine: 14 steps of 1 s, 2 validations of 2 min"
    )
