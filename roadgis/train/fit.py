"""The training run: from scenes to a Keras model and its card; resumes after interruption."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from roadgis.errors import InputError, OutputError
from roadgis.model.card import ModelCard
from roadgis.options.training import TrainSettings
from roadgis.progress import Progress, no_progress, scaled
from roadgis.train.architectures import (
    as_float32,
    fixed_tile,
    freeze_encoder,
    model_stride,
    thaw_encoder,
    with_precision,
)
from roadgis.train.augmentation.augment import Augmentation, load_augmentation
from roadgis.train.batch_norm import fuse_batch_normalization
from roadgis.train.callbacks import AveragedWeights, Validate, run_callbacks, set_seed_states
from roadgis.train.data.amount import amount_of
from roadgis.train.data.sampling import crop_dataset, follow_epochs
from roadgis.train.data.training_data import TrainingData, crop_source, open_training_data
from roadgis.train.direction import DirectionLoss, with_direction, without_direction
from roadgis.train.framework import import_keras
from roadgis.train.losses import RoadIoU, build_loss
from roadgis.train.optimizer import build_optimizer, reschedule
from roadgis.train.run_card import run_card
from roadgis.train.run_folder import Checkpoint, RunFolder, RunState
from roadgis.train.run_report import finish_run
from roadgis.train.settings import settings_to_dict, write_settings
from roadgis.train.starting_model import initial_model
from roadgis.train.validation import data_set_scores, score_start, validation_scores

logger = logging.getLogger(__name__)

# A resumed run may be longer.
_MAY_CHANGE = {
    ("optimization", "steps"),
    ("optimization", "decay_steps"),
    ("optimization", "stop_epochs"),
    ("optimization", "tensorboard"),
    ("data", "workers"),
    ("data", "validation"),
}


def fit(
    settings: TrainSettings,
    output: Path,
    *,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> ModelCard:
    """Train a road model; resume if the folder holds a checkpoint.

    Parameters
    ----------
    settings : TrainSettings
        Written into the run folder as ``settings.yaml``.
    output : Path
        Run folder: ``model.keras`` with its card, ``log.csv``, ``report.html`` and the checkpoint.
    overwrite : bool
        Start anew if the folder holds a run.
    progress : Progress
        Progress callback, called during and after each epoch.

    Returns
    -------
    ModelCard
        Also written next to the model.

    Raises
    ------
    DataError
        If the data cannot be used.
    InputError
        If the folder holds a run with other settings or data.
    OutputError
        If the folder holds a finished run, or cannot be written.
    RoadgisError
        If the loss is not a number.
    """
    folder = RunFolder(output)
    if output.is_file():
        raise OutputError(f"{output}: is a file; expected the name of a folder for the run.")
    checkpoint = None if overwrite else _checkpoint(folder, settings)
    # Before reading the data: mistakes in the list are found at once.
    augmentation = load_augmentation(settings.data.augmentation)
    data = open_training_data(
        # Messages only: the fraction is that of training.
        settings.data,
        settings.optimization.seed,
        scaled(progress, 0.0, 0.0),
    )
    fingerprint = _fingerprint(data, augmentation)
    if checkpoint is not None and checkpoint.state.data != fingerprint:
        raise InputError(
            f"{output}: belongs to a run on other training data or with another augmentation list, "
            "or these files have changed since. "
            "Choose another folder, or start anew with --overwrite."
        )
    amount = amount_of(data, settings.data)
    logger.info("labelled: %s", amount)
    run = _Run(settings, folder, data, augmentation, fingerprint, progress)
    card = run.train(checkpoint)
    finish_run(settings, folder, data, amount)
    return card


def _checkpoint(folder: RunFolder, settings: TrainSettings) -> Checkpoint | None:
    """Return the checkpoint to resume from; None in a folder without a run."""
    checkpoint = folder.load_checkpoint()
    if checkpoint is not None:
        _check_settings(checkpoint.state, settings, folder)
        done = checkpoint.state.epoch * settings.optimization.epoch_steps
        if done >= settings.optimization.steps and folder.model.is_file():
            raise OutputError(
                f"{folder.path}: holds a finished run of {settings.optimization.steps} steps. Make "
                "it longer with --steps, choose another folder, or start anew with --overwrite."
            )
    elif folder.model.exists():
        raise OutputError(
            f"{folder.model} exists, without a checkpoint to resume from. Choose another folder, "
            "replace it with --overwrite, or start from it in another folder with --init."
        )
    return checkpoint


def _fingerprint(data: TrainingData, augmentation: Augmentation) -> str:
    """Return a fingerprint of what decides the crops, apart from the settings."""
    listed = json.dumps(augmentation.settings, sort_keys=True)
    return hashlib.sha256(f"{data.fingerprint}\n{listed}".encode()).hexdigest()


def _check_settings(state: RunState, settings: TrainSettings, folder: RunFolder) -> None:
    """Raise if a run has other settings."""
    now, default = (
        json.loads(json.dumps(settings_to_dict(one, paths=False)))
        for one in (settings, TrainSettings())
    )
    # A setting that is newer than the run had its default value.
    before = {
        section: {**default[section], **state.settings.get(section, {})} for section in default
    }
    differ = [
        f"{section}.{key} {before[section].get(key)!r} before, {value!r} now"
        for section in ("data", "network", "optimization")
        for key, value in now[section].items()
        if (section, key) not in _MAY_CHANGE and before[section].get(key) != value
    ]
    if differ:
        raise InputError(
            f"{folder.path}: holds a run with other settings ({'; '.join(differ)}). Use those to "
            "resume it, start anew with --overwrite, or choose another folder."
        )


@dataclass
class _Run:
    settings: TrainSettings
    folder: RunFolder
    data: TrainingData
    augmentation: Augmentation
    fingerprint: str
    progress: Progress

    def train(self, checkpoint: Checkpoint | None) -> ModelCard:
        """Train the remaining epochs and return the card."""
        import_keras().utils.set_random_seed(self.settings.optimization.seed)
        float32, start = initial_model(
            self.settings.network,
            classes=len(self.settings.data.classes),
            crop_px=self.settings.data.crop_px,
        )
        self._check_crops(float32)
        card = run_card(self.settings, self.data.sets, float32, start)
        # Only now, after all checks of settings and data.
        if checkpoint is None:
            self.folder.remove()
        self.folder.prepare()
        write_settings(self.settings, self.folder.settings)
        state = RunState(
            settings=settings_to_dict(self.settings, paths=False), data=self.fingerprint
        )
        if checkpoint is not None:
            state = checkpoint.state
            state.settings = settings_to_dict(self.settings, paths=False)
            logger.info("resuming after epoch %d", state.epoch)
            model = self._restored(checkpoint)
        else:
            model = with_precision(float32, self.settings.optimization.precision)
            if self.settings.optimization.direction_weight:
                model = with_direction(model)
            validate = self._validate(card)
            if start is not None and validate is not None:
                score_start(validate, model, state, self.folder)
        epochs = self.settings.optimization.steps // self.settings.optimization.epoch_steps
        frozen = min(self.settings.network.frozen_epochs, epochs)
        for end, is_frozen in ((frozen, True), (epochs, False)):
            if state.epoch >= end:
                continue
            if state.epoch in (0, frozen):
                # A new phase has a new optimizer, which knows the trainable weights.
                (freeze_encoder if is_frozen else thaw_encoder)(model)
                self._compile(model, state.epoch)
            stopped = self._epochs(model, card, state, end)
            if stopped or end == epochs:
                break
            # From the checkpoint, as in a resumed run: the end of `fit` has assigned the averaged
            # weights.
            saved = self.folder.load_checkpoint()
            assert saved is not None
            model = self._restored(saved)
        if not self._keeps_best():
            with AveragedWeights(model):
                self.folder.save_model(as_float32(without_direction(model)), card)
        return card

    def _keeps_best(self) -> bool:
        return bool(self.data.validation) and self.settings.optimization.keep == "best"

    def _check_crops(self, model: Any) -> None:
        crop_px, stride, tile = self.settings.data.crop_px, model_stride(model), fixed_tile(model)
        if crop_px % stride or (tile is not None and crop_px != tile):
            wanted = f"{tile} px" if tile else f"a multiple of the model's stride {stride}"
            raise InputError(f"crop_px is {crop_px}, expected {wanted}.")

    def _compile(self, model: Any, first_epoch: int) -> None:
        settings = self.settings.optimization
        classes = len(self.settings.data.classes)
        loss: Any = build_loss(
            settings.loss or ("cce_jaccard" if classes > 1 else "bce_jaccard"),
            classes=classes,
            class_weights=settings.class_weights,
            edge_smoothing=settings.edge_smoothing,
            cldice_weight=settings.cldice_weight,
        )
        if settings.direction_weight:
            loss = DirectionLoss(loss, settings.direction_weight)
        mean_iou = partial(import_keras().metrics.OneHotMeanIoU, dtype="float32", name="iou")
        fuse_batch_normalization(model)
        model.compile(
            optimizer=build_optimizer(settings, first_epoch * settings.epoch_steps),
            loss=loss,
            # Weighted: over the valid pixels.
            weighted_metrics=[mean_iou(classes) if classes > 1 else RoadIoU()],
        )

    def _restored(self, checkpoint: Checkpoint) -> Any:
        try:
            model = import_keras().models.load_model(checkpoint.model)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"{checkpoint.model}: cannot be loaded ({error}). It is damaged, or an older "
                "roadgis wrote it: finish the run with that version, or start anew with "
                "--overwrite."
            ) from error
        fuse_batch_normalization(model)
        set_seed_states(model, checkpoint.state.seeds)
        reschedule(model.optimizer, self.settings.optimization)
        return model

    def _epochs(self, model: Any, card: ModelCard, state: RunState, end: int) -> bool:
        """Train up to epoch `end`; return whether the run stopped early."""
        settings = self.settings
        sampler = crop_source(settings, self.data, card.normalize_to, self.augmentation)
        batches = crop_dataset(
            sampler,
            batch=settings.data.batch,
            steps=settings.optimization.epoch_steps,
            mean=card.mean,
            std=card.std,
            classes=len(card.classes),
            first_epoch=state.epoch,
            workers=settings.data.workers,
        )
        model.fit(
            batches,
            initial_epoch=state.epoch,
            epochs=end,
            callbacks=[
                follow_epochs(batches),
                *run_callbacks(
                    self.folder,
                    state,
                    settings.optimization,
                    validate=self._validate(card),
                    keep_best=self._keep_best(card),
                    slower_later=end * settings.optimization.epoch_steps
                    < settings.optimization.steps,
                    progress=self.progress,
                ),
            ],
            # Keras would shuffle the batches with Python's generator, whose state a resumed run
            # does not have; the crops are random already.
            shuffle=False,
            verbose=0,
        )
        return state.epoch < end

    def _validate(self, card: ModelCard) -> Validate | None:
        if not self.data.validation:
            return None
        if self.data.sets:
            return lambda model: data_set_scores(without_direction(model), card, self.data.sets)
        return lambda model: validation_scores(without_direction(model), card, self.data.validation)

    def _keep_best(self, card: ModelCard) -> Any:
        def keep(model: Any) -> None:
            if self._keeps_best():
                self.folder.save_model(as_float32(without_direction(model)), card)

        return keep
