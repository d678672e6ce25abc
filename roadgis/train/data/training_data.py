"""Open the training and validation data of a run from its settings."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from roadgis.errors import DataError
from roadgis.labels.vector import RoadLayer
from roadgis.options.training import TrainSettings
from roadgis.options.training_data import DataSettings
from roadgis.progress import Progress, no_progress
from roadgis.train.data.data_checks import LabelCounts, check_labels
from roadgis.train.data.derived_scenes import normalize_scenes
from roadgis.train.data.georeferenced import open_labelled
from roadgis.train.data.holdout import hold_out
from roadgis.train.data.labelled_scene import LabelledScene
from roadgis.train.data.mask_layer import MaskLayer
from roadgis.train.data.mixed_sampling import MixedSampler
from roadgis.train.data.open_data_set import OpenDataSet, open_data_set
from roadgis.train.data.pair_scene import open_pairs
from roadgis.train.data.pairs import find_splits
from roadgis.train.data.sampling import Augment, CropSampler, CropSource

logger = logging.getLogger(__name__)

# Side of the blocks of --hold-out, in crops: large enough that most of a block is far from
# training pixels, small enough that few scenes have many blocks.
_HOLD_OUT_CROPS = 2
_RASTERS = (".tif", ".tiff", ".vrt", ".img", ".jp2", ".png")


@dataclass(frozen=True)
class TrainingData:
    """The data of a run.

    Attributes
    ----------
    counts : LabelCounts
        Label counts of the training scenes.
    fingerprint : str
        Fingerprint of the training data: a run resumes with the same data only.
    sets : sequence of OpenDataSet
        The data sets, if the settings name several.
    """

    training: Sequence[LabelledScene]
    validation: Sequence[LabelledScene]
    counts: LabelCounts
    fingerprint: str
    sets: Sequence[OpenDataSet] = ()


def output_classes(settings: DataSettings) -> tuple[tuple[str, ...], int]:
    """Return the classes of the model's output, and the index of road.

    Raises
    ------
    DataError
        If no class has the name of the road class.
    """
    if len(settings.classes) == 1:
        return settings.classes, 0
    if settings.road not in settings.classes:
        raise DataError(
            f"Found the classes {', '.join(settings.classes)}, but no class "
            f"{settings.road!r}. Name the road class with --road."
        )
    return settings.classes, settings.classes.index(settings.road)


def open_training_data(
    settings: DataSettings, seed: int, progress: Progress = no_progress
) -> TrainingData:
    """Open all data of a run and check its labels.

    Parameters
    ----------
    seed : int
        Seed of the held-out blocks.
    progress : Progress
        Progress callback for the label check, which takes minutes for thousands of scenes.

    Raises
    ------
    DataError
        If data is missing, or cannot be used.
    """
    if settings.sets:
        return _open_sets(settings, progress)
    names, road = output_classes(settings)
    road_class = road if len(names) > 1 else 1
    folders, validation_folders = _parts(settings)
    training: Sequence[LabelledScene] = open_labelled_data(
        dataclasses.replace(settings, folders=tuple(folders))
    )
    if not training:
        raise DataError(
            "No training data: name folders of image and mask pairs with --data, or imagery with "
            "--images and its roads with --labels."
        )
    validation: list[LabelledScene] = []
    if settings.hold_out:
        block_px = _HOLD_OUT_CROPS * settings.crop_px
        training, blocks = hold_out(training, share=settings.hold_out, block_px=block_px, seed=seed)
        validation += _with_labels(blocks, names)
    found = check_labels(
        training, names, crop_px=settings.crop_px, road_class=road_class, progress=progress
    )
    logger.info("training data: %s", found)
    if validation_folders:
        scenes = open_pairs(validation_folders, classes=names)
        check_labels(scenes, names, road_class=road_class)
        validation += scenes
    if validation:
        logger.info("validation: %d scenes", len(validation))
    return TrainingData(training, validation, found, scenes_fingerprint(training))


def _open_sets(settings: DataSettings, progress: Progress) -> TrainingData:
    if len(settings.classes) > 1:
        raise DataError(
            f"Found {len(settings.classes)} classes with several data sets, which support "
            "a single class only. Leave classes out, or name the data with folders."
        )
    sets = [open_data_set(item, settings.classes) for item in settings.sets]
    training = [scene for data in sets for scene in data.training]
    found = check_labels(training, settings.classes, progress=progress)
    for data in sets:
        logger.info(
            "%s: %d scenes to train on, %d to score on, share %g",
            data.settings.name,
            len(data.training),
            len(data.validation),
            data.settings.share,
        )
    logger.info("training data: %s", found)
    validation = [scene for data in sets for scene in data.validation]
    return TrainingData(training, validation, found, scenes_fingerprint(training), sets)


def open_labelled_data(settings: DataSettings) -> list[LabelledScene]:
    """Open the pair folders and the georeferenced imagery of the settings.

    Parameters
    ----------
    settings : DataSettings
        Folders are used as they are, without splits.

    Returns
    -------
    list of LabelledScene
        Pairs first; empty without data.

    Raises
    ------
    DataError
        If the data cannot be used, or imagery is given without roads or roads without imagery.
    """
    scenes: list[LabelledScene] = []
    if settings.folders:
        scenes += open_pairs(settings.folders, classes=settings.classes)
    if settings.images or settings.roads:
        scenes += _georeferenced(settings)
    return scenes


def _parts(settings: DataSettings) -> tuple[list[Path], list[Path]]:
    """Return the training and validation folders; data sets with splits give both."""
    folders: list[Path] = []
    validation_folders = [
        find_splits(folder).get("valid", folder) for folder in settings.validation
    ]
    for folder in settings.folders:
        splits = find_splits(folder)
        folders.append(splits.get("train", folder))
        if "valid" in splits and not settings.validation and not settings.hold_out:
            validation_folders.append(splits["valid"])
    return folders, validation_folders


def _with_labels(
    blocks: Sequence[LabelledScene], names: tuple[str, ...]
) -> Sequence[LabelledScene]:
    """Return the blocks with valid pixels."""
    found = check_labels(blocks, names)
    kept = [
        block for block, seen in zip(blocks, found.scenes, strict=True) if sum(seen.class_px) > 0
    ]
    if not kept:
        raise DataError(
            "The held-out blocks have no valid pixel. Raise --hold-out, or name scenes "
            "with --validation."
        )
    return kept


def _georeferenced(settings: DataSettings) -> list[LabelledScene]:
    if not (settings.images and settings.roads):
        raise DataError(
            "Found imagery without roads or roads without imagery; expected both --images and "
            "--labels."
        )
    return open_labelled(
        settings.images, _labels(settings), gsd_m=settings.working_gsd_m, area=settings.area
    )


def _labels(settings: DataSettings) -> RoadLayer | MaskLayer:
    """Open `roads`: a raster by its suffix, else a vector layer."""
    assert settings.roads is not None
    if settings.roads.suffix.lower() in _RASTERS:
        return MaskLayer.open(settings.roads, classes=settings.classes)
    if len(settings.classes) > 1:
        raise DataError(
            f"{settings.roads}: a road layer gives two classes, road and other. For more classes, "
            "give a raster mask of class indices."
        )
    return RoadLayer.open(
        settings.roads,
        layer=settings.layer,
        width_m=settings.label_width_m,
        width_field=settings.label_width_field,
    )


def scenes_fingerprint(scenes: Sequence[LabelledScene]) -> str:
    """Return a fingerprint that changes with the training data.

    It depends on names, sizes and modification times of the files, on how they are read, and on the
    order of the scenes, not on where the files lie.
    """
    about = [(scene.name, scene.height, scene.width, scene.fingerprint) for scene in scenes]
    return hashlib.sha256(repr(about).encode()).hexdigest()


def crop_source(
    settings: TrainSettings,
    data: TrainingData,
    normalize_to: tuple[float, float] | None,
    augment: Augment | None,
) -> CropSource:
    """Return the crop sampler of a run."""
    chosen, seed = settings.data, settings.optimization.seed
    if data.sets:
        return MixedSampler(
            data.sets,
            crop_px=chosen.crop_px,
            seed=seed,
            road_share=chosen.road_share,
            normalize_to=normalize_to,
            augment=augment,
        )
    names, road = output_classes(chosen)
    return CropSampler(
        normalize_scenes(data.training, normalize_to),
        crop_px=chosen.crop_px,
        seed=seed,
        road_share=chosen.road_share,
        road_class=road if len(names) > 1 else 1,
        augment=augment,
        counts=data.counts,
    )
