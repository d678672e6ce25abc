"""``roadgis info``."""

from __future__ import annotations

import json
from typing import Any

import click

from roadgis.cli import options
from roadgis.cli.shell import shell

__all__ = ["command"]


@click.command("info")
@options.sources_argument
@options.imagery_options
@click.option(
    "-m",
    "--model",
    default=None,
    metavar="FILE",
    help="The model that it is to be used with.  [default: the one that comes with roadgis]",
)
@options.description_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(sources: tuple[str, ...], model: str | None, as_json: bool, **values: Any) -> None:
    """Describe imagery, and say whether it can be used."""
    with shell():
        import dataclasses

        from roadgis.model.catalog import read_card
        from roadgis.scene.source import open_scene

        card = read_card(model, options.model_description(values))
        # A scene that is too coarse is described too; its description says so.
        scene_options = dataclasses.replace(options.extract_options(values).scene, force_gsd=True)
        with open_scene(
            sources, gsd_m=card.gsd_m, band_count=len(card.bands), options=scene_options
        ) as scene:
            facts = scene.describe()
    if as_json:
        click.echo(json.dumps(facts, indent=1))
        return
    width = max(len(key) for key in facts)
    for key, value in facts.items():
        for line_number, line in enumerate(_lines(value)):
            click.echo(f"{key if line_number == 0 else '':<{width}}  {line}")


#: Of many inputs, this many are shown; --json has all.
_SHOWN = 20


def _lines(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [f"{key}: {_text(inner)}" for key, inner in value.items()] or ["-"]
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], dict):
        lines = []
        for item in value[:_SHOWN]:
            name, *facts = _lines(item)
            lines += [name.removeprefix("name: "), *(f"  {fact}" for fact in facts)]
        more = len(value) - _SHOWN
        return lines + ([f"... and {more} more"] if more > 0 else [])
    return [_text(value)]


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key} {_text(inner)}" for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_text(item) for item in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
