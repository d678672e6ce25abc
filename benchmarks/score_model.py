"""Score a model on pairs of images and masks, with ``predict`` as users run it.

Prints IoU, and relaxed precision, recall and F1 (buffer of 3 px, Mnih's) of the mask at the
card's threshold, for each scene and for all pixels together. Blank pixels are left out.

``roadgis test`` gives the same scores and more. It predicts each scene from its own corner, this
program on the grid of ``predict`` in the CRS: the cells of the model lie differently on
georeferenced scenes, and scores differ in the third decimal.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path

import rasterio
from affine import Affine
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning
from rasterio.vrt import WarpedVRT

from roadgis.model.runtime import Segmenter, load_model
from roadgis.options.extraction import ExtractOptions
from roadgis.options.imagery import SceneOptions
from roadgis.options.prediction import PredictOptions
from roadgis.pipeline import predict_to_file
from roadgis.probability.source import NO_DATA
from roadgis.train.data.labelled_scene import IGNORE, LabelledScene
from roadgis.train.data.pair_scene import open_pairs
from roadgis.train.data.pairs import find_pairs
from roadgis.train.scoring.curves import LevelCounts, Scores, count_levels


def score_scene(
    image_path: Path,
    scene: LabelledScene,
    model: Segmenter,
    assume_crs: str,
    *,
    flips: bool,
    gsd_m: float | None = None,
) -> LevelCounts:
    """Predict one scene and count its pixels by probability."""
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        output = Path(name) / "probability.tif"
        options = ExtractOptions(
            scene=SceneOptions(assume_crs=assume_crs, gsd_m=gsd_m),
            predict=PredictOptions(flips=flips),
        )
        predict_to_file(image_path, output, model=model, options=options)
        with rasterio.open(image_path) as image:
            transform = image.transform
        if transform.is_identity:
            # Without a position, the upper left corner is the origin and rows go down.
            transform = Affine(1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
        shape = {"height": scene.height, "width": scene.width, "transform": transform}
        with (
            rasterio.open(output) as raster,
            WarpedVRT(raster, nodata=NO_DATA, resampling=Resampling.bilinear, **shape) as on_scene,
        ):
            part = on_scene.read(1)
    _, labels = scene.read(0, 0, scene.height, scene.width)
    road = 1 if len(model.card.classes) == 1 else model.card.road_class
    return count_levels(part, labels == road, (labels != IGNORE) & (part != NO_DATA))


def score_folder(
    folder: Path,
    model: Segmenter,
    threshold: float,
    assume_crs: str,
    *,
    show: bool = False,
    flips: bool = False,
    gsd_m: float | None = None,
) -> Scores:
    """Score all pairs of a folder together."""
    total = LevelCounts.empty()
    scenes = open_pairs([folder], classes=model.card.classes)
    for pair, scene in zip(find_pairs(folder), scenes, strict=True):
        counts = score_scene(pair.image, scene, model, assume_crs, flips=flips, gsd_m=gsd_m)
        total += counts
        if show:
            print(line(scene.name, counts.curve().at(threshold)), flush=True)
    return total.curve().at(threshold)


def line(name: str, s: Scores) -> str:
    """Format one row of the table."""
    return (
        f"{name:<18} {s.iou:.4f} {s.relaxed_precision:.4f} {s.relaxed_recall:.4f} "
        f"{s.relaxed_f1:.4f}"
    )


def main() -> None:
    """Score and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="holds images and masks")
    parser.add_argument("--model", default=None)
    parser.add_argument("--threshold", type=float, default=None)
    parser.add_argument("--assume-crs", default="EPSG:26986")
    parser.add_argument("--flips", action="store_true", help="as extract --flips")
    parser.add_argument("--gsd", type=float, default=None, help="as extract --gsd")
    arguments = parser.parse_args()
    model = load_model(arguments.model)
    threshold = arguments.threshold or model.card.threshold
    print(f"{model.card.name} {model.card.version}, threshold {threshold:.3f}")
    print(f"{'scene':<18} IoU    relaxed P R F1")
    total = score_folder(
        arguments.folder,
        model,
        threshold,
        arguments.assume_crs,
        show=True,
        flips=arguments.flips,
        gsd_m=arguments.gsd,
    )
    print(line("all", total))


if __name__ == "__main__":
    main()
