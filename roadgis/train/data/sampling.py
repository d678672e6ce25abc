"""Random crops of labelled scenes; each depends on the seed and its number only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from roadgis.arrays import Singles
from roadgis.errors import DataError
from roadgis.train.data.data_checks import LabelCounts, check_sizes, count_labels
from roadgis.train.data.labelled_scene import IGNORE, Bytes, LabelledScene, road_target
from roadgis.train.framework import import_keras

_TRIES = 50
_MIN_VALID = 0.5
# Counts of SceneCounts.bounds.
_VALID, _ROAD = 0, 1
# Index of a scene, row and column of a crop's top left pixel.
_Place = tuple[int, int, int]

#: Callback, called as `augment(image, labels, rng)` with image uint8 (H, W, 3) and labels uint8
#: (H, W); returns both, transformed together.
Augment = Callable[[Bytes, Bytes, np.random.Generator], tuple[Bytes, Bytes]]


class CropSource(Protocol):
    """Source of training crops by number; thread-safe."""

    def crop(self, number: int) -> tuple[Bytes, Bytes]:
        """Return crop `number`: image uint8 (P, P, 3) and labels uint8 (P, P)."""


class CropSampler:
    """Draws random crops of scenes in proportion to their valid area; thread-safe.

    At least half of a crop is valid if the scenes have such positions.

    Parameters
    ----------
    road_share : float
        Minimum share of `road_class` in half of the crops, to balance empty areas.
    road_class : int or None
        Class index; None disables the balancing.
    augment : Augment, optional
        See :data:`Augment`.
    counts : LabelCounts, optional
        Counts of the same scenes, if known.

    Raises
    ------
    DataError
        If a scene is smaller than the crop, or no scene has a valid pixel.
    """

    def __init__(
        self,
        scenes: Sequence[LabelledScene],
        *,
        crop_px: int,
        seed: int,
        road_share: float = 0.02,
        road_class: int | None = 1,
        augment: Augment | None = None,
        counts: LabelCounts | None = None,
    ) -> None:
        check_sizes(scenes, crop_px)
        if counts is None or road_class not in (None, counts.road_class):
            found = count_labels(scenes, IGNORE, 1 if road_class is None else road_class)
        else:
            found = list(counts.scenes)
        area = np.array([scene.valid_px for scene in found], np.float64)
        if len(area) != len(scenes):
            raise DataError(
                f"The label counts are of {len(area)} scenes, the crops are of {len(scenes)}; "
                "expected the same scenes."
            )
        if area.sum() == 0:
            raise DataError(f"None of the {len(scenes)} training scenes has a valid pixel.")
        self._scenes = tuple(scenes)
        self._counts = tuple(found)
        self._chance = area / area.sum()
        self._crop_px = crop_px
        self._road_share = road_share
        self._road_class = road_class
        self._seed = seed
        self._augment = augment

    def crop(self, number: int) -> tuple[Bytes, Bytes]:
        """Return crop `number`: image uint8 (P, P, 3) and labels uint8 (P, P)."""
        rng = np.random.default_rng([self._seed, number])
        index, row, col = self._place(rng)
        image, labels = self._scenes[index].read(row, col, self._crop_px, self._crop_px)
        if self._augment is not None:
            image, labels = self._augment(image, labels, rng)
        return image, labels

    def _place(self, rng: np.random.Generator) -> _Place:
        """Choose a scene and the top left pixel of a crop."""
        wants_road = bool(rng.random() < 0.5) and self._road_class is not None
        valid: _Place | None = None
        others: list[_Place] = []
        for _ in range(_TRIES):
            index = int(rng.choice(len(self._scenes), p=self._chance))
            scene = self._scenes[index]
            row = int(rng.integers(0, scene.height - self._crop_px + 1))
            col = int(rng.integers(0, scene.width - self._crop_px + 1))
            place = (index, row, col)
            if not self._holds(_VALID, place, _MIN_VALID):
                others.append(place)
                continue
            valid = valid or place
            if not wants_road or self._holds(_ROAD, place, self._road_share):
                return place
        return valid or max(others, key=lambda place: self._count(_VALID, place))

    def _holds(self, what: int, place: _Place, share: float) -> bool:
        """Return whether a share of a crop is valid or road."""
        index, row, col = place
        area = self._crop_px**2
        low, high = self._counts[index].bounds(what, row, col, self._crop_px)
        if low / area >= share or high / area < share:
            return low / area >= share
        return self._count(what, place) / area >= share

    def _count(self, what: int, place: _Place) -> int:
        index, row, col = place
        labels = self._scenes[index].read_labels(row, col, self._crop_px, self._crop_px)
        return int((labels != IGNORE if what == _VALID else labels == self._road_class).sum())


def crop_dataset(
    sampler: CropSource,
    *,
    batch: int,
    steps: int,
    mean: Sequence[float],
    std: Sequence[float],
    classes: int = 1,
    first_epoch: int = 0,
    workers: int = 1,
) -> Any:
    """Wrap a sampler as a Keras data set.

    Batches do not depend on the number of workers or on the epoch a run resumes at. Keras shuffles
    batches by default, and some versions end an epoch before the first one, so train with
    ``model.fit(dataset, shuffle=False, callbacks=[follow_epochs(dataset), ...])``.

    Parameters
    ----------
    batch, steps : int
        Crops per batch, batches per epoch.
    mean, std : sequence of float
        Per band, applied to values in 0..1.
    classes : int
        Output channels of the model: 1 for binary, where class 1 is road.
    first_epoch : int
        Epoch at which the run resumes.
    workers : int
        Threads that prepare batches.

    Returns
    -------
    keras.utils.PyDataset
        Images float32 (N, P, P, 3), labels float32 (N, P, P, classes), and sample weight float32
        (N, P, P): 1 on valid pixels, else 0.
    """
    keras = import_keras()
    offset, scale = np.asarray(mean, np.float32), 1.0 / np.asarray(std, np.float32)

    class CropDataset(keras.utils.PyDataset):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__(workers=workers, use_multiprocessing=False, max_queue_size=6)
            self.epoch = first_epoch

        def __len__(self) -> int:
            return steps

        def __getitem__(self, index: int) -> tuple[Any, Any, Any]:
            first = (self.epoch * steps + index) * batch
            crops = [sampler.crop(number) for number in range(first, first + batch)]
            images = np.stack([image for image, _ in crops]).astype(np.float32)
            images /= np.float32(255)
            images -= offset
            images *= scale
            labels = np.stack([labels for _, labels in crops])
            return images, one_hot(labels, classes), (labels != IGNORE).astype(np.float32)

        def on_epoch_end(self) -> None:
            self.epoch += 1

    return CropDataset()


def follow_epochs(dataset: Any) -> Any:
    """Return a Keras callback that sets the epoch of a :func:`crop_dataset`."""
    keras = import_keras()

    class FollowEpochs(keras.callbacks.Callback):  # type: ignore[misc,name-defined]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            dataset.epoch = epoch

    return FollowEpochs()


def one_hot(labels: Bytes, classes: int) -> Singles:
    """Return labels (..., classes): one channel per class; a single road channel if binary."""
    if classes == 1:  # may be probabilities
        return road_target(labels)[..., None]
    return np.asarray(labels[..., None] == np.arange(classes), np.float32)
