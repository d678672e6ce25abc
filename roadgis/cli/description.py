"""The commands as data, from which QGIS and other programs build their dialogs.

All of it comes from the commands' parameters, so dialogs and the command line agree.
``docs/protocol.md`` documents the object.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import click

from roadgis._version import __version__
from roadgis.cli.parameters import FilePath, Parameter, default_text, group_of
from roadgis.cli.shell import PROTOCOL
from roadgis.options.option import Option

_SUFFIXES = {
    "csv": [".csv"],
    "geojson": [".geojson"],
    "gpkg": [".gpkg"],
    "html": [".html"],
    "json": [".json"],
    "model": [".onnx", ".keras"],
    "picture": [".png", ".svg"],
    "raster": [".tif"],
    "table": [".csv", ".json"],
    "video": [".webm", ".mp4", ".png", ".jpg"],
    "yaml": [".yaml"],
}


def describe() -> dict[str, Any]:
    """Describe the program: versions, formats, bundled models, every command's parameters.

    Returns
    -------
    dict
        JSON values, documented in ``docs/protocol.md``.

    Raises
    ------
    ModelError
        If a bundled model is damaged.
    """
    return {
        "protocol": PROTOCOL,
        "version": __version__,
        "formats": _formats(),
        "models": _models(),
        "commands": [describe_command(name, command) for name, command in _commands()],
    }


def _commands() -> list[tuple[str, click.Command]]:
    """Return all commands with their full names, including those of groups."""
    from roadgis.cli import cli

    context = click.Context(cli)
    found: list[tuple[str, click.Command]] = []
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        if isinstance(command, click.Group):
            found += [(f"{name} {sub}", inner) for sub, inner in sorted(command.commands.items())]
        elif command is not None:
            found.append((name, command))
    return found


def describe_command(name: str, command: click.Command) -> dict[str, Any]:
    """Describe one command: name as typed, help, and parameters in the order of the help."""
    text = (command.help or "").replace("\b", "").strip()
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n")]
    return {
        "name": name,
        "summary": paragraphs[0],
        "help": [part for part in paragraphs[1:] if not part.startswith("roadgis ")],
        "jsonl": any(parameter.name == "progress" for parameter in command.params),
        "parameters": [describe_parameter(parameter) for parameter in command.params],
    }


def describe_parameter(parameter: click.Parameter) -> dict[str, Any]:
    """Describe a parameter: name, flags, type with range and unit, default, help and group."""
    about = parameter.about if isinstance(parameter, Parameter) else Option("")
    default = _default(parameter)
    group = group_of(parameter)
    return {
        "name": parameter.name or "",
        "flags": list(parameter.opts) if isinstance(parameter, click.Option) else [],
        "off_flags": list(parameter.secondary_opts),
        **_type(parameter, about),
        "default": default,
        "default_text": default_text(about, default) if about.default_text else "",
        "help": about.help or getattr(parameter, "help", None) or "",
        "required": parameter.required,
        "multiple": bool(getattr(parameter, "multiple", False)) or parameter.nargs == -1,
        "group": group,
        "advanced": not parameter.required and group != "basic",
    }


def _type(parameter: click.Parameter, about: Option) -> dict[str, Any]:
    kind = parameter.type
    if getattr(parameter, "count", False):
        return {"type": "count"}
    if getattr(parameter, "is_flag", False):
        return {"type": "flag"}
    if isinstance(kind, click.Choice):
        return {"type": "choice", "choices": [str(choice) for choice in kind.choices]}
    if kind.name in {"integer", "float", "integer range", "float range"}:
        integer = kind.name.startswith("integer")
        return {"type": "number", "integer": integer, **_range(about)}
    if isinstance(kind, FilePath):
        vector = kind.content == "vector"
        return {
            "type": f"path_{kind.direction}",
            "content": kind.content,
            "suffixes": _vector_suffixes() if vector else _SUFFIXES.get(kind.content, []),
        }
    if isinstance(kind, click.Path):
        raise ValueError(
            f"{parameter.name}: declare the content of this path, with an Option that has a path."
        )
    return {"type": "text", "metavar": parameter.metavar or ""}


def _range(about: Option) -> dict[str, Any]:
    low, high = about.low, about.high
    # Without a range of the option: the library rejects negative lengths, and checks probabilities.
    if low is None and (about.unit in {"m", "px"} or about.metavar == "P"):
        low = 0
    if high is None and about.metavar == "P":
        high = 1
    return {
        "min": low,
        "max": high,
        "min_open": about.low_open,
        "max_open": about.high_open,
        "unit": about.unit,
    }


def _default(parameter: click.Parameter) -> Any:
    """Return the default as a JSON value; None if it is determined at run time."""
    value = parameter.stated_default if isinstance(parameter, Parameter) else parameter.default
    if value is None and getattr(parameter, "is_flag", False):
        return False
    if isinstance(value, tuple):
        return list(value) or None
    return value if isinstance(value, (bool, int, float, str)) else None


def _vector_suffixes() -> list[str]:
    from roadgis.output.formats import SUFFIXES

    return list(SUFFIXES)


def _formats() -> list[dict[str, Any]]:
    """Describe the output formats, and whether the packages that they need are installed."""
    from roadgis.output.formats import SUFFIXES

    return [
        {
            "suffix": suffix,
            "name": known.name,
            "nodes": known.has_nodes,
            "available": not known.needs or importlib.util.find_spec(known.needs) is not None,
            "needs": f"roadgis[{known.extra}]" if known.extra else "",
        }
        for suffix, known in SUFFIXES.items()
    ]


def _models() -> list[dict[str, Any]]:
    from roadgis.model.card import CARD_KEY, ModelCard
    from roadgis.model.catalog import DEFAULT_MODEL, bundled_models
    from roadgis.model.onnx_fields import read_metadata

    models = []
    for key, path in bundled_models().items():
        card = ModelCard.from_json(read_metadata(path).get(CARD_KEY, ""), str(path))
        models.append(
            {
                "key": key,
                "is_default": key == DEFAULT_MODEL,
                "name": card.name,
                "version": card.version,
                "gsd_m": card.gsd_m,
                "threshold": card.threshold,
                "classes": list(card.classes),
                "bytes": path.stat().st_size,
            }
        )
    return models
