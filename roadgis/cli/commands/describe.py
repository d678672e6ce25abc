"""``roadgis describe``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from roadgis.cli import parameters
from roadgis.cli.shell import shell
from roadgis.options.option import Option


@click.command("describe", cls=parameters.Command)
@parameters.parameter(bool, Option("Print one JSON object.", flags=("as_json", "--json")))
def command(as_json: bool) -> None:
    """Describe all commands and their parameters, for programs that drive roadgis."""
    with shell():
        from roadgis.cli.description import describe

        facts = describe()
    if as_json:
        click.echo(json.dumps(facts, ensure_ascii=False, indent=1))
        return
    for line in _lines(facts):
        click.echo(line)


def _lines(facts: dict[str, Any]) -> Iterator[str]:
    yield f"roadgis {facts['version']}, protocol {facts['protocol']}"
    for model in facts["models"]:
        yield (
            f"model {model['key']}: {model['name']} {model['version']}, {model['gsd_m']:g} m "
            f"per pixel, threshold {model['threshold']:.3f}"
        )
    formats = (
        f"{known['suffix']} ({known['name']}"
        + ("" if known["available"] else f", needs {known['needs']}")
        + ")"
        for known in facts["formats"]
    )
    yield "formats: " + ", ".join(formats)
    for described in facts["commands"]:
        yield ""
        yield f"{described['name']}: {described['summary']}"
        shown = [p for p in described["parameters"] if p["group"] != "shell"]
        width = max((len(_name(parameter)) for parameter in shown), default=0)
        for parameter in shown:
            yield f"  {_name(parameter):<{width}}  {_value(parameter)}"


def _name(parameter: dict[str, Any]) -> str:
    name: str = max(parameter["flags"], key=len, default=parameter["name"].upper())
    return name + ("..." if parameter["multiple"] else "")


def _value(parameter: dict[str, Any]) -> str:
    kind = parameter["type"].replace("_", " ")
    text = "|".join(parameter["choices"]) if kind == "choice" else kind
    if parameter.get("content"):
        text += f" ({parameter['content']})"
    low, high = parameter.get("min"), parameter.get("max")
    if low is not None or high is not None:
        text += f" {'' if low is None else f'{low:g}'}..{'' if high is None else f'{high:g}'}"
    if parameter.get("unit"):
        text += f" {parameter['unit']}"
    if parameter["required"]:
        return text + ", required"
    default = parameter["default_text"] if parameter["default"] is None else parameter["default"]
    return text if default is False or default in ("", None) else f"{text}, default {default}"
