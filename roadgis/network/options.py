"""The settings of cleaning a network; lengths in metres."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any

from roadgis.errors import InputError
from roadgis.network.bridge import BridgeOptions

__all__ = ["CleanOptions", "DangleOptions", "ParallelOptions", "RuleOptions"]


def _check_numbers(options: Any) -> None:
    for entry in fields(options):
        value = getattr(options, entry.name)
        if isinstance(value, (bool, BridgeOptions, DangleOptions, ParallelOptions, RuleOptions)):
            continue
        if not (math.isfinite(value) and value >= 0):
            raise InputError(
                f"{entry.name} is {value}; a number of 0 or more is expected. Correct it."
            )


@dataclass(frozen=True)
class DangleOptions:
    """How evidence counts for dead ends, besides their length in road widths.

    Attributes
    ----------
    by_evidence : bool
        Keep a short dead end that is sure, of even width, and clearly longer than it is
        wide; drop an unsure one up to one and a half times as long as others.
    min_weak_tail_m : float
        A dead end that is below the threshold for at least this long at its end is cut
        back to its last part above it; 0 leaves all.
    """

    by_evidence: bool = True
    min_weak_tail_m: float = 10.0

    def __post_init__(self) -> None:
        _check_numbers(self)


@dataclass(frozen=True)
class ParallelOptions:
    """Which lines beside each other are one road.

    Attributes
    ----------
    track_factor : float
        Lines nearer to each other than this many road widths (from middle to middle), along
        most of their length, are tracks of one road and become one; 0 keeps all.
    merge_carriageways : bool
        Whether dual carriageways become one line, too.
    max_separation_m : float
        Distance between the middles of two carriageways up to which they are a pair.
    """

    track_factor: float = 1.0
    merge_carriageways: bool = False
    max_separation_m: float = 30.0

    def __post_init__(self) -> None:
        _check_numbers(self)


@dataclass(frozen=True)
class RuleOptions:
    """Which rules against false roads apply; each can be turned off.

    Attributes
    ----------
    narrow_links : bool
        Drop short links, far narrower than the roads that they link: places where two roads
        nearly touch in the mask.
    patchy : bool
        Drop unsure dead ends and lone lines whose confidence keeps falling below the
        threshold (hedges, field edges).
    uneven : bool
        Drop unsure ones whose width changes all along (bare soil, banks, streams).
    winding : bool
        Drop unsure ones that wind more than roads do (streams).
    """

    narrow_links: bool = True
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
    dangles : DangleOptions
        How evidence counts for dead ends.
    parallels : ParallelOptions
        Which lines beside each other are one road.
    rules : RuleOptions
        Which rules against false roads apply.
    """

    dangle_factor: float = 2.5
    junction_factor: float = 1.0
    min_component_m: float = 60.0
    min_strong_m: float = 20.0
    smooth_m: float = 3.0
    tolerance_m: float = 0.5
    bridge: BridgeOptions = field(default_factory=BridgeOptions)
    dangles: DangleOptions = field(default_factory=DangleOptions)
    parallels: ParallelOptions = field(default_factory=ParallelOptions)
    rules: RuleOptions = field(default_factory=RuleOptions)

    def __post_init__(self) -> None:
        _check_numbers(self)
