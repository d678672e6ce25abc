"""Effect of each cleaning step on APLS, relaxed precision and recall, and length.

Predicts each scene of folders with images and masks, with a bundled model (kept under --cache),
traces it once, and cleans it with the steps switched on one after the other. The truth is the
label mask, vectorized with the default settings. If scikit-image and sknw are installed,
their result for the same mask comes first.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import shapely
from rasterio.errors import NotGeoreferencedWarning

from benchmarks.pixel_graphs import lines_of_sknw
from roadgis.evaluation.apls import apls_score
from roadgis.imagery.grid import Window
from roadgis.model.runtime import Segmenter, load_model
from roadgis.network.centerlines import Centerlines
from roadgis.network.clean import clean_network
from roadgis.network.network import RoadNetwork
from roadgis.options.cleaning import BridgeOptions, CleanOptions, RuleOptions
from roadgis.options.extraction import ExtractOptions
from roadgis.options.imagery import SceneOptions
from roadgis.options.vectorization import VectorizeOptions
from roadgis.pipeline import predict_to_file
from roadgis.probability.raster import MosaicProbability, RasterProbability, open_probability
from roadgis.probability.source import NO_DATA
from roadgis.raster_pipeline import vectorize
from roadgis.train.data.pairs import find_pairs
from roadgis.vectorization import trace_centerlines
from roadgis.vectorization.radii import strong_level

RAW = CleanOptions(
    dangle_factor=0.0,
    junction_factor=0.0,
    min_component_m=0.0,
    min_strong_m=0.0,
    bridge=BridgeOptions(max_gap_m=0.0),
    rules=RuleOptions.none(),
)
FULL = CleanOptions()
#: The mask at the threshold, thinned, traced and smoothed, without cleaning.
RAW_STEP = "raw tracing"
#: The mask at the threshold through scikit-image's skeleton and sknw, and with shapely's simplify.
PIXEL_STEPS = {"skeletonize and sknw": 0.0, "the same, simplified by 1 m": 1.0}


@dataclass(frozen=True)
class Traced:
    """A traced scene with its probability raster and its truth.

    Traced twice: pixels above the threshold only, and with the weak pixels that continue them.
    """

    name: str
    probability: Path
    strong: Centerlines
    lines: Centerlines
    truth: RoadNetwork


@dataclass(frozen=True)
class Score:
    """Sums over scenes: lengths in metres, and APLS."""

    truth_m: float
    found_m: float
    right_m: float
    kept_m: float
    apls: float


def steps() -> Iterator[tuple[str, CleanOptions]]:
    """Yield the steps in the order of cleaning, each with all previous ones."""
    options = RAW
    yield RAW_STEP, options
    yield "weak pixels", options
    changes: list[tuple[str, dict[str, object]]] = [
        ("weak components", {"min_strong_m": FULL.min_strong_m}),
        ("dangles by width", {"dangle_factor": FULL.dangle_factor}),
        ("junctions", {"junction_factor": FULL.junction_factor}),
        ("bridges", {"bridge": FULL.bridge}),
    ]
    rules = RuleOptions.none()
    for entry in dataclasses.fields(RuleOptions):
        rules = dataclasses.replace(rules, **{entry.name: getattr(FULL.rules, entry.name)})
        changes.append((f"rule: {entry.name}", {"rules": rules}))
    changes.append(("small components", {"min_component_m": FULL.min_component_m}))
    for name, change in changes:
        options = dataclasses.replace(options, **change)  # type: ignore[arg-type]
        yield name, options
    assert options == FULL, "a step is missing above"
    carriageways = dataclasses.replace(FULL.parallels, merge_carriageways=True)
    yield "(carriageways merged)", dataclasses.replace(FULL, parallels=carriageways)


def traced_scenes(folder: Path, cache: Path, assume_crs: str, model: Segmenter) -> Iterator[Traced]:
    """Predict (unless cached) and trace each scene of a folder."""
    for pair in find_pairs(folder):
        target = cache / f"{pair.image.stem}.tif"
        if not target.exists():
            scene = SceneOptions(assume_crs=assume_crs)
            predict_to_file(pair.image, target, model=model, options=ExtractOptions(scene=scene))
        with open_probability(target) as source:
            both = VectorizeOptions(threshold=source.threshold)
            lines = trace_centerlines(source, both)
            alone = dataclasses.replace(both, weak_threshold=source.threshold)
            strong = trace_centerlines(source, alone)
        with open_probability(pair.mask, assume_crs=assume_crs) as source:
            truth = vectorize(source, VectorizeOptions(threshold=0.5))
        yield Traced(pair.image.stem, target, strong, lines, truth)


def pixel_lines(
    source: RasterProbability | MosaicProbability, tolerance_m: float
) -> npt.NDArray[np.object_]:
    """Threshold a raster, thin and trace it with other programs, and simplify the lines."""
    from skimage.morphology import skeletonize

    grid = source.grid
    stored = source.read(Window(0, 0, grid.height, grid.width))
    mask = (stored >= strong_level(VectorizeOptions(threshold=source.threshold))) & (
        stored != NO_DATA
    )
    lines = lines_of_sknw(skeletonize(mask), grid)
    return np.asarray(shapely.simplify(lines, tolerance_m), np.object_)


def score(scene: Traced, step: str, options: CleanOptions, buffer_m: float) -> Score:
    """Clean a scene and compare it with its truth."""
    with open_probability(scene.probability) as source:
        if step in PIXEL_STEPS:
            edges = pixel_lines(source, PIXEL_STEPS[step])
        else:
            lines = scene.strong if step == RAW_STEP else scene.lines
            edges = clean_network(lines, options, source=source).edges
    return compared(scene.truth, edges, buffer_m)


def compared(truth: RoadNetwork, edges: npt.NDArray[np.object_], buffer_m: float) -> Score:
    """Compare lines with the true network."""
    true, found = shapely.union_all(truth.edges), shapely.union_all(edges)
    return Score(
        truth_m=true.length,
        found_m=found.length,
        right_m=found.intersection(true.buffer(buffer_m)).length,
        kept_m=true.intersection(found.buffer(buffer_m)).length,
        apls=apls_score(truth.edges, edges).apls,
    )


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", help="with images and masks")
    parser.add_argument("--cache", type=Path, default=None, help="where probabilities are kept")
    parser.add_argument("--model", default=None, help="a file, or the name of a bundled model")
    parser.add_argument("--assume-crs", default="EPSG:26986", help="of scenes without one")
    parser.add_argument("--buffer-m", type=float, default=3.0)
    parser.add_argument("--scenes", action="store_true", help="print APLS of each scene, too")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    model = load_model(arguments.model)
    with tempfile.TemporaryDirectory() as name:
        cache = arguments.cache or Path(name)
        cache.mkdir(parents=True, exist_ok=True)
        scenes = [
            scene
            for folder in arguments.folders
            for scene in traced_scenes(folder, cache, arguments.assume_crs, model)
        ]
        print(f"{len(scenes)} scenes, buffer {arguments.buffer_m:g} m; each step with those above")
        print("| step | APLS | relaxed P | relaxed R | length (km) | time (s) |")
        print("| --- | --- | --- | --- | --- | --- |")
        others = all(importlib.util.find_spec(name) for name in ("sknw", "skimage"))
        before = [(name, RAW) for name in PIXEL_STEPS] if others else []
        for step, options in [*before, *steps()]:
            begin = time.perf_counter()
            scores = [score(scene, step, options, arguments.buffer_m) for scene in scenes]
            took = time.perf_counter() - begin
            truth, found, right, kept, apls = np.array([dataclasses.astuple(s) for s in scores]).T
            print(
                f"| {step} | {apls.mean():.4f} | {right.sum() / found.sum():.4f} "
                f"| {kept.sum() / truth.sum():.4f} | {found.sum() / 1000:.2f} | {took:.1f} |"
                + ("  " + " ".join(f"{value:.3f}" for value in apls) if arguments.scenes else ""),
                flush=True,
            )


if __name__ == "__main__":
    main()
