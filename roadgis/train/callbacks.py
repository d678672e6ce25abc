"""Keras callbacks of a run: progress, validation, checkpoints, early stopping."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from roadgis.errors import RoadgisError
from roadgis.options.training import OptimizationSettings
from roadgis.progress import Progress
from roadgis.train.framework import import_keras
from roadgis.train.pace import Pace
from roadgis.train.run_folder import RunFolder, RunState

logger = logging.getLogger(__name__)

#: Score that decides on the best weights, rate cuts and early stopping.
MONITOR = "validation_iou"
# Seconds between two progress reports within an epoch.
_REPORT_EVERY_S = 1.0
# State of Keras's own callbacks, restored when a run resumes.
_COUNTED = ("wait", "best", "cooldown_counter", "best_epoch", "stopped_epoch")

#: Callback, called as `validate(model)`; returns scores by name.
Validate: TypeAlias = Callable[[Any], dict[str, float]]


def run_callbacks(
    folder: RunFolder,
    state: RunState,
    settings: OptimizationSettings,
    *,
    validate: Validate | None,
    keep_best: Callable[[Any], None],
    slower_later: bool = False,
    progress: Progress,
) -> list[Any]:
    """Return the callbacks of a run in calling order.

    Parameters
    ----------
    folder : RunFolder
        Folder for the checkpoints.
    state : RunState
        State of the run, updated after each epoch.
    validate : callable or None
        Returns scores with :data:`MONITOR` among them; None without validation.
    keep_best : callable
        Called with the model when its score is the best so far.
    slower_later : bool
        Whether later steps take longer, as after a frozen encoder.
    progress : Progress
        Progress callback, called during and after each epoch.
    """
    keras = import_keras()
    counting: list[Any] = []
    monitor: dict[str, Any] = {"monitor": MONITOR, "mode": "max", "verbose": 0}
    if validate is None:
        monitor = {"monitor": "loss", "mode": "min", "verbose": 0}
    if settings.plateau_epochs:
        counting.append(
            keras.callbacks.ReduceLROnPlateau(
                patience=settings.plateau_epochs, factor=settings.plateau_factor, **monitor
            )
        )
    if settings.stop_epochs:
        counting.append(keras.callbacks.EarlyStopping(patience=settings.stop_epochs, **monitor))
    others = []
    if settings.tensorboard:
        others.append(_tensorboard(folder.tensorboard))
    first = state.history[0] if state.history else {"epoch": 1}
    pace = Pace(
        settings.steps,
        settings.epoch_steps,
        epoch_end_s=first["seconds"] if first["epoch"] == 0 else None,
        slower_later=slower_later,
    )
    return [
        _guard(folder, settings, pace, progress),
        _validation(validate, keep_best, state),
        *others,
        *counting,
        _state_keeper(folder, state, counting, settings, pace, progress),
    ]


def _tensorboard(path: Path) -> Any:
    return import_keras().callbacks.TensorBoard(str(path), write_graph=False)


def _guard(
    folder: RunFolder, settings: OptimizationSettings, pace: Pace, progress: Progress
) -> Any:
    class Guard(import_keras().callbacks.Callback):  # type: ignore[misc]
        """Stops if the loss is not a number, and reports progress."""

        epoch = 0
        reported = 0.0

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.epoch = epoch
            pace.epoch_began()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            step = self.epoch * settings.epoch_steps + batch + 1
            loss = float((logs or {}).get("loss", 0.0))
            if not math.isfinite(loss):
                kept = " The last checkpoint is kept." if folder.has_checkpoint() else ""
                raise RoadgisError(
                    f"The loss became {loss} at step {step}.{kept} Start "
                    "anew with a lower --peak-rate, or with --precision float32."
                )
            if pace.step_ended():
                logger.info(pace.estimate(step))
            if time.monotonic() - self.reported >= _REPORT_EVERY_S:
                self.reported = time.monotonic()
                text = f"step {step} of {settings.steps}: loss {loss:.4f}{pace.left(step)}"
                progress(step / settings.steps, text)

    return Guard()


def _validation(
    validate: Validate | None, keep_best: Callable[[Any], None], state: RunState
) -> Any:
    class Validation(import_keras().callbacks.Callback):  # type: ignore[misc]
        """Scores the averaged weights, and keeps the best."""

        def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
            if validate is None:
                return
            with AveragedWeights(self.model):
                logs.update(validate(self.model))
                # Without epoch 0, the scores of the starting model.
                trained = (r.get(MONITOR, -1.0) for r in state.history if r["epoch"])
                best = max(trained, default=-1.0)
                if logs[MONITOR] > best:
                    keep_best(self.model)

    return Validation()


class AveragedWeights:
    """Context in which a model has the moving average of its weights, if there is one."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._raw: list[Any] = []

    def __enter__(self) -> None:
        averages = _averages(self._model)
        if averages:
            variables = self._model.trainable_variables
            self._raw = [np.array(variable) for variable in variables]
            for variable, average in zip(variables, averages, strict=True):
                variable.assign(average)

    def __exit__(self, *_: object) -> None:
        if self._raw:
            for variable, raw in zip(self._model.trainable_variables, self._raw, strict=True):
                variable.assign(raw)


