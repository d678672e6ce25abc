"""Settings of a comparison of two road networks."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from roadgis.errors import InputError

__all__ = ["CompareOptions"]


@dataclass(frozen=True)
class CompareOptions:
    """How two networks are brought together, matched and sorted into classes.

    Attributes
    ----------
    estimate_offset : bool
        Find the displacement between the two networks, and take it out before matching.
    max_offset_m : float
        Largest displacement that is looked for. Less than half the distance of neighbouring
        streets, or a street may be confused with the next one.
    grid_m : float
        Spacing of the points at which the displacement is estimated.
    max_distance_m : float
        Largest distance of two lines that can be the same road, the displacement taken out.
    moved_m : float
        From this distance on, a matched road counts as moved.
    max_angle_deg : float
        Largest difference of direction of two lines that are the same road.
    min_length_m : float
        Shorter parts of a line take the class of their neighbours on it.
    station_m : float
        Spacing of the places at which lines are compared.
    margin_m : float
        Without an area of interest, the comparison goes this far beyond what the extents of
        both networks have in common.
    frame : {"extraction", "base"}
        Whose coordinates the results are in, where the two are displaced: those of the extraction
        lie over the imagery, those of the base over the base.
    """

    estimate_offset: bool = True
    max_offset_m: float = 20.0
    grid_m: float = 750.0
    max_distance_m: float = 15.0
    moved_m: float = 5.0
    max_angle_deg: float = 30.0
    min_length_m: float = 12.0
    station_m: float = 4.0
    margin_m: float = 100.0
    frame: str = "extraction"

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name in {"estimate_offset", "frame"}:
                continue
            lowest = 0.0 if item.name in {"margin_m", "min_length_m"} else 1e-3
            if not (math.isfinite(value) and value >= lowest):
                raise InputError(
                    f"{item.name} is {value}, expected a finite number of {lowest:g} or more."
                )
        if self.max_angle_deg > 60:
            raise InputError(
                f"max_angle_deg is {self.max_angle_deg:g}; roads that differ by more than 60 "
                "degrees cross each other. Give 60 or less."
            )
        if self.moved_m > self.max_distance_m:
            raise InputError(
                f"moved_m is {self.moved_m:g} and max_distance_m is {self.max_distance_m:g}: "
                "nothing could be matched and yet moved. Make max_distance_m the larger one."
            )
        if self.grid_m < 4 * self.max_offset_m:
            raise InputError(
                f"grid_m is {self.grid_m:g}, less than four times max_offset_m "
                f"({self.max_offset_m:g}): cells would be smaller than the search distance. "
                "Raise grid_m, or lower max_offset_m."
            )
        if self.frame not in {"extraction", "base"}:
            raise InputError(f"frame is {self.frame!r}, expected 'extraction' or 'base'.")
