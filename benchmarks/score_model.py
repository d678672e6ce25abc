"""Score a model on pairs of images and masks, through the same ``predict`` that users run.

Prints IoU, and relaxed precision, recall and F1 (buffer of 3 px, Mnih's) of the mask at the
card's threshold, for each scene and for all pixels together. Blank pixels are left out.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import rasterio
from scipy import ndimage

from roadgis.model.runtime import load_model
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


def line(name: str, c: np.ndarray) -> str:
    """Format one row of the table."""
    precision, recall = c[2] / max(c[3], 1), c[4] / max(c[5], 1)
    f1 = 2 * precision * recall / max(precision + recall, 1e-9)
    return f"{name:<18} {c[0] / max(c[1], 1):.4f} {precision:.4f} {recall:.4f} {f1:.4f}"


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
    total = np.zeros(6)
    with tempfile.TemporaryDirectory() as name:
        for image_path, mask_path in find_pairs(arguments.folder):
            output = Path(name) / f"{image_path.stem}.tif"
            options = ExtractOptions(scene=SceneOptions(assume_crs=arguments.assume_crs))
            predict_to_file(image_path, output, model=model, options=options)
            with rasterio.open(mask_path) as labels, rasterio.open(image_path) as image:
                truth = labels.read(1) > 0
                valid = image.dataset_mask() > 0
                transform = image.transform
            with rasterio.open(output) as raster:
                # The output's grid begins on a coarser lattice than the scene.
                row, col = 0, 0
                if not transform.is_identity:
                    col = round((transform.c - raster.transform.c) / raster.transform.a)
                    row = round((raster.transform.f - transform.f) / raster.transform.a)
                probability = raster.read(1)
            part = probability[row : row + truth.shape[0], col : col + truth.shape[1]]
            if part.shape != truth.shape:
                raise SystemExit(f"{image_path}: output {probability.shape} does not cover it")
            valid &= part != NO_DATA
            found = (part >= np.rint(threshold * 254)) & valid
            scores = counts(found, truth & valid)
            total += scores
            print(line(image_path.stem, scores), flush=True)
    print(line("all", total))


if __name__ == "__main__":
    main()
