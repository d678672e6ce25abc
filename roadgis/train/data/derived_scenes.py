"""Scenes derived from others: labels redrawn, images resampled, bands normalized."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from scipy import ndimage

from roadgis.errors import DataError
from roadgis.imagery.values.normalization import Normalization, measure
from roadgis.train.data.labelled_scene import FILL, IGNORE, Bytes, LabelledScene, read_windows

# Scenes are read whole to redraw or resample them.
_LARGEST_PX = 64 * 2**20
# Scenes within this of the target pixel size are not resampled.
_SAME_SIZE = 0.01


class _ComputedScene:
    """A scene computed once from another one, and kept in memory."""

    def __init__(
        self,
        scene: LabelledScene,
        size: tuple[int, int],
        about: str,
        change: Callable[[Bytes, Bytes], tuple[Bytes, Bytes]],
    ) -> None:
        if scene.height * scene.width > _LARGEST_PX:
            raise DataError(
                f"{scene.name}: is {scene.height} x {scene.width} px; scenes that are redrawn or "
                "resampled may have 64 million pixels at most. Cut it into tiles."
            )
        self.name, (self.height, self.width) = scene.name, size
        self.fingerprint = f"{scene.fingerprint}, {about}"
        self._scene, self._change = scene, change
        self._kept: tuple[Bytes, Bytes] | None = None

    def read(self, row: int, col: int, height: int, width: int) -> tuple[Bytes, Bytes]:
        """Return image and labels."""
        image, labels = self._whole()
        part = np.s_[row : row + height, col : col + width]
        return np.array(image[part]), np.array(labels[part])

    def read_labels(self, row: int, col: int, height: int, width: int) -> Bytes:
        """Return the labels alone."""
        return np.array(self._whole()[1][row : row + height, col : col + width])

    def _whole(self) -> tuple[Bytes, Bytes]:
        if self._kept is None:
            scene = self._scene
            self._kept = self._change(*scene.read(0, 0, scene.height, scene.width))
        return self._kept


def redraw_labels(scene: LabelledScene, width_px: float) -> LabelledScene:
    """Redraw the road labels of a scene as lines of one width.

    Parameters
    ----------
    scene : LabelledScene
        With binary labels.
    """
    # Not in `change`, which runs in threads: lazily loaded modules fail if two threads import them
    # at once.
    from skimage import morphology

    thin: Callable[..., Bytes] = morphology.skeletonize

    def change(image: Bytes, labels: Bytes) -> tuple[Bytes, Bytes]:
        middle = np.asarray(thin(labels == 1), np.bool_)
        if middle.any():
            near = ndimage.distance_transform_edt(~middle) <= width_px / 2
            labels = np.where(labels == IGNORE, IGNORE, near).astype(np.uint8)
        return image, labels

    return _ComputedScene(scene, (scene.height, scene.width), f"{width_px:.2f} px wide", change)


def resample(scene: LabelledScene, scale: float) -> LabelledScene:
    """Resample a scene to another pixel size.

    Parameters
    ----------
    scale : float
        Side of an input pixel in output pixels.
    """
    if abs(scale - 1) <= _SAME_SIZE:
        return scene
    height, width = round(scene.height * scale), round(scene.width * scale)

    def change(image: Bytes, labels: Bytes) -> tuple[Bytes, Bytes]:
        import cv2

        smooth = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        nearest = cv2.INTER_NEAREST_EXACT
        image = np.array(cv2.resize(image, (width, height), interpolation=smooth), np.uint8)
        labels = np.array(cv2.resize(labels, (width, height), interpolation=nearest), np.uint8)
        image[labels == IGNORE] = FILL
        return image, labels

    return _ComputedScene(scene, (height, width), f"scaled by {scale:.4f}", change)


def normalize_scenes(
    scenes: Sequence[LabelledScene], target: tuple[float, float] | None
) -> Sequence[LabelledScene]:
    """Normalize the bands of scenes by the statistics of the whole scene.

    Parameters
    ----------
    scenes : sequence of LabelledScene
        Statistics are computed at the first read.
    target : tuple of two floats, or None
        Mean and standard deviation, 0..255; None returns the scenes unchanged.
    """
    if target is None:
        return scenes
    return [_NormalizedScene(scene, target) for scene in scenes]


class _NormalizedScene:
    def __init__(self, scene: LabelledScene, target: tuple[float, float]) -> None:
        self.name, self.height, self.width = scene.name, scene.height, scene.width
        self.fingerprint = f"{scene.fingerprint}, normalized to {target}"
        self._scene, self._target = scene, target
        self._found: Normalization | None = None
        self._lock = threading.Lock()

    def read(self, row: int, col: int, height: int, width: int) -> tuple[Bytes, Bytes]:
        """Return image and labels."""
        with self._lock:
            if self._found is None:
                self._found = measure(self._samples(), 3, self._target)
        image, labels = self._scene.read(row, col, height, width)
        blank = (image == FILL).all(axis=2) & (labels == IGNORE)
        image = self._found.apply(image)
        image[blank] = FILL
        return image, labels

    def read_labels(self, row: int, col: int, height: int, width: int) -> Bytes:
        """Return the labels alone."""
        return self._scene.read_labels(row, col, height, width)

    def _samples(self) -> Iterator[Bytes]:
        """Yield the pixels with image."""
        for block in read_windows(self.height, self.width):
            image, labels = self._scene.read(block.row, block.col, block.height, block.width)
            yield image[~((image == FILL).all(axis=2) & (labels == IGNORE))]
