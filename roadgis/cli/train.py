"""``roadgis train``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from roadgis.cli import options
from roadgis.cli.shell import shell

__all__ = ["command"]


@click.command("train")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="A folder that holds 'images' and 'masks' (or 'sat' and 'map'); may be repeated.",
)
@click.option(
    "--validation",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A folder to score on after each epoch; never trained on; may be repeated.",
)
@options.output_option("The model, .keras; its card and checkpoint go beside it.")
@click.option(
    "--backbone",
    type=click.Choice(["resnet18", "resnet34"]),
    default=None,
    help="The encoder.  [default: resnet18]",
)
@click.option("--depth", type=click.IntRange(3, 5), default=None, help="Encoder stages kept.")
@click.option(
    "--encoder-weights",
    type=click.Choice(["imagenet", "none"]),
    default="none",
    show_default=True,
    help="imagenet is downloaded.",
)
@click.option("--gsd", "gsd_m", type=float, default=None, help="Metres per pixel of the images.")
@click.option("--steps", type=click.IntRange(1), default=None, help="Length of the run.")
@click.option("--epoch-steps", type=click.IntRange(1), default=None, help="Between checkpoints.")
@click.option("--decay-steps", type=click.IntRange(0), default=None, help="Of the final decay.")
@click.option("--batch", type=click.IntRange(1), default=None, help="Crops in a step.")
@click.option("--crop-px", type=click.IntRange(32), default=None, help="Side of the crops.")
@click.option("--peak-rate", type=float, default=None, help="Learning rate.")
@click.option("--seed", type=int, default=None, help="Of weights and crops.")
@click.option("--name", default=None, help="For the model card.")
@click.option("--training-data", default=None, help="For the model card: what and from where.")
@click.option("--licence", default=None, help="For the model card.")
@options.overwrite_option
@options.progress_options
def command(
    data: tuple[Path, ...],
    validation: tuple[Path, ...],
    output: Path,
    encoder_weights: str,
    depth: int | None,
    overwrite: bool,
    progress: str,
    verbose: int,
    quiet: bool,
    **values: Any,
) -> None:
    """Train a road model on pairs of images and masks.

    A run that was stopped goes on from its checkpoint when the command is given again.
    """
    with shell(progress, verbose=verbose, quiet=quiet) as sh:
        from roadgis.train.fit import FitOptions, fit

        given = {key: value for key, value in values.items() if value is not None}
        if encoder_weights != "none":
            given["encoder_weights"] = encoder_weights
        if depth is not None:
            given["depth"] = depth
            given["decoder_filters"] = (128, 64, 32, 16, 16)[:depth]
        card = fit(
            data,
            output,
            FitOptions(**given),
            validation=validation,
            overwrite=overwrite,
            progress=sh.progress,
        )
        sh.result(
            f"{output}: model {card.name}, stride {card.stride}, margin {card.margin_px} px",
            outputs=[str(output)],
        )
