"""Score extracted lines in several places, with ``predict`` and ``vectorize`` as users run them.

``python benchmarks/line_scores.py WORLD --thresholds 0.3,0.4``

WORLD has a folder for each place with ``images``, ``masks`` and optionally ``optional``: roads that
are ignored in both scores. Precision is the share of found metres within 3 m of a labelled road;
recall is the share of label centrelines with a found line within 5 m, or within half the road
width plus 1 m where that is more. Scenes of a place are summed.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
import shapely
from scipy.ndimage import distance_transform_edt

from roadgis.model.runtime import load_model
from roadgis.options.extraction import ExtractOptions
from roadgis.options.imagery import SceneOptions
from roadgis.pipeline import predict_to_file
from roadgis.raster_pipeline import vectorize_file

_NEAR_M = 3.0
_REACH_M = 5.0
_STEP_M = 1.0

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Truth:
    """Distances in metres, and centrelines with half the road width at each pixel."""

    to_road: Floats
    to_optional: Floats | None
    middle: npt.NDArray[np.bool_]
    half_m: Floats
    pixel_m: float
    to_pixel: Any
    crs: Any


def read_truth(place: Path, image: Path) -> _Truth:
    """Read the mask of a scene, and its optional roads."""
    from skimage import morphology

    with rasterio.open(image) as dataset:
        valid = dataset.dataset_mask() > 0
    with rasterio.open(place / "masks" / image.name) as dataset:
        road = (dataset.read(1) > 0) & valid
        pixel_m, transform, crs = dataset.transform.a, dataset.transform, dataset.crs
    optional = None
    if (place / "optional" / image.name).exists():
        with rasterio.open(place / "optional" / image.name) as dataset:
            optional = (dataset.read(1) > 0) & ~road
    middle = np.asarray(morphology.skeletonize(road), np.bool_)
    return _Truth(
        _distance_m(~road, pixel_m),
        _distance_m(~optional, pixel_m) if optional is not None and optional.any() else None,
        middle,
        np.asarray(distance_transform_edt(road))[middle] * pixel_m,
        pixel_m,
        ~transform,
        crs,
    )


def _distance_m(away: npt.NDArray[np.bool_], pixel_m: float) -> Floats:
    if away.all():
        return np.full(away.shape, np.inf)
    return np.asarray(distance_transform_edt(away) * pixel_m, np.float64)


def score_lines(lines: npt.NDArray[np.object_], truth: _Truth) -> Floats:
    """Return correct and found metres, detected and true metres."""
    points = [
        shapely.get_coordinates(
            shapely.line_interpolate_point(line, np.arange(_STEP_M / 2, line.length, _STEP_M))
        )
        for line in lines
    ]
    xy = np.concatenate([np.empty((0, 2)), *points])
    col, row = (np.floor(v).astype(int) for v in truth.to_pixel * (xy[:, 0], xy[:, 1]))
    height, width = truth.middle.shape
    inside = (col >= 0) & (row >= 0) & (col < width) & (row < height)
    col, row = col[inside], row[inside]
    right = truth.to_road[row, col] <= _NEAR_M
    counts = np.ones(len(col), np.bool_)
    if truth.to_optional is not None:
        counts = right | (truth.to_optional[row, col] > _NEAR_M)
    away = np.ones(truth.middle.shape, np.bool_)
    away[row, col] = False
    to_found = _distance_m(away, truth.pixel_m)[truth.middle]
    seen = to_found <= np.maximum(_REACH_M, truth.half_m + 1)
    metres = truth.pixel_m
    return np.array(
        [right.sum() * _STEP_M, counts.sum() * _STEP_M, seen.sum() * metres, seen.size * metres]
    )


def score_scene(
    image: Path, *, model: str | None, thresholds: list[float], gsd_m: float | None
) -> tuple[str, Floats]:
    """Return the name of a scene's place, and its metres for each threshold."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    place = image.parent.parent
    truth = read_truth(place, image)
    segmenter = load_model(model, threads=1)
    scores = []
    with tempfile.TemporaryDirectory() as folder:
        raster = Path(folder) / "probability.tif"
        options = ExtractOptions(scene=SceneOptions(gsd_m=gsd_m))
        predict_to_file(image, raster, model=segmenter, options=options)
        for threshold in thresholds or [segmenter.card.threshold]:
            network = vectorize_file(raster, options=replace(ExtractOptions(), threshold=threshold))
            lines = network.to_crs(truth.crs).edges if truth.crs else network.edges
            scores.append(score_lines(lines, truth))
    return place.name, np.array(scores)


def main() -> None:
    """Print a line for each place, and the mean."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("world", type=Path, help="a folder for each place")
    parser.add_argument("--model", default=None)
    parser.add_argument("--thresholds", default="", help="N,...; the card's by default")
    parser.add_argument("--gsd", type=float, default=None, help="metres; chosen by default")
    arguments = parser.parse_args()
    thresholds = [float(v) for v in arguments.thresholds.split(",") if v]
    images = sorted(arguments.world.glob("*/images/*.tif"))
    score = partial(score_scene, model=arguments.model, thresholds=thresholds, gsd_m=arguments.gsd)
    places: dict[str, Floats] = {}
    with ProcessPoolExecutor(2) as pool:
        for name, metres in pool.map(score, images):
            places[name] = places.get(name, np.zeros(metres.shape)) + metres
    titles = [str(level) for level in thresholds] or ["card's threshold"]
    f1s = []
    for name, metres in places.items():
        precision = metres[:, 0] / np.maximum(metres[:, 1], 1e-9)
        recall = metres[:, 2] / np.maximum(metres[:, 3], 1e-9)
        f1s.append(2 * precision * recall / np.maximum(precision + recall, 1e-9))
        for row in zip(titles, f1s[-1], precision, recall, strict=True):
            print("{:<20} {}: F1 {:.3f}, precision {:.3f}, recall {:.3f}".format(name, *row))
    for title, mean in zip(titles, np.mean(f1s, axis=0), strict=True):
        print(f"{'mean':<20} {title}: F1 {mean:.3f}")


if __name__ == "__main__":
    main()
