"""Settings for reading imagery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from roadgis.errors import SceneError
from roadgis.options.option import Option, setting

#: Colour of large uniform areas that count as nodata.
Blank = Literal["none", "white", "black", "both"]


@dataclass(frozen=True)
class SceneOptions:
    """Settings for reading imagery.

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
        input. It restricts the output, not the pixels that the model sees around it.
    blank : {"none", "white", "black", "both"}
        Treat large plain white or black areas as nodata, see :mod:`roadgis.imagery.values.blank`.
    nodata : float or None
        A value that means nodata where all bands have it, in addition to the file's own.
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

    bands: tuple[int, ...] | None = setting(
        None,
        Option(
            "Band numbers, from 1, in the order that the model expects.",
            "imagery",
            metavar="B,B,B",
            default_text="bands marked red, green and blue, else the first ones",
            example="1,2,3",
        ),
    )
    assume_crs: str | None = setting(
        None, Option("CRS of inputs that have none.", "imagery", metavar="CRS")
    )
    aoi: Any = setting(
        None,
        Option(
            "Area of interest: polygons in any CRS. Only roads inside are mapped.",
            path=("in", "vector"),
        ),
    )
    blank: Blank = setting(
        "none",
        Option(
            "Colour of large uniform areas to treat as nodata (collars of scanned sheets).",
            "imagery",
        ),
    )
    nodata: float | None = setting(
        None, Option("Pixel value to treat as nodata, in addition to the file's own.", "imagery")
    )
    force_gsd: bool = setting(
        False, Option("Accept imagery that is far too coarse for roads.", "imagery")
    )
    max_mpx: float = setting(
        50_000.0,
        Option(
            "Maximum size of a run in megapixels, at the model's resolution; larger runs are "
            "rejected.",
            "performance",
            metavar="N",
        ),
    )
    gsd_m: float | None = setting(
        None,
        Option(
            "Pixel size to work at, in metres.",
            "imagery",
            unit="m",
            default_text="the imagery's own, within the range that the model was trained for",
        ),
    )
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
