"""``roadgis train``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from roadgis.cli import options
from roadgis.cli.shell import shell

__all__ = ["command"]

_FOLDER = click.Path(path_type=Path)
# Which section of the settings an option belongs to, and its name there.
_SETTINGS = {
    "data": {
        "data": "folders",
        "images": "images",
        "labels": "roads",
        "labels_layer": "layer",
        "label_width": "label_width_m",
        "label_width_field": "label_width_field",
        "area": "area",
        "validation": "validation",
        "hold_out": "hold_out",
        "classes": "classes",
        "road": "road",
        "gsd": "gsd_m",
        "crop_px": "crop_px",
        "batch": "batch",
        "augmentation": "augmentation",
        "workers": "workers",
    },
    "network": {
        "architecture": "architecture",
        "backbone": "backbone",
        "depth": "depth",
        "encoder_units": "encoder_units",
        "subpixel": "subpixel",
        "decoder_filters": "decoder_filters",
        "batch_norm": "batch_norm",
        "encoder_weights": "encoder_weights",
        "init": "init",
        "frozen_epochs": "frozen_epochs",
    },
    "optimization": {
        "loss": "loss",
        "class_weights": "class_weights",
        "edge_smoothing": "edge_smoothing",
        "cldice_weight": "cldice_weight",
        "direction_weight": "direction_weight",
        "steps": "steps",
        "epoch_steps": "epoch_steps",
        "schedule": "schedule",
        "peak_rate": "peak_rate",
        "warmup_steps": "warmup_steps",
        "decay_steps": "decay_steps",
        "weight_decay": "weight_decay",
        "ema": "ema",
        "precision": "precision",
        "plateau_epochs": "plateau_epochs",
        "stop_epochs": "stop_epochs",
        "keep": "keep",
        "seed": "seed",
        "tensorboard": "tensorboard",
    },
    "card": {
        "name": "name",
        "model_version": "version",
        "training_data": "training_data",
        "licence": "licence",
        "attribution": "attribution",
    },
}


_data_options = options.combined(
    click.option(
        "--data",
        type=_FOLDER,
        multiple=True,
        help="A folder that holds 'images' and 'masks' (or 'sat' and 'map'); may be repeated.",
    ),
    options.road_layer_options,
    click.option(
        "--validation",
        type=_FOLDER,
        multiple=True,
        help="A folder of pairs to score on after each epoch; never trained on; may be repeated.",
    ),
    click.option(
        "--hold-out",
        type=click.FloatRange(0, 1, max_open=True),
        default=None,
        metavar="SHARE",
        help="Hold this share of the training data out, in blocks, to score on.",
    ),
    click.option(
        "--classes",
        default=None,
        metavar="NAME,...",
        help="Names of the mask values from 0, for more than road or not.",
    ),
    click.option("--road", default=None, help="Which of --classes is road."),
    click.option("--gsd", type=float, default=None, help="Metres per pixel."),
    click.option("--crop-px", type=click.IntRange(32), default=None, help="Side of the crops."),
    click.option("--batch", type=click.IntRange(1), default=None, help="Crops in a step."),
    click.option(
        "--augmentation", type=_FOLDER, default=None, help="YAML list in place of the built-in one."
    ),
    click.option(
        "--workers", type=click.IntRange(1), default=None, help="Threads that prepare crops."
    ),
)

_network_options = options.combined(
    click.option(
        "--architecture",
        type=click.Choice(["unet", "linknet", "fpn", "pspnet", "plain-unet", "canet"]),
        default=None,
        help="Network architecture.",
    ),
    click.option(
        "--backbone",
        default=None,
        help="Encoder: one of segmentation-models'.",
    ),
    click.option(
        "--depth",
        type=click.IntRange(3, 5),
        default=None,
        help="Encoder stages kept (unet).  [default: 4 with resnet18 and resnet34]",
    ),
    click.option(
        "--encoder-units",
        default=None,
        metavar="N,...",
        help="Residual units of each encoder stage, finest first (resnet18, resnet34).  "
        "[default: the backbone's]",
    ),
    click.option(
        "--subpixel/--no-subpixel",
        default=None,
        help="Compute up to half resolution and give 2 by 2 pixels at once (unet).",
    ),
    click.option(
        "--decoder-filters",
        default=None,
        metavar="N,...",
        help="Filters of the decoder's blocks, deepest first.  [default: the architecture's]",
    ),
    click.option(
        "--batch-norm/--no-batch-norm", default=None, help="Batch normalization in the decoder."
    ),
    click.option(
        "--encoder-weights",
        default=None,
        metavar="NAME",
        help="imagenet, none, or a file.  [default: none]",
    ),
    click.option(
        "--init",
        default=None,
        metavar="MODEL",
        help="Start from a trained model: default, a .keras file or a run's folder.",
    ),
    click.option(
        "--frozen-epochs",
        type=click.IntRange(0),
        default=None,
        help="Number of epochs at the start with a frozen encoder.",
    ),
)

_optimization_options = options.combined(
    click.option(
        "--loss",
        default=None,
        help="Loss function.  [default: bce_jaccard; with several classes cce_jaccard]",
    ),
    click.option(
        "--class-weights",
        default=None,
        metavar="W,W,...",
        help="Weight of each class in the loss (other,road), scaled to a mean of one.  "
        "[default: equal]",
    ),
    click.option(
        "--edge-smoothing",
        type=click.FloatRange(0, 0.5, max_open=True),
        default=None,
        help="Label smoothing of pixels next to another class.",
    ),
    click.option(
        "--cldice-weight",
        type=click.FloatRange(0),
        default=None,
        help="Weight of the clDice term, in losses that end in _cldice.",
    ),
    click.option(
        "--direction-weight",
        type=click.FloatRange(0),
        default=None,
        help="Also learn the direction of roads, with this weight in the loss.",
    ),
    click.option(
        "--steps", type=click.IntRange(1), default=None, help="Length of the run in steps."
    ),
    click.option(
        "--epoch-steps",
        type=click.IntRange(1),
        default=None,
        help="Steps between validations and checkpoints.",
    ),
    click.option(
        "--schedule",
        type=click.Choice(["trapezoid", "cosine", "one-cycle", "constant"]),
        default=None,
        help="How the learning rate runs.",
    ),
    click.option("--peak-rate", type=float, default=None, help="Highest learning rate."),
    click.option(
        "--warmup-steps",
        type=click.IntRange(0),
        default=None,
        help="Steps in which the rate rises.",
    ),
    click.option(
        "--decay-steps",
        type=click.IntRange(0),
        default=None,
        help="Steps in which the rate falls at the end.",
    ),
    click.option("--weight-decay", type=float, default=None, help="Weight decay of AdamW."),
    click.option("--ema", type=float, default=None, help="Momentum of the weights' average."),
    click.option(
        "--precision",
        type=click.Choice(["float32", "mixed_bfloat16", "mixed_float16"]),
        default=None,
        help="Number format while training.",
    ),
    click.option(
        "--plateau-epochs",
        type=click.IntRange(0),
        default=None,
        help="Cut a constant rate after this number of epochs without a better score; 0: never.",
    ),
    click.option(
        "--stop-epochs",
        type=click.IntRange(0),
        default=None,
        help="Stop after this number of epochs without a better score; 0: never.",
    ),
    click.option(
        "--keep",
        type=click.Choice(["best", "last"]),
        default=None,
        help="Weights of the best score or the last ones.",
    ),
    click.option("--seed", type=int, default=None, help="Seed of weights, crops and augmentation."),
    click.option(
        "--tensorboard/--no-tensorboard", default=None, help="Write event files into the run."
    ),
)

_card_options = options.combined(
    click.option("--name", default=None, help="Name in the model card."),
    click.option("--model-version", default=None, help="Version in the model card."),
    click.option(
        "--training-data",
        default=None,
        help="For the model card: what and from where.  [default: names of the data]",
    ),
    click.option(
        "--licence",
        default=None,
        help="For the model card: on what terms the model may be used.  "
        "[default: as the --init model]",
    ),
    click.option(
        "--attribution",
        multiple=True,
        metavar="SENTENCE",
        help="For the model card: whom to credit; may be repeated. Outputs carry it.",
    ),
)


@click.command("train")
@click.option(
    "-o",
    "--output",
    type=_FOLDER,
    default=None,
    help="The run's folder: model, card, log and checkpoint.",
)
@click.option(
    "--settings",
    type=_FOLDER,
    default=None,
    help="A settings.yaml, such as a run writes; options given here win.",
)
@click.option(
    "--preview",
    type=_FOLDER,
    default=None,
    metavar="PNG",
    help="Write a picture of augmented crops with their labels, and do not train.",
)
@_data_options
@_network_options
@_optimization_options
@_card_options
@options.overwrite_option
@options.progress_options
def command(
    output: Path | None,
    settings: Path | None,
    preview: Path | None,
    overwrite: bool,
    progress: str,
    verbose: int,
    quiet: bool,
    **values: Any,
) -> None:
    """Train a road model, or go on with a run that was stopped.

    \b
    roadgis train --data train/ --validation valid/ -o run/
    roadgis train --images tiles/ --labels roads.gpkg --label-width 7 --hold-out 0.2 -o run/
    roadgis train --init default --images mine.tif --labels roads.gpkg -o run/
    """  # noqa: D301 - click reads the backspace
    if output is None and preview is None:
        raise click.UsageError("Missing option '-o' / '--output': a folder for the run.")
    # A run of hours says how it is going without being asked.
    verbose = verbose if progress == "none" else max(verbose, 1)
    with shell(progress, verbose=verbose, quiet=quiet, kept=lambda: _kept(output, overwrite)) as sh:
        chosen = _settings(settings, values)
        if preview is not None:
            from roadgis.train.augmentation.preview import preview_settings

            preview_settings(chosen, preview, overwrite=overwrite)
            sh.result(f"{preview}: a look at the training crops", outputs=[str(preview)])
            return
        from roadgis.train.fit import fit

        assert output is not None
        card = fit(chosen, output, overwrite=overwrite, progress=sh.progress)
        sh.result(
            f"{output}: model {card.name}, stride {card.stride}, margin {card.margin_px} px",
            outputs=[str(output / "model.keras")],
        )


def _name_defaults(train: click.Command) -> None:
    """Add to the help of the options what the settings are without them."""
    from roadgis.train.inherited import INHERITED
    from roadgis.train.settings import TrainSettings

    settings = TrainSettings()
    places = {
        option: (section, field)
        for section, fields in _SETTINGS.items()
        for option, field in fields.items()
    }
    for option in train.params:
        if not isinstance(option, click.Option) or option.name not in places:
            continue
        section, field = places[option.name]
        text = _shown(option, getattr(getattr(settings, section), field))
        if text and (section, field) in INHERITED:
            text += "; with --init suited to the model"
        if text:
            option.help = f"{option.help}  [default: {text}]"


def _shown(option: click.Option, value: Any) -> str:
    """Return a default as it would be typed; empty where there is none."""
    if option.is_flag:
        names = option.opts if value else option.secondary_opts
        return names[0].removeprefix("--")
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _kept(output: Path | None, overwrite: bool) -> str:
    """Return what a stop leaves, and how to resume."""
    from roadgis.train.run_folder import RunFolder

    if output is None:
        return "Nothing was written."
    if not RunFolder(output).has_checkpoint():
        return "There is no checkpoint yet; run the same command again to start anew."
    same = "the same command without --overwrite" if overwrite else "the same command again"
    return f"The last checkpoint is kept; run {same} to resume."


def _settings(path: Path | None, values: dict[str, Any]) -> Any:
    """Return the file's settings with the options that were given in their place.

    What neither gives is taken from the model that the run starts from.
    """
    from roadgis.train.inherited import file_settings, inherit_settings
    from roadgis.train.settings import TrainSettings, read_settings

    settings = TrainSettings() if path is None else read_settings(path)
    known = set() if path is None else file_settings(path)
    sections = {}
    for section, names in _SETTINGS.items():
        given = {
            field: _value(option, values[option])
            for option, field in names.items()
            if values[option] is not None and values[option] != ()
        }
        if given.get("encoder_weights") == "none":
            given["encoder_weights"] = None
        if "gsd_m" in given:
            given["gsd_range_m"] = None
        known |= {(section, field) for field in given}
        sections[section] = dataclasses.replace(getattr(settings, section), **given)
    return inherit_settings(dataclasses.replace(settings, **sections), known)


def _value(option: str, value: Any) -> Any:
    if option == "classes":
        return tuple(name.strip() for name in value.split(","))
    examples = {
        "decoder_filters": (int, "128,64,32,16"),
        "encoder_units": (int, "2,2,2"),
        "class_weights": (float, "0.3,0.7"),
    }
    if option in examples:
        from roadgis.errors import InputError

        kind, example = examples[option]
        try:
            return tuple(kind(part) for part in value.split(","))
        except ValueError as error:
            flag = "--" + option.replace("_", "-")
            raise InputError(
                f"{flag} is {value!r}, expected numbers with commas, such as {example}."
            ) from error
    return value


_name_defaults(command)
