"""``roadgis clean``."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from roadgis.cli import options
from roadgis.cli.parameters import Command, Settings, argument, parameter
from roadgis.cli.shell import shell
from roadgis.cli.summary import report_network
from roadgis.options.cleaning import RuleOptions
from roadgis.options.line_cleaning import CleanLinesOptions, drawn_clean_options
from roadgis.options.option import Option

#: Rules need evidence; drawn_clean_options turns them off without a raster.
_SETTINGS = Settings(
    CleanLinesOptions(
        clean=dataclasses.replace(drawn_clean_options(evidence=True), rules=RuleOptions())
    )
)


@click.command("clean", cls=Command)
@argument("lines", ("in", "vector"), metavar="LINES")
@options.output_option(options.VECTOR_FILE, "vector")
@parameter(
    str,
    Option(
        "Probability raster or road mask: evidence for bridging and dropping lines.",
        flags=("--probability",),
        metavar="RASTER",
        path=("in", "raster"),
    ),
)
@_SETTINGS
@options.RASTER
@options.overwrite_option
@options.progress_options
def command(
    lines: str,
    output: Path,
    probability: str | None,
    overwrite: bool,
    progress: str,
    verbose: int,
    quiet: bool,
    **values: object,
) -> None:
    """Clean and node an existing line layer.

    LINES is a vector file of lines in any format and CRS. Lines keep their position; only ends
    that nearly meet another line are moved. The output is in the CRS of LINES.
    """
    with shell(progress, verbose=verbose, quiet=quiet) as sh:
        from roadgis.network.from_lines.clean_lines import clean_lines

        settings = _SETTINGS.made(values)
        clean = drawn_clean_options(settings.clean, evidence=probability is not None)
        network = clean_lines(
            lines,
            output,
            options=dataclasses.replace(settings, clean=clean),
            probability=probability,
            raster=options.RASTER.made(values),
            overwrite=overwrite,
            progress=sh.progress,
        )
        report_network(sh, network, [output])
