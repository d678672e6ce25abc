"""Settings that a fine-tuning run inherits from the model it starts from."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roadgis.model.card import ModelCard, read_card_file
from roadgis.options.training import OptimizationSettings, TrainSettings
from roadgis.options.training_data import DataSettings
from roadgis.train.settings import read_settings_values

logger = logging.getLogger(__name__)

#: A section of the settings and a field in it.
SettingName = tuple[str, str]


@dataclass(frozen=True)
class FineTuning:
    """Schedule of a fine-tuning run.

    Attributes
    ----------
    steps : int
        Default length of the run.
    warmup_share, decay_share : float
        Shares of the run in which the learning rate rises and falls.
    rate_share : float
        Peak rate as a share of the model's own peak rate.
    frozen_epochs : int
        Initial epochs with a frozen encoder.
    frozen_share : float
        Largest share of the run with a frozen encoder.
    """

    steps: int = 2000
    warmup_share: float = 0.05
    decay_share: float = 0.75
    rate_share: float = 0.3
    frozen_epochs: int = 2
    frozen_share: float = 0.2


FINE_TUNING = FineTuning()


def file_settings(path: Path) -> set[SettingName]:
    """Return the names of the settings in a settings file."""
    values = read_settings_values(path)
    return {
        (section, field)
        for section, fields in (values or {}).items()
        if isinstance(fields, dict)
        for field in fields
    }


def inherit_settings(settings: TrainSettings, given: Collection[SettingName]) -> TrainSettings:
    """Complete settings from the model that the run starts from, if any.

    Parameters
    ----------
    settings : TrainSettings
        Its ``network.init`` names the model.
    given : collection of (section, field)
        Settings given by an option or the settings file, which are not changed.

    Raises
    ------
    ModelError
        If the model or its card is not found.
    """
    if settings.network.init is None:
        return settings
    from roadgis.train.starting_model import resolve_trained

    card = read_card_file(resolve_trained(settings.network.init))
    inherited = _pixel_size(card, settings, given) | _crop(card, given)
    inherited |= _schedule(card, settings, given)
    if not inherited:
        return settings
    sections = {
        section: dataclasses.replace(
            getattr(settings, section),
            **{field: value for (home, field), value in inherited.items() if home == section},
        )
        for section in {section for section, _ in inherited}
    }
    result = dataclasses.replace(settings, **sections)
    logger.info(
        "inherited from the model %s %s: %s; options and settings files override this",
        card.name, card.version, _described(inherited, result),
    )  # fmt: skip
    return result


def _pixel_size(
    card: ModelCard, settings: TrainSettings, given: Collection[SettingName]
) -> dict[SettingName, Any]:
    # Data sets have their own pixel sizes.
    if settings.data.sets or {("data", "gsd_m"), ("data", "gsd_range_m")} & set(given):
        return {}
    return {("data", "gsd_m"): card.gsd_m, ("data", "gsd_range_m"): card.gsd_range_m}


def _crop(card: ModelCard, given: Collection[SettingName]) -> dict[SettingName, Any]:
    if ("data", "crop_px") in given:
        return {}
    trained = card.tile_px or _recipe(card, "data").get("crop_px")
    usable = isinstance(trained, int) and trained > 0 and trained % card.stride == 0
    return {("data", "crop_px"): trained if usable else DataSettings().crop_px}


def _schedule(
    card: ModelCard, settings: TrainSettings, given: Collection[SettingName]
) -> dict[SettingName, Any]:
    """Return the fine-tuning schedule, in proportion to the length of the run."""
    epoch_steps = settings.optimization.epoch_steps
    steps = settings.optimization.steps
    if ("optimization", "steps") not in given:
        steps = -(-FINE_TUNING.steps // epoch_steps) * epoch_steps
    most_frozen = int(FINE_TUNING.frozen_share * (steps // epoch_steps))
    values: dict[SettingName, Any] = {
        ("optimization", "steps"): steps,
        ("optimization", "warmup_steps"): round(FINE_TUNING.warmup_share * steps),
        ("optimization", "decay_steps"): round(FINE_TUNING.decay_share * steps),
        ("optimization", "peak_rate"): _peak_rate(card),
        ("network", "frozen_epochs"): min(FINE_TUNING.frozen_epochs, most_frozen),
    }
    loss = _recipe(card, "optimization").get("loss")
    if isinstance(loss, str):  # the scale of the probabilities, and so the threshold, depends on it
        values["optimization", "loss"] = loss
    return {name: value for name, value in values.items() if name not in given}


def _peak_rate(card: ModelCard) -> float:
    """Return a share of the model's rate, or that rate if it is low already."""
    usual = OptimizationSettings().peak_rate
    trained = _recipe(card, "optimization").get("peak_rate")
    if not isinstance(trained, float) or trained <= 0:
        trained = usual
    elif trained < usual:
        return trained
    return float(f"{FINE_TUNING.rate_share * trained:.3g}")


def _recipe(card: ModelCard, section: str) -> dict[str, Any]:
    values = card.recipe.get(section)
    return values if isinstance(values, dict) else {}


def _described(inherited: Collection[SettingName], result: TrainSettings) -> str:
    """Describe the inherited settings for the log."""
    data, optimization = result.data, result.optimization
    size = f"pixel size {data.gsd_m:g} m"
    if data.gsd_range_m:
        low, high = data.gsd_range_m
        size = f"pixel size {low:g} to {high:g} m (the imagery's own within these bounds)"
    texts = {
        ("data", "gsd_m"): size,
        ("data", "crop_px"): f"crops of {data.crop_px} px",
        ("optimization", "loss"): f"loss {optimization.loss}",
        ("optimization", "steps"): f"{optimization.steps} steps",
        ("optimization", "warmup_steps"): f"{optimization.warmup_steps} warm-up steps",
        ("optimization", "decay_steps"): f"{optimization.decay_steps} decay steps",
        ("optimization", "peak_rate"): f"peak rate {optimization.peak_rate:g}",
        ("network", "frozen_epochs"): f"encoder frozen for {result.network.frozen_epochs} epochs",
    }
    return ", ".join(text for name, text in texts.items() if name in inherited)
