"""The commands as data: what QGIS and other shells build their dialogs from.

Everything comes from the click commands themselves and from the library's settings, so that a
dialog cannot say something else than the command line. ``docs/protocol.md`` documents the object.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import click

from roadgis._version import __version__
from roadgis.cli import options
from roadgis.cli.defaults import library_default
from roadgis.cli.shell import PROTOCOL

__all__ = ["describe", "describe_command", "describe_parameter", "path_role"]

#: Groups of options, by the decorators that give them to the commands.
_GROUPS: dict[str, Callable[..., Any]] = {
    "shell": options.progress_options,
    "model description": options.description_options,
    "device": options.device_options,
    "imagery": options.imagery_options,
    "run": options.run_options,
    "vector": options.vector_options,
    "drawing": options.drawing_options,
}
#: What a dialog shows at once, besides what is required; the rest is advanced.
_BASIC = {
    "aoi", "buffer", "csv", "data", "errors", "image", "labels", "max_gap", "min_component",
    "model", "overwrite", "probability", "report", "threshold", "truth", "validation",
}  # fmt: skip
#: Direction and content of parameters that name files, by name or by command and name.
_PATHS: dict[str, tuple[str, str]] = {
    "aoi": ("in", "vector"),
    "area": ("in", "vector"),
    "augmentation": ("in", "yaml"),
    "base": ("in", "vector"),
    "clean.probability": ("in", "raster"),
    "csv": ("out", "csv"),
    "curve": ("out", "table"),
    "data": ("in", "folder"),
    "errors": ("out", "gpkg"),
    "export.model": ("in", "model"),
    "export.output": ("out", "model"),
    "extraction": ("in", "vector"),
    "image": ("in", "raster"),
    "images": ("in", "raster"),
    "init": ("in", "model"),
    "labels": ("in", "vector"),
    "labels.output": ("out", "raster"),
    "labels.source": ("in", "vector"),
    "like": ("in", "raster"),
    "lines": ("in", "vector"),
    "model": ("in", "model"),
    "model adopt.output": ("out", "model"),
    "output": ("out", "vector"),
    "plot": ("out", "picture"),
    "predict.output": ("out", "raster"),
    "preview": ("out", "picture"),
    "probability": ("out", "raster"),
    "proposal": ("in", "vector"),
    "report": ("out", "html"),
    "roads": ("in", "vector"),
    "scores": ("out", "json"),
    "settings": ("in", "yaml"),
    "source": ("in", "vector"),
    "sources": ("in", "raster"),
    "synthesize.output": ("out", "raster"),
    "synthesize.truth": ("out", "geojson"),
    "train.output": ("out", "folder"),
    "truth": ("in", "vector"),
    "validation": ("in", "folder"),
    "vectorize.probability": ("in", "raster"),
    "video.output": ("out", "video"),
    "video.source": ("in", "video"),
    "work_dir": ("out", "folder"),
}
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
_UNITS = {"M": "m", "PX": "px", "MB": "MB", "DEG": "deg"}
_UNIT_OF_NAME = re.compile(r"_(m|px|deg)$")
_DEFAULT_TEXT = re.compile(r"\s*\[default: ([^\]]*)\]\.?$")


def describe() -> dict[str, Any]:
    """Describe the program: versions, formats, bundled models, every command's parameters.

    Returns
    -------
    dict
        As ``docs/protocol.md`` says; JSON can hold all of it.

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
    """Return all commands by their full names, those of groups one by one."""
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
    """Describe one command.

    Parameters
    ----------
    name : str
        As typed, such as ``model info``.
    command : click.Command
        The command.

    Returns
    -------
    dict
        Its name, help and parameters, in the order of the command line's help.
    """
    text = (command.help or "").replace("\b", "").strip()
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n")]
    return {
        "name": name,
        "summary": paragraphs[0],
        "help": [part for part in paragraphs[1:] if not part.startswith("roadgis ")],
        "jsonl": any(parameter.name == "progress" for parameter in command.params),
        "parameters": [describe_parameter(name, parameter) for parameter in command.params],
    }


