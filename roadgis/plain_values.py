"""Plain values from JSON and YAML, checked against the types of a dataclass's fields."""

from __future__ import annotations

import json
import math
import reprlib
import types
import typing
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60
_SHORT.maxlong = 20

_KINDS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "names with values",
    Path: "a path",
}


def parse_json(text: str | bytes) -> Any:
    """Return what JSON text holds.

    Raises
    ------
    ValueError
        If it is not JSON, not UTF-8, or nested more deeply than can be read.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def shown(value: Any) -> str:
    """Return a value for a message, shortened."""
    return _SHORT.repr(value)


def converted(value: Any, hint: Any, *, base: Path | None = None, by_hand: bool = False) -> Any:
    """Return a plain value as what a field's type says.

    Parameters
    ----------
    value : object
        As parsed.
    hint : type
        Of a dataclass's field: ``str``, ``int``, ``float``, ``bool``, ``dict``, ``Path``, a
        ``Literal``, a tuple of one of these, or one of these or None.
    base : Path, optional
        Folder that relative paths start from.
    by_hand : bool
        Accept what people write in YAML: a single value for a list of one, and text for a number,
        as YAML reads ``1e-3`` as text.

    Returns
    -------
    object
        Numbers are finite.

    Raises
    ------
    ValueError
        Saying what was found and what is expected; to be put after the field's name.
    """
    origin = get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        inner = next(kind for kind in get_args(hint) if kind is not type(None))
        return converted(value, inner, base=base, by_hand=by_hand)
    if origin is tuple:
        is_list = isinstance(value, list | tuple)
        if not (is_list or by_hand):
            raise ValueError(f"is {shown(value)}, expected a list")
        items = value if is_list else [value]
        kind = get_args(hint)[0]
        return tuple(converted(item, kind, base=base, by_hand=by_hand) for item in items)
    if origin is dict:
        inner = get_args(hint)[1]
        found: dict[str, Any] = _single(value, dict, base, by_hand)
        if inner is Any:
            return found
        return {
            name: converted(item, inner, base=base, by_hand=by_hand) for name, item in found.items()
        }
    if origin is Literal:
        # Lists have no hash, and True equals 1.
        if not any(type(value) is type(known) and value == known for known in get_args(hint)):
            raise ValueError(f"is {shown(value)}, expected one of {get_args(hint)}")
        return value
    return _single(value, origin or hint, base, by_hand)


def _single(value: Any, kind: Any, base: Path | None, by_hand: bool) -> Any:
    wrong = f"is {shown(value)}, expected {_KINDS[kind]}"
    accepted = {float: (int, float), Path: (str, Path)}.get(kind, (kind,))
    is_number = kind is float and by_hand and isinstance(value, str)
    if not (isinstance(value, accepted) or is_number):
        raise ValueError(wrong)
    if isinstance(value, bool) and kind is not bool:
        raise ValueError(wrong)
    if kind is Path:
        return (base or Path()) / value
    if kind is not float:
        return kind(value)
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise ValueError(wrong) from None
    if not math.isfinite(number):
        raise ValueError(f"is {shown(value)}, expected a finite number")
    return number
