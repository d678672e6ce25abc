"""Options that are lengths in metres."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["metres_option"]

_F = TypeVar("_F", bound=Callable[..., Any])


class _Metres(click.FloatRange):
    """A range of lengths without its odd members: nan lies in each range, inf in most."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is no length; expected a number of metres.", param, ctx)
        return number


def metres_option(name: str, help_text: str, *, least: float | None = None) -> Callable[[_F], _F]:
    """Return an option for a length.

    Parameters
    ----------
    name : str
        The flag.
    help_text : str
        With the unit and the default.
    least : float, optional
        Smallest one that is allowed; anything above 0 when not given.
    """
    low, is_open = (0.0, True) if least is None else (least, False)
    kind = _Metres(low, min_open=is_open)
    return click.option(name, type=kind, default=None, metavar="M", help=help_text)
