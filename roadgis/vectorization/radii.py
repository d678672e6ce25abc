"""Convert the settings of vectorizing from metres and probabilities to pixels and levels."""

from __future__ import annotations

import math
from dataclasses import dataclass

from roadgis.options.vectorization import VectorizeOptions
from roadgis.probability.source import NO_DATA

#: Highest stored probability: stored = round(probability * 254).
_FULL = NO_DATA - 1
#: Weak threshold where none is given, as a share of the threshold.
_WEAK_SHARE = 0.6


def strong_level(options: VectorizeOptions) -> int:
    """Return the lowest stored value (1..254) that reaches the threshold."""
    return _level(options.threshold)


def weak_level(options: VectorizeOptions) -> int:
    """Return the lowest stored value (1..254) that is road at all."""
    weak = options.weak_threshold
    return _level(options.threshold * _WEAK_SHARE if weak is None else weak)


def radii_of(options: VectorizeOptions, gsd_m: float) -> Radii:
    """Return the reach of each raster operation at a pixel size, pixels."""
    return Radii(
        wide=max(2, math.ceil(options.max_road_width_m / gsd_m / 2)),
        closing=0 if options.closing_m == 0 else max(1, round(options.closing_m / gsd_m)),
        rim=math.ceil(options.rim_m / gsd_m),
    )


def _level(probability: float) -> int:
    # The tolerance keeps 0.3 from becoming 77 when 0.3 * 254 is 76.2 + a rounding error of
    # the product; it is far below the steps of 1/254.
    return max(1, math.ceil(probability * _FULL - 1e-9))


@dataclass(frozen=True)
class Radii:
    """Reach of each raster operation, pixels.

    Attributes
    ----------
    wide : int
        Radius of the disc that fits into no road.
    closing : int
        Radius of the closing.
    rim : int
        Distance to nodata within which a centreline must not run along it.
    """

    wide: int
    closing: int
    rim: int

    @property
    def beyond(self) -> int:
        """Length of road added in nodata, so that thinning does not fork at its rim.

        Half of the width of all but the widest roads, and a little more.
        """
        return min(self.wide + 2, 16)

    @property
    def wide_margin(self) -> int:
        """Margin removed around a wide area too, so that no fringe stays."""
        return math.ceil(0.2 * self.wide)

    @property
    def iterations(self) -> int:
        """Thinning iterations that a road of the largest width needs at 45 degrees, the worst."""
        return math.ceil(math.sqrt(2) * self.wide) + 2

    @property
    def walk(self) -> int:
        """Length of skeleton over which the direction of a road's end is measured."""
        return math.ceil(0.85 * self.wide) + 1

    @property
    def rim_step(self) -> int:
        """Pixels along a centreline over which its direction to nodata is measured."""
        return max(2, self.rim // 2)

    @property
    def rim_reach(self) -> int:
        """Distance within which nodata is searched."""
        return self.rim + self.rim_step + 1

    @property
    def skeleton_halo(self) -> int:
        """Pixels around a block in which its skeleton depends on the mask."""
        # One pixel more for the links to the next block, one for which of them are needed.
        return max(2 * self.iterations + self.walk + 6, self.rim_reach) + 3

    @property
    def halo(self) -> int:
        """Pixels that a block must see around its core: the sum of the reaches."""
        mask = 2 * self.closing + self.beyond + 2 + 2 * self.wide + self.wide_margin
        return mask + self.skeleton_halo
