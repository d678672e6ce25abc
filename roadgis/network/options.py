"""The settings of cleaning a network; lengths in metres."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any

from roadgis.errors import InputError

__all__ = ["BridgeOptions", "CleanOptions", "ParallelOptions", "RuleOptions"]


def _check_numbers(options: Any) -> None:
    for entry in fields(options):
        value = getattr(options, entry.name)
        if isinstance(value, (bool, BridgeOptions, ParallelOptions, RuleOptions)):
            continue
        if not (math.isfinite(value) and value >= 0):
            raise InputError(
                f"{entry.name} is {value}; a number of 0 or more is expected. Correct it."
            )


@dataclass(frozen=True)
class BridgeOptions:
    """Which gaps are bridged.

    Attributes
    ----------
    max_gap_m : float
        Largest gap between the ends of the roads; 0 bridges none.
    max_turn_deg : float
        Largest turn from a road to the straight line across the gap, at each end.
    min_evidence : float
        Probability that must be exceeded along all but a fifth of the gap. Ends that point
        at each other straight need half of it, bent and long gaps up to half more.
    min_support : float
        Without evidence (no raster, or no data in the gap) a gap is bridged when the shape
        alone supports it by this much, 0..1.
    detour_factor : float
        No bridge where the network already leads from one end to the other by a way
        shorter than this many times the gap.
    """

    max_gap_m: float = 30.0
    max_turn_deg: float = 45.0
    min_evidence: float = 0.15
    min_support: float = 0.6
    detour_factor: float = 3.0

    def __post_init__(self) -> None:
        _check_numbers(self)
        for name, most in (("max_turn_deg", 80.0), ("min_evidence", 1.0), ("min_support", 1.0)):
            if getattr(self, name) > most:
                raise InputError(
                    f"{name} is {getattr(self, name)}; at most {most:g} is expected. Lower it."
                )


@dataclass(frozen=True)
class ParallelOptions:
    """Whether the two carriageways of a road become one line.

    Attributes
    ----------
    merge_carriageways : bool
        Whether they do.
    max_separation_m : float
        Distance between the middles of two carriageways up to which they are a pair.
    """

    merge_carriageways: bool = False
    max_separation_m: float = 30.0

    def __post_init__(self) -> None:
        _check_numbers(self)


@dataclass(frozen=True)
class RuleOptions:
    """Which rules against false roads apply; each can be turned off.

    Attributes
    ----------
    patchy : bool
        Drop unsure dead ends and lone lines whose confidence keeps falling below the
        threshold (hedges, field edges).
    uneven : bool
        Drop unsure ones whose width changes all along (bare soil, banks, streams).
    winding : bool
        Drop unsure ones that wind more than roads do (streams).
    """

    patchy: bool = True
    uneven: bool = True
    winding: bool = True

    @classmethod
    def none(cls) -> RuleOptions:
        """Return options with all rules off."""
        return cls(**{entry.name: False for entry in fields(cls)})


@dataclass(frozen=True)
class CleanOptions:
    """How raw centrelines become a network.

    Attributes
    ----------
    dangle_factor : float
        Dead ends and loops shorter than this many road widths are dropped; 0 keeps all.
    sure_dangle_share : float
        Sure dead ends, of a mean probability of at least 0.9, are dropped below this share of
        that length only.
    junction_factor : float
        Junctions nearer to each other than this many road widths become one; 0 keeps all.
    min_component_m : float
        Connected roads shorter than this in total are dropped. A metre of certain road
        counts as one, a metre at the threshold as a third.
    min_strong_m : float
        Connected roads with less than this above the threshold are dropped.
    smooth_m : float
        Standard deviation of the smoothing along the line.
    tolerance_m : float
        Largest distance between a line and its simplified shape.
    bridge : BridgeOptions
        Which gaps are closed.
    parallels : ParallelOptions
        Whether the two carriageways of a road become one line.
    rules : RuleOptions
        Which rules against false roads apply.
    """

    dangle_factor: float = 2.5
    sure_dangle_share: float = 0.7
    junction_factor: float = 1.0
    min_component_m: float = 60.0
    min_strong_m: float = 20.0
    smooth_m: float = 3.0
    tolerance_m: float = 0.5
    bridge: BridgeOptions = field(default_factory=BridgeOptions)
    parallels: ParallelOptions = field(default_factory=ParallelOptions)
    rules: RuleOptions = field(default_factory=RuleOptions)

    def __post_init__(self) -> None:
        _check_numbers(self)
