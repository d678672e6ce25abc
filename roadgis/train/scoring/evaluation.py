"""Pixel scores of a model on labelled scenes: of road at its threshold, and of each class."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from roadgis.arrays import Bytes
from roadgis.errors import DataError, InputError
from roadgis.options.scoring import BUFFER_PX, TILE_PX
from roadgis.progress import Progress, no_progress
from roadgis.train.data.labelled_scene import IGNORE, LabelledScene
from roadgis.train.scoring.curves import Curve, LevelCounts, Scores, count_levels, level_of
from roadgis.train.scoring.scene_prediction import Predictor, ScenePrediction, image_reader

Confusion = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ClassScores:
    """Scores of one class; NaN if undefined.

    Attributes
    ----------
    iou, precision, recall, f1 : float
        See :class:`roadgis.train.scoring.curves.Scores`.
    pixels : int
        Labelled pixels.
    """

    name: str
    iou: float
    precision: float
    recall: float
    f1: float
    pixels: int


@dataclass(frozen=True)
class SceneScores:
    """Scores of one scene.

    Attributes
    ----------
    scores : Scores
        Scores of road at the threshold.
    mean_iou : float
        Mean over the classes that are labelled or predicted.
    pixels, road_pixels : int
        Valid pixels, and valid road pixels.
    """

    name: str
    scores: Scores
    mean_iou: float
    pixels: int
    road_pixels: int


@dataclass(frozen=True)
class PixelEvaluation:
    """Scores of a model, for all pixels together and by scene.

    Attributes
    ----------
    threshold : float
        Threshold of the road scores.
    buffer_px : int
        Buffer of the relaxed scores.
    scores : Scores
        Road scores over the pixels of all scenes.
    counts : LevelCounts
        Pixel counts of the scores.
    class_names : tuple of str
        ("other", name) for models of one class.
    confusion : ndarray of int64, shape (C, C)
        Pixels by true class (rows) and predicted class (columns): the most probable one, or by the
        threshold for models of one class.
    """

    threshold: float
    buffer_px: int
    scores: Scores
    counts: LevelCounts
    scenes: tuple[SceneScores, ...]
    class_names: tuple[str, ...]
    confusion: Confusion

    @property
    def curve(self) -> Curve:
        """Scores of road at every threshold."""
        return self.counts.curve()

    @property
    def classes(self) -> tuple[ClassScores, ...]:
        """Scores of each class."""
        return class_scores(self.confusion, self.class_names)

    @property
    def mean_iou(self) -> float:
        """Mean over the classes that are labelled or predicted; NaN if there is none."""
        return _mean_iou(self.confusion)

    def to_json(self) -> dict[str, Any]:
        """Return all numbers as JSON values; None if undefined."""
        curve = self.curve
        meeting = curve.break_even()
        values: dict[str, Any] = finite_values(
            {
                "threshold": self.threshold,
                "buffer_px": self.buffer_px,
                **dataclasses.asdict(self.scores),
                "break_even": meeting.value if meeting else None,
                "break_even_threshold": meeting.threshold if meeting else None,
                "mean_iou": self.mean_iou,
                "pixels": self.counts.pixels,
                "road_pixels": int(self.counts.road.sum()),
                "scenes": [
                    {
                        "name": scene.name,
                        **dataclasses.asdict(scene.scores),
                        "mean_iou": scene.mean_iou,
                        "pixels": scene.pixels,
                        "road_pixels": scene.road_pixels,
                    }
                    for scene in self.scenes
                ],
                "classes": [dataclasses.asdict(scores) for scores in self.classes],
                "confusion": self.confusion.tolist(),
                "curve": {
                    field.name: getattr(curve, field.name).tolist()
                    for field in dataclasses.fields(curve)
                },
                "histogram": {
                    "road": self.counts.road.tolist(),
                    "other": self.counts.other.tolist(),
                },
            }
        )
        return values


def finite_values(value: Any) -> Any:
    """Replace numbers that are not finite by None in JSON values."""
    if isinstance(value, dict):
        return {key: finite_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite_values(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


@dataclass(frozen=True)
class Block:
    """A scored part of a scene.

    Attributes
    ----------
    row, col : int
        Top left pixel in the scene.
    image : ndarray of uint8, shape (h, w, 3)
        Input of the model.
    labels, found : ndarray of uint8, shape (h, w)
        True class, `IGNORE` if unknown, and predicted class.
    """

    row: int
    col: int
    image: Bytes
    labels: Bytes
    found: Bytes


class ScoringObserver(Protocol):
    """Observer of the scoring, for pictures."""

    def block(self, scene: LabelledScene, block: Block) -> None:
        """Receive a block; the blocks of a scene cover it and come one after the other."""

    def scene_done(self, scene: LabelledScene, scores: SceneScores) -> None:
        """Receive the scores of a scene after its last block."""


def evaluate_scenes(
    predictor: Predictor,
    scenes: Sequence[LabelledScene],
    threshold: float | None = None,
    *,
    buffer_px: int = BUFFER_PX,
    tile_px: int = TILE_PX,
    observer: ScoringObserver | None = None,
    progress: Progress = no_progress,
) -> PixelEvaluation:
    """Predict scenes and score the predictions; a few rows of tiles are in memory at a time.

    Parameters
    ----------
    scenes : sequence of LabelledScene
        At the model's pixel size. Labels are 1 for road if the model has one class, else class
        indices; pixels labelled `IGNORE` are left out everywhere.
    threshold : float, optional
        Default: the model card's.
    buffer_px : int
        Buffer of the relaxed scores, between pixel centres.
    tile_px : int
        See :class:`roadgis.train.scoring.scene_prediction.ScenePrediction`.
    observer : ScoringObserver, optional
        Receives each block and the scores of each scene.
    progress : Progress
        Progress callback, called after each block.

    Raises
    ------
    DataError
        If there is no scene, or a label is not a class of the model.
    InputError
        If the threshold is not between 0 and 1, or the buffer is negative.
    """
    if not scenes:
        raise DataError("There is no scene to score; name a folder of image and mask pairs.")
    if buffer_px < 0:
        raise InputError(f"The buffer is {buffer_px} px, expected 0 or more.")
    card = predictor.card
    chosen = card.threshold if threshold is None else threshold
    names = card.classes if len(card.classes) > 1 else ("other", card.classes[0])
    scorer = _Scorer(predictor, names, level_of(chosen), buffer_px, tile_px)
    total, confusion = LevelCounts.empty(), np.zeros((len(names),) * 2, np.int64)
    area = sum(scene.height * scene.width for scene in scenes)
    done = 0
    results = []
    for scene in scenes:
        counts, mixed = LevelCounts.empty(), np.zeros_like(confusion)
        for block, block_counts, block_mixed in scorer.blocks(scene):
            counts, mixed = counts + block_counts, mixed + block_mixed
            if observer is not None:
                observer.block(scene, block)
            done += block.labels.size
            progress(done / area, f"scoring {scene.name}")
        result = SceneScores(
            scene.name,
            counts.curve().at(chosen),
            _mean_iou(mixed),
            counts.pixels,
            int(counts.road.sum()),
        )
        if observer is not None:
            observer.scene_done(scene, result)
        results.append(result)
        total, confusion = total + counts, confusion + mixed
    return PixelEvaluation(
        chosen, buffer_px, total.curve().at(chosen), total, tuple(results), names, confusion
    )


@dataclass(frozen=True)
class _Scorer:
    predictor: Predictor
    names: tuple[str, ...]
    level: int
    buffer_px: int
    tile_px: int

    def blocks(self, scene: LabelledScene) -> Iterator[tuple[Block, LevelCounts, Confusion]]:
        """Yield each block of a scene with its counts and its confusion matrix."""
        prediction = ScenePrediction(
            self.predictor,
            image_reader(scene, self.predictor.card),
            scene.height,
            scene.width,
            tile_px=self.tile_px,
        )
        for row, col, height, width in prediction.windows():
            top, left = max(row - self.buffer_px, 0), max(col - self.buffer_px, 0)
            bottom = min(row + height + self.buffer_px, scene.height)
            right = min(col + width + self.buffer_px, scene.width)
            around = (top, left, bottom - top, right - left)
            image, labels = scene.read(*around)
            self._check(labels, scene.name)
            core = (slice(row - top, row - top + height), slice(col - left, col - left + width))
            if (labels[core] == IGNORE).all():
                nothing = np.zeros((height, width), np.uint8)
                counts, mixed = LevelCounts.empty(), np.zeros((len(self.names),) * 2, np.int64)
                yield Block(row, col, image[core], labels[core], nothing), counts, mixed
                continue
            levels, classes = prediction.read(*around)
            road = 1 if classes is None else self.predictor.card.road_class
            counts = count_levels(
                levels, labels == road, labels != IGNORE, buffer_px=self.buffer_px, core=core
            )
            found = (levels >= self.level).astype(np.uint8) if classes is None else classes
            block = Block(row, col, image[core], labels[core], found[core])
            yield block, counts, self._confusion(block)

    def _confusion(self, block: Block) -> Confusion:
        size, valid = len(self.names), block.labels != IGNORE
        pairs = block.labels[valid].astype(np.int64) * size + block.found[valid]
        return np.bincount(pairs, minlength=size * size).reshape(size, size).astype(np.int64)

    def _check(self, labels: Bytes, name: str) -> None:
        known = labels[labels != IGNORE]
        highest = int(known.max(initial=0))
        if highest >= len(self.names):
            raise DataError(
                f"{name}: found the label {highest}; the model has {len(self.names)} classes, "
                f"{', '.join(self.names)}, numbered from 0. Use labels of these classes."
            )


def class_scores(confusion: Confusion, names: Sequence[str]) -> tuple[ClassScores, ...]:
    """Return the scores of each class.

    Parameters
    ----------
    confusion : ndarray of int64, shape (C, C)
        Pixels by true class (rows) and predicted class (columns).
    """
    hits = np.diagonal(confusion)
    true, found = confusion.sum(axis=1), confusion.sum(axis=0)

    def ratio(part: int, whole: int) -> float:
        return float(part / whole) if whole else math.nan

    return tuple(
        ClassScores(
            name,
            iou=ratio(hit, t + f - hit),
            precision=ratio(hit, f),
            recall=ratio(hit, t),
            f1=ratio(2 * hit, t + f),
            pixels=int(t),
        )
        for name, hit, t, f in zip(names, hits, true, found, strict=True)
    )


def _mean_iou(confusion: Confusion) -> float:
    ious = [scores.iou for scores in class_scores(confusion, [""] * len(confusion))]
    known = [iou for iou in ious if not math.isnan(iou)]
    return float(np.mean(known)) if known else math.nan
