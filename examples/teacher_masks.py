"""Masks as a trained model sees them, to train the next one on beside the drawn ones.

Drawn masks miss roads and lie beside them; a model that has seen many of them knows better than
each alone. This program predicts the images of a folder in all eight symmetries, takes the mean,
and writes one folder of pairs for each threshold, which `roadgis train --data` takes::

    python examples/teacher_masks.py massachusetts/train teacher/train --model second
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from roadgis import load_model
from roadgis.model.runtime import Segmenter
from roadgis.train.pairs import find_pairs

#: What invalid pixels look like to the network.
FILL = 115
#: Added around the image, mirrored, pixels; a multiple of the network's stride.
BORDER = 16


def mean_probability(
    model: Segmenter, image: npt.NDArray[np.uint8], stride: int
) -> npt.NDArray[np.float32]:
    """Return the mean probability over the eight symmetries of an image, (H, W), 0..1."""
    height, width = image.shape[:2]
    rest = [-size % stride + BORDER for size in (height, width)]
    padded = np.pad(image, ((BORDER, rest[0]), (BORDER, rest[1]), (0, 0)), mode="reflect")
    total = np.zeros(padded.shape[:2], np.float32)
    for flipped in (False, True):
        for turns in range(4):
            view = np.rot90(padded[:, ::-1] if flipped else padded, turns)
            found = model.predict(np.ascontiguousarray(view)[None])[0].reshape(view.shape[:2])
            back = np.rot90(found, -turns)
            total += back[:, ::-1] if flipped else back
    return total[BORDER : BORDER + height, BORDER : BORDER + width] / 8


def main() -> None:
    """Write the masks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="with images and masks")
    parser.add_argument("output", type=Path, help="gets a folder for each threshold")
    parser.add_argument("--model", default=None, help="by default the bundled one")
    parser.add_argument("--thresholds", type=float, nargs="+", default=[0.3, 0.55])
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    model = load_model(arguments.model)
    for pair in find_pairs(arguments.folder):
        with rasterio.open(pair.image) as dataset:
            image = np.ascontiguousarray(dataset.read([1, 2, 3]).transpose(1, 2, 0))
            image[dataset.dataset_mask() == 0] = FILL
            place = {"crs": dataset.crs, "transform": dataset.transform}
        probability = mean_probability(model, image, model.card.stride)
        for threshold in arguments.thresholds:
            folder = arguments.output / f"at-{threshold:.2f}"
            images, masks = folder / "images", folder / "masks"
            masks.mkdir(parents=True, exist_ok=True)
            if not images.exists():
                images.symlink_to(pair.image.parent.resolve())
            height, width = probability.shape
            with rasterio.open(
                masks / f"{pair.image.stem}.tif",
                "w",
                driver="GTiff",
                height=height,
                width=width,
                count=1,
                dtype="uint8",
                compress="deflate",
                **place,
            ) as mask:
                mask.write((probability > threshold).astype(np.uint8), 1)
        print(pair.name, flush=True)


if __name__ == "__main__":
    main()
