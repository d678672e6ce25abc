"""``roadgis model info``."""

from __future__ import annotations

import dataclasses
import json

import click

from roadgis.cli.shell import shell

__all__ = ["command"]


@click.group("model")
def command() -> None:
    """Describe a model."""


@command.command("info")
@click.argument("model", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the card as JSON.")
def info(model: str | None, as_json: bool) -> None:
    """Print the card of MODEL (an .onnx or .keras file; by default the bundled model)."""
    with shell():
        from roadgis.model.catalog import read_card, resolve_model

        path = resolve_model(model)
        card = read_card(path)
    if as_json:
        click.echo(card.to_json())
        return
    click.echo(f"{'file':<14}{path} ({path.stat().st_size / 1e6:.1f} MB)")
    for key, value in dataclasses.asdict(card).items():
        text = json.dumps(value) if isinstance(value, dict) else value
        if isinstance(value, tuple):
            text = ", ".join(str(item) for item in value)
        click.echo(f"{key:<14}{text}")
