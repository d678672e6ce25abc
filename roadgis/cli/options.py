"""Options that several commands share, and the settings that they make."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from roadgis.cli.cleaning_options import clean_options, cleaning_options

__all__ = [
    "buffer_option",
    "clean_options",
    "combined",
    "description_options",
    "device_options",
    "drawing_options",
    "extract_options",
    "imagery_options",
    "labelled_data",
    "max_mpx_option",
    "model_description",
    "model_options",
    "output_option",
    "overwrite_option",
    "progress_options",
    "road_layer_options",
    "run_options",
    "runtime_options",
    "sources_argument",
    "threshold_option",
    "vector_options",
]

_F = TypeVar("_F", bound=Callable[..., Any])


def combined(*decorators: Callable[[_F], _F]) -> Callable[[_F], _F]:
    """Return several options as one decorator, in the order in which help lists them."""

    def decorate(function: _F) -> _F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


sources_argument = click.argument("sources", nargs=-1, required=True, metavar="SCENE...")

overwrite_option = click.option(
    "--overwrite",
    is_flag=True,
    help="Replace existing outputs; other layers of a GeoPackage are kept.",
)

threshold_option = click.option(
    "--threshold",
    type=float,
    default=None,
    metavar="P",
    help="Probability from which a pixel is road, between 0 and 1.  [default: the model card's]",
)


road_layer_options = combined(
    click.option(
        "--images",
        type=click.Path(path_type=Path),
        multiple=True,
        help="Georeferenced imagery, a file or a folder, labelled by --labels; may be repeated.",
    ),
    click.option(
        "--labels",
        type=click.Path(path_type=Path),
        default=None,
        help="Roads as lines or polygons, in any CRS.",
    ),
    click.option("--labels-layer", default=None, help="Layer of --labels.  [default: the first]"),
    click.option(
        "--label-width", type=float, default=None, metavar="M", help="Width of lines, metres."
    ),
    click.option(
        "--label-width-field", default=None, metavar="FIELD", help="Field with a line's width."
    ),
    click.option(
        "--area",
        type=click.Path(path_type=Path),
        default=None,
        help="Polygons within which --labels is complete; the rest is left out.",
    ),
)


def output_option(help_text: str) -> Callable[[_F], _F]:
    """Return ``-o/--output`` with a command's own help."""
    return click.option(
        "-o", "--output", type=click.Path(path_type=Path), required=True, help=help_text
    )


progress_options = combined(
    click.option(
        "--progress",
        type=click.Choice(["auto", "bar", "jsonl", "none"]),
        default="auto",
        show_default=True,
        help="auto: a bar on a terminal. jsonl: one JSON object a line on stdout.",
    ),
    click.option("-v", "--verbose", count=True, help="Say more; twice for all."),
    click.option("-q", "--quiet", is_flag=True, help="Show errors only."),
)

description_options = combined(
    click.option(
        "--model-gsd",
        type=float,
        default=None,
        metavar="M",
        help="For an ONNX file without a model card: metres per pixel that it was trained at. "
        "Overrides the metadata in the file, like the other --model-* options.",
    ),
    click.option(
        "--model-mean",
        default=None,
        metavar="X,X,X",
        help="Subtracted from the bands.  [default: 0]",
    ),
    click.option(
        "--model-std",
        default=None,
        metavar="X,X,X",
        help="What they are divided by then.  [default: 1]",
    ),
    click.option(
        "--model-range",
        type=click.Choice(["unit", "byte"]),
        default=None,
        help="Whether mean and std are for values of 0 to 1 or of 0 to 255.  [default: unit]",
    ),
    click.option(
        "--model-classes",
        default=None,
        metavar="A,B,...",
        help="Names of the output's channels, in order.",
    ),
    click.option(
        "--model-road",
        default=None,
        metavar="NAME",
        help="Which of them is road: its name, or its number from 0.  [default: by the names]",
    ),
    click.option(
        "--model-layout",
        type=click.Choice(["auto", "nchw", "nhwc"]),
        default="auto",
        help="Whether bands come before rows and columns in its input.  [default: by its shape]",
    ),
    click.option(
        "--model-activation",
        type=click.Choice(["auto", "none", "sigmoid", "softmax"]),
        default="auto",
        help="Activation to apply to the model output.  [default: detected]",
    ),
    click.option(
        "--model-tile-px",
        type=int,
        default=None,
        help="Side of the tiles that it is given.  [default: what its shape says, else any]",
    ),
    click.option(
        "--model-margin",
        type=int,
        default=None,
        metavar="PX",
        help="Border of a tile's output that is not used.  [default: an eighth of the tile]",
    ),
    click.option(
        "--model-threshold",
        type=float,
        default=None,
        metavar="P",
        help="Its probability from which a pixel is road.  [default: 0.5]",
    ),
)

