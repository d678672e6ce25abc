"""``roadgis compare``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from roadgis.cli import options
from roadgis.cli.lengths import metres_option
from roadgis.cli.shell import shell

__all__ = ["command"]


@click.command("compare")
@click.argument("roads", metavar="ROADS")
@click.argument("base", metavar="BASE")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=None,
    help="File to review: .gpkg, a layer for each class with styles for QGIS, or .geojson.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a summary as one JSON object.")
@click.option("--layer", default=None, metavar="NAME", help="Layer of ROADS.")
@click.option("--base-layer", default=None, metavar="NAME", help="Layer of BASE.")
@click.option("--assume-crs", metavar="CRS", default=None, help="CRS of a file that has none.")
@click.option(
    "--aoi",
    type=click.Path(path_type=Path),
    default=None,
    help="Polygons within which the two are compared.  [default: what their extents have in "
    "common, and 100 m around it]",
)
@click.option(
    "--no-offset", is_flag=True, help="Compare the two as they lie; look for no displacement."
)
@metres_option("--max-offset", "Largest displacement that is looked for, metres.  [default: 20]")
@metres_option(
    "--max-distance",
    "Largest distance of two lines that can be the same road, metres.  [default: 15]",
)
@metres_option("--moved", "Distance from which a road counts as moved, metres.  [default: 5]")
@metres_option(
    "--min-length",
    "Shorter parts of a line go with the rest of it, metres.  [default: 12]",
    least=0.0,
)
@click.option(
    "--frame",
    type=click.Choice(["extraction", "base"]),
    default=None,
    help="Whose place the results are drawn in where the two are displaced.  [default: extraction]",
)
@options.overwrite_option
@options.progress_options
def command(
    roads: str,
    base: str,
    output: Path | None,
    as_json: bool,
    overwrite: bool,
    progress: str,
    verbose: int,
    quiet: bool,
    **values: Any,
) -> None:
    """Compare a road network with another: what is missing, extra and moved.

    ROADS is an extracted network, BASE the one to compare it with, such as OpenStreetMap's; line
    layers in any format and CRS. The displacement between the two is estimated and taken out
    first.
    """
    if output is None and not as_json:
        raise click.UsageError("Give a file to write with -o, or ask for a summary with --json.")
    with shell(progress, verbose=verbose, quiet=quiet) as sh:
        from roadgis.comparison import CompareOptions, compare
        from roadgis.comparison.write import check_review
        from roadgis.lines import read_lines

        names = {
            "max_offset_m": "max_offset",
            "max_distance_m": "max_distance",
            "moved_m": "moved",
            "min_length_m": "min_length",
            "frame": "frame",
        }
        given = {field: values[name] for field, name in names.items() if values[name] is not None}
        settings = CompareOptions(estimate_offset=not values["no_offset"], **given)
        assumed = values["assume_crs"]
        if output is not None:
            check_review(output, overwrite=overwrite)
        result = compare(
            read_lines(roads, layer=values["layer"], assume_crs=assumed),
            read_lines(
                base,
                layer=values["base_layer"],
                assume_crs=assumed,
                layer_option="--base-layer",
            ),
            output,
            options=settings,
            aoi=values["aoi"],
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
