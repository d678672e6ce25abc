"""Knowledge distillation: a trained model's probabilities mixed into the labels.

A small model learns more from each crop if it also sees the probabilities of a trained model, as
labels are a metre or two off and miss roads (Hinton et al. 2015).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from roadgis.errors import InputError
from roadgis.model.card import ModelCard
from roadgis.model.runtime import load_model
from roadgis.train.data.derived_scenes import resample
from roadgis.train.data.labelled_scene import IGNORE, SOFT_ONE, SOFT_ZERO, Bytes, LabelledScene
from roadgis.train.scoring.scene_prediction import Predictor, predict_scene


def load_teacher(name: str) -> Predictor:
    """Load a road model as the teacher.

    Parameters
    ----------
    name : str
        As for :func:`roadgis.model.runtime.load_model`.

    Raises
    ------
    InputError
        If its input is not three bands.
    """
    teacher = load_model(name)
    bands = teacher.card.bands
    if len(bands) != 3:
        raise InputError(
            f"The teacher {name} takes {len(bands)} bands, expected 3 (red, green, blue)."
        )
    return teacher


def soften_labels(
    scenes: Sequence[LabelledScene], gsd_m: Sequence[float], teacher: Predictor, weight: float
) -> list[LabelledScene]:
    """Mix the labels of scenes with a teacher's probabilities.

    Each scene is predicted at the first read.

    Parameters
    ----------
    scenes : sequence of LabelledScene
        With binary labels.
    gsd_m : sequence of float
        Pixel sizes of the scenes, metres.
    teacher : Predictor
        It gets each scene at the nearest pixel size it was trained for.
    weight : float
        Share of the teacher in the labels, 0 to 1.
    """
    lock = threading.Lock()
    return [
        _SoftenedScene(scene, gsd, teacher, weight, lock)
        for scene, gsd in zip(scenes, gsd_m, strict=True)
    ]


class _SoftenedScene:
    def __init__(
        self,
        scene: LabelledScene,
        gsd_m: float,
        teacher: Predictor,
        weight: float,
        lock: threading.Lock,
    ) -> None:
        self.name, self.height, self.width = scene.name, scene.height, scene.width
        card = teacher.card
        self.fingerprint = f"{scene.fingerprint}, {weight} {card.name} {card.version}"
        self._scene, self._scale = scene, gsd_m / _nearest_gsd(card, gsd_m)
        self._teacher, self._weight, self._lock = teacher, weight, lock
        self._levels: Bytes | None = None

    def read(self, row: int, col: int, height: int, width: int) -> tuple[Bytes, Bytes]:
        """Return image and softened labels."""
        with self._lock:
            if self._levels is None:
                self._levels = self._predict()
        image, labels = self._scene.read(row, col, height, width)
        levels = self._levels[row : row + height, col : col + width]
        mixed = (1 - self._weight) * labels + self._weight / 255 * levels
        soft = np.rint(SOFT_ZERO + (SOFT_ONE - SOFT_ZERO) * mixed)
        return image, np.where(labels == IGNORE, IGNORE, soft).astype(np.uint8)

    def read_labels(self, row: int, col: int, height: int, width: int) -> Bytes:
        """Return the original labels."""
        return self._scene.read_labels(row, col, height, width)

    def _predict(self) -> Bytes:
        """Return the teacher's probability of the whole scene, 0 to 255."""
        import cv2

        seen = resample(self._scene, self._scale)
        levels: Bytes = np.rint(predict_scene(self._teacher, seen) * 255).astype(np.uint8)
        if levels.shape != (self.height, self.width):
            size = (self.width, self.height)
            return np.array(cv2.resize(levels, size, interpolation=cv2.INTER_LINEAR), np.uint8)
        return levels


def _nearest_gsd(card: ModelCard, gsd_m: float) -> float:
    low, high = card.gsd_range_m or (card.gsd_m, card.gsd_m)
    return min(max(gsd_m, low), high)
