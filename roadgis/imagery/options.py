"""What a user may say about imagery beyond naming it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from roadgis.errors import SceneError

__all__ = ["Blank", "SceneOptions"]

#: Which colour of large uniform areas counts as no data.
Blank = Literal["none", "white", "black", "both"]


@dataclass(frozen=True)
class SceneOptions:
    """How imagery is to be read.

    Attributes
    ----------
    bands : tuple of int or None
        1-based band numbers in the model's order; a single number feeds all channels. None
        takes the bands marked red, green and blue where all three are, else the first ones;
        alpha is never a colour unless named here.
    assume_crs : str or None
        CRS of the inputs that have none, e.g. ``"EPSG:2056"``.
    aoi : path, geometry, GeoSeries, GeoDataFrame or None
        Area of interest: polygons, in any CRS. A bare geometry is in the CRS of the first
        input. It restricts what is wanted, not what the network sees around it.
    blank : {"none", "white", "black", "both"}
        Treat large plain white or black areas as no data, see :mod:`roadgis.imagery.values.blank`.
    nodata : float or None
        A value that means no data where all bands have it, besides what the files declare.
    force_gsd : bool
        Accept imagery that is far too coarse.
    max_mpx : float
        Largest size of a scene, megapixels at the resolution that it is read at. Ten times as
        many source pixels may be read.
    gsd_m : float or None
        Ground sampling distance to work at, metres, in place of the model's.
    stretch : tuple of float
        Percentiles that become 0 and 255 where the data is not 8-bit; per band, once a run.
    value_range : tuple of float or None
        Values that become 0 and 255, for data of any type, in place of the percentiles.
    """

    bands: tuple[int, ...] | None = None
    assume_crs: str | None = None
    aoi: Any = None
    blank: Blank = "none"
    nodata: float | None = None
    force_gsd: bool = False
    max_mpx: float = 50_000.0
    gsd_m: float | None = None
    stretch: tuple[float, float] = (0.5, 99.5)
    value_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.blank not in get_args(Blank):
            raise SceneError(
                f"blank is {self.blank!r}, expected one of {', '.join(get_args(Blank))}."
            )
        if self.bands is not None and (not self.bands or min(self.bands) < 1):
            raise SceneError(
                f"bands is {self.bands}, expected band numbers that count from 1, e.g. 1,2,3."
            )
        if not self.max_mpx > 0:
            raise SceneError(f"max_mpx is {self.max_mpx}, expected a positive number.")
        if self.gsd_m is not None and not self.gsd_m > 0:
            raise SceneError(f"gsd_m is {self.gsd_m}, expected a positive number of metres.")
        low, high = self.stretch
        if not 0 <= low < high <= 100:
            raise SceneError(
                f"stretch is {self.stretch}, expected two rising percentiles between 0 and 100."
            )
        if self.value_range is not None and not self.value_range[0] < self.value_range[1]:
            raise SceneError(f"value_range is {self.value_range}, expected two rising numbers.")
