"""Masks of road surface to centrelines, against hand-drawn ones, compared with sknw and skan.

Four scenes of Ottawa at 0.21 m, each a mask and hand-drawn centrelines. All
use the same mask: roadgis through `vectorize` with its default settings; sknw and skan,
if installed, through the skeleton of scikit-image, followed by simplify of shapely
with the same tolerance. The drawn lines are thinned to one pixel and traced with sknw.
Prints relaxed F1 at 2 m, TOPO, APLS, and the root mean square distance, for each scene and
over all.

    uv run --group bench python -m benchmarks.ottawa FOLDER [--scenes 2,7,13,19]
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import shapely
from PIL import Image
from skimage.morphology import skeletonize

from benchmarks.pixel_graphs import lines_of_skan, lines_of_sknw
from roadgis.evaluation.apls import apls_score
from roadgis.evaluation.buffer import buffer_scores
from roadgis.evaluation.topo import topo_scores
from roadgis.imagery.grid import Grid
from roadgis.raster_pipeline import vectorize
from tests.factories.roads import ArraySource

GSD_M = 0.209895
TOLERANCE_M = 0.5
Lines = npt.NDArray[np.object_]
Mask = npt.NDArray[np.bool_]


def source_of(mask: Mask) -> ArraySource:
    """Return a mask as probabilities of 0 and 1."""
    return ArraySource(mask.astype(np.uint8) * np.uint8(254), GSD_M)


def dark(path: Path) -> Mask:
    """Return the black pixels of an image."""
    Image.MAX_IMAGE_PIXELS = None
    with Image.open(path) as image:
        return np.asarray(image.convert("L")) < 128


def roadgis_lines(mask: Mask) -> Lines:
    """Vectorize a mask with the default settings."""
    return vectorize(source_of(mask)).edges


def methods() -> dict[str, Callable[[Mask], Lines]]:
    """Return the installed methods."""
    out: dict[str, Callable[[Mask], Lines]] = {"roadgis": roadgis_lines}
    for name, trace in (("sknw", lines_of_sknw), ("skan", lines_of_skan)):
        if importlib.util.find_spec(name):

            def traced(mask: Mask, trace: Callable[[Mask, Grid], Lines] = trace) -> Lines:
                lines = trace(skeletonize(mask), source_of(mask).grid)
                return np.asarray(shapely.simplify(lines, TOLERANCE_M), np.object_)

            out[name] = traced
    return out


def scores(truth: Lines, found: Lines) -> dict[str, float | None]:
    """Score lines against the drawn ones."""
    near = buffer_scores(truth, found, buffer_m=2.0)
    topo = topo_scores(truth, found)
    return {
        "relaxed_f1": near.relaxed_f1,
        "completeness": near.completeness,
        "correctness": near.correctness,
        "rmse_m": near.rmse_m,
        "topo_p": topo.precision,
        "topo_r": topo.recall,
        "topo_f1": topo.f1,
        "apls": apls_score(truth, found).apls,
        "km": float(shapely.length(found).sum()) / 1000,
    }


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="holds a folder for each scene")
    parser.add_argument("--scenes", default="2,7,13,19")
    options = parser.parse_args()
    total: dict[str, list[dict[str, float | None]]] = {}
    for scene in options.scenes.split(","):
        mask = dark(options.folder / scene / "segmentation.png")
        drawn = dark(options.folder / scene / "centerline.png")
        truth = lines_of_sknw(skeletonize(drawn), source_of(drawn).grid)
        for name, method in methods().items():
            row = scores(truth, method(mask))
            if not total:
                print("scene method   " + " ".join(f"{key:>12}" for key in row))
            total.setdefault(name, []).append(row)
            show(scene, name, row)
    for name, rows in total.items():
        mean: dict[str, float | None] = {
            key: float(np.mean([row[key] or 0.0 for row in rows])) for key in rows[0]
        }
        show("mean", name, mean)


def show(scene: str, name: str, row: dict[str, float | None]) -> None:
    """Print one row."""
    cells = " ".join(f"{'-':>12}" if v is None else f"{v:12.4f}" for v in row.values())
    print(f"{scene:5} {name:8} {cells}", flush=True)


if __name__ == "__main__":
    main()
