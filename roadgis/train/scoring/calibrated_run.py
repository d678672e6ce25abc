"""Calibration of a run's model on its own validation scenes."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from roadgis.errors import DataError, InputError, MissingExtraError
from roadgis.progress import Progress, no_progress, scaled
from roadgis.train.data.labelled_scene import LabelledScene
from roadgis.train.data.training_data import open_training_data
from roadgis.train.run_folder import RunFolder
from roadgis.train.scoring.calibration import (
    Calibration,
    CentrelineSamples,
    apply_calibration,
    fit_calibration,
    reliability,
    sample_centrelines,
    write_reliability,
)
from roadgis.train.scoring.plots import reliability_figure, save_figure
from roadgis.train.scoring.scene_prediction import KerasPredictor
from roadgis.train.settings import read_settings
from roadgis.train.starting_model import load_trained

logger = logging.getLogger(__name__)

# Prevents calibrating twice by mistake.
_KEY = "calibration"


@dataclass(frozen=True)
class CalibratedRun:
    """Result of a calibration.

    Attributes
    ----------
    places : tuple of str
        Names of the data sets it was fitted on.
    threshold : float
        New threshold; the same pixels are road as before.
    error_before, error : float
        Expected calibration error, mean of the data sets.
    """

    places: tuple[str, ...]
    threshold: float
    error_before: float
    error: float


def calibrate_run(run: Path, *, progress: Progress = no_progress) -> CalibratedRun:
    """Calibrate the model of a run and write its reliability next to it.

    Parameters
    ----------
    run : Path
        Run folder; its ``model.keras`` and card are replaced.

    Raises
    ------
    InputError
        If the model is calibrated already, or has several classes.
    DataError
        If the run has no validation scenes, or no correct or no wrong roads are predicted on them.
    """
    folder = RunFolder(run)
    if not (folder.settings.is_file() and folder.model.is_file()):
        raise DataError(f"{run}: found no finished run; expected settings.yaml and model.keras.")
    model, card = load_trained(folder.model)
    if _KEY in card.scores:
        raise InputError(f"{run}: the model is calibrated already ({card.scores[_KEY]}).")
    settings = read_settings(folder.settings)
    data = open_training_data(settings.data, settings.optimization.seed)
    validation: dict[str, tuple[list[LabelledScene], list[float]]] = (
        {one.settings.name: (list(one.validation), list(one.validation_gsd_m)) for one in data.sets}
        if data.sets
        else {"validation": (list(data.validation), [settings.data.gsd_m] * len(data.validation))}
    )
    validation = {name: found for name, found in validation.items() if found[0]}
    if not validation:
        raise DataError(f"{run}: the run had no validation scenes to calibrate on.")
    places: dict[str, CentrelineSamples] = {}
    predictor = KerasPredictor(model, card)
    for number, (name, (scenes, sizes)) in enumerate(validation.items()):
        part = scaled(progress, number / len(validation), (number + 1) / len(validation))
        places[name] = sample_centrelines(
            predictor, scenes, sizes, threshold=card.threshold, progress=part
        )
    calibration = fit_calibration(places)
    apply_calibration(model, calibration)
    after = {
        name: CentrelineSamples(calibration(found.probability), found.correct)
        for name, found in places.items()
    }
    made = CalibratedRun(
        tuple(places), float(calibration([card.threshold])[0]), _error(places), _error(after)
    )
    about = {
        _KEY: f"logit x {calibration.scale:.3f} + {calibration.offset:.3f}",
        "calibration_error": round(made.error, 4),
    }
    card = dataclasses.replace(card, threshold=made.threshold, scores={**card.scores, **about})
    folder.save_model(model, card)
    _write_reliability(run, after, calibration)
    return made


def _error(places: dict[str, CentrelineSamples]) -> float:
    return float(np.mean([reliability(found).error for found in places.values()]))


def _write_reliability(
    run: Path, places: dict[str, CentrelineSamples], calibration: Calibration
) -> None:
    logger.info("calibration: %s", calibration)
    write_reliability(places, run / "reliability.csv")
    tables = {name: reliability(found) for name, found in places.items()}
    try:
        save_figure(reliability_figure(tables), run / "reliability.svg")
    except MissingExtraError as error:
        logger.warning("no plot of the reliability: %s", error)
