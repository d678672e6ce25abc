"""Make click parameters from the fields of settings, and settings from their values."""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, get_args, get_origin

import click

from roadgis.errors import InputError
from roadgis.options.option import GROUPS, Option, declared

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_F = TypeVar("_F", bound=Callable[..., Any])
_T = TypeVar("_T", bound="DataclassInstance")
_UNIT = re.compile("_(m|deg)$")


class FilePath(click.Path):
    """A path that is read (`direction` "in") or written ("out"), and its content."""

    def __init__(self, direction: str, content: str, kind: type[str] | type[Path]) -> None:
        super().__init__(path_type=kind, readable=kind is Path)
        self.direction, self.content = direction, content

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path; addresses of object stores are not paths."""
        if self.direction == "out" and self.type is Path and "://" in str(value):
            self.fail(
                f"{value}: is an address, expected a path. Write to the file system, and copy the "
                "file to its place.",
                param,
                ctx,
            )
        return super().convert(value, param, ctx)


class _FiniteRange(click.FloatRange):
    """A range that excludes nan and infinity."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class Parameter(click.Option):
    """A click option with its declaration and the default of its setting."""

    def __init__(
        self, flags: list[str], *, about: Option, stated_default: object = None, **attributes: Any
    ) -> None:
        super().__init__(flags, **attributes)
        self.about, self.stated_default = about, stated_default


