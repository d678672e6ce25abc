"""``roadgis compare``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from roadgis.cli import options
from roadgis.cli.parameters import Command, Settings, argument, combined, parameter
from roadgis.cli.shell import shell
from roadgis.options.comparison import CompareOptions
from roadgis.options.option import Option

_SETTINGS = Settings(CompareOptions())
_input_options = combined(
    parameter(str, Option("Layer of ROADS.", "lines", ("--layer",), metavar="NAME")),
    parameter(str, Option("Layer of BASE.", "lines", ("--base-layer",), metavar="NAME")),
    parameter(
        str, Option("CRS of files that have none.", "lines", ("--assume-crs",), metavar="CRS")
    ),
)


@click.command("compare", cls=Command)
@argument("roads", ("in", "vector"), metavar="ROADS")
@argument("base", ("in", "vector"), metavar="BASE")
@options.output_option(
    "File to review: .gpkg, a layer for each class with styles for QGIS, or .geojson.",
    "vector",
    required=False,
)
@parameter(bool, Option("Print a summary as one JSON object.", flags=("as_json", "--json")))
@parameter(
    Path,
    Option(
        "Polygons within which the networks are compared.",
        flags=("--aoi",),
        path=("in", "vector"),
        default_text="the overlap of their extents and 100 m around it",
    ),
)
@_input_options
@_SETTINGS
@options.overwrite_option
@options.progress_options
def command(
    roads: str,
    base: str,
    output: Path | None,
    aoi: Path | None,
    layer: str | None,
    base_layer: str | None,
    assume_crs: str | None,
    as_json: bool,
    overwrite: bool,
    progress: str,
    verbose: int,
    quiet: bool,
    **values: object,
) -> None:
    """Compare a road network with another: what is missing, extra and moved.

    ROADS is an extracted network, BASE the one to compare it with, such as OpenStreetMap's; line
    layers in any format and CRS. The offset between the networks is estimated and removed first.
    """
    if output is None and not as_json:
        raise click.UsageError("Give a file to write with -o, or ask for a summary with --json.")
    with shell(progress, verbose=verbose, quiet=quiet) as sh:
        from roadgis.comparison import compare
        from roadgis.comparison.write import check_review
        from roadgis.lines import read_lines

        settings = _SETTINGS.made(values)
        if output is not None:
            check_review(output, overwrite=overwrite)
        result = compare(
            read_lines(roads, layer=layer, assume_crs=assume_crs),
            read_lines(base, layer=base_layer, assume_crs=assume_crs, layer_option="--base-layer"),
            output,
            aoi=aoi,
            options=settings,
            overwrite=overwrite,
            progress=sh.progress,
        )
        summary = result.to_dict()
        if as_json and sh.mode != "jsonl":
            click.echo(json.dumps(summary, ensure_ascii=False, allow_nan=False))
        shown = ", ".join(
            f"{name} {summary[f'{name}_m'] / 1000:.2f} km"
            for name in ("missing", "extra", "moved", "matched")
        )
        offset = summary["offset"]
        sh.result(
            f"{output or 'compared'}: {shown}; offset {offset['dx_m']:.1f} m east, "
            f"{offset['dy_m']:.1f} m north",
            outputs=[] if output is None else [str(output)],
            summary=summary,
        )
