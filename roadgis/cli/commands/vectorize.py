"""``roadgis vectorize``."""

from __future__ import annotations

from pathlib import Path

import click

from roadgis.cli import options
from roadgis.cli.parameters import Command, Settings, argument
from roadgis.cli.shell import shell
from roadgis.cli.summary import report_network
from roadgis.options.extraction import ExtractOptions

_SETTINGS = Settings(
    ExtractOptions(),
    only=("threshold", "assume_crs", "max_mpx", "vectorize", "clean", "block_px", "workers"),
)


@click.command("vectorize", cls=Command)
@argument("probability", ("in", "raster"), nargs=-1, required=True, metavar="RASTER...")
@options.output_option(options.VECTOR_FILE, "vector")
@_SETTINGS
@options.RASTER
@options.overwrite_option
@options.progress_options
def command(
    probability: tuple[str, ...],
    output: Path,
    overwrite: bool,
    progress: str,
    verbose: int,
    quiet: bool,
    **values: object,
) -> None:
    """Make a road network from probability rasters or masks.

    RASTER is a raster of probability, a mask, or a picture of a mask, from any program; a folder,
    a quoted glob, a URL, or the work directory of a run. Several become one mosaic. What the pixel
    values mean is detected unless it is given.
    """
    with shell(progress, verbose=verbose, quiet=quiet) as sh:
        from roadgis.raster_pipeline import vectorize_file

        network = vectorize_file(
            probability,
            output,
            options=_SETTINGS.made(values),
            raster=options.RASTER.made(values),
            overwrite=overwrite,
            progress=sh.progress,
        )
        report_network(sh, network, [output])
