"""Score a model on pairs of images and masks, through the same ``predict`` that users run.

Prints IoU, and relaxed precision, recall and F1 (buffer of 3 px, Mnih's) of the mask at the
card's threshold, for each scene and for all pixels together. Blank pixels are left out.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from scipy import ndimage

from roadgis.model.runtime import Segmenter, load_model
from roadgis.pipeline import ExtractOptions, predict_to_file
from roadgis.scene.grid import NO_DATA
from roadgis.scene.source import SceneOptions
from roadgis.train.dataset import find_pairs

BUFFER_PX = 3


def counts(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return hits, union, found near truth, found, truth near found, truth (pixels)."""
    disc = ndimage.distance_transform_edt(np.pad([[0]], BUFFER_PX, constant_values=1)) <= BUFFER_PX
    near_truth = ndimage.binary_dilation(truth, disc)
    near_found = ndimage.binary_dilation(found, disc)
    pairs = (found & truth, found | truth, found & near_truth, found, truth & near_found, truth)
    return np.array([int(part.sum()) for part in pairs], float)


class Scores(NamedTuple):
    """Of the road mask at a threshold, over all valid pixels of a folder."""

    iou: float
    precision: float
    recall: float
    f1: float


def scores(c: np.ndarray) -> Scores:
    """Return IoU and the relaxed scores from the counts."""
    precision, recall = c[2] / max(c[3], 1), c[4] / max(c[5], 1)
    f1 = 2 * precision * recall / max(precision + recall, 1e-9)
    return Scores(c[0] / max(c[1], 1), precision, recall, f1)


def score_scene(
    image_path: Path, mask_path: Path, model: Segmenter, threshold: float, assume_crs: str
) -> np.ndarray:
    """Predict one scene and return its counts."""
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        output = Path(name) / "probability.tif"
        options = ExtractOptions(scene=SceneOptions(assume_crs=assume_crs))
        predict_to_file(image_path, output, model=model, options=options)
        with rasterio.open(mask_path) as labels, rasterio.open(image_path) as image:
            truth = labels.read(1) > 0
            valid = image.dataset_mask() > 0
            transform = image.transform
        with rasterio.open(output) as raster:
            probability = raster.read(1)
            # The output's grid begins on a coarser lattice than the scene; an image without a
            # position lies with its upper left corner at the origin, rows going down.
            x, y = (0.0, 0.0) if transform.is_identity else (transform.c, transform.f)
            col = round((x - raster.transform.c) / raster.transform.a)
            row = round((raster.transform.f - y) / raster.transform.a)
    part = probability[row : row + truth.shape[0], col : col + truth.shape[1]]
    if part.shape != truth.shape:
        raise SystemExit(f"{image_path}: output {probability.shape} does not cover it")
    valid &= part != NO_DATA
    found = (part >= np.ceil(threshold * 254 - 1e-9)) & valid
    return counts(found, truth & valid)


def score_folder(
    folder: Path, model: Segmenter, threshold: float, assume_crs: str, *, show: bool = False
) -> Scores:
    """Score all pairs of a folder together."""
    total = np.zeros(6)
    for image_path, mask_path in find_pairs(folder):
        c = score_scene(image_path, mask_path, model, threshold, assume_crs)
        total += c
        if show:
            print(line(image_path.stem, scores(c)), flush=True)
    return scores(total)


def line(name: str, s: Scores) -> str:
    """Format one row of the table."""
    return f"{name:<18} {s.iou:.4f} {s.precision:.4f} {s.recall:.4f} {s.f1:.4f}"


def main() -> None:
    """Score and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="holds images and masks")
    parser.add_argument("--model", default=None)
    parser.add_argument("--threshold", type=float, default=None)
    parser.add_argument("--assume-crs", default="EPSG:26986")
    arguments = parser.parse_args()
    model = load_model(arguments.model)
    threshold = arguments.threshold or model.card.threshold
    print(f"{model.card.name} {model.card.version}, threshold {threshold:.3f}")
    print(f"{'scene':<18} IoU    relaxed P R F1")
    total = score_folder(arguments.folder, model, threshold, arguments.assume_crs, show=True)
    print(line("all", total))


if __name__ == "__main__":
    main()
