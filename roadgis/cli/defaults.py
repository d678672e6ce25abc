"""What an option that is not given comes to: the library's own value, read from where it stands.

Options of the command line are ``None`` by default, and the library's dataclasses hold the values.
An option belongs to the field of the same name, with or without a unit at its end
(``--max-road-width`` to ``max_road_width_m``), in the settings that its command uses.
"""

from __future__ import annotations

import dataclasses
import importlib
from functools import cache
from typing import Any

__all__ = ["library_default"]

_EXTRACT = (
    "roadgis.imagery.options:SceneOptions",
    "roadgis.probability.prediction:PredictOptions",
    "roadgis.vectorization.options:VectorizeOptions",
    "roadgis.network.options:CleanOptions",
    "roadgis.network.options:ParallelOptions",
    "roadgis.network.options:BridgeOptions",
)
#: The settings that each command uses; the first that has a field of the name counts.
_SETTINGS: dict[str, tuple[str, ...]] = {
    "clean": (
        "roadgis.network.from_lines.clean_lines:CleanLinesOptions",
        "roadgis.network.from_lines.centerlines:DrawnOptions",
        *_EXTRACT[3:],
    ),
    "compare": ("roadgis.comparison.options:CompareOptions",),
    "evaluate": ("roadgis.evaluation.options:EvaluateOptions",),
    "extract": _EXTRACT,
    "info": _EXTRACT[:1],
    "predict": _EXTRACT[:2],
    "synthesize": ("roadgis.synthetic:TownOptions", "roadgis.synthetic:TrainingSetOptions"),
    "test": ("roadgis.train.scoring.report:ReportOptions",),
    "threshold": ("roadgis.train.scoring.threshold:ThresholdOptions",),
    "vectorize": _EXTRACT,
}
#: Options whose field has another name.
_FIELDS = {"min_dangle": "dangle_factor", "simplify": "tolerance_m", "size_px": "width_px"}
#: Fields that a model card decides, whatever the dataclass says.
_FROM_CARD = {"threshold"}
_UNITS = ("", "_m", "_px", "_deg")


def library_default(command: str, option: str) -> Any:
    """Return what the library uses when an option is not given.

    Parameters
    ----------
    command : str
        As typed, such as ``extract``.
    option : str
        The parameter's name in Python, such as ``max_road_width``.

    Returns
    -------
    object
        None where there is no value: it is found out at run time, or there is none.
    """
    if option in _FROM_CARD:
        return None
    if command == "train":
        return _training_default(option)
    name = _FIELDS.get(option, option)
    if command == "evaluate":
        from roadgis.cli.evaluate import SETTINGS as EVALUATE_FIELDS

        name = EVALUATE_FIELDS.get(option, option)
    for home in _SETTINGS.get(command, ()):
        values = _fields(home)
        for unit in _UNITS:
            if name + unit in values:
                return values[name + unit]
    return None


def _training_default(option: str) -> Any:
    from roadgis.cli.train import _SETTINGS as sections
    from roadgis.train.settings import TrainSettings

    for section, names in sections.items():
        if option in names:
            return getattr(getattr(TrainSettings(), section), names[option])
    return None


@cache
def _fields(home: str) -> dict[str, Any]:
    module, _, name = home.partition(":")
    return _flat(getattr(importlib.import_module(module), name)())


def _flat(settings: Any) -> dict[str, Any]:
    """Return a dataclass's values by name, with those of the dataclasses that it holds."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            values = _flat(value) | values
        else:
            values[field.name] = value
    return values
