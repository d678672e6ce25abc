"""Which scenes a model is scored on: those that are named, or what its run held back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from roadgis.errors import DataError
from roadgis.model.card import ModelCard
from roadgis.train.run_folder import RunFolder
from roadgis.train.scenes import LabelledScene, open_pairs
from roadgis.train.settings import read_settings
from roadgis.train.training_data import open_training_data

__all__ = ["scenes_to_score"]


def scenes_to_score(
    model: Path | str, folders: Sequence[Path], card: ModelCard
) -> Sequence[LabelledScene]:
    """Open folders of pairs, or without any the validation scenes of a run.

    Parameters
    ----------
    model : Path or str
        As the user named it; a run's folder knows what it was validated on.
    folders : sequence of Path
        Of pairs.
    card : ModelCard
        Of the model: its classes say how masks are to be read.

    Raises
    ------
    DataError
        If there is nothing to score on, or it cannot be used.
    """
    if folders:
        return open_pairs(folders, classes=card.classes)
    run = RunFolder(Path(model))
    if not run.settings.is_file():
        raise DataError(
            f"{model}: found no data to score on. Name folders of image and mask pairs with --data "
            "(the folder of a run is scored on its own validation scenes without)."
        )
    settings = read_settings(run.settings)
    scenes = open_training_data(settings.data, settings.optimization.seed).validation
    if not scenes:
        raise DataError(
            f"{model}: the run had no validation scenes. Name folders of image and mask pairs with "
            "--data."
        )
    return scenes
