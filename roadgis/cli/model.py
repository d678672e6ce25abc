"""``roadgis model info`` and ``roadgis model adopt``."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import click

from roadgis.cli import options
from roadgis.cli.shell import shell

__all__ = ["command"]


@click.group("model")
def command() -> None:
    """Describe a model, or give somebody else's a model card."""


@command.command("info")
@click.argument("model", required=False)
@options.description_options
@click.option("--json", "as_json", is_flag=True, help="Print the card as JSON.")
def info(model: str | None, as_json: bool, **values: Any) -> None:
    """Print the card of MODEL.

    MODEL is an .onnx or .keras file, or the folder of a training run; by default the model that
    comes with roadgis. Of an ONNX file without a card, what is found out is printed.
    """
    with shell():
        from roadgis.model.catalog import read_card, resolve_model

        path = resolve_model(model)
        card = read_card(path, options.model_description(values))
    if as_json:
        click.echo(card.to_json())
        return
    click.echo(f"{'file':<15}{path} ({path.stat().st_size / 1e6:.1f} MB)")
    for key, value in dataclasses.asdict(card).items():
        text = json.dumps(value) if isinstance(value, dict) else value
        if isinstance(value, tuple):
            text = ", ".join(str(item) for item in value)
        click.echo(f"{key:<15}{text}")


@command.command("adopt")
@click.argument("model", type=click.Path(path_type=Path))
@options.output_option("The model with its card, .onnx.")
@options.description_options
@options.overwrite_option
@options.progress_options
def adopt(
    model: Path,
    output: Path,
    overwrite: bool,
    progress: str,
    verbose: int,
    quiet: bool,
    **values: Any,
) -> None:
    """Write a model card into an ONNX file of somebody else's, so that it runs without options.

    \b
    roadgis model adopt model.onnx -o roads.onnx --model-gsd 0.5 --model-classes other,road
    """  # noqa: D301 - click reads the backspace
    with shell(progress, verbose=verbose, quiet=quiet) as sh:
        from roadgis.atomic import check_target
        from roadgis.errors import InputError
        from roadgis.model.catalog import resolve_model
        from roadgis.model.foreign import adopt as adopt_model

        if output.suffix.lower() != ".onnx":
            raise InputError(f"{output}: expected an output name that ends in .onnx.")
        check_target(output, overwrite=overwrite)
        card = adopt_model(resolve_model(model), output, options.model_description(values))
        sh.result(
            f"{output}: class {card.classes[card.road_class]!r} at {card.gsd_m:g} m a pixel, "
            f"{card.input_layout} in, {card.output_layout} out, activation {card.activation}",
            outputs=[str(output)],
        )
