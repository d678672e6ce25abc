"""One model from several of the same architecture: the mean of their weights.

Weights of one run at a high learning rate, a few hundred steps apart, lie around a mean that is
better than each of them. The files are models, or checkpoints of a run, whose moving
averages of the weights are used. Another use is the mean of a model before and after more training
with another loss, which can be better than both::

    python examples/average_weights.py default.keras run/model.keras -o mean

The means and variances of batch normalization are averaged too. With `--data` they
are measured again instead, on the images of a folder of pairs::

    python examples/average_weights.py one.keras two.keras --data massachusetts/crops/train -o mean

or, with `--settings`, on the crops of a training run, augmented as there.
"""

from __future__ import annotations

import argparse
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.errors import NotGeoreferencedWarning

import roadgis.train.fit  # noqa: F401  its losses and metrics, which checkpoints name
from roadgis.model.card import read_card_file
from roadgis.model.layout import Scaling
from roadgis.train.architectures import as_float32, model_stride
from roadgis.train.augmentation.augment import load_augmentation
from roadgis.train.callbacks import AveragedWeights
from roadgis.train.data.pair_scene import open_pairs
from roadgis.train.data.sampling import CropSampler, CropSource
from roadgis.train.data.training_data import crop_source, open_training_data
from roadgis.train.direction import without_direction
from roadgis.train.framework import import_keras
from roadgis.train.settings import read_settings


def weights_of(path: Path) -> list[Any]:
    """Return the weights of a model, or the moving averages of a checkpoint."""
    model = import_keras().models.load_model(path)
    if getattr(model, "optimizer", None) is None:
        return list(model.get_weights())
    with AveragedWeights(model):
        return list(without_direction(model).get_weights())


def measure_normalization(model: Any, sampler: CropSource, scaling: Scaling, steps: int) -> None:
    """Set the moving statistics of batch normalization to their mean over batches of crops."""
    layers = import_keras().layers
    norms = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    before = [layer.momentum for layer in norms]
    sums: list[list[Any]] = [[0.0, 0.0] for _ in norms]
    for layer in norms:
        layer.momentum = 0.0  # without momentum, the statistics are those of the batch
    batch = 6
    for step in range(steps):
        crops = [sampler.crop(step * batch + index)[0] for index in range(batch)]
        model(scaling(np.stack(crops)), training=True)
        for layer, found in zip(norms, sums, strict=True):
            found[0] = found[0] + np.asarray(layer.moving_mean)
            found[1] = found[1] + np.asarray(layer.moving_variance)
    for layer, momentum, found in zip(norms, before, sums, strict=True):
        layer.momentum = momentum
        layer.moving_mean.assign(found[0] / steps)
        layer.moving_variance.assign(found[1] / steps)


def main() -> None:
    """Write the mean with the card of the first file that has one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path, nargs="+", help=".keras files of one network")
    parser.add_argument("--card", type=Path, help="a .keras file whose card to take")
    crops = parser.add_mutually_exclusive_group()
    crops.add_argument("--data", type=Path, nargs="+", help="folders of pairs")
    crops.add_argument("--settings", type=Path, help="settings of a training run")
    parser.add_argument("--crop-px", type=int, default=384)
    parser.add_argument("--steps", type=int, default=60, help="batches of six crops")
    parser.add_argument("-o", "--output", type=Path, required=True, help="a folder")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    card_of = arguments.card or arguments.models[0]
    card = read_card_file(card_of)
    first = import_keras().models.load_model(arguments.models[0], compile=False)
    model = as_float32(without_direction(first))
    model.set_weights(
        [np.mean(same, axis=0) for same in zip(*map(weights_of, arguments.models), strict=True)]
    )
    if arguments.data:
        scenes = open_pairs(arguments.data, classes=card.classes)
        if arguments.crop_px % model_stride(model):
            parser.error(f"--crop-px is not a multiple of the model's stride {model_stride(model)}")
        road = 1 if len(card.classes) == 1 else card.road_class
        sampler = CropSampler(scenes, crop_px=arguments.crop_px, seed=0, road_class=road)
        measure_normalization(model, sampler, Scaling(card), arguments.steps)
    elif arguments.settings:
        settings = read_settings(arguments.settings)
        data = open_training_data(settings.data, settings.optimization.seed)
        augmentation = load_augmentation(settings.data.augmentation)
        source = crop_source(settings, data, card.normalize_to, augmentation)
        measure_normalization(model, source, Scaling(card), arguments.steps)
    arguments.output.mkdir(parents=True, exist_ok=True)
    model.save(arguments.output / "model.keras")
    shutil.copy(f"{card_of}.json", arguments.output / "model.keras.json")


if __name__ == "__main__":
    main()
