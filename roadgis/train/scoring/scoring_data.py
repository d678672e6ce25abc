"""Scenes to score a model on: given ones, or the validation scenes of its run."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from roadgis.errors import DataError
from roadgis.model.card import ModelCard
from roadgis.options.training_data import DataSettings
from roadgis.train.data.labelled_scene import LabelledScene
from roadgis.train.data.training_data import open_labelled_data, open_training_data
from roadgis.train.run_folder import RunFolder
from roadgis.train.settings import read_settings

#: Pair folders; or settings, which can also name georeferenced imagery with a road layer. Pixel
#: size and classes come from the model.
ScoringData = Sequence[Path] | DataSettings


def scenes_to_score(
    model: Path | str, data: ScoringData, card: ModelCard
) -> Sequence[LabelledScene]:
    """Open the given labelled scenes, or else the validation scenes of a run.

    Parameters
    ----------
    model : Path or str
        As given by the user; a run folder knows its validation scenes.
    card : ModelCard
        Its classes define the masks, and georeferenced imagery is resampled to its pixel size, or
        the nearest one in its range.

    Raises
    ------
    DataError
        If there are no scenes, or they cannot be used.
    """
    named = _settings(data)
    if _sources(named):
        return open_labelled_data(
            dataclasses.replace(
                named,
                classes=card.classes,
                road=card.classes[card.road_class],
                gsd_m=card.gsd_m,
                gsd_range_m=card.gsd_range_m,
            )
        )
    run = RunFolder(Path(model))
    if not run.settings.is_file():
        raise DataError(
            f"{model}: found no scenes to score on. Name folders of image and mask pairs with "
            "--data, or imagery with --images and its roads with --labels. Only run folders have "
            "validation scenes of their own."
        )
    settings = read_settings(run.settings)
    scenes = open_training_data(settings.data, settings.optimization.seed).validation
    if not scenes:
        raise DataError(
            f"{model}: the run had no validation scenes. Name folders of image and mask pairs with "
            "--data, or imagery with --images and its roads with --labels."
        )
    return scenes


def has_data(data: ScoringData) -> bool:
    """Return whether data is given, instead of a run's own validation scenes."""
    return bool(_sources(_settings(data)))


def data_names(data: ScoringData) -> tuple[str, ...]:
    """Return the names of the scoring data as given by the user."""
    return tuple(map(str, _sources(_settings(data)))) or ("held out",)


def _settings(data: ScoringData) -> DataSettings:
    return data if isinstance(data, DataSettings) else DataSettings(folders=tuple(data))


def _sources(named: DataSettings) -> tuple[Path, ...]:
    roads = () if named.roads is None else (named.roads,)
    return (*named.folders, *named.images, *roads)
