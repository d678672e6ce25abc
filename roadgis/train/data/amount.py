"""Amount of labelled road of a run, in kilometres and square kilometres."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from roadgis.arrays import Bools, Bytes
from roadgis.options.training_data import DataSettings
from roadgis.train.data.data_checks import CELL_PX, SceneCounts
from roadgis.train.data.labelled_scene import LabelledScene, known_gsd_m
from roadgis.train.data.training_data import TrainingData

# Squares whose roads are thinned: enough for a mean width within about a second.
_SAMPLES = 32
_SAMPLE_PX = 512


@dataclass(frozen=True)
class LabelledAmount:
    """Amount of labelled road.

    Attributes
    ----------
    road_km : float
        Length of the centrelines, kilometres.
    area_km2 : float
        Valid area, square kilometres.
    """

    road_km: float
    area_km2: float

    def __str__(self) -> str:
        return f"about {_rounded(self.road_km)} km of road on {_rounded(self.area_km2)} km²"


def amount_of(data: TrainingData, settings: DataSettings) -> LabelledAmount:
    """Estimate the amount of labelled road of a run; see :func:`labelled_amount`."""
    sizes = [size for one in data.sets for size in one.gsd_m] or [
        known_gsd_m(scene) or settings.gsd_m for scene in data.training
    ]
    return labelled_amount(data.training, data.counts.scenes, sizes, data.counts.road_class)


def labelled_amount(
    scenes: Sequence[LabelledScene],
    counts: Sequence[SceneCounts],
    gsd_m: Sequence[float],
    road_class: int = 1,
) -> LabelledAmount:
    """Estimate the amount of labelled road in scenes.

    Length is the labelled area divided by the mean width, which is measured on a sample.

    Parameters
    ----------
    counts : sequence of SceneCounts
        Label counts of the same scenes.
    gsd_m : sequence of float
        Pixel sizes of the scenes, metres.
    """
    pixel_m2 = np.square(np.asarray(gsd_m, np.float64))
    area_m2 = float(np.sum(pixel_m2 * [count.valid_px for count in counts]))
    road_px = np.array([count.class_px[road_class] for count in counts], np.float64)
    sampled_m2 = sampled_m = 0.0
    with_road = np.flatnonzero(road_px)
    for number in range(_SAMPLES if len(with_road) else 0):
        # Evenly spread over the scenes, and within each scene.
        index = int(with_road[number * len(with_road) // _SAMPLES])
        road = _sample(scenes[index], counts[index], number) == road_class
        sampled_m += centreline_px(road) * gsd_m[index]
        sampled_m2 += float(road.sum()) * pixel_m2[index]
    road_m2 = float(np.sum(pixel_m2 * road_px))
    length_m = road_m2 * sampled_m / sampled_m2 if sampled_m2 else 0.0
    return LabelledAmount(length_m / 1e3, area_m2 / 1e6)


def _sample(scene: LabelledScene, count: SceneCounts, number: int) -> Bytes:
    """Return the labels of a square with road; the number decides its position."""
    cells = np.argwhere(np.diff(np.diff(count.cells[1], axis=0), axis=1))
    row, col = cells[np.random.default_rng(number).integers(len(cells))] * CELL_PX
    height, width = min(scene.height, _SAMPLE_PX), min(scene.width, _SAMPLE_PX)
    top = min(max(int(row) - height // 2, 0), scene.height - height)
    left = min(max(int(col) - width // 2, 0), scene.width - width)
    return scene.read_labels(top, left, height, width)


def centreline_px(road: Bools) -> float:
    """Return the length of the centrelines of a mask, in pixels."""
    from skimage import morphology

    thinned: Callable[..., Any] = morphology.skeletonize
    thin = np.pad(np.asarray(thinned(road), np.bool_), 1)
    here, below, right = thin[:-1, :-1], thin[1:, :-1], thin[:-1, 1:]
    diagonal = thin[1:, 1:]
    straight = int((here & below).sum() + (here & right).sum())
    # Only if no straight step joins the two pixels.
    falling = int((here & diagonal & ~below & ~right).sum())
    rising = int((below & right & ~here & ~diagonal).sum())
    return straight + math.sqrt(2) * (falling + rising)


def _rounded(value: float) -> str:
    """Format a number with two significant digits below 10, else as a whole number."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
