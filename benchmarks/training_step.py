"""Time of a training step with fused batch normalization and with that of Keras, in turns.

The network is that of the bundled model, on random crops. Needs the extra ``train``.
"""

from __future__ import annotations

import argparse
import time
from statistics import median
from typing import Any

import numpy as np

from roadgis.train.architectures import ArchitectureOptions, build_model
from roadgis.train.batch_norm import fuse_batch_normalization

_BATCH = 8


def _model(fused: bool) -> Any:
    options = ArchitectureOptions(
        backbone="efficientnetlite0", depth=4, subpixel=True, decoder_filters=(96, 48, 32)
    )
    model = build_model(options)
    if fused:
        fuse_batch_normalization(model)
    model.compile(optimizer="adamw", loss="binary_crossentropy")
    return model


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--crop", type=int, default=256, help="crop side in pixels")
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    images = rng.random((_BATCH, arguments.crop, arguments.crop, 3), np.float32)
    labels = (rng.random((*images.shape[:3], 1)) > 0.9).astype(np.float32)
    models = [_model(fused=False), _model(fused=True)]
    seconds: list[list[float]] = [[], []]
    for number in range(arguments.rounds + 2):
        for model, times in zip(models, seconds, strict=True):
            started = time.perf_counter()
            model.train_on_batch(images, labels)
            if number >= 2:  # warm-up
                times.append(time.perf_counter() - started)
    keras, fused = map(median, seconds)
    print(f"{_BATCH} crops of {arguments.crop} px: {keras:.3f} s with Keras, {fused:.3f} s fused")
    print(f"fused takes {fused / keras:.2f} of the time")


if __name__ == "__main__":
    main()