device_options = combined(
    click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda"]),
        default="auto",
        show_default=True,
        help="Where the model runs.",
    ),
    click.option(
        "--threads",
        type=click.IntRange(1),
        default=None,
        help="Number of CPU threads for inference.  [default: all cores]",
    ),
)

#: Which model, and where it runs.
runtime_options = combined(
    click.option(
        "-m",
        "--model",
        default=None,
        metavar="FILE",
        help="An .onnx or .keras model, or the folder of a training run.  "
        "[default: the one that comes with roadgis]",
    ),
    device_options,
)

model_options = combined(
    runtime_options,
    click.option(
        "--flips",
        is_flag=True,
        help="Average the probability over mirrored tiles too: slightly better, in four times "
        "the time.",
    ),
    description_options,
)

#: How classes are drawn over frames.
drawing_options = combined(
    click.option(
        "--alpha",
        type=click.FloatRange(0, 1),
        default=0.5,
        show_default=True,
        help="Weight of the class colours over the picture.",
    ),
    click.option(
        "--every",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        metavar="N",
        help="Segment every N-th frame; those between keep the classes of the one before.",
    ),
    click.option(
        "--height",
        type=click.IntRange(1),
        default=None,
        metavar="PX",
        help="Height that the model sees.  [default: of its training crops, else 512]",
    ),
    click.option(
        "--allow-truncated",
        is_flag=True,
        help="Take videos that are cut short as far as they can be decoded.",
    ),
)

buffer_option = click.option(
    "--buffer-px",
    type=click.IntRange(0),
    default=None,
    help="How far apart pixels may be to match in relaxed scores.  [default: 3]",
)

max_mpx_option = click.option(
    "--max-mpx",
    type=float,
    default=None,
    metavar="N",
    help="Largest size of a run in megapixels, at the model's resolution; larger runs are "
    "refused.  [default: 50000]",
)

imagery_options = combined(
    click.option("--assume-crs", metavar="CRS", default=None, help="CRS of scenes that have none."),
    click.option(
        "--bands",
        metavar="B,B,B",
        default=None,
        help="Band numbers, from 1, in the order the model wants.  "
        "[default: those marked red, green and blue, else the first ones]",
    ),
    click.option("--nodata", type=float, default=None, help="A value that means no data."),
    click.option(
        "--blank",
        type=click.Choice(["none", "white", "black", "both"]),
        default="none",
        show_default=True,
        help="Take areas of pure white or black for no data (collars of scanned sheets).",
    ),
    click.option(
        "--aoi",
        type=click.Path(path_type=Path),
        default=None,
        help="Polygons in any CRS; only what lies inside is mapped.",
    ),
    click.option(
        "--gsd",
        type=float,
        default=None,
        metavar="M",
        help="Pixel size to work at, metres.  [default: the imagery's own, within the range the "
        "model was trained for]",
    ),
    click.option(
        "--force-gsd", is_flag=True, help="Run although the pixels are far too coarse for roads."
    ),
    max_mpx_option,
)

