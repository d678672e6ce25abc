"""``roadgis model list``, ``info`` and ``adopt``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from roadgis.cli import options
from roadgis.cli.group import Group
from roadgis.cli.parameters import Command, argument, parameter
from roadgis.cli.shell import shell
from roadgis.options.option import Option

if TYPE_CHECKING:
    from roadgis.model.card import ModelCard


@click.group("model", cls=Group)
def command() -> None:
    """List and describe models, or give an ONNX file a model card."""


@command.command("list", cls=Command)
@parameter(bool, Option("Print one JSON object for each model.", flags=("as_json", "--json")))
def list_models(as_json: bool) -> None:
    """List the bundled and the installed models with their scores.

    Installed models are the .onnx files in the folder that ROADGIS_MODELS names, by default
    ~/.roadgis/models. Use one by its name: roadgis extract scene.tif -m NAME -o roads.gpkg
    """
    with shell():
        from roadgis.model.catalog import bundled_models, installed_models, read_card

        found = [("bundled", bundled_models()), ("installed", installed_models())]
        rows = [
            (name, kind, path, read_card(path))
            for kind, models in found
            for name, path in models.items()
        ]
    for name, kind, path, card in rows:
        if as_json:
            facts = {
                "name": name,
                "kind": kind,
                "file": str(path),
                "card": json.loads(card.to_json()),
            }
            click.echo(json.dumps(facts))
            continue
        click.echo(f"{name}  ({kind}: {card.name} {card.version}, {_pixel_sizes(card)})")
        for line in _scores(card):
            click.echo(f"  {line}")


@command.command("info", cls=Command)
@argument("model", ("in", "model"), required=False)
@options.DESCRIPTION
@parameter(bool, Option("Print the whole card as JSON.", flags=("as_json", "--json")))
@parameter(
    bool,
    Option(
        "Print a STAC Item with the Machine Learning Model (MLM) extension.",
        flags=("as_stac", "--stac"),
    ),
)
def info(model: str | None, as_json: bool, as_stac: bool, **values: object) -> None:
    """Describe a model: classes, pixel size, scores and terms of use.

    MODEL is an .onnx or .keras file, the folder of a training run, or the name of a model of
    'roadgis model list'; by default the bundled model. For an ONNX file without
    a card, what can be detected is printed. --json prints all of the card, the training recipe
    included. --stac prints a STAC Item for catalogs of models.
    """
    with shell():
        from roadgis.model.catalog import model_fingerprint, read_card, resolve_model
        from roadgis.model.stac_item import model_item

        path = resolve_model(model)
        card = read_card(path, options.DESCRIPTION.made(values))
        if as_stac:
            item = model_item(
                card,
                str(path.absolute()),
                sha256=model_fingerprint(path),
                size=path.stat().st_size,
            )
            click.echo(json.dumps(item, indent=1))
            return
    if as_json:
        click.echo(card.to_json())
        return
    rows = [
        ("Model", [f"{card.name} {card.version} ({path.stat().st_size / 1e6:.1f} MB)"]),
        ("File", [str(path)]),
        ("Finds", [f"{card.classes[card.road_class]} in {', '.join(card.bands)} imagery"]),
        ("Pixel size", [_pixel_sizes(card)]),
        ("Threshold", [f"{card.threshold:g}"]),
        ("Tiling", [] if card.local else ["the result depends a little on the tile size"]),
        ("Scores", _scores(card)),
        ("Trained on", [card.training_data or "not stated"]),
        ("Licence", [card.licence or "not stated"]),
        ("Attribution", [" ".join(card.attribution) or "not stated"]),
    ]
    for name, lines in rows:
        for number, line in enumerate(lines):
            click.echo(f"{name if number == 0 else '':<13}{line}")


_SCORE_NAMES = {"iou": "IoU", "f1": "F1", "relaxed_f1_3px": "relaxed F1 (3 px)"}
_TITLES = {**_SCORE_NAMES, "gsd_m": "pixel size (m)"}
# A card does not keep the order of its scores. Others follow by name.
_FIRST_COLUMNS = ("place", "gsd_m", "f1", "precision", "recall", "iou")


def _pixel_sizes(card: ModelCard) -> str:
    if card.gsd_range_m is None:
        return f"{card.gsd_m:g} m"
    return f"{card.gsd_range_m[0]:g} to {card.gsd_range_m[1]:g} m"


def _scores(card: ModelCard) -> list[str]:
    """Return a table of the scores by place, or one line if the card has no places."""
    places = card.scores.get("places")
    if isinstance(places, list):
        rows = [row for row in places if isinstance(row, dict) and row]
        if rows:
            return _table(rows)
    known = [
        f"{text} {card.scores[key]:.3f}"
        for key, text in _SCORE_NAMES.items()
        if isinstance(card.scores.get(key), int | float)
    ]
    if not known:
        return ["no scores"]
    data = card.scores.get("validation")
    return [", ".join(known) + (f" on {data}" if data else "")]


def _table(rows: list[dict[str, Any]]) -> list[str]:
    """Return rows of values by name as lines of aligned columns with a header."""
    found = sorted({name for row in rows for name in row})
    names = [name for name in _FIRST_COLUMNS if name in found]
    names += [name for name in found if name not in names]
    titles = [_TITLES.get(name, name.replace("_", " ")) for name in names]
    cells = [titles, *([_cell(row.get(name, "")) for name in names] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]


def _cell(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


@command.command("adopt", cls=Command)
@argument("model", ("in", "model"), kind=Path)
@options.output_option("Model to write with its card, .onnx.", "model")
@options.DESCRIPTION
@parameter(
    str,
    Option(
        "Licence of the model.",
        "card",
        ("--licence",),
        default_text="that in the file",
    ),
)
@parameter(
    tuple[str, ...],
    Option(
        "Credit for the training data, written into outputs; may be repeated.",
        "card",
        ("--attribution",),
        metavar="SENTENCE",
        repeat=True,
    ),
)
@options.overwrite_option
@options.progress_options
def adopt(
    model: Path,
    output: Path,
    licence: str | None,
    attribution: tuple[str, ...],
    overwrite: bool,
    progress: str,
    verbose: int,
    quiet: bool,
    **values: object,
) -> None:
    """Write a model card into an ONNX file, to run it without options.

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
        card = adopt_model(
            resolve_model(model),
            output,
            options.DESCRIPTION.made(values),
            licence=licence,
            attribution=attribution,
        )
        sh.result(
            f"{output}: class {card.classes[card.road_class]!r} at {card.gsd_m:g} m per pixel, "
            f"input {card.input_layout}, output {card.output_layout}, activation {card.activation}",
            outputs=[str(output)],
        )
