"""Random crops of several data sets, each resampled and rotated at random."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from roadgis.errors import DataError
from roadgis.train.data.derived_scenes import normalize_scenes
from roadgis.train.data.labelled_scene import FILL, IGNORE, Bytes, LabelledScene, road_target
from roadgis.train.data.open_data_set import OpenDataSet
from roadgis.train.data.sampling import Augment

# Positions tried for enough valid pixels, and for road if required.
_TRIES = 12
_MIN_VALID = 0.3
# A third of the crops is not rotated; in north-up imagery most roads run along its axes.
_TURNED = 0.67
# From this many scene pixels per crop pixel, pixels are averaged.
_SHRINK_FROM = 1.2


class MixedSampler:
    """Draws random crops of several data sets; thread-safe.

    Each crop comes from a data set drawn by its share, at a pixel size drawn from its range,
    rotated by a random angle. Half of the crops hold road if the data set has such positions.

    Parameters
    ----------
    data_sets : sequence of OpenDataSet
        Those with a share of 0 are left out.
    road_share : float
        Minimum share of road in half of the crops.
    normalize_to : tuple of two floats, or None
        Mean and standard deviation that bands are normalized to.
    augment : Augment, optional
        See :data:`roadgis.train.data.sampling.Augment`.

    Raises
    ------
    DataError
        If every data set has a share of 0.
    """

    def __init__(
        self,
        data_sets: Sequence[OpenDataSet],
        *,
        crop_px: int,
        seed: int,
        road_share: float = 0.02,
        normalize_to: tuple[float, float] | None = None,
        augment: Augment | None = None,
    ) -> None:
        self._sets = [data for data in data_sets if data.settings.share > 0]
        if not self._sets:
            raise DataError("None of the data sets has a share above 0; nothing to train on.")
        shares = np.array([data.settings.share for data in self._sets])
        self._chance = shares / shares.sum()
        self._scenes = [normalize_scenes(data.training, normalize_to) for data in self._sets]
        self._areas = []
        for data in self._sets:
            area = np.array([scene.height * scene.width for scene in data.training], np.float64)
            self._areas.append(area / area.sum())
        self._crop_px = crop_px
        self._seed = seed
        self._road_share = road_share
        self._augment = augment

    def crop(self, number: int) -> tuple[Bytes, Bytes]:
        """Return crop `number`: image uint8 (P, P, 3) and labels uint8 (P, P)."""
        rng = np.random.default_rng([self._seed, number])
        chosen = int(rng.choice(len(self._sets), p=self._chance))
        data = self._sets[chosen]
        position = rng.random()
        angle = rng.uniform(0, 360) if rng.random() < _TURNED else 0.0
        wanted = self._road_share if rng.random() < 0.5 else 0.0
        found: list[tuple[float, Bytes, Bytes]] = []
        for _ in range(_TRIES):
            index = int(rng.choice(len(data.training), p=self._areas[chosen]))
            step = _drawn_gsd(data, index, position) / data.gsd_m[index]
            image, labels = self._read(self._scenes[chosen][index], step, angle, rng)
            lacking = max(_MIN_VALID - (labels != IGNORE).mean(), 0.0)
            lacking += max(wanted - (road_target(labels) >= 0.5).mean(), 0.0)
            found.append((float(lacking), image, labels))
            if not lacking:
                break
        _, image, labels = min(found, key=lambda one: one[0])
        if self._augment is not None:
            image, labels = self._augment(image, labels, rng)
        return image, labels

    def _read(
        self, scene: LabelledScene, step: float, angle: float, rng: np.random.Generator
    ) -> tuple[Bytes, Bytes]:
        """Read a crop of pixels that are `step` scene pixels apart, rotated by `angle`."""
        turn = math.radians(angle)
        spread = abs(math.cos(turn)) + abs(math.sin(turn))
        side = math.ceil(self._crop_px * step * spread) + 2
        # Inside the scene if the scene is larger, else around its centre.
        row, col = (
            rng.uniform(min(side / 2, size / 2), max(size - side / 2, size / 2))
            for size in (scene.height, scene.width)
        )
        top, left = max(math.floor(row - side / 2), 0), max(math.floor(col - side / 2), 0)
        bottom = min(math.ceil(row + side / 2), scene.height)
        right = min(math.ceil(col + side / 2), scene.width)
        image, labels = scene.read(top, left, bottom - top, right - left)
        return _warped(image, labels, (col - left, row - top), step, turn, self._crop_px)


def _drawn_gsd(data: OpenDataSet, index: int, position: float) -> float:
    """Return the pixel size at a position, 0 to 1, of a data set's range, or its own."""
    if not data.settings.crop_gsd_m:
        return data.gsd_m[index]
    low, high = data.settings.crop_gsd_m
    return float(low * (high / low) ** position)


def _warped(
    image: Bytes, labels: Bytes, centre: tuple[float, float], step: float, turn: float, side: int
) -> tuple[Bytes, Bytes]:
    """Resample a square around `centre` (column, row) of pixels that are `step` pixels apart."""
    import cv2

    if step > _SHRINK_FROM:  # average first, as interpolation would skip pixels
        size = (max(1, round(image.shape[1] / step)), max(1, round(image.shape[0] / step)))
        centre = (centre[0] * size[0] / image.shape[1], centre[1] * size[1] / image.shape[0])
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        labels = np.asarray(
            cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8
        )
        step = 1.0
    cos, sin = math.cos(turn) * step, math.sin(turn) * step
    middle = (side - 1) / 2
    # From crop pixels to pixels of the array; pixel centres are integers here.
    matrix = np.array(
        [
            [cos, -sin, centre[0] - 0.5 - middle * (cos - sin)],
            [sin, cos, centre[1] - 0.5 - middle * (cos + sin)],
        ]
    )

    def warp(values: Bytes, interpolation: int, fill: int) -> Bytes:
        warped = cv2.warpAffine(
            values,
            matrix,
            (side, side),
            flags=cv2.WARP_INVERSE_MAP | interpolation,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(fill,) * 3,
        )
        return np.asarray(warped, np.uint8)

    return warp(image, cv2.INTER_LINEAR, FILL), warp(labels, cv2.INTER_NEAREST, IGNORE)