def describe_parameter(command: str, parameter: click.Parameter) -> dict[str, Any]:
    """Describe one parameter of a command.

    Parameters
    ----------
    command : str
        As typed.
    parameter : click.Parameter
        An option or argument.

    Returns
    -------
    dict
        Name, flags, type with its range and unit, default, help and place in a dialog.
    """
    name = parameter.name or ""
    raw_help = " ".join((getattr(parameter, "help", None) or "").split())
    stated = _DEFAULT_TEXT.search(raw_help)
    group = next((group for group, names in _groups().items() if name in names), "")
    return {
        "name": name,
        "flags": list(parameter.opts) if isinstance(parameter, click.Option) else [],
        "off_flags": list(parameter.secondary_opts),
        **_type(command, parameter),
        "default": _default(command, parameter),
        "default_text": stated.group(1) if stated else "",
        "help": _DEFAULT_TEXT.sub("", raw_help),
        "required": parameter.required,
        "multiple": bool(getattr(parameter, "multiple", False)) or parameter.nargs == -1,
        "group": group,
        "advanced": not parameter.required and name not in _BASIC,
    }


@cache
def _groups() -> dict[str, set[str]]:
    groups = {}
    for group, decorate in _GROUPS.items():
        made = click.command()(decorate(lambda **_: None))
        groups[group] = {parameter.name or "" for parameter in made.params}
    return groups


def path_role(command: str, name: str) -> tuple[str, str] | None:
    """Return whether a command's parameter is read ("in") or written ("out"), and what it is.

    None for parameters that name no file.
    """
    return _PATHS.get(f"{command}.{name}") or _PATHS.get(name)


def _type(command: str, parameter: click.Parameter) -> dict[str, Any]:
    kind, name = parameter.type, parameter.name or ""
    place = path_role(command, name)
    if getattr(parameter, "count", False):
        return {"type": "count"}
    if getattr(parameter, "is_flag", False):
        return {"type": "flag"}
    if isinstance(kind, click.Choice):
        return {"type": "choice", "choices": [str(choice) for choice in kind.choices]}
    if kind.name in {"integer", "float", "integer range", "float range"}:
        return {"type": "number", "integer": kind.name.startswith("integer"), **_range(parameter)}
    if place is not None and (isinstance(kind, click.Path) or kind.name == "text"):
        direction, content = place
        return {
            "type": f"path_{direction}",
            "content": content,
            "suffixes": _vector_suffixes() if content == "vector" else _SUFFIXES.get(content, []),
        }
    if isinstance(kind, click.Path):
        raise ValueError(f"{command} {name}: give this path a direction in {__name__}._PATHS")
    return {"type": "text", "metavar": parameter.metavar or ""}


def _range(parameter: click.Parameter) -> dict[str, Any]:
    kind, metavar = parameter.type, parameter.metavar or ""
    ending = _UNIT_OF_NAME.search(parameter.name or "")
    unit = _UNITS.get(metavar) or (ending.group(1) if ending else "")
    low, high = getattr(kind, "min", None), getattr(kind, "max", None)
    # Where the option states no range: the library takes no negative lengths, and probabilities.
    if low is None and (unit in {"m", "px"} or metavar == "P"):
        low = 0
    if high is None and metavar == "P":
        high = 1
    return {
        "min": low,
        "max": high,
        "min_open": bool(getattr(kind, "min_open", False)),
        "max_open": bool(getattr(kind, "max_open", False)),
        "unit": unit,
    }


def _default(command: str, parameter: click.Parameter) -> Any:
    """Return a default that JSON can hold; null where it is found out when the command runs."""
    value = parameter.default
    if not isinstance(value, (bool, int, float, str, list, tuple)):
        value = library_default(command, parameter.name or "")
    if value is None and getattr(parameter, "is_flag", False):
        return False
    if isinstance(value, tuple):
        return list(value) or None
    return value if isinstance(value, (bool, int, float, str, list)) else None


def _vector_suffixes() -> list[str]:
    from roadgis.output.formats import SUFFIXES

    return list(SUFFIXES)


def _formats() -> list[dict[str, Any]]:
    """Describe the vector formats that are written, and whether all that they need is there."""
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
    from roadgis.model.onnx_metadata import read_metadata

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
