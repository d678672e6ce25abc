"""The training run: crops to a Keras model and its card, going on after a kill."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from roadgis.errors import DataError, InputError, OutputError, RoadgisError
from roadgis.model.card import ModelCard, card_path, read_card_file, write_card_file
from roadgis.progress import Progress, no_progress
from roadgis.train.architectures import build_unet, receptive_margin
from roadgis.train.augment import aerial_augmentation
from roadgis.train.dataset import CropSampler, Sample, crop_dataset, read_samples
from roadgis.train.framework import import_keras
from roadgis.train.losses import ValidIoU, bce_jaccard_loss

__all__ = ["FitOptions", "fit", "learning_rate"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FitOptions:
    """Settings of a training run; they are written into the model card.

    Attributes
    ----------
    backbone, depth, decoder_filters
        See :func:`roadgis.train.architectures.build_unet`.
    encoder_weights : str or None
        ``"imagenet"`` or None.
    gsd_m : float
        Ground sampling distance of the training images, metres.
    crop_px, batch : int
        Side of the crops, and how many make a step.
    steps : int
        Steps of the whole run.
    epoch_steps : int
        Steps between checkpoints.
    peak_rate : float
        Learning rate after the warm-up.
    warmup_steps, decay_steps : int
        Length of the linear rise at the start and of the cosine fall at the end.
    weight_decay : float
        Of AdamW.
    seed : int
        Of weights and crops.
    name, training_data, licence : str
        Go into the model card.
    """

    backbone: str = "resnet18"
    depth: int = 4
    decoder_filters: tuple[int, ...] = (128, 64, 32, 16)
    encoder_weights: str | None = None
    gsd_m: float = 1.0
    crop_px: int = 256
    batch: int = 8
    steps: int = 6000
    epoch_steps: int = 200
    peak_rate: float = 1e-3
    warmup_steps: int = 200
    decay_steps: int = 2000
    weight_decay: float = 1e-3
    seed: int = 1
    name: str = "roads"
    training_data: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.epoch_steps < 1 or self.batch < 1:
            raise InputError("steps, epoch_steps and batch must be at least 1.")
        if self.crop_px % 2**self.depth:
            raise InputError(
                f"crop_px is {self.crop_px}, expected a multiple of the network's stride "
                f"{2**self.depth}."
            )


def learning_rate(step: int, options: FitOptions) -> float:
    """Return the learning rate of a step: linear warm-up, plateau, cosine decay to zero.

    The plateau does not depend on the length of the run, so a longer run can be taken up
    from a checkpoint of a shorter one as long as that had not begun to decay.
    """
    rate = options.peak_rate * min(1.0, (step + 1) / max(options.warmup_steps, 1))
    left = options.steps - step
    if left < options.decay_steps:
        rate *= 0.5 - 0.5 * math.cos(math.pi * left / options.decay_steps)
    return rate


def _check_scores(model: Any, samples: Sequence[Sample], card: ModelCard) -> float:
    """Return the IoU at 0.5 over whole scenes of `samples`, cut to multiples of the stride."""
    hit = union = 0.0
    stride = card.stride
    for sample in samples:
        height, width = (size // stride * stride for size in sample.road.shape)
        image = sample.image[:height, :width].astype(np.float32) / np.float32(255)
        image = (image - np.asarray(card.mean, np.float32)) / np.asarray(card.std, np.float32)
        found = np.asarray(model(image[None], training=False))[0, ..., 0] >= 0.5
        valid, road = sample.valid[:height, :width], sample.road[:height, :width]
        hit += float((found & road & valid).sum())
        union += float(((found | road) & valid).sum())
    return hit / max(union, 1.0)


def _save(model: Any, path: Path) -> None:
    # The name must end in .keras for Keras to choose the format.
    partial = path.with_name(f".{path.stem}.part.keras")
    model.save(partial)
    partial.replace(path)


def fit(
    folders: Sequence[Path],
    output: Path,
    options: FitOptions | None = None,
    *,
    validation: Sequence[Path] = (),
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> ModelCard:
    """Train a road model; go on from the checkpoint when there is one.

    Parameters
    ----------
    folders : sequence of Path
        Each holds ``images`` and ``masks`` (see :func:`roadgis.train.dataset.find_pairs`).
    output : Path
        The ``.keras`` file to write; its card goes beside it, and so do the checkpoint that a
        later run can take up and the log (``NAME.checkpoint.keras``, ``NAME.log.jsonl``).
    options : FitOptions, optional
        The settings.
    validation : sequence of Path
        Folders to score after each epoch (logged, not trained on).
    overwrite : bool
        Replace an existing `output`.
    progress : Progress
        Told after each epoch.

    Returns
    -------
    ModelCard
        Also written beside `output`.

    Raises
    ------
    DataError
        If the data cannot be used.
    InputError
        If the checkpoint was made with other settings.
    OutputError
        If `output` exists and may not be replaced.
    RoadgisError
        If the loss stops being a number.
    """
    settings = options or FitOptions()
    if output.suffix != ".keras":
        raise InputError(f"{output}: expected an output name that ends in .keras.")
    if output.exists() and not overwrite:
        raise OutputError(f"{output} exists. Choose another name, or replace it with --overwrite.")
    output.parent.mkdir(parents=True, exist_ok=True)
    samples = read_samples(folders)
    if not samples:
        raise DataError("No training data: name at least one folder with --data.")
    held_out = read_samples(validation)
    logger.info("training on %d scenes, checking on %d", len(samples), len(held_out))

    import_keras().utils.set_random_seed(settings.seed)
    model = build_unet(
        settings.backbone,
        depth=settings.depth,
        decoder_filters=settings.decoder_filters,
        encoder_weights=settings.encoder_weights,
    )
    card = _new_card(model, folders, settings)
    checkpoint = output.with_name(f"{output.stem}.checkpoint.keras")
    model = _compiled_or_restored(model, checkpoint, settings)
    done = int(model.optimizer.iterations.numpy())
    if done < settings.steps:
        sampler = CropSampler(
            samples, crop_px=settings.crop_px, seed=settings.seed, augment=aerial_augmentation()
        )
        first = done // settings.epoch_steps
        data = crop_dataset(
            sampler,
            batch=settings.batch,
            steps=settings.epoch_steps,
            mean=card.mean,
            std=card.std,
            first_epoch=first,
        )
        # Keras would shuffle the batches of an epoch from Python's generator, whose state a
        # resumed run does not have; the crops are random already.
        model.fit(
            data,
            initial_epoch=first,
            epochs=-(-settings.steps // settings.epoch_steps),
            callbacks=[_run_callback(checkpoint, held_out, card, settings, progress)],
            shuffle=False,
            verbose=0,
        )
    _save(model, output)
    write_card_file(card, output)
    return card


def _new_card(model: Any, folders: Sequence[Path], settings: FitOptions) -> ModelCard:
    stride = 2**settings.depth
    margin = receptive_margin(model, stride)
    return ModelCard(
        name=settings.name,
        version="1",
        mean=(0.45, 0.45, 0.45),
        std=(0.25, 0.25, 0.25),
        gsd_m=settings.gsd_m,
        stride=stride,
        margin_px=margin if margin is not None else 8 * stride,
        local=margin is not None,
        training_data=settings.training_data or ", ".join(folder.name for folder in folders),
        licence=settings.licence,
        recipe=dataclasses.asdict(settings),
    )


def _compiled_or_restored(model: Any, checkpoint: Path, settings: FitOptions) -> Any:
    """Return the checkpoint's model with its optimizer, or else the given one, compiled."""
    keras = import_keras()
    if not checkpoint.is_file():
        model.compile(
            optimizer=keras.optimizers.AdamW(
                settings.peak_rate, weight_decay=settings.weight_decay, global_clipnorm=1.0
            ),
            loss=bce_jaccard_loss,
            metrics=[ValidIoU()],
        )
        return model
    if card_path(checkpoint).is_file():
        _check_recipe(read_card_file(checkpoint).recipe, settings, checkpoint)
    model = keras.models.load_model(checkpoint)
    done = int(model.optimizer.iterations.numpy())
    if done % settings.epoch_steps:
        raise InputError(
            f"{checkpoint}: was made with another epoch_steps ({done} steps done, "
            f"{settings.epoch_steps} asked for). Use the settings of that run, or remove it."
        )
    return model


