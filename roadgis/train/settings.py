"""Settings of a training run as a YAML file, which a run writes and can be started from."""

from __future__ import annotations

import dataclasses
import difflib
import types
from pathlib import Path
from typing import Any, get_type_hints

from roadgis.atomic import atomic_path
from roadgis.errors import InputError, MissingExtraError, how_to_install
from roadgis.options.training import TrainSettings
from roadgis.options.training_data import DataSet
from roadgis.plain_values import converted, shown

#: Of longer names no similar one is looked for.
_LONGEST_NAME = 100


def settings_to_dict(settings: TrainSettings, *, paths: bool = True) -> dict[str, Any]:
    """Return the settings as plain values for YAML or JSON.

    Parameters
    ----------
    settings : TrainSettings
        The settings.
    paths : bool
        Whole paths; else file and folder names only, as a model card should not say where
        on a computer its data lay.
    """

    def plain(value: Any) -> Any:
        if isinstance(value, Path):
            return str(value) if paths else value.name
        if dataclasses.is_dataclass(value):
            return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return [plain(item) for item in value] if isinstance(value, tuple) else value

    values = {
        section.name: {
            item.name: plain(getattr(getattr(settings, section.name), item.name))
            for item in dataclasses.fields(getattr(settings, section.name))
        }
        for section in dataclasses.fields(settings)
    }
    for name in ("init", "encoder_weights"):
        if not paths and values["network"][name]:
            values["network"][name] = Path(values["network"][name]).name
    return values


def settings_from_dict(values: Any, where: str, base: Path | None = None) -> TrainSettings:
    """Make settings from plain values; what is left out keeps its default.

    Parameters
    ----------
    values : mapping
        Sections ``data``, ``network``, ``optimization``, ``card``, each a mapping.
    where : str
        Named in error messages.
    base : Path, optional
        Folder that relative paths start from. Default: the working directory.

    Raises
    ------
    InputError
        If a key is unknown or a value of the wrong type.
    """
    sections = get_type_hints(TrainSettings)
    given = _mapping({} if values is None else values, where)
    _check_names(given, sections, where)
    made = {}
    for name, kind in sections.items():
        made[name] = _section(given.get(name) or {}, kind, f"{where}, {name}", base)
    settings = TrainSettings(**made)
    return settings if base is None else _files_found(settings, base)


def _section(values: Any, kind: Any, where: str, base: Path | None) -> Any:
    """Make a dataclass of settings from names and values."""
    items = _mapping(values, where)
    hints = get_type_hints(kind)
    _check_names(items, hints, where)
    converted = {
        key: _converted(value, hints[key], f"{where}.{key}", base) for key, value in items.items()
    }
    missing = [
        f.name
        for f in dataclasses.fields(kind)
        if f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
        and f.name not in converted
    ]
    if missing:
        raise InputError(f"{where}: {', '.join(missing)} is missing.")
    return kind(**converted)


def read_settings(path: Path) -> TrainSettings:
    """Read settings from a YAML file; relative paths start from its folder.

    Raises
    ------
    InputError
        If it cannot be read, is not YAML, or holds unknown keys or wrong values.
    """
    return settings_from_dict(read_settings_values(path), str(path), path.resolve().parent)


def read_settings_values(path: Path) -> Any:
    """Read what a settings file gives, without checks and defaults.

    Raises
    ------
    InputError
        If it cannot be read, or is not YAML.
    """
    yaml = _yaml()
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a settings file: {error}.") from error
    # Values such as the date 2001-99-99 are errors of the kind ValueError.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: is not valid YAML: {error}") from error


def write_settings(settings: TrainSettings, path: Path) -> None:
    """Write settings as YAML, with absolute paths, in one step."""
    text = _yaml().safe_dump(settings_to_dict(_absolute(settings)), sort_keys=False, width=100)
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _yaml() -> types.ModuleType:
    try:
        import yaml
    except ImportError as error:
        raise MissingExtraError(
            f"Settings files need PyYAML, which is not installed ({error}). "
            f"{how_to_install('train')}"
        ) from error
    module: types.ModuleType = yaml
    return module


def _files_found(settings: TrainSettings, base: Path) -> TrainSettings:
    """Return settings in which names that may also be files are looked for from `base`."""
    changed: dict[str, Any] = {
        name: str(base / value)
        for name in ("init", "encoder_weights")
        if (value := getattr(settings.network, name)) and (base / value).exists()
    }
    return dataclasses.replace(settings, network=dataclasses.replace(settings.network, **changed))


def _absolute(settings: TrainSettings) -> TrainSettings:
    def absolute(value: Any) -> Any:
        if isinstance(value, Path):
            return value.resolve()
        if isinstance(value, tuple) and value and isinstance(value[0], Path):
            return tuple(item.resolve() for item in value)
        if isinstance(value, tuple) and value and isinstance(value[0], DataSet):
            return tuple(resolved(item) for item in value)
        return value

    def resolved(item: Any) -> Any:
        changed = {f.name: absolute(getattr(item, f.name)) for f in dataclasses.fields(item)}
        return dataclasses.replace(item, **changed)

    settings = dataclasses.replace(settings, data=resolved(settings.data))
    return _files_found(settings, Path.cwd())


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{where}: found {type(value).__name__}, expected names with values.")
    return value


def _check_names(given: dict[str, Any], known: dict[str, Any], where: str) -> None:
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(str(name)[:_LONGEST_NAME], known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise InputError(
                f"{where}: found the unknown setting {shown(name)}{hint} Known are "
                f"{', '.join(known)}."
            )


def _converted(value: Any, hint: Any, where: str, base: Path | None) -> Any:
    """Return a plain value as what a field's type says."""
    if hint == tuple[DataSet, ...]:
        if not isinstance(value, list | tuple):
            raise InputError(f"{where} is {shown(value)}, expected a list of data sets.")
        return tuple(
            _section(item, DataSet, f"{where}[{number}]", base) for number, item in enumerate(value)
        )
    try:
        return converted(value, hint, base=base, by_hand=True)
    except ValueError as error:
        raise InputError(f"{where} {error}.") from error