def _averages(model: Any) -> Sequence[Any]:
    """Return the optimizer's moving averages, one per trainable variable; empty if it has none."""
    optimizer = model.optimizer
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if not optimizer.use_ema or not optimizer.built:
        return []
    return list(optimizer._model_variables_moving_average)


def _state_keeper(
    folder: RunFolder,
    state: RunState,
    counting: Sequence[Any],
    settings: OptimizationSettings,
    pace: Pace,
    progress: Progress,
) -> Any:
    class StateKeeper(import_keras().callbacks.Callback):  # type: ignore[misc]
        """Writes a checkpoint after each epoch."""

        started = time.monotonic()

        def on_train_begin(self, logs: Any = None) -> None:
            # Keras resets the state of its callbacks when training begins.
            for callback in counting:
                counted = state.callbacks.get(type(callback).__name__, {})
                for name, value in counted.items():
                    setattr(callback, name, value)

        def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
            values = {key: float(value) for key, value in logs.items()}
            before = state.history[-1]["seconds"] if state.history else 0.0
            now = time.monotonic()
            record = {
                "epoch": epoch + 1,
                "step": (epoch + 1) * settings.epoch_steps,
                **values,
                "learning_rate": float(self.model.optimizer.learning_rate),
                "seconds": round(before + now - self.started, 1),
            }
            self.started = now
            state.history.append(record)
            state.epoch = epoch + 1
            state.seeds = seed_states(self.model)
            for callback in counting:
                state.callbacks[type(callback).__name__] = {
                    name: float(getattr(callback, name))
                    for name in _COUNTED
                    if getattr(callback, name, None) is not None
                }
            folder.save_checkpoint(self.model, state)
            pace.epoch_ended()
            text = ", ".join(f"{key} {value:.4f}" for key, value in values.items())
            step = (epoch + 1) * settings.epoch_steps
            text = f"step {step} of {settings.steps}: {text}{pace.left(step)}"
            logger.info(
                "epoch %d of %d, %s", epoch + 1, settings.steps // settings.epoch_steps, text
            )
            progress(step / settings.steps, text)

    return StateKeeper()


def seed_states(model: Any) -> dict[str, list[int]]:
    """Return the random states of a model's layers (dropout), by layer name."""
    return {
        layer.name: np.asarray(layer.seed_generator.state).tolist()
        for layer in model._flatten_layers()
        if getattr(layer, "seed_generator", None) is not None
    }


def set_seed_states(model: Any, states: dict[str, list[int]]) -> None:
    """Restore random states; see :func:`seed_states`."""
    for layer in model._flatten_layers():
        if getattr(layer, "seed_generator", None) is not None and layer.name in states:
            state = layer.seed_generator.state
            state.assign(np.asarray(states[layer.name], state.dtype))