# A run may be made longer, and be given another name, when it is taken up.
_MAY_CHANGE = frozenset({"steps", "decay_steps", "name", "training_data", "licence"})


def _check_recipe(recipe: dict[str, Any], settings: FitOptions, checkpoint: Path) -> None:
    """Refuse to go on with a run of other settings."""
    now = json.loads(json.dumps(dataclasses.asdict(settings)))
    before = json.loads(json.dumps(recipe))
    differ = [
        f"{key} {before[key]} before, {now[key]} now"
        for key in sorted(now.keys() & before.keys() - _MAY_CHANGE)
        if before[key] != now[key]
    ]
    if differ:
        raise InputError(
            f"{checkpoint}: belongs to a run with other settings ({'; '.join(differ)}). Use "
            "those to go on with it, remove it to start anew, or choose another output."
        )


def _run_callback(
    checkpoint: Path,
    held_out: Sequence[Sample],
    card: ModelCard,
    settings: FitOptions,
    progress: Progress,
) -> Any:
    """Return the Keras callback that sets the rate, and after each epoch checks, saves and logs."""
    keras = import_keras()
    log = checkpoint.with_name(checkpoint.name.removesuffix(".checkpoint.keras") + ".log.jsonl")
    epochs = -(-settings.steps // settings.epoch_steps)
    started = time.monotonic()

    class Run(keras.callbacks.Callback):  # type: ignore[misc,name-defined]
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            step = int(self.model.optimizer.iterations.numpy())
            self.model.optimizer.learning_rate.assign(learning_rate(step, settings))

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            values = {key: float(value) for key, value in (logs or {}).items()}
            if not math.isfinite(values.get("loss", 0.0)):
                raise RoadgisError(
                    f"The loss became {values['loss']} in epoch {epoch + 1}. Try a lower "
                    f"--peak-rate; the last good checkpoint is {checkpoint}."
                )
            if held_out:
                values["validation_iou"] = _check_scores(self.model, held_out, card)
            write_card_file(card, checkpoint)
            _save(self.model, checkpoint)
            step = int(self.model.optimizer.iterations.numpy())
            record = {"epoch": epoch + 1, "step": step, **values, "s": time.monotonic() - started}
            with log.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(record) + "\n")
            text = ", ".join(f"{key} {value:.4f}" for key, value in values.items())
            progress((epoch + 1) / epochs, f"step {step}: {text}")

    return Run()
