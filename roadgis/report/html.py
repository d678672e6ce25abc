"""HTML from the templates next to this module."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined


class Table(NamedTuple):
    """A table whose first column names the rows; all text is plain.

    Attributes
    ----------
    head : sequence of str
        One for each column.
    total : bool
        Whether the first row sums up the others.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    total: bool = False


def number(value: Any, digits: int = 3) -> str:
    """Return a value as text: floats with `digits` decimals, a dash for None and NaN."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"  # noqa: RUF001 - a dash is meant
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.{digits}f}" if isinstance(value, float) else str(value)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("roadgis.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["number"] = number
    return environment


def render(template: str, **values: Any) -> str:
    """Return a template filled in; every value is escaped unless it is ``Markup``.

    Parameters
    ----------
    template : str
        Name of a file in ``templates/``.
    **values
        Variables of the template; a missing one is an error.
    """
    return _environment().get_template(template).render(values)
