"""``roadgis info``."""

from __future__ import annotations

import json
from typing import Any

import click

from roadgis.cli import options
from roadgis.cli.parameters import Command, Settings, parameter
from roadgis.cli.shell import shell
from roadgis.options.extraction import ExtractOptions
from roadgis.options.model import ModelDescription, RuntimeOptions
from roadgis.options.option import Option

_SCENE = Settings(ExtractOptions(), only=("scene", "sources"))
_MODEL = Settings(RuntimeOptions(), only=("model",))


@click.command("info", cls=Command)
@options.sources_argument
@_MODEL
@_SCENE
@options.DESCRIPTION
@parameter(bool, Option("Print one JSON object.", flags=("as_json", "--json")))
def command(sources: tuple[str, ...], as_json: bool, **values: object) -> None:
    """Describe imagery, and check whether it can be used.

    Ends with a verdict, and an estimate of how long 'roadgis extract' takes on this machine. Exit
    status 1 if 'roadgis extract' would reject the imagery.
    """
    with shell():
        facts, reason = _facts(
            sources,
            _MODEL.made(values).model,
            options.DESCRIPTION.made(values),
            _SCENE.made(values),
        )
        facts |= {"usable": reason is None, "reason": reason}
        if as_json:
            click.echo(json.dumps(facts, indent=1))
        else:
            _report(facts)
        if reason is not None:
            raise click.exceptions.Exit(1)


def _facts(
    sources: tuple[str, ...],
    model: str | None,
    description: ModelDescription,
    wanted: ExtractOptions,
) -> tuple[dict[str, Any], str | None]:
    """Return the facts of the imagery, and the reason if it cannot be used."""
    import dataclasses

    from roadgis.errors import RoadgisError, SceneError
    from roadgis.estimate import estimated_seconds
    from roadgis.likeness import likeness
    from roadgis.model.runtime import load_model
    from roadgis.probability.prediction import open_for_model

    facts: dict[str, Any] = {}
    try:
        segmenter = load_model(model, description=description)
        card = segmenter.card
        try:
            with open_for_model(sources, card, wanted.scene, wanted.sources) as scene:
                facts = {**scene.describe(), "device": segmenter.device}
                seconds = estimated_seconds(scene, segmenter, wanted.predict)
                if card.looks:  # else it is not known
                    facts["unlike_training"] = likeness(card, scene.look).text
                return facts | {"estimated_seconds": round(seconds, 1)}, None
        except SceneError as error:
            # Imagery that is too coarse can still be described.
            forced = dataclasses.replace(wanted.scene, force_gsd=True)
            if forced != wanted.scene:
                with open_for_model(sources, card, forced, wanted.sources) as scene:
                    facts = scene.describe()
            return facts, str(error)
    except RoadgisError as error:
        return facts, str(error)


def _report(facts: dict[str, Any]) -> None:
    from roadgis.imagery.size import duration

    facts = dict(facts)
    usable, reason = facts.pop("usable"), facts.pop("reason")
    seconds, unlike = (facts.pop(key, None) for key in ("estimated_seconds", "unlike_training"))
    width = max((len(key) for key in facts), default=0)
    for key, value in facts.items():
        for line_number, line in enumerate(_lines(value)):
            click.echo(f"{key if line_number == 0 else '':<{width}}  {line}")
    if usable:
        size = facts["size"]
        click.echo(
            f"Usable: yes. Extracting the roads of {_megapixels(size['mpx'])} Mpx takes about "
            f"{duration(seconds)} on this machine, and {size['disk_mb']} MB of disk space."
        )
        if unlike is not None:
            click.echo(unlike)
    else:
        click.echo(f"Usable: no. {reason}")


def _megapixels(mpx: float) -> str:
    return f"{mpx:,.1f}" if mpx >= 0.1 else f"{mpx:.2g}"


#: Number of inputs that are shown; --json has all.
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
