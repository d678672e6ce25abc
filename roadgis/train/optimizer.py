"""The optimizer, with a learning rate schedule that works on any Keras backend."""

from __future__ import annotations

from typing import Any

from roadgis.options.training import OptimizationSettings
from roadgis.train.framework import import_keras
from roadgis.train.schedule import learning_rate

# The average reaches back over at most a tenth of the run.
_AVERAGED_SHARE = 10

keras = import_keras()
ops = keras.ops


@keras.saving.register_keras_serializable(package="roadgis")
class ScheduledRate(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc,name-defined]
    """:func:`roadgis.train.schedule.learning_rate` as a part of the optimizer.

    A callback could set the rate before each step on tensorflow, but not on JAX, which keeps the
    optimizer's variables outside of Keras within an epoch.

    Parameters
    ----------
    first_step : int
        Step of the run at which the optimizer starts; it counts its own steps from 0.
    **schedule
        Keyword arguments of :func:`learning_rate`.
    """

    def __init__(self, first_step: int = 0, **schedule: Any) -> None:
        self.first_step = first_step
        self.schedule = schedule

    def __call__(self, step: Any) -> Any:
        """Return the rate of the optimizer's step."""
        return learning_rate(ops.cast(step, "float32") + self.first_step, xp=ops, **self.schedule)

    def get_config(self) -> dict[str, Any]:
        """Return what a saved optimizer needs to make it again."""
        return {"first_step": self.first_step, **self.schedule}


def _rate(settings: OptimizationSettings, first_step: int) -> Any:
    if settings.plateau_epochs:
        return settings.peak_rate  # ReduceLROnPlateau sets it
    return ScheduledRate(
        first_step,
        schedule=settings.schedule,
        peak=settings.peak_rate,
        steps=settings.steps,
        warmup_steps=settings.warmup_steps,
        decay_steps=settings.decay_steps,
    )


def build_optimizer(settings: OptimizationSettings, first_step: int) -> Any:
    """Return AdamW with the rate, decay, clipping and averaging of the settings."""
    # In a short run a long average would still contain the initial weights.
    momentum = min(settings.ema, max(0.0, 1 - _AVERAGED_SHARE / settings.steps))
    averaged = {"use_ema": True, "ema_momentum": momentum} if momentum else {}
    return keras.optimizers.AdamW(
        _rate(settings, first_step),
        weight_decay=settings.weight_decay,
        global_clipnorm=settings.clip_norm,
        **averaged,
    )


def reschedule(optimizer: Any, settings: OptimizationSettings) -> None:
    """Apply the schedule of a run that was made longer to a restored optimizer."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    before = inner._learning_rate
    if isinstance(before, ScheduledRate):
        inner.learning_rate = _rate(settings, before.first_step)
