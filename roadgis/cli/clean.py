"""``roadgis clean``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from roadgis.cli import options
from roadgis.cli.cleaning_options import cleaning_options
from roadgis.cli.lengths import metres_option
from roadgis.cli.raster_options import raster_options, raster_settings
from roadgis.cli.shell import shell
from roadgis.cli.summary import tell_network

__all__ = ["command"]


@click.command("clean")
@click.argument("lines", metavar="LINES")
@options.output_option("Vector file: .geojson, .gpkg, .fgb, .parquet or .shp.")
@click.option("--layer", default=None, metavar="NAME", help="Layer of LINES.")
@click.option("--assume-crs", metavar="CRS", default=None, help="CRS of lines that have none.")
@metres_option(
    "--snap", "How far ends are moved to meet another line, metres.  [default: 1]", least=0.0
)
@click.option(
    "--node-crossings",
    is_flag=True,
    help="Make junctions where lines cross without a shared vertex; otherwise one passes over "
    "the other.",
)
@metres_option("--width", "Width of roads of which none is known, metres.  [default: 6]")
@click.option(
    "--width-field",
    default=None,
    metavar="NAME",
    help="Field with the width in metres, or NAME*FACTOR such as lanes*3.5.",
)
@click.option(
    "--confidence-field",
    default=None,
    metavar="NAME",
    help="Field with the confidence, 0 to 1, or NAME*FACTOR such as percent*0.01.",
)
@click.option(
    "--probability",
    default=None,
    metavar="RASTER",
    help="Probability raster or road mask: evidence for what is bridged and dropped.",
)
@options.combined(*raster_options)
@click.option(
    "--keep-fields",
    default=None,
    metavar="A,B,...",
    help="Fields that each road takes over from the feature that most of it comes from.",
)
@options.combined(*cleaning_options)
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
    **values: Any,
) -> None:
    """Clean and node an existing line layer.

    LINES is a vector file of lines in any format and CRS. They stay where they were drawn, but
    for ends that nearly meet something. The output is in their CRS.
    """
    with shell(progress, verbose=verbose, quiet=quiet) as sh:
        from roadgis.network.from_lines.clean_lines import clean_lines

        network = clean_lines(
            lines,
            output,
            options=_settings(values, evidence=probability is not None),
            probability=probability,
            raster=raster_settings(values),
            overwrite=overwrite,
            progress=sh.progress,
        )
        tell_network(sh, network, [output])


def _settings(values: dict[str, Any], *, evidence: bool) -> Any:
    from roadgis.network.from_lines.centerlines import DrawnOptions
    from roadgis.network.from_lines.clean_lines import CleanLinesOptions, drawn_clean_options

    own = drawn_clean_options()
    shape = {"smooth": own.smooth_m, "simplify": own.tolerance_m}
    clean = options.clean_options(
        {**values, **{name: v for name, v in shape.items() if values[name] is None}}
    )
    given = {"snap_m": values["snap"], "width_m": values["width"]}
    keep = (values["keep_fields"] or "").split(",")
    return CleanLinesOptions(
        layer=values["layer"],
        assume_crs=values["assume_crs"],
        width_field=values["width_field"],
        confidence_field=values["confidence_field"],
        keep_fields=tuple(name.strip() for name in keep if name.strip()),
        drawn=DrawnOptions(
            node_crossings=values["node_crossings"],
            **{name: value for name, value in given.items() if value is not None},
        ),
        clean=drawn_clean_options(clean, evidence=evidence),
    )


#: Where lines were drawn, other settings do than where they come from pixels.
_HELP = {
    "smooth": "How far along a line its shape is averaged (a standard deviation), metres.  "
    "[default: 0]",
    "simplify": "Largest deviation when lines are simplified, metres.  [default: 0.05]",
}
for _parameter in command.params:
    if isinstance(_parameter, click.Option) and _parameter.name in _HELP:
        _parameter.help = _HELP[_parameter.name]
