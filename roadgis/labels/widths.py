"""Widths of the lines of a vector layer, in metres."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from roadgis.arrays import Bools, Floats
from roadgis.errors import DataError

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class WidthField:
    """A field with line widths.

    Attributes
    ----------
    factor : float
        Metres per unit of its values: 1 for a width in metres, about 3.5 for lanes.
    """

    name: str
    factor: float = 1.0


def parse_width_fields(
    width_field: str | Sequence[str] | None, present: Sequence[str], source: str
) -> tuple[WidthField, ...]:
    """Parse the width fields of an option.

    Parameters
    ----------
    width_field : str, sequence of str, or None
        ``NAME``, or ``NAME*FACTOR`` such as ``lanes*3.5``; the first with a value is used.
    present : sequence of str
        Fields of the layer.
    source : str
        Name of the layer, for messages.

    Raises
    ------
    DataError
        If a field is missing, or a factor is not a positive number.
    """
    given = [width_field] if isinstance(width_field, str) else list(width_field or ())
    fields = []
    for text in given:
        name, star, factor = text.rpartition("*")
        if text in present or not star:
            name, factor = text, "1"
        number = _number(factor)
        if name.strip() not in present:
            raise DataError(
                f"{source}: has no field {name.strip()!r} for the width; it has "
                f"{', '.join(map(repr, present)) or 'no fields at all'}. Name one of these with "
                "--width-field, or give one width for all lines with --width."
            )
        if number is None or number <= 0:
            raise DataError(
                f"--width-field {text}: {factor!r} is not a factor. Expected a positive number of "
                "metres after the *, such as lanes*3.5."
            )
        fields.append(WidthField(name.strip(), number))
    return tuple(fields)


def line_widths(
    values: Sequence[tuple[WidthField, npt.NDArray[Any]]],
    lines: Bools,
    width_m: float | None,
    source: str,
) -> Floats:
    """Return each feature's width in metres.

    Parameters
    ----------
    values : sequence of (WidthField, ndarray of shape (N,))
        Fields in order of preference, with one value per feature: a number, its text (``7``, ``7.5
        m``), or null.
    lines : ndarray of bool, shape (N,)
        Features with lines; the others need no width.
    width_m : float or None
        Default width of lines.
    source : str
        Name of the layer, for messages.

    Returns
    -------
    ndarray of float64, shape (N,)
        NaN for features without lines.

    Raises
    ------
    DataError
        If a width is not a positive number, or a line has none.
    """
    if width_m is not None and not (math.isfinite(width_m) and width_m > 0):
        raise DataError(f"The width is {width_m} m; expected a positive number of metres.")
    widths = np.full(len(lines), np.nan)
    for field, column in values:
        open_ = np.flatnonzero(lines & np.isnan(widths))
        widths[open_] = _column_widths(field, column, open_, source)
    missing = int((lines & np.isnan(widths)).sum())
    if missing and width_m is None:
        fields = " or ".join(repr(field.name) for field, _ in values)
        what = f"no value in {fields}" if fields else "no width of their own"
        raise DataError(
            f"{source}: {missing:,} of {int(lines.sum()):,} line features have {what}. Give the "
            "width of roads in metres with --width, or a field that holds it with --width-field "
            "(--label-width and --label-width-field in training and testing)."
        )
    if width_m is not None:
        widths[lines & np.isnan(widths)] = width_m
    return widths


def _column_widths(
    field: WidthField, column: npt.NDArray[Any], rows: npt.NDArray[np.intp], source: str
) -> Floats:
    """Return the widths in some rows of a field; NaN if null."""
    out = np.full(len(rows), np.nan)
    wrong: list[str] = []
    for i, row in enumerate(rows):
        value = column[row]
        if _is_null(value):
            continue
        number = _number(value)
        if number is None or number <= 0:
            wrong.append(f"{value!r} in feature {row + 1}")
        else:
            out[i] = number * field.factor
    if wrong:
        more = f" and {len(wrong) - _SHOWN:,} more" if len(wrong) > _SHOWN else ""
        raise DataError(
            f"{source}: the width field {field.name!r} has invalid widths: "
            f"{', '.join(wrong[:_SHOWN])}{more}. Expected positive numbers of metres, or null "
            "for features that take --width. Correct them, or leave the field out."
        )
    return out


def _is_null(value: Any) -> bool:
    if value is None or (isinstance(value, str) and not value.strip()):
        return True
    # NaN, NaT and pandas' NA do not equal themselves (NA's answer is not even a bool).
    same = value == value
    return not isinstance(same, (bool, np.bool_)) or not bool(same)


def _number(value: Any) -> float | None:
    """Return a finite number from a number or its text, else None."""
    if isinstance(value, str):
        value = value.strip().removesuffix("m").strip()
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
