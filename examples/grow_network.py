"""A trained U-Net made deeper, and cheaper at full resolution, to train it further.

The network gets more residual units in its encoder, which do nothing at first, and in place of the
decoder's last block a layer that gives 2 by 2 pixels at once. All other weights are kept, and the
new layer is fitted by least squares to what the trained network gives for the images of a folder,
so that training goes on from about where it ended::

    python examples/grow_network.py third grown --units 2,2,5 --data massachusetts/crops/train
    roadgis train --init grown ...
"""

from __future__ import annotations

import argparse
import dataclasses
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from roadgis.model.card import ModelCard, write_card_file
from roadgis.model.layout import Scaling
from roadgis.train.architectures import (
    ArchitectureOptions,
    build_model,
    model_stride,
    receptive_margin,
)
from roadgis.train.framework import import_keras
from roadgis.train.initial import load_trained, resolve_trained
from roadgis.train.pairs import find_pairs

#: Logits beyond this say no more than that the network is sure.
SURE = 6.0
#: How much more a pixel counts of which it is not.
UNSURE_WEIGHT = 4.0
#: Left out at the border of an image, px at half resolution: the padding is seen there.
BORDER = 16


def grow(trained: Any, depth: int, units: tuple[int, ...]) -> tuple[Any, list[str]]:
    """Build the larger network with the trained one's weights.

    Returns
    -------
    model : keras.Model
        Its new residual units add zero to what comes in.
    fresh : list of str
        Layers that the trained network has not.
    """
    filters = tuple(
        trained.get_layer(f"decoder_stage{block}b_conv").filters for block in range(depth - 1)
    )
    model = build_model(
        ArchitectureOptions(
            depth=depth, encoder_units=units, subpixel=True, decoder_filters=filters
        )
    )
    known = {layer.name: layer.get_weights() for layer in trained.layers}
    fresh = []
    for layer in model.layers:
        weights = layer.get_weights()
        if layer.name == "final_conv" or not weights:  # lays pixels out, as it was built
            continue
        kept = known.get(layer.name, [])
        if [w.shape for w in kept] == [w.shape for w in weights]:
            layer.set_weights(kept)
            continue
        fresh.append(layer.name)
        if layer.name.endswith("_conv2"):  # the last of a residual unit
            layer.set_weights([np.zeros_like(w) for w in weights])
    return model, fresh


def fit_output(model: Any, trained: Any, card: ModelCard, images: list[Path], stride: int) -> None:
    """Fit the layer before the last to the trained network's logits."""
    keras = import_keras()
    features = keras.Model(model.input, model.get_layer("subpixel_conv").input)
    logits = keras.Model(trained.input, trained.get_layer("final_conv").output)
    width = features.output_shape[-1]
    products = np.zeros((width + 1, width + 1))
    answers = np.zeros((width + 1, 4))
    for path in images:
        with rasterio.open(path) as dataset:
            image = dataset.read([1, 2, 3]).transpose(1, 2, 0)
        height, side = (size // stride * stride for size in image.shape[:2])
        scaled = Scaling(card)(np.ascontiguousarray(image[None, :height, :side]))
        x = inner(np.asarray(features(scaled, training=False)), BORDER).reshape(-1, width)
        x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
        z = inner(np.asarray(logits(scaled, training=False)), 2 * BORDER)[..., 0]
        z = np.stack([z[i::2, j::2].ravel() for i in (0, 1) for j in (0, 1)], axis=1)
        z = z.clip(-SURE, SURE)
        sure = np.abs(z).min(axis=1, keepdims=True) > SURE - 1
        weighted = np.where(sure, 1.0, UNSURE_WEIGHT) * x
        products += weighted.T @ x
        answers += weighted.T @ z
    # A feature that is zero everywhere would leave nothing to solve.
    ridge = 1e-9 * np.trace(products) / len(products) * np.eye(len(products))
    solved = np.linalg.solve(products + ridge, answers).astype(np.float32)
    model.get_layer("subpixel_conv").set_weights([solved[None, None, :-1], solved[-1]])


def inner(batch: npt.NDArray[Any], border: int) -> npt.NDArray[Any]:
    """Return the first of a batch without its border."""
    part: npt.NDArray[Any] = batch[0, border:-border, border:-border]
    return part


def main() -> None:
    """Write the larger network with its card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trained", help="default, a .keras file or a run's folder")
    parser.add_argument("output", type=Path, help="a folder, for roadgis train --init")
    parser.add_argument("--units", default="2,2,5", help="residual units of each stage")
    parser.add_argument("--data", type=Path, required=True, help="pairs whose images to fit on")
    parser.add_argument("--every", type=int, default=6, help="take one image in so many")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    trained, card = load_trained(resolve_trained(arguments.trained))
    units = tuple(int(part) for part in arguments.units.split(","))
    stride = model_stride(trained)
    model, fresh = grow(trained, stride.bit_length() - 1, units)
    images = [pair.image for pair in find_pairs(arguments.data)[:: arguments.every]]
    fit_output(model, trained, card, images, stride)
    margin = receptive_margin(model, stride)
    assert margin is not None
    arguments.output.mkdir(parents=True, exist_ok=True)
    model.save(arguments.output / "model.keras")
    card = dataclasses.replace(card, margin_px=margin)
    write_card_file(card, arguments.output / "model.keras")
    print(f"{model.count_params():,} parameters, margin {margin} px; new: {', '.join(fresh)}")


if __name__ == "__main__":
    main()
