"""Settings for reading probability rasters and masks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from roadgis.errors import InputError
from roadgis.options.option import Option, setting

#: What pixels without data are.
NodataIs = Literal["background", "unknown"]


@dataclass(frozen=True)
class RasterOptions:
    """Settings for reading probability rasters and masks; by default detected.

    Attributes
    ----------
    band : int or None
        Band to read, from 1; by default the only one, or the colours of a picture.
    nodata : float or None
        A value that means nodata, in addition to what the files declare.
    nodata_is : {"background", "unknown"} or None
        Whether pixels without data are background, or unknown. By default background in a mask
        whose other pixels all have one value, and where low probabilities are not stored.
    scale : float or None
        Probability = value * scale; goes before scale and offset of the band.
    road_values : tuple of float
        Values that are road, such as class numbers; all others are not.
    """

    band: int | None = setting(
        None,
        Option(
            "Band to read, from 1.",
            "raster",
            metavar="N",
            low=1,
            default_text="the only one, or the colours of a picture",
        ),
    )
    nodata: float | None = setting(
        None,
        Option(
            "Value to treat as nodata, in addition to the file's own.",
            "raster",
            metavar="VALUE",
        ),
    )
    nodata_is: NodataIs | None = setting(
        None,
        Option(
            "Meaning of nodata pixels: background (not road) or unknown.",
            "raster",
            default_text="background in a mask whose other pixels all have one value, and where "
            "low probabilities are nodata",
        ),
    )
    scale: float | None = setting(
        None,
        Option(
            "Factor from pixel value to probability, e.g. 0.01 for percent.",
            "raster",
            metavar="FACTOR",
            default_text="detected",
        ),
    )
    road_values: tuple[float, ...] = setting(
        (),
        Option(
            "Pixel values that are road, e.g. class numbers; all others are not road.",
            "raster",
            ("--road-value",),
            metavar="V,V,...",
            default_text="detected",
            example="1,2,5",
        ),
    )

    def __post_init__(self) -> None:
        if self.band is not None and self.band < 1:
            raise InputError(f"band is {self.band}; bands count from 1. Correct it.")
        if self.scale is not None and not (math.isfinite(self.scale) and self.scale > 0):
            raise InputError(f"scale is {self.scale}; a number above 0 is expected. Correct it.")
        if self.scale is not None and self.road_values:
            raise InputError(
                "A scale and road values were given: values are either probabilities or classes. "
                "Leave one of them out."
            )
        if self.nodata_is is not None and self.nodata_is not in get_args(NodataIs):
            raise InputError(
                f"nodata_is is {self.nodata_is!r}, expected one of {', '.join(get_args(NodataIs))}."
            )