run_options = combined(
    click.option(
        "--tile-px",
        type=int,
        default=None,
        help="Largest side of what the network sees at once.  [default: block and margin]",
    ),
    click.option(
        "--block-px",
        type=int,
        default=None,
        help="Side of the blocks that are read and written at once, a multiple of 768; "
        "smaller needs less memory.  [default: 2304]",
    ),
    click.option(
        "--workers",
        type=int,
        default=None,
        help="Threads for reading and vectorizing.  [default: all cores, at most 4]",
    ),
    click.option(
        "--work-dir",
        type=click.Path(path_type=Path),
        default=None,
        help="Work directory for the probability mosaic: new, empty, or of an interrupted run, "
        "which resumes.  [default: OUTPUT.roadgis-work]",
    ),
    click.option("--restart", is_flag=True, help="Throw away what a stopped run has left."),
    click.option("--keep-work", is_flag=True, help="Leave the work directory in place."),
)

vector_options = combined(
    click.option(
        "--max-road-width",
        type=float,
        default=None,
        metavar="M",
        help="Maximum road width in metres; wider areas (car parks, roofs) are ignored.  "
        "[default: 60]",
    ),
    *cleaning_options,
)


def _bands(text: str | None) -> tuple[int, ...] | None:
    from roadgis.errors import InputError

    if text is None:
        return None
    try:
        bands = tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(
            f"--bands is {text!r}, expected band numbers with commas, such as 1,2,3."
        ) from error
    return bands


def _numbers(name: str, text: str | None) -> tuple[float, ...] | None:
    from roadgis.errors import InputError

    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(
            f"{name} is {text!r}, expected numbers with commas, such as 0.485,0.456,0.406."
        ) from error


def model_description(values: dict[str, Any]) -> Any:
    """Make :class:`roadgis.model.description.ModelDescription` from a command's values."""
    from roadgis.model.description import ModelDescription

    def chosen(name: str) -> str | None:
        value: str = values[name]
        return None if value == "auto" else value

    layout, classes = chosen("model_layout"), values["model_classes"]
    return ModelDescription(
        gsd_m=values["model_gsd"],
        mean=_numbers("--model-mean", values["model_mean"]),
        std=_numbers("--model-std", values["model_std"]),
        value_range=values["model_range"],
        classes=None if classes is None else tuple(name.strip() for name in classes.split(",")),
        road=values["model_road"],
        layout=None if layout is None else layout.upper(),  # type: ignore[arg-type]
        activation=chosen("model_activation"),  # type: ignore[arg-type]
        tile_px=values["model_tile_px"],
        margin_px=values["model_margin"],
        threshold=values["model_threshold"],
    )


def extract_options(values: dict[str, Any]) -> Any:
    """Make :class:`roadgis.pipeline.ExtractOptions` from a command's values.

    Options that are not given keep the library's defaults, which stand in one place there.
    """
    from roadgis.imagery.options import SceneOptions
    from roadgis.pipeline import ExtractOptions
    from roadgis.probability.prediction import PredictOptions
    from roadgis.vectorization import VectorizeOptions

    def given(**names: str) -> dict[str, Any]:
        return {
            field: values[name] for field, name in names.items() if values.get(name) is not None
        }

    return ExtractOptions(
        threshold=values.get("threshold"),
        scene=SceneOptions(
            bands=_bands(values.get("bands")),
            **given(
                assume_crs="assume_crs",
                nodata="nodata",
                blank="blank",
                aoi="aoi",
                force_gsd="force_gsd",
                max_mpx="max_mpx",
                gsd_m="gsd",
            ),
        ),
        predict=PredictOptions(
            flips=bool(values.get("flips")),
            **given(tile_px="tile_px", block_px="block_px", workers="workers"),
        ),
        vectorize=VectorizeOptions(**given(max_road_width_m="max_road_width")),
        clean=clean_options(values),
        work_dir=values.get("work_dir"),
        restart=bool(values.get("restart")),
        keep_work=bool(values.get("keep_work")),
    )


def labelled_data(
    data: tuple[Path, ...],
    *,
    images: tuple[Path, ...],
    labels: Path | None,
    labels_layer: str | None,
    label_width: float | None,
    label_width_field: str | None,
    area: Path | None,
) -> Any:
    """Return the ``DataSettings`` of ``--data`` and of :data:`road_layer_options`."""
    from roadgis.train.settings import DataSettings

    return DataSettings(
        folders=data,
        images=images,
        roads=labels,
        layer=labels_layer,
        label_width_m=label_width,
        label_width_field=label_width_field,
        area=area,
    )
