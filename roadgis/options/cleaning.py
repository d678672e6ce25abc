"""Settings of cleaning: from raw centrelines to a network; lengths in metres."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field, fields

from roadgis.errors import InputError
from roadgis.options.option import Option, setting


def _check_numbers(options: BridgeOptions | CleanOptions | ParallelOptions) -> None:
    for entry in fields(options):
        value = getattr(options, entry.name)
        if isinstance(value, bool) or dataclasses.is_dataclass(value):
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
        Longest gap between road ends that is bridged; 0 bridges none.
    max_turn_deg : float
        Largest turn from a road to the straight line across the gap, at each end.
    min_evidence : float
        Probability that must be exceeded along all but a fifth of the gap. Ends that point
        at each other straight need half of it, bent and long gaps up to half more.
    min_support : float
        Without evidence (no raster, or nodata in the gap) a gap is bridged when the shape
        alone supports it by this much, 0..1.
    detour_factor : float
        No bridge where the network already connects both ends by a path shorter than this
        many times the gap.
    """

    max_gap_m: float = setting(
        30.0,
        Option(
            "Maximum length of gaps to bridge, in metres; bridges are marked in the output.",
            unit="m",
            low=0,
            off_flag="--no-bridge",
            off_help="Do not bridge gaps.",
        ),
    )
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
        Largest distance between the centrelines of two carriageways of one road.
    """

    merge_carriageways: bool = setting(
        False, Option("Merge the two carriageways of a road into one line.", "cleaning")
    )
    max_separation_m: float = setting(
        30.0,
        Option(
            "Maximum distance between the centrelines of two carriageways to merge, in metres.",
            "cleaning",
            unit="m",
            low=0,
        ),
    )

    def __post_init__(self) -> None:
        _check_numbers(self)


@dataclass(frozen=True)
class RuleOptions:
    """Which rules against false roads apply; each can be turned off.

    Attributes
    ----------
    patchy : bool
        Drop unsure dead ends and isolated lines whose confidence keeps falling below the
        threshold (hedges, field edges).
    uneven : bool
        Drop unsure ones whose width changes all along (bare soil, banks, streams).
    winding : bool
        Drop unsure ones that wind more than roads do (streams).
    """

    patchy: bool = setting(
        True, Option("confidence keeps dropping (hedges).", "cleaning", listed_in="--no-rule")
    )
    uneven: bool = setting(
        True, Option("width keeps changing (bare soil).", "cleaning", listed_in="--no-rule")
    )
    winding: bool = setting(
        True, Option("winds more than roads do (streams).", "cleaning", listed_in="--no-rule")
    )

    @classmethod
    def none(cls) -> RuleOptions:
        """Return options with all rules off."""
        return cls(**{entry.name: False for entry in fields(cls)})


@dataclass(frozen=True)
class CleanOptions:
    """Settings of cleaning.

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
        Connected components shorter than this in total are dropped. A metre of certain road
        counts as one, a metre at the threshold as a third.
    min_strong_m : float
        Connected components with less than this above the threshold are dropped.
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

    dangle_factor: float = setting(
        2.5,
        Option(
            "Minimum length of dead ends, in widths of the road that they leave; shorter ones are "
            "dropped.",
            "cleaning",
            ("--min-dangle",),
            metavar="WIDTHS",
            low=0,
        ),
    )
    sure_dangle_share: float = 0.7
    junction_factor: float = 1.0
    min_component_m: float = setting(
        60.0,
        Option(
            "Minimum total length of a connected component, in metres; uncertain roads count "
            "less than their length.",
            unit="m",
            low=0,
        ),
    )
    min_strong_m: float = 20.0
    smooth_m: float = setting(
        3.0,
        Option(
            "Smoothing along each line: standard deviation in metres; 0 disables it.",
            "cleaning",
            unit="m",
            low=0,
        ),
    )
    tolerance_m: float = setting(
        0.5,
        Option(
            "Maximum deviation of simplified lines, in metres.",
            "cleaning",
            ("--simplify",),
            unit="m",
            low=0,
        ),
    )
    bridge: BridgeOptions = field(default_factory=BridgeOptions)
    parallels: ParallelOptions = field(default_factory=ParallelOptions)
    rules: RuleOptions = field(default_factory=RuleOptions)

    def __post_init__(self) -> None:
        _check_numbers(self)
