"""Leave-one-out table of the cleaning steps: APLS and line F1 without each of them.

Run from the repository root::

    python -m benchmarks.leave_one_out PROBABILITIES MASKS

PROBABILITIES is a folder of rasters from `roadgis predict`, MASKS a folder of road masks with
the same file names. Each scene is traced once, then cleaned with the defaults and with the
defaults less one step. The truth is the mask, vectorized with the default settings; where the
probability is nodata, the mask is nodata as well. A change of defaults changes the truth as well:
compare rows of one table only.

APLS is the mean over the scenes. F1 is of the relaxed precision and recall of lines in all scenes.
"± of the change" is the standard error of the mean difference in APLS, scene by scene.
"""

from __future__ import annotations

import argparse
import dataclasses
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from rasterio.errors import NotGeoreferencedWarning

from benchmarks.cleaning_steps import FULL, RAW, Score, compared
from roadgis.imagery.grid import Window
from roadgis.network.centerlines import Centerlines
from roadgis.network.clean import clean_network
from roadgis.network.network import RoadNetwork
from roadgis.options.cleaning import CleanOptions, RuleOptions
from roadgis.options.vectorization import VectorizeOptions
from roadgis.probability.raster import open_probability
from roadgis.probability.source import NO_DATA, ProbabilitySource
from roadgis.raster_pipeline import vectorize
from roadgis.vectorization import trace_centerlines


class _Valid:
    """A mask with nodata where a probability raster on the same pixels has nodata."""

    is_mask = True

    def __init__(self, mask: ProbabilitySource, probability: ProbabilitySource) -> None:
        self.grid = probability.grid
        self._mask, self._probability = mask, probability

    def read(self, window: Window) -> npt.NDArray[np.uint8]:
        """Return a window, as :class:`roadgis.probability.source.ProbabilitySource` does."""
        blank = self._probability.read(window) == NO_DATA
        return np.where(blank, np.uint8(NO_DATA), self._mask.read(window))


class Scene(NamedTuple):
    """A scene: its probability raster, its raw centrelines, and the true network."""

    probability: Path
    lines: Centerlines
    truth: RoadNetwork


def variants() -> Iterator[tuple[str, CleanOptions]]:
    """Yield the defaults, then the defaults less each step, in the order of cleaning."""
    yield "all defaults", FULL

    def without(name: str, part: str, value: object) -> tuple[str, CleanOptions]:
        if "." not in part:
            return name, dataclasses.replace(FULL, **{part: value})  # type: ignore[arg-type]
        group, field = part.split(".")
        changed = dataclasses.replace(getattr(FULL, group), **{field: value})
        return name, dataclasses.replace(FULL, **{group: changed})

    yield without("weak components", "min_strong_m", 0.0)
    yield without("dead ends by width", "dangle_factor", 0.0)
    yield without("junctions", "junction_factor", 0.0)
    yield without("bridges", "bridge", RAW.bridge)
    for rule in dataclasses.fields(RuleOptions):
        yield without(rule.name, f"rules.{rule.name}", False)
    yield without("small components", "min_component_m", 0.0)


def scenes(probabilities: Path, masks: Path, assume_crs: str) -> Iterator[Scene]:
    """Trace each scene and its truth."""
    for path in sorted(probabilities.glob("*.tif")):
        with (
            open_probability(path) as probability,
            open_probability(masks / path.name, assume_crs=assume_crs) as mask,
        ):
            options = VectorizeOptions(threshold=probability.threshold)
            lines = trace_centerlines(probability, options)
            truth = vectorize(_Valid(mask, probability), VectorizeOptions(threshold=0.5))
        yield Scene(path, lines, truth)


def scores(scene: Scene, buffer_m: float) -> list[Score]:
    """Clean a scene with each variant and compare it with the truth."""
    out: list[Score] = []
    first: RoadNetwork | None = None
    for _, options in variants():
        with open_probability(scene.probability) as source:
            network = clean_network(scene.lines, options, source=source)
        if first is not None and list(first.edges) == list(network.edges):
            out.append(out[0])
        else:
            out.append(compared(scene.truth, network.edges, buffer_m))
        first = first or network
    return out


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("probabilities", type=Path)
    parser.add_argument("masks", type=Path)
    parser.add_argument("--assume-crs", default="EPSG:26986", help="of masks without one")
    parser.add_argument("--buffer-m", type=float, default=3.0)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    rows = [
        [dataclasses.astuple(score) for score in scores(scene, arguments.buffer_m)]
        for scene in scenes(arguments.probabilities, arguments.masks, arguments.assume_crs)
    ]
    truth, found, right, kept, apls = np.moveaxis(np.array(rows), 2, 0)
    precision, recall = right.sum(0) / found.sum(0), kept.sum(0) / truth.sum(0)
    f1 = 2 * precision * recall / (precision + recall)
    error = (apls - apls[:, :1]).std(0, ddof=1) / np.sqrt(len(rows))
    print(f"{len(rows)} scenes, buffer {arguments.buffer_m:g} m")
    print("| without | APLS | ± of the change | precision | recall | F1 | km |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for n, (name, _) in enumerate(variants()):
        print(
            f"| {name} | {apls[:, n].mean():.4f} | {error[n]:.4f} | {precision[n]:.4f} "
            f"| {recall[n]:.4f} | {f1[n]:.4f} | {found[:, n].sum() / 1000:.2f} |"
        )


if __name__ == "__main__":
    main()
