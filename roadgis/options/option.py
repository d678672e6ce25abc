"""Declaration of a setting for the command line, QGIS and the docs, kept with its field."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

_T = TypeVar("_T")
_KEY = "option"

#: Headings of the groups of options, in the order of the help. Dialogs show "basic" at first and
#: leave "shell" out.
GROUPS = {
    "basic": "Options",
    "data": "Training data",
    "lines": "Input lines",
    "raster": "Probability raster",
    "layer": "Vector layers",
    "polygons": "Polygon JSON",
    "set": "Training sets (--scenes)",
    "sources": "Sources",
    "imagery": "Imagery",
    "model": "Model",
    "network": "Network architecture",
    "optimization": "Optimization",
    "card": "Model card",
    "cleaning": "Cleaning",
    "matching": "Matching",
    "scores": "Scores",
    "drawing": "Drawing",
    "performance": "Performance",
    "shell": "Messages",
    "model description": "ONNX files without a model card (--model-*)",
}


@dataclass(frozen=True)
class Option:
    """A setting as users see it.

    Attributes
    ----------
    help : str
        Without the default, which is added.
    group : str
        One of `GROUPS`.
    flags : tuple of str
        Flags; by default the field's name without a unit. ``--no-NAME`` alone turns a true field
        off, ``--NAME/--no-NAME`` both ways. A name without dashes becomes the parameter's name.
    unit : {"", "m", "px", "deg", "MB"}
        Unit of a number.
    metavar : str
        Placeholder of the value; by default the unit. ``P`` is a probability.
    low, high : float or None
        Range that is enforced.
    low_open, high_open : bool
        Whether the limits themselves are rejected.
    choices : tuple of str
        Words to choose from; by default those of the field's ``Literal``. ``auto`` is None.
    path : tuple of str, or None
        For a file or folder: ``in`` or ``out``, and what it holds, such as ``raster``.
    default_text : str
        Description of the default, if the value alone is not enough; ``{}`` is replaced by the
        value.
    repeat : bool
        Whether several values are given by repeating the option; else they have commas between.
    example : str
        A valid list of numbers, for error messages.
    off_flag, off_help : str
        A flag that sets the number to 0, and its help.
    listed_in : str
        A flag shared by several true fields: ``--no-rule NAME`` turns NAME off.
    convert : callable, optional
        Makes the field's value of the text or number that was given.
    """

    help: str
    group: str = "basic"
    flags: tuple[str, ...] = ()
    unit: Literal["", "m", "px", "deg", "MB"] = ""
    metavar: str = ""
    low: float | None = None
    high: float | None = None
    low_open: bool = False
    high_open: bool = False
    choices: tuple[str, ...] = ()
    path: tuple[Literal["in", "out"], str] | None = None
    default_text: str = ""
    repeat: bool = False
    example: str = ""
    off_flag: str = ""
    off_help: str = ""
    listed_in: str = ""
    convert: Callable[[str], object] | None = None


#: For each command that writes files.
OVERWRITE = Option(
    "Replace existing outputs; other layers of a GeoPackage are kept.", flags=("--overwrite",)
)


def setting(default: _T, option: Option) -> _T:
    """Return a dataclass field with a default that users may set."""
    return dataclasses.field(default=default, metadata={_KEY: option})


def declared(field: dataclasses.Field[object]) -> Option | None:
    """Return the option of a field, None where users may not set it."""
    option: Option | None = field.metadata.get(_KEY)
    return option
