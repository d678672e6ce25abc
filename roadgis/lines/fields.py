"""Values of the fields of a line layer."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas

from roadgis.arrays import Floats, Ints
from roadgis.errors import InputError
from roadgis.lines.layer import LineLayer
from roadgis.vector_files.reading import GEOMETRY_FIELD

_LOG = logging.getLogger(__name__)


def check_fields(layer: LineLayer, names: tuple[str, ...], option: str) -> None:
    """Check that a layer has fields.

    Raises
    ------
    InputError
        If it lacks one; names the option with which they were given.
    """
    present = [str(c) for c in layer.table.columns if c != layer.table.geometry.name]
    for name in names:
        if _column_of(layer, name) not in present:
            raise InputError(
                f"{layer.name}: has no field {name!r}; it has "
                f"{', '.join(map(repr, present)) or 'no fields at all'}. Name some of these with "
                f"{option}."
            )


def _column_of(layer: LineLayer, field: str) -> str:
    """Return the column of a layer's table that holds a field of its file."""
    is_taken = field == layer.table.geometry.name and GEOMETRY_FIELD in layer.table.columns
    return GEOMETRY_FIELD if is_taken else field


def field_numbers(layer: LineLayer, text: str | None, option: str) -> Floats:
    """Return a field's numbers for each line, (L,); NaN where missing.

    Parameters
    ----------
    layer : LineLayer
        The layer.
    text : str or None
        Name of the field, or ``NAME*FACTOR`` such as ``lanes*3.5``; None for no field.
    option : str
        Option it was given with, for messages.

    Raises
    ------
    InputError
        If there is no such field, or the factor is not a number.
    """
    if text is None:
        return np.full(len(layer.lines), np.nan)
    name, star, by = text.rpartition("*")
    if not star or text in layer.table.columns:
        name, by = text, "1"
    name = name.strip()
    check_fields(layer, (name,), option)
    name = _column_of(layer, name)
    try:
        factor = float(by)
    except ValueError as error:
        raise InputError(
            f"{option} {text}: {by!r} is not a factor. Expected a number after the *, such as "
            "lanes*3.5."
        ) from error
    column = layer.table[name]
    if column.dtype.kind not in "iufb":
        column = column.astype("string").str.strip().str.removesuffix("m").str.strip()
    numbers = pandas.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    numbers = np.where(np.isfinite(numbers), numbers, np.nan)
    wrong = int((np.isnan(numbers) & layer.table[name].notna().to_numpy()).sum())
    if wrong:
        _LOG.warning(
            "%s: %d features have no number in the field %r; it is treated as unknown there.",
            layer.name,
            wrong,
            name,
        )
    return np.asarray(numbers[layer.feature] * factor, np.float64)


def field_values(layer: LineLayer, name: str, line: Ints) -> npt.NDArray[Any]:
    """Return a field's values for some lines by number, -1 for none.

    Returns
    -------
    ndarray
        Numbers, with NaN where missing; or text, with None.
    """
    column = layer.table[_column_of(layer, name)]
    none = line < 0
    row = np.where(none, 0, layer.feature[line] if len(layer.feature) else -1)
    if not len(column):
        return np.full(len(row), None, object)
    if column.dtype.kind in "iufb":
        values = column.to_numpy()[row]
        return np.where(none, np.nan, values) if none.any() else values
    if column.dtype.kind == "M":
        column = column.map(lambda value: value.isoformat(), na_action="ignore")
    filled = column.astype(object).where(column.notna(), None).to_numpy(object)[row]
    filled[none] = None
    return np.array([v if v is None else str(v) for v in filled.tolist()] or [], object)
