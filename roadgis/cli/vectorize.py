"""``roadgis vectorize``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from roadgis.cli import options
from roadgis.cli.raster_options import raster_options, raster_settings
from roadgis.cli.shell import shell
from roadgis.cli.summary import tell_network

__all__ = ["command"]


@click.command("vectorize")
@click.argument("probability", nargs=-1, required=True, metavar="RASTER...")
@options.output_option("Vector file: .geojson, .gpkg, .fgb, .parquet or .shp.")
@options.threshold_option
@click.option("--assume-crs", metavar="CRS", default=None, help="CRS of rasters that have none.")
@options.combined(*raster_options)
@options.max_mpx_option
@options.vector_options
@click.option("--block-px", type=int, default=None, help="Side of the blocks worked on at once.")
@click.option("--workers", type=int, default=None, help="Threads.  [default: all cores, at most 4]")
@options.overwrite_option
@options.progress_options
def command(
    probability: tuple[str, ...],
    output: Path,
    overwrite: bool,
    progress: str,
    verbose: int,
    quiet: bool,
    **values: Any,
) -> None:
    """Make a road network from probability rasters or masks.

    RASTER is a raster of probability, a mask, or a picture of a mask, from any program; a folder,
    a quoted glob or a URL; several become one mosaic. What its values mean is detected, unless it
    is given. The work directory of a run will do, too.
    """
    with shell(progress, verbose=verbose, quiet=quiet) as sh:
        from roadgis.pipeline import vectorize_file

        network = vectorize_file(
            probability,
            output,
            options=options.extract_options({**values, "nodata": None}),
            raster=raster_settings(values),
            overwrite=overwrite,
            progress=sh.progress,
        )
        tell_network(sh, network, [output])
