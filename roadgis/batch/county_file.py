"""Reading ``county.yaml``, the options of ``roadgis batch plan`` in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from roadgis.errors import InputError, MissingExtraError, ReadError, how_to_install

#: Entries that name files; relative paths start from the folder of the county file.
_PATHS = ("sources", "output", "model", "aoi")


def county_file(path: Path) -> dict[str, Any]:
    """Read a county file.

    Parameters
    ----------
    path : Path
        YAML file with ``sources`` and any options of ``roadgis batch plan``.

    Returns
    -------
    dict
        Values by option name, with underscores for dashes; lists are joined by commas.

    Raises
    ------
    InputError
        If the file is not YAML, or has no ``sources``.
    ReadError
        If the file cannot be read.
    MissingExtraError
        If PyYAML is not installed.
    """
    try:
        import yaml
    except ImportError as error:
        raise MissingExtraError(
            f"{path}: reading it needs PyYAML, which is not installed. "
            f"{how_to_install('batch')} Or give the options on the command line."
        ) from error
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ReadError(f"{path}: cannot be read ({error}). Check the path.") from error
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{path}: is not YAML ({' '.join(str(error).split())}).") from error
    if not isinstance(found, dict) or not found.get("sources"):
        raise InputError(
            f"{path}: expected entries such as 'sources: [sheets/]' and 'output: county/'; "
            "'sources' is required."
        )
    return {
        str(name).replace("-", "_"): _value(str(name).replace("-", "_"), value, path.parent)
        for name, value in found.items()
    }


def _value(name: str, value: Any, folder: Path) -> Any:
    if name == "sources":
        listed = value if isinstance(value, list) else [value]
        return tuple(_place(str(item), folder) for item in listed)
    if name in _PATHS and isinstance(value, str):
        return _place(value, folder)
    if isinstance(value, list):
        return ",".join(map(str, value))
    return value


def _place(value: str, folder: Path) -> str:
    if "://" in value or value.startswith("/vsi"):
        return value
    return str(folder / value)
