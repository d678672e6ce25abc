"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

from roadgis.cli.parameters import Settings, argument, combined, parameter
from roadgis.options.extraction import ExtractOptions
from roadgis.options.model import DeviceOptions, ModelDescription, RuntimeOptions
from roadgis.options.option import OVERWRITE, Option
from roadgis.options.probability_raster import RasterOptions
from roadgis.options.training_data import DataSettings
from roadgis.output.formats import SUFFIXES

_F = TypeVar("_F", bound=Callable[..., Any])

VECTOR_FILE = f"Vector file: {', '.join(list(SUFFIXES)[:-1])} or {list(SUFFIXES)[-1]}."

#: From imagery to roads.
EXTRACT = Settings(ExtractOptions())
#: Model and device.
RUNTIME = Settings(RuntimeOptions())
DEVICE = Settings(DeviceOptions())
#: An ONNX file without a model card.
DESCRIPTION = Settings(ModelDescription())
#: Meaning of the values of probability rasters and masks.
RASTER = Settings(RasterOptions())

_LABELLED = (
    "folders", "images", "roads", "layer", "label_width_m", "label_width_field", "area",
)  # fmt: skip
_FOLDERS = Option(
    "Folder of image and mask pairs; may be repeated.",
    flags=("--data",),
    path=("in", "folder"),
    repeat=True,
    default_text="validation scenes of a run",
)


def labelled_with(folders: Option) -> Settings[DataSettings]:
    """Return the options of labelled scenes, with a declaration of the folders of pairs."""
    return Settings(DataSettings(), only=_LABELLED, instead={"folders": folders})


#: Labelled scenes to score on.
LABELLED = labelled_with(_FOLDERS)

sources_argument = argument(
    "sources", ("in", "raster"), nargs=-1, required=True, metavar="SCENE..."
)

overwrite_option = parameter(bool, OVERWRITE)


def output_option(help_text: str, content: str, *, required: bool = True) -> Callable[[_F], _F]:
    """Return ``-o/--output`` with the command's help, for a file with `content`."""
    about = Option(help_text, flags=("-o", "--output"), path=("out", content))
    return parameter(Path, about, required=required)


progress_options = combined(
    parameter(
        Literal["auto", "bar", "jsonl", "none"],
        Option(
            "Progress: a bar on a terminal (auto), a bar, one JSON object per line on stdout "
            "(jsonl), or none.",
            "shell",
            ("--progress",),
        ),
        default="auto",
    ),
    parameter(
        int,
        Option("Print more messages; twice for all.", "shell", ("-v", "--verbose")),
        default=0,
        count=True,
    ),
    parameter(bool, Option("Print errors only.", "shell", ("-q", "--quiet"))),
)
