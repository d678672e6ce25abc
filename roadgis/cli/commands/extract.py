"""``roadgis extract``."""

from __future__ import annotations

from pathlib import Path

import click

from roadgis.cli import options
from roadgis.cli.parameters import Command, parameter
from roadgis.cli.shell import KEPT_BLOCKS, shell
from roadgis.cli.summary import report_network
from roadgis.options.option import Option


@click.command("extract", cls=Command)
@options.sources_argument
@options.output_option(options.VECTOR_FILE, "vector")
@parameter(
    Path,
    Option(
        "Road probability to write as a Cloud Optimized GeoTIFF.",
        flags=("--probability",),
        path=("out", "raster"),
    ),
)
@options.RUNTIME
@options.EXTRACT
@options.DESCRIPTION
@options.overwrite_option
@options.progress_options
def command(
    sources: tuple[str, ...],
    output: Path,
    probability: Path | None,
    overwrite: bool,
    progress: str,
    verbose: int,
    quiet: bool,
    **values: object,
) -> None:
    """Extract the road network from imagery.

    SCENE is a raster file, a folder, a quoted glob, a URL, a tile index, a CSV table of sheets,
    a STAC file or API (stac:URL) or a web map service (xyz:, wms:, wmts:); several become one
    mosaic.

    \b
    roadgis extract scene.tif -o roads.geojson
    roadgis extract sheets/*.tif -o county.gpkg --aoi county.geojson
    """  # noqa: D301 - click reads the backspace
    with shell(progress, verbose=verbose, quiet=quiet, kept=KEPT_BLOCKS) as sh:
        from roadgis.model.runtime import load_model
        from roadgis.pipeline import check_run, extract_roads

        settings = options.EXTRACT.made(values)
        runtime, description = options.RUNTIME.made(values), options.DESCRIPTION.made(values)
        model = runtime.model
        sheets = check_run(
            sources, output, probability, model=model, options=settings, overwrite=overwrite
        )
        network = extract_roads(
            sheets,
            output,
            model=load_model(
                model, threads=runtime.threads, device=runtime.device, description=description
            ),
            options=settings,
            probability=probability,
            overwrite=overwrite,
            progress=sh.progress,
        )
        report_network(sh, network, [output, *([probability] if probability else [])])
