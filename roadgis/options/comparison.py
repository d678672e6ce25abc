"""Settings of the comparison of two road networks."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal

from roadgis.errors import InputError
from roadgis.options.option import Option, setting

#: Network whose position the results take.
Frame = Literal["extraction", "base"]


@dataclass(frozen=True)
class CompareOptions:
    """Settings of offset, matching and classes.

    Attributes
    ----------
    estimate_offset : bool
        Estimate the offset between the networks, and remove it before matching.
    max_offset_m : float
        Less than half the distance of neighbouring streets, or a street may be matched with the
        next one.
    grid_m : float
        Spacing of the points at which the offset is estimated.
    max_distance_m : float
        After the offset is removed.
    max_angle_deg : float
        Maximum difference in direction of two lines that are the same road.
    min_length_m : float
        Shorter parts of a line take the class of their neighbours on it.
    station_m : float
        Spacing of the places at which lines are compared.
    margin_m : float
        Without an area of interest, the comparison extends this far beyond the overlap of the
        extents of both networks.
    frame : {"extraction", "base"}
        Results in the position of the extraction lie over the imagery, those of the base over the
        base map.
    """

    estimate_offset: bool = setting(
        True,
        Option(
            "Compare the networks as they are, without estimating the offset between them.",
            "matching",
            ("--no-offset",),
        ),
    )
    max_offset_m: float = setting(
        20.0,
        Option(
            "Maximum offset between the networks to look for, in metres.",
            "matching",
            unit="m",
            low=0,
            low_open=True,
        ),
    )
    grid_m: float = 750.0
    max_distance_m: float = setting(
        15.0,
        Option(
            "Maximum distance between two lines that can be the same road, in metres.",
            "matching",
            unit="m",
            low=0,
            low_open=True,
        ),
    )
    moved_m: float = setting(
        5.0,
        Option(
            "Distance from which a road counts as moved, in metres.",
            "matching",
            unit="m",
            low=0,
            low_open=True,
        ),
    )
    max_angle_deg: float = 30.0
    min_length_m: float = setting(
        12.0,
        Option(
            "Minimum length of a part with a class of its own, in metres.",
            "matching",
            unit="m",
            low=0,
        ),
    )
    station_m: float = 4.0
    margin_m: float = 100.0
    frame: Frame = setting(
        "extraction",
        Option(
            "Network whose position the results take where the two are offset: extraction (as "
            "the imagery) or base.",
            "matching",
        ),
    )

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
