"""Move labels to the roads that a trained model detects, to train the next model.

Lines of a map lie a few pixels off the road, sometimes to the left and sometimes to the right, and
a model trained on them becomes vague. A model trained on many such labels is closer to the road
than each single one. Labels are moved only: none is
added or removed. This program writes a folder of pairs like its input, for
`roadgis train --data`::

    python examples/move_labels.py massachusetts/train moved/train --model second

For each pixel of a label centreline, the nearest pixel of a predicted centreline within
`--reach-px` gives the offset of the label. These offsets are averaged along the road, and the
label pixels are moved by the average.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from scipy.ndimage import distance_transform_edt, gaussian_filter

from roadgis import load_model
from roadgis.model.runtime import Segmenter
from roadgis.train.data.pairs import find_pairs
from roadgis.vectorization.bitplanes import WORD, pack, unpack
from roadgis.vectorization.thinning import thin

#: Value of invalid pixels in the model input.
FILL = 115
#: Mirrored pixels added around the image; a multiple of the model's stride.
BORDER = 64
#: Half of the largest road width to thin, pixels.
THINNING = 40

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]


def centerlines(mask: Mask) -> Mask:
    """Return the skeleton of a mask, (H, W)."""
    width = mask.shape[1]
    words = np.pad(mask, ((0, 0), (0, -width % WORD)))
    return unpack(thin(pack(words), THINNING))[:, :width] > 0


def offsets(label: Mask, found: Mask, *, reach_px: float, along_px: float) -> Floats:
    """Return the offsets of labels, averaged along roads.

    Parameters
    ----------
    label, found : ndarray (H, W) bool
        Roads as drawn, and as predicted.
    reach_px : float
        Maximum offset of a label.
    along_px : float
        Standard deviation of the averaging weights along the road.

    Returns
    -------
    ndarray (2, H, W) float32
        Rows and columns from the label to the road; meaningful near labels only.
    """
    drawn, seen = centerlines(label), centerlines(found)
    if not seen.any():
        return np.zeros((2, *label.shape), np.float32)
    distance, nearest = distance_transform_edt(~seen, return_indices=True)
    tells = (drawn & (distance <= reach_px)).astype(np.float32)
    weight = gaussian_filter(tells, along_px)
    # Weight of the label: a road detected along a few pixels moves its label only partly.
    doubt = 0.25 * float(gaussian_filter(_line(along_px), along_px).max())
    grid = np.indices(label.shape)
    parts = [
        gaussian_filter(((nearest[axis] - grid[axis]) * tells).astype(np.float32), along_px)
        / (weight + doubt)
        for axis in (0, 1)
    ]
    return np.stack(parts).astype(np.float32)


def _line(along_px: float) -> Floats:
    """Return a straight centreline for the average."""
    side = 2 * int(4 * along_px) + 1
    line = np.zeros((side, side), np.float32)
    line[side // 2] = 1
    return line


def moved(label: Mask, offset: Floats) -> Mask:
    """Return the label with its pixels moved by `offset`."""
    rows, cols = np.indices(label.shape, np.float32)
    found = cv2.remap(
        label.astype(np.float32), cols - offset[1], rows - offset[0], cv2.INTER_LINEAR
    )
    return np.asarray(found > 0.5)


def probability(model: Segmenter, image: npt.NDArray[np.uint8], stride: int) -> Floats:
    """Return the road probability of an image, (H, W), 0..1."""
    height, width = image.shape[:2]
    rest = [-size % stride + BORDER for size in (height, width)]
    padded = np.pad(image, ((BORDER, rest[0]), (BORDER, rest[1]), (0, 0)), mode="reflect")
    found = model.predict(padded[None])[0].reshape(padded.shape[:2])
    return np.asarray(found[BORDER : BORDER + height, BORDER : BORDER + width])


def main() -> None:
    """Write the folder of pairs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="with images and masks")
    parser.add_argument("output", type=Path, help="gets the masks, and a link to the images")
    parser.add_argument("--model", default=None, help="by default the bundled one")
    parser.add_argument("--threshold", type=float, default=0.5)
    parser.add_argument("--reach-px", type=float, default=4.0)
    parser.add_argument("--along-px", type=float, default=10.0)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    model = load_model(arguments.model)
    images, masks = arguments.output / "images", arguments.output / "masks"
    masks.mkdir(parents=True, exist_ok=True)
    for pair in find_pairs(arguments.folder):
        with rasterio.open(pair.image) as dataset:
            image = np.ascontiguousarray(dataset.read([1, 2, 3]).transpose(1, 2, 0))
            image[dataset.dataset_mask() == 0] = FILL
            profile = {"crs": dataset.crs, "transform": dataset.transform}
        with rasterio.open(pair.mask) as dataset:
            label = dataset.read(1) > 0
        found = probability(model, image, model.card.stride) > arguments.threshold
        offset = offsets(label, found, reach_px=arguments.reach_px, along_px=arguments.along_px)
        if not images.exists():
            images.symlink_to(pair.image.parent.resolve())
        with rasterio.open(
            masks / f"{pair.image.stem}.tif",
            "w",
            driver="GTiff",
            height=label.shape[0],
            width=label.shape[1],
            count=1,
            dtype="uint8",
            compress="deflate",
            **profile,
        ) as mask:
            mask.write(moved(label, offset).astype(np.uint8), 1)
        shift = np.hypot(*offset)[label].mean() if label.any() else 0.0
        print(f"{pair.name}: {shift:.2f} px", flush=True)


if __name__ == "__main__":
    main()
