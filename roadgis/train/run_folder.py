"""The folder of a training run: its files, and checkpoints that survive a kill."""

from __future__ import annotations

import csv
import io
import json
import logging
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from roadgis.atomic import atomic_path, describe_failure
from roadgis.errors import InputError, OutputError
from roadgis.model.card import ModelCard, write_card_file
from roadgis.plain_values import parse_json
from roadgis.train.framework import import_keras

logger = logging.getLogger(__name__)

#: First columns of ``log.csv``; others follow them.
HISTORY_COLUMNS = ("epoch", "step", "loss", "iou", "validation_iou", "learning_rate", "seconds")
_CHECKPOINT = "checkpoint-"
_PARTIAL = ".partial-checkpoint"


@dataclass
class RunState:
    """State of a run besides weights and optimizer, needed to resume it.

    Attributes
    ----------
    epoch : int
        Finished epochs.
    settings : dict
        See :func:`roadgis.train.settings.settings_to_dict`.
    data : str
        Fingerprint of the training data and the augmentation list.
    history : list of dict
        One record per epoch; epoch 0 holds the scores of the starting model.
    callbacks : dict
        State of Keras's callbacks, by class name.
    seeds : dict
        Random states by layer name.
    """

    epoch: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    data: str = ""
    history: list[dict[str, float]] = field(default_factory=list)
    callbacks: dict[str, Any] = field(default_factory=dict)
    seeds: dict[str, list[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk.

    Attributes
    ----------
    model : Path
        ``.keras`` file with the optimizer's state.
    """

    model: Path
    state: RunState


class RunFolder:
    """Files of a run.

    Parameters
    ----------
    path : Path
        Created when something is written.

    Attributes
    ----------
    settings, model, log, report, threshold_plot, tensorboard : Path
        Paths of these files.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings = path / "settings.yaml"
        self.model = path / "model.keras"
        self.log = path / "log.csv"
        self.report = path / "report.html"
        self.threshold_plot = path / "threshold.svg"
        self.tensorboard = path / "tensorboard"

    def prepare(self) -> None:
        """Create the folder, and remove half-written files of a killed run.

        Raises
        ------
        OutputError
            If it cannot be created, or is a file.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(self.path / _PARTIAL, ignore_errors=True)
        except OSError as error:
            raise OutputError(describe_failure(self.path, error)) from error

    def is_run(self) -> bool:
        """Return whether the folder holds a run."""
        return self.settings.is_file() or bool(self._checkpoints())

    def has_checkpoint(self) -> bool:
        """Return whether a run can be resumed."""
        return bool(self._checkpoints())

    def remove(self) -> None:
        """Remove the files of the run; others are kept."""
        for file in (self.settings, self.model, self.log, self.report, self.threshold_plot):
            file.unlink(missing_ok=True)
        self.model.with_name(self.model.name + ".json").unlink(missing_ok=True)
        for folder in (*self._checkpoints(), self.tensorboard, self.path / _PARTIAL):
            shutil.rmtree(folder, ignore_errors=True)

    def save_checkpoint(self, model: Any, state: RunState) -> None:
        """Write a checkpoint; the previous one is removed when the new one is complete.

        Parameters
        ----------
        model : keras.Model
            Compiled; its optimizer is saved too.

        Raises
        ------
        OutputError
            If it cannot be written, e.g. because the disk is full. The previous one is kept.
        """
        partial = self.path / _PARTIAL
        target = self.path / f"{_CHECKPOINT}{state.epoch:05d}"
        before = [folder for folder in self._checkpoints() if folder != target]
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            model.save(partial / "model.keras")
            (partial / "state.json").write_text(json.dumps(vars(state)), encoding="utf-8")
            if target.exists():
                shutil.rmtree(target)
            partial.rename(target)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            after = (
                "The previous checkpoint is kept: free disk space and repeat the same command to "
                "resume from it."
                if before
                else "There is no checkpoint yet: free disk space and repeat the same command."
            )
            raise OutputError(f"{describe_failure(target, error)} {after}") from error
        for folder in before:
            shutil.rmtree(folder, ignore_errors=True)
        self.write_log(state.history)

    def load_checkpoint(self) -> Checkpoint | None:
        """Return the newest checkpoint, or None."""
        found = self._checkpoints()
        if not found:
            return None
        path = found[-1] / "state.json"
        try:
            state = RunState(**parse_json(path.read_bytes()))
        except (OSError, ValueError, TypeError) as error:
            raise InputError(
                f"{path}: the checkpoint cannot be read ({error}). Remove {found[-1]}, or start "
                "anew with --overwrite."
            ) from error
        return Checkpoint(found[-1] / "model.keras", state)

    def save_model(self, model: Any, card: ModelCard) -> None:
        """Write the model and its card.

        Raises
        ------
        OutputError
            If they cannot be written; previous files are kept.
        """
        # Keras chooses the format by the suffix .keras.
        partial = self.path / ".partial-model.keras"
        try:
            # A new model of the same layers leaves out the optimizer, which is twice as large as
            # the weights.
            import_keras().Model(model.input, model.output, name=model.name).save(partial)
            partial.replace(self.model)
            write_card_file(card, self.model)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise OutputError(describe_failure(self.model, error)) from error

    def _checkpoints(self) -> list[Path]:
        return sorted(
            folder
            for folder in self.path.glob(f"{_CHECKPOINT}*")
            if (folder / "model.keras").is_file()
        )

    def write_log(self, history: list[dict[str, float]]) -> None:
        """Write the history of a run as ``log.csv``."""
        keys = {key for record in history for key in record}
        columns = [key for key in HISTORY_COLUMNS if key in keys]
        columns += sorted(keys - set(columns))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in r.items()} for r in history
        )
        with atomic_path(self.log) as partial:
            partial.write_text(text.getvalue(), encoding="utf-8")