class Command(click.Command):
    """A command whose help, docs and description list parameters in groups."""

    def __init__(self, *arguments: Any, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        order = list(GROUPS)
        self.params.sort(
            key=lambda p: -1 if isinstance(p, click.Argument) else order.index(group_of(p))
        )

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options under the headings of their groups."""
        sections: dict[str, list[tuple[str, str]]] = {name: [] for name in GROUPS}
        for shown in self.get_params(ctx):
            record = shown.get_help_record(ctx)
            if record is not None and not isinstance(shown, click.Argument):
                sections["shell" if "--help" in shown.opts else group_of(shown)].append(record)
        for name, records in sections.items():
            if records:
                with formatter.section(GROUPS[name]):
                    formatter.write_dl(records)


def group_of(shown: click.Parameter) -> str:
    """Return the group of a parameter; plain click options are basic."""
    return shown.about.group if isinstance(shown, Parameter) else "basic"


def combined(*decorators: Callable[[_F], _F]) -> Callable[[_F], _F]:
    """Return several decorators as one, in the order of the help."""

    def decorate(function: _F) -> _F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def argument(
    name: str, path: tuple[str, str], *, kind: type[str] | type[Path] = str, **attributes: Any
) -> Callable[[_F], _F]:
    """Return an argument that names a file or folder."""
    return click.argument(name, type=FilePath(*path, kind), **attributes)


def parameter(
    kind: object, about: Option, *, default: object = None, stated: object = None, **attributes: Any
) -> Callable[[_F], _F]:
    """Return an option.

    Parameters
    ----------
    kind : type
        Type of the value, as in the annotation of a dataclass field.
    about : Option
        Declaration, with flags.
    default : object
        Value if the option is not given.
    stated : object
        Default in the help, if `default` is None.
    **attributes
        Passed to click, such as ``required``.
    """
    kind = _without_none(kind)
    if kind is bool:
        attributes |= {"is_flag": True}
        if "/" not in about.flags[-1] and default is None:
            default = False
    elif get_origin(kind) is tuple and about.repeat:
        attributes |= {"multiple": True, "type": _click_type(get_args(kind)[0], about)}
    else:
        attributes |= {"type": _click_type(kind, about)}
    # For click, a default of None satisfies a required option, and a switch without one is off.
    if default is not None or kind is bool:
        attributes["default"] = default
    stated = default if stated is None else stated
    text = "" if attributes.get("count") else default_text(about, stated)
    return click.option(
        *about.flags,
        cls=Parameter,
        about=about,
        stated_default=stated,
        metavar=about.metavar or about.unit.upper() or None,
        help=f"{about.help}  [default: {text}]" if text else about.help,
        **attributes,
    )


def _without_none(kind: object) -> object:
    if get_origin(kind) in (typing.Union, types.UnionType):
        return next(inner for inner in get_args(kind) if inner is not type(None))
    return Path if kind is Any else kind


def _click_type(kind: object, about: Option) -> click.ParamType[Any]:
    if about.path is not None:
        return FilePath(*about.path, Path if kind is Path else str)
    if about.choices or get_origin(kind) is Literal:
        return click.Choice(about.choices or get_args(kind))
    limits: dict[str, Any] = {"min": about.low, "max": about.high}
    limits |= {"min_open": about.low_open, "max_open": about.high_open}
    if about.low is None and about.high is None:
        return click.INT if kind is int else click.FLOAT if kind is float else click.STRING
    return click.IntRange(**limits) if kind is int else _FiniteRange(**limits)


def default_text(about: Option, value: object) -> str:
    """Return a default as typed on the command line, within its description."""
    if isinstance(value, bool):
        on, _, off = about.flags[-1].partition("/")
        text = (on if value else off).removeprefix("--") if off else ""
    elif isinstance(value, (tuple, list)):
        text = ",".join(map(str, value))
    else:
        text = "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    return about.default_text.replace("{}", text) if about.default_text else text


@dataclass(frozen=True)
class _Leaf:
    """A field of nested settings that users may set."""

    path: tuple[str, ...]
    kind: object
    about: Option
    default: object

    @property
    def name(self) -> str:
        """Name of the click parameter."""
        given = [flag for flag in self.about.flags if not flag.startswith("-")]
        longest = max(self.about.flags, key=len).partition("/")[0]
        return given[0] if given else longest.lstrip("-").replace("-", "_")

    @property
    def is_off_switch(self) -> bool:
        """Whether the flag alone means False."""
        return self.default is True and "/" not in self.about.flags[-1]

    def value(self, given: object) -> object:
        """Return the field's value for a value of click."""
        if self.about.convert is not None:
            return self.about.convert(str(given))
        if self.is_off_switch:
            return False
        if given == "auto" and self.default is None:
            return None
        kind = _without_none(self.kind)
        if get_origin(kind) is tuple and not self.about.repeat:
            return _list(str(given), get_args(kind)[0], self.about)
        return given


def _list(text: str, kind: Callable[[str], object], about: Option) -> tuple[object, ...]:
    parts = [part.strip() for part in text.split(",")]
    try:
        return tuple(kind(part) for part in parts if part or kind is not str)
    except ValueError as error:
        raise InputError(
            f"{about.flags[-1]} is {text!r}, expected numbers separated by commas, such as "
            f"{about.example}."
        ) from error


class Settings(Generic[_T]):
    """The options of a command that set the fields of (nested) settings.

    As a decorator it adds the options; fields without an option keep the value of `base`.

    Parameters
    ----------
    base : dataclass
        Settings without options.
    only, without : collection of str
        Fields, or nested settings, to include and to exclude; default: all, none.
    instead : mapping of str to Option
        Declarations that differ in this command, by field.
    """

    def __init__(
        self,
        base: _T,
        *,
        only: Collection[str] = (),
        without: Collection[str] = (),
        instead: Mapping[str, Option] | None = None,
    ) -> None:
        self._base = base
        self._leaves = [
            dataclasses.replace(leaf, about=about)
            for leaf in _leaves(base, ())
            if (not only or set(leaf.path) & set(only)) and not set(leaf.path) & set(without)
            for about in [_flagged((instead or {}).get(leaf.path[-1], leaf.about), leaf.path[-1])]
        ]

    def __call__(self, function: _F) -> _F:
        """Add the options to a command's function."""
        made: list[Callable[[_F], _F]] = []
        lists: dict[str, list[_Leaf]] = {}
        for leaf in self._leaves:
            if leaf.about.listed_in:
                lists.setdefault(leaf.about.listed_in, []).append(leaf)
                continue
            stated = False if leaf.is_off_switch else leaf.default
            if stated is None and "auto" in leaf.about.choices:
                stated = "auto"
            made.append(parameter(leaf.kind, leaf.about, stated=stated))
            if leaf.about.off_flag:
                off = Option(leaf.about.off_help, leaf.about.group, (leaf.about.off_flag,))
                made.append(parameter(bool, off))
        for flag, leaves in lists.items():
            made.append(parameter(tuple[str, ...], _list_option(flag, leaves)))
        return combined(*made)(function)

    def given(self, values: Mapping[str, object]) -> dict[tuple[str, ...], object]:
        """Return the values of the options that were given, by their path in the settings.

        Raises
        ------
        InputError
            If a list of numbers holds something else.
        """
        found: dict[tuple[str, ...], object] = {}
        for leaf in self._leaves:
            if leaf.about.listed_in:
                named = values.get(_name(leaf.about.listed_in)) or ()
                assert isinstance(named, tuple)
                if {leaf.path[-1], "all"} & set(named):
                    found[leaf.path] = False
                continue
            value = values.get(leaf.name)
            off_by_flag = value is False and "/" not in leaf.about.flags[-1]
            if value is not None and value != () and not off_by_flag:
                found[leaf.path] = leaf.value(value)
            if leaf.about.off_flag and values.get(_name(leaf.about.off_flag)):
                found[leaf.path] = 0.0
        return found

    def made(self, values: Mapping[str, object], base: _T | None = None) -> _T:
        """Return the settings for a command's values.

        Parameters
        ----------
        values : mapping
            Values by parameter name, as click passes them.
        base : dataclass, optional
            Settings to change, such as those of a file; default: `base` of the class.

        Raises
        ------
        InputError
            If a value is out of its range.
        """
        return _replaced(self._base if base is None else base, self.given(values))


def _flagged(about: Option, field: str) -> Option:
    """Return a declaration with flags, by default from the field's name."""
    if about.flags:
        return about
    return dataclasses.replace(about, flags=("--" + _UNIT.sub("", field).replace("_", "-"),))


def _name(flag: str) -> str:
    return flag.lstrip("-").replace("-", "_")


def _list_option(flag: str, leaves: list[_Leaf]) -> Option:
    names = [leaf.path[-1] for leaf in leaves]
    meanings = " ".join(f"{leaf.path[-1]}: {leaf.about.help}" for leaf in leaves)
    text = f"Turn off a rule, or all; may be repeated. {meanings}"
    return Option(text, leaves[0].about.group, (flag,), choices=(*names, "all"), repeat=True)


def _leaves(settings: DataclassInstance, path: tuple[str, ...]) -> Iterator[_Leaf]:
    kinds = typing.get_type_hints(type(settings))
    for field in dataclasses.fields(settings):
        value, here = getattr(settings, field.name), (*path, field.name)
        about = declared(field)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            yield from _leaves(value, here)
        elif about is not None:
            yield _Leaf(here, kinds[field.name], about, value)


def _replaced(settings: _T, changes: Mapping[tuple[str, ...], object]) -> _T:
    fields: dict[str, Any] = {path[0]: value for path, value in changes.items() if len(path) == 1}
    for name in {path[0] for path in changes if len(path) > 1}:
        inner = {path[1:]: value for path, value in changes.items() if path[0] == name}
        fields[name] = _replaced(getattr(settings, name), inner)
    return dataclasses.replace(settings, **fields)
