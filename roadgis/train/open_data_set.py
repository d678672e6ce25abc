"""The scenes of a data set, with labels redrawn and scenes resampled as its settings ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from roadgis.errors import DataError
from roadgis.scene.options import SceneOptions
from roadgis.scene.plan import pixel_size_m
from roadgis.scene.raster import inspect_raster
from roadgis.train.data_set import DataSet
from roadgis.train.distillation import load_teacher, softened
from roadgis.train.labelled import FILL, IGNORE, Bytes, LabelledScene
from roadgis.train.pairs import find_pairs
from roadgis.train.scenes import open_pairs

__all__ = ["OpenDataSet", "open_data_set", "redrawn", "resampled"]

# Scenes are read whole to be redrawn or resampled.
_LARGEST_PX = 64 * 2**20
# A scene this close to the pixel size wanted is not resampled.
_SAME_SIZE = 0.01


@dataclass(frozen=True)
class OpenDataSet:
    """The scenes of a data set.

    Attributes
    ----------
    settings : DataSet
        Where they come from.
    training : sequence of LabelledScene
        At the pixel size of the images.
    gsd_m : sequence of float
        Pixel size of each training scene, metres.
    validation : sequence of LabelledScene
        Each at its pixel size, or the nearest one trained at.
    """

    settings: DataSet
    training: Sequence[LabelledScene]
    gsd_m: Sequence[float]
    validation: Sequence[LabelledScene] = ()


def open_data_set(settings: DataSet, classes: Sequence[str] = ("road",)) -> OpenDataSet:
    """Open a data set and divide it into training and validation.

    Raises
    ------
    DataError
        If there are no scenes, or they cannot be used; see
        :func:`roadgis.train.scenes.open_pairs`.
    SceneError
        If pixel sizes are to be read from images that have no CRS.
    """
    every = settings.hold_out_every
    training: list[tuple[LabelledScene, float]] = []
    held: list[tuple[LabelledScene, float]] = []
    for number, scene in enumerate(_scenes(settings, settings.folders, classes)):
        (held if every and number % every == 0 else training).append(scene)
    if settings.share and not training:
        raise DataError(
            f"The data set {settings.name} has a share of {settings.share:g} and no scenes to "
            "train on. Name folders of image and mask pairs, or give it a share of 0."
        )
    held += _scenes(settings, settings.validation, classes)
    scenes, sizes = [scene for scene, _ in training], [gsd for _, gsd in training]
    if settings.teacher is not None:
        teacher = load_teacher(settings.teacher)
        scenes = softened(scenes, sizes, teacher, settings.teacher_weight)
    return OpenDataSet(
        settings,
        scenes,
        sizes,
        [resampled(scene, gsd / settings.nearest_gsd_m(gsd)) for scene, gsd in held],
    )


def _scenes(
    settings: DataSet, folders: Sequence[Path], classes: Sequence[str]
) -> list[tuple[LabelledScene, float]]:
    """Open folders of pairs; return each scene and its pixel size in metres."""
    if not folders:
        return []
    scenes = open_pairs(folders, classes=classes)
    if settings.gsd_m is not None:
        sizes = [settings.gsd_m] * len(scenes)
    else:
        pairs = [pair for folder in folders for pair in find_pairs(folder)]
        sizes = [_own_gsd(pair.image) for pair in pairs]
    if settings.redraw_width_m is not None:
        width_m = settings.redraw_width_m
        scenes = [redrawn(one, width_m / gsd) for one, gsd in zip(scenes, sizes, strict=True)]
    return list(zip(scenes, sizes, strict=True))


def _own_gsd(image: Path) -> float:
    width_m, height_m = pixel_size_m(inspect_raster(str(image), SceneOptions(), 1))
    return float((width_m * height_m) ** 0.5)


class _ComputedScene:
    """A scene that is computed once from another one, and kept."""

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
        """Return image and labels; see :class:`roadgis.train.labelled.LabelledScene`."""
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


def redrawn(scene: LabelledScene, width_px: float) -> LabelledScene:
    """Return a scene whose road labels are redrawn as lines of one width.

    Parameters
    ----------
    scene : LabelledScene
        With binary labels.
    width_px : float
        Width of the lines, pixels.
    """

    # Not in `change`, which threads call: lazily loaded modules fail when two import them at once.
    from skimage import morphology

    thin: Callable[..., Bytes] = morphology.skeletonize

    def change(image: Bytes, labels: Bytes) -> tuple[Bytes, Bytes]:
        middle = np.asarray(thin(labels == 1), np.bool_)
        if middle.any():
            near = ndimage.distance_transform_edt(~middle) <= width_px / 2
            labels = np.where(labels == IGNORE, IGNORE, near).astype(np.uint8)
        return image, labels

    return _ComputedScene(scene, (scene.height, scene.width), f"{width_px:.2f} px wide", change)


def resampled(scene: LabelledScene, scale: float) -> LabelledScene:
    """Return a scene at another pixel size.

    Parameters
    ----------
    scene : LabelledScene
        Read whole.
    scale : float
        Pixels of the result for each of the scene's, along a side.
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
