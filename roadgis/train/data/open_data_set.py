"""The scenes of a data set, with labels redrawn and scenes resampled by its settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from roadgis.errors import DataError
from roadgis.imagery.plan import pixel_size_m
from roadgis.imagery.raster import inspect_raster
from roadgis.options.imagery import SceneOptions
from roadgis.options.training_data import DataSet
from roadgis.train.data.derived_scenes import redraw_labels, resample
from roadgis.train.data.distillation import load_teacher, soften_labels
from roadgis.train.data.labelled_scene import LabelledScene
from roadgis.train.data.pair_scene import open_pairs
from roadgis.train.data.pairs import find_pairs


@dataclass(frozen=True)
class OpenDataSet:
    """The scenes of a data set.

    Attributes
    ----------
    training : sequence of LabelledScene
        At the pixel size of the images.
    gsd_m : sequence of float
        Pixel size of each training scene, metres.
    validation : sequence of LabelledScene
        Each at its pixel size, or the nearest training pixel size.
    """

    settings: DataSet
    training: Sequence[LabelledScene]
    gsd_m: Sequence[float]
    validation: Sequence[LabelledScene] = ()
    validation_gsd_m: Sequence[float] = ()


def open_data_set(settings: DataSet, classes: Sequence[str] = ("road",)) -> OpenDataSet:
    """Open a data set and split it into training and validation.

    Raises
    ------
    DataError
        If there are no scenes, or they cannot be used.
    SceneError
        If pixel sizes are needed from images without a CRS.
    """
    every = settings.hold_out_every
    training: list[tuple[LabelledScene, float]] = []
    validation_scenes: list[tuple[LabelledScene, float]] = []
    for number, scene in enumerate(_scenes(settings, settings.folders, classes)):
        (validation_scenes if every and number % every == 0 else training).append(scene)
    if settings.share and not training:
        raise DataError(
            f"The data set {settings.name} has a share of {settings.share:g} and no scenes to "
            "train on. Name folders of image and mask pairs, or give it a share of 0."
        )
    validation_scenes += _scenes(settings, settings.validation, classes)
    scenes, sizes = [scene for scene, _ in training], [gsd for _, gsd in training]
    if settings.teacher is not None:
        teacher = load_teacher(settings.teacher)
        scenes = soften_labels(scenes, sizes, teacher, settings.teacher_weight)
    return OpenDataSet(
        settings,
        scenes,
        sizes,
        [resample(scene, gsd / settings.nearest_gsd_m(gsd)) for scene, gsd in validation_scenes],
        [settings.nearest_gsd_m(gsd) for _, gsd in validation_scenes],
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
        scenes = [redraw_labels(one, width_m / gsd) for one, gsd in zip(scenes, sizes, strict=True)]
    return list(zip(scenes, sizes, strict=True))


def _own_gsd(image: Path) -> float:
    width_m, height_m = pixel_size_m(inspect_raster(str(image), SceneOptions(), 1))
    return float((width_m * height_m) ** 0.5)
