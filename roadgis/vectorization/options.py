"""The settings of vectorizing, in metres, and what they come to in pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

from roadgis.errors import InputError
from roadgis.probability.source import NO_DATA

__all__ = ["Radii", "VectorizeOptions"]

#: Highest stored probability: stored = round(probability * 254).
_FULL = NO_DATA - 1


@dataclass(frozen=True)
class VectorizeOptions:
    """How a probability raster becomes raw centrelines; lengths in metres.

    Attributes
    ----------
    threshold : float
        A pixel of at least this probability is road, above 0 and at most 1. Models state
        theirs in their card.
    weak_threshold : float, optional
        Pixels of at least this probability are road where they continue a road; what holds
        no pixel above `threshold` is dropped later, on the network. By default
        `WEAK_SHARE` of the threshold.
    max_road_width_m : float
        Wider than this is no road: car parks, roofs, quarries. Also bounds how far any
        raster operation looks.
    closing_m : float
        Gaps and holes narrower than twice this are filled; at least one pixel unless 0. Medians
        of dual carriageways are narrow, too: on fine pixels a large value closes them.
    rim_m : float
        Centrelines that run along no data nearer than this are dropped, unless the source is
        a mask.
    """

    WEAK_SHARE = 0.6

    threshold: float = 0.5
    weak_threshold: float | None = None
    max_road_width_m: float = 60.0
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

    @property
    def strong_level(self) -> int:
        """Lowest stored value (1..254) that reaches `threshold`."""
        return _level(self.threshold)

    @property
    def weak_level(self) -> int:
        """Lowest stored value (1..254) that is road at all."""
        weak = self.weak_threshold
        return _level(self.threshold * self.WEAK_SHARE if weak is None else weak)

    def radii(self, gsd_m: float) -> Radii:
        """Return the reach of each raster operation at a pixel size, pixels."""
        return Radii(
            wide=max(2, math.ceil(self.max_road_width_m / gsd_m / 2)),
            closing=0 if self.closing_m == 0 else max(1, round(self.closing_m / gsd_m)),
            rim=math.ceil(self.rim_m / gsd_m),
        )


def _level(probability: float) -> int:
    # The tolerance keeps 0.3 from becoming 77 when 0.3 * 254 is 76.2 + a rounding error of
    # the product; it is far below the steps of 1/254.
    return max(1, math.ceil(probability * _FULL - 1e-9))


@dataclass(frozen=True)
class Radii:
    """How far each raster operation looks, pixels.

    Attributes
    ----------
    wide : int
        Radius of the disc that fits into no road.
    closing : int
        Radius of the closing.
    rim : int
        Distance to no data within which a centreline must not run along it.
    """

    wide: int
    closing: int
    rim: int

    @property
    def beyond(self) -> int:
        """How far roads are prolonged into no data, so that thinning does not fork at its rim.

        Half of the width of all but the widest roads, and a little more.
        """
        return min(self.wide + 2, 16)

    @property
    def wide_margin(self) -> int:
        """What is removed around a wide blob besides the blob, so that no fringe stays."""
        return math.ceil(0.2 * self.wide)

    @property
    def iterations(self) -> int:
        """Thinning iterations that a road of the largest width needs at 45 degrees, the worst."""
        return math.ceil(math.sqrt(2) * self.wide) + 2

    @property
    def walk(self) -> int:
        """How far back along a skeleton the direction of a road's end is taken."""
        return math.ceil(0.85 * self.wide) + 1

    @property
    def rim_step(self) -> int:
        """Pixels along a centreline over which its direction to no data is taken."""
        return max(2, self.rim // 2)

    @property
    def rim_reach(self) -> int:
        """How far no data is looked for."""
        return self.rim + self.rim_step + 1

    @property
    def halo(self) -> int:
        """Pixels that a block must see around its core: the sum of the reaches."""
        mask = 2 * self.closing + self.beyond + 2 + 2 * self.wide + self.wide_margin
        # One pixel more for the links to the next block, one for which of them are needed.
        return mask + max(2 * self.iterations + self.walk + 6, self.rim_reach) + 3
