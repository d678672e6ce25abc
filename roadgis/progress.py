"""Progress reporting: a plain callable, so that any shell can listen and can cancel."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

#: Called with the share done (0..1, never falling) and a short text. To cancel,
#: it raises :class:`roadgis.errors.Cancelled`.
Progress: TypeAlias = Callable[[float, str], None]


def no_progress(fraction: float, message: str) -> None:
    """Ignore all reports."""


def scaled(progress: Progress, start: float, stop: float) -> Progress:
    """Give a step of a longer run its share of the whole.

    Parameters
    ----------
    progress : Progress
        Receives the whole run's fraction.
    start, stop : float
        The part of 0..1 that the step covers.

    Returns
    -------
    Progress
        To be called with the step's own fraction.
    """

    def report(fraction: float, message: str) -> None:
        progress(start + (stop - start) * min(max(fraction, 0.0), 1.0), message)

    return report
