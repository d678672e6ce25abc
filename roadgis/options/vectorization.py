"""Settings of tracing: from probability to raw centrelines; lengths in metres."""

from __future__ import annotations

import math
from dataclasses import dataclass

from roadgis.errors import InputError
from roadgis.options.option import Option, setting


@dataclass(frozen=True)
class VectorizeOptions:
    """Settings of tracing; lengths in metres.

    Attributes
    ----------
    threshold : float
        A pixel of at least this probability is road, above 0 and at most 1. Models state
        theirs in their card.
    weak_threshold : float, optional
        Pixels of at least this probability are road where they continue a road; what holds
        no pixel above `threshold` is dropped later, on the network. By default 0.6 of the
        threshold.
    max_road_width_m : float
        Wider areas are ignored: car parks, roofs, quarries. Also bounds how far any raster
        operation looks.
    closing_m : float
        Gaps and holes narrower than twice this are filled; at least one pixel unless 0. Medians
        of dual carriageways are narrow, too: on fine pixels a large value closes them.
    rim_m : float
        Centrelines that run along nodata nearer than this are dropped, unless the source is
        a mask.
    """

    threshold: float = 0.5
    weak_threshold: float | None = None
    max_road_width_m: float = setting(
        60.0,
        Option(
            "Maximum road width in metres; wider areas (car parks, roofs) are ignored.",
            "cleaning",
            unit="m",
        ),
    )
    closing_m: float = 0.25
    rim_m: float = 8.0

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise InputError(
                f"The threshold is {self.threshold}; a probability above 0 and at most 1 is "
                "expected. Give it as 0.5, not as 50 or 128."
            )
        if self.weak_threshold is not None and not 0 < self.weak_threshold <= self.threshold:
            raise InputError(
                f"The weak threshold is {self.weak_threshold}; expected is a probability above "
                f"0 and at most the threshold, {self.threshold}. Lower it, or leave it out."
            )
        for name in ("max_road_width_m", "closing_m", "rim_m"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise InputError(
                    f"{name} is {value}; a length in metres, 0 or more, is expected. Correct it."
                )
        if self.max_road_width_m == 0:
            raise InputError(
                "max_road_width_m is 0, so no road could be found. Give the width of the "
                "widest road in metres, for instance 60."
            )
