"""Where a model loses IoU: next to labelled roads or away from them, and the gain of a shift.

Labels are drawn lines. Where one lies next to the road, a correct prediction loses IoU like a
missed road; this program distinguishes the two. "Near" is within 3 px. Scenes whose labels
the model hardly detects are left out of the shifts.
"""

from __future__ import annotations

import argparse
import itertools
import warnings
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from rasterio.errors import NotGeoreferencedWarning
from scipy.ndimage import distance_transform_edt

from roadgis.model.runtime import load_model
from roadgis.train.data.labelled_scene import IGNORE
from roadgis.train.data.pair_scene import open_pairs
from roadgis.train.scoring.scene_prediction import predict_scene

Mask = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]

NEAR_PX = 3
SHIFTS_PX = (-0.25, 0.0, 0.25, 0.5, 0.75)
#: Below this IoU the labels of a scene do not match its imagery.
STRANGE_IOU = 0.3
PARTS = ("found", "too much near", "too much away", "missed near", "missed away")


def parts(found: Mask, road: Mask) -> Counts:
    """Return the pixels of each of `PARTS`."""
    to_road = distance_transform_edt(~road) if road.any() else np.full(road.shape, np.inf)
    to_found = distance_transform_edt(~found) if found.any() else np.full(road.shape, np.inf)
    return np.array(
        [
            (found & road).sum(),
            (found & ~road & (to_road <= NEAR_PX)).sum(),
            (found & (to_road > NEAR_PX)).sum(),
            (road & ~found & (to_found <= NEAR_PX)).sum(),
            (road & (to_found > NEAR_PX)).sum(),
        ]
    )


def shifted(
    probability: npt.NDArray[np.float32], down_px: float, right_px: float
) -> npt.NDArray[np.float32]:
    """Return the probability moved by a part of a pixel, interpolated in its logit."""
    clear = np.clip(probability, 0.002, 0.998)
    logit = np.log(clear / (1 - clear))
    move = np.array([[1, 0, right_px], [0, 1, down_px]], np.float32)
    size = logit.shape[::-1]
    there = cv2.warpAffine(
        logit, move, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(1 / (1 + np.exp(-there)), np.float32)


def overlap(found: Mask, road: Mask) -> Counts:
    """Return intersection and union, pixels."""
    return np.array([(found & road).sum(), (found | road).sum()])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="+", help="holds images and masks")
    parser.add_argument("--model", default=None)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    model = load_model(arguments.model)
    threshold = model.card.threshold
    lost = np.zeros(len(PARTS), np.int64)
    moves = list(itertools.product(SHIFTS_PX, SHIFTS_PX))
    gained = {move: np.zeros(2, np.int64) for move in moves}
    for scene in open_pairs(arguments.folder):
        image, labels = scene.read(0, 0, scene.height, scene.width)
        probability = predict_scene(model, image).astype(np.float32)
        valid, road = labels != IGNORE, labels == 1
        found = (probability > threshold) & valid
        lost += parts(found, road)
        hit, either = overlap(found, road)
        if hit < STRANGE_IOU * either:
            print(f"{scene.name}: IoU {hit / max(either, 1):.3f}, left out of the shifts")
            continue
        for move in moves:
            gained[move] += overlap((shifted(probability, *move) > threshold) & valid, road)
    road_px = lost[[0, 3, 4]].sum()
    print(f"IoU {lost[0] / lost.sum():.4f}; shares of the labelled road:")
    for name, count in zip(PARTS, lost, strict=True):
        print(f"  {name:<14} {count / road_px:.3f}")
    print("IoU with the answer moved down (rows) and right (columns), px")
    print("        " + " ".join(f"{right:>7.2f}" for right in SHIFTS_PX))
    for down in SHIFTS_PX:
        row = (gained[down, right] for right in SHIFTS_PX)
        print(f"{down:>7.2f} " + " ".join(f"{hit / either:>7.4f}" for hit, either in row))


if __name__ == "__main__":
    main()
