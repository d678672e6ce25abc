"""Options of reading probability rasters and masks, and the settings that they make."""

from __future__ import annotations

from typing import Any

import click

__all__ = ["raster_options", "raster_settings"]

#: What the values of probability rasters and masks mean.
raster_options = (
    click.option(
        "--band",
        type=click.IntRange(1),
        default=None,
        help="Band to read, from 1.  [default: the only one, or the colours of a picture]",
    ),
    click.option(
        "--nodata",
        type=float,
        default=None,
        metavar="VALUE",
        help="Value that means no data, besides what the files declare.",
    ),
    click.option(
        "--nodata-is",
        type=click.Choice(["background", "unknown"]),
        default=None,
        help="Whether pixels without data are not road, or unknown.  [default: background in a "
        "mask whose other pixels all have one value, and where low probabilities are no data]",
    ),
    click.option(
        "--scale",
        type=float,
        default=None,
        metavar="FACTOR",
        help="Probability = value times FACTOR, e.g. 0.01 for percent.  [default: detected]",
    ),
    click.option(
        "--road-value",
        default=None,
        metavar="V,V,...",
        help="Values that are road, e.g. class numbers; all others are not.  [default: detected]",
    ),
)


def raster_settings(values: dict[str, Any]) -> Any:
    """Make the :class:`~roadgis.probability.encoding.RasterOptions` of `raster_options`."""
    from roadgis.probability.raster import RasterOptions

    text = values["road_value"] or ""
    try:
        road = tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r} is not a list of numbers such as 1,2,5.", param_hint="--road-value"
        ) from error
    return RasterOptions(
        band=values["band"],
        nodata=values["nodata"],
        nodata_is=values["nodata_is"],
        scale=values["scale"],
        road_values=road,
    )
