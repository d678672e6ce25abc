"""``roadgis vectorize``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from roadgis.cli import options
from roadgis.cli.shell import shell
from roadgis.cli.summary import tell_network

__all__ = ["command"]


@click.command("vectorize")
@click.argument("probability", metavar="RASTER")
@options.output_option("Vector file: .geojson, .gpkg, .fgb, .parquet or .shp.")
@options.threshold_option
@click.option("--assume-crs", metavar="CRS", default=None, help="CRS of a raster that has none.")
@options.max_mpx_option
@options.vector_options
@click.option("--block-px", type=int, default=None, help="Side of the blocks worked on at once.")
@click.option("--workers", type=int, default=None, help="Threads.  [default: all cores, at most 4]")
@options.overwrite_option
@options.progress_options
def command(
    probability: str,
    output: Path,
    overwrite: bool,
    progress: str,
    verbose: int,
    quiet: bool,
    **values: Any,
) -> None:
    """Make a road network from a probability raster or mask.

    RASTER holds probability as float 0..1 or uint8, or a mask of 0 and 1, from any program; or
    is the work folder of a run.
    """
    with shell(progress, verbose=verbose, quiet=quiet) as sh:
        from roadgis.pipeline import vectorize_file

        network = vectorize_file(
            probability,
            output,
            options=options.extract_options(values),
            overwrite=overwrite,
            progress=sh.progress,
        )
        tell_network(sh, network, [output])
