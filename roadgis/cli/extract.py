"""``roadgis extract``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from roadgis.cli import options
from roadgis.cli.shell import KEPT_BLOCKS, shell
from roadgis.cli.summary import tell_network

__all__ = ["command"]


@click.command("extract")
@options.sources_argument
@options.output_option("Vector file: .geojson, .gpkg, .fgb, .parquet or .shp.")
@click.option(
    "--probability",
    type=click.Path(path_type=Path),
    default=None,
    help="Also write the probability as a Cloud Optimized GeoTIFF.",
)
@options.threshold_option
@options.model_options
@options.imagery_options
@options.vector_options
@options.run_options
@options.overwrite_option
@options.progress_options
def command(
    sources: tuple[str, ...],
    output: Path,
    probability: Path | None,
    model: str | None,
    device: Literal["auto", "cpu", "cuda"],
    threads: int | None,
    overwrite: bool,
    progress: str,
    verbose: int,
    quiet: bool,
    **values: Any,
) -> None:
    """Extract the road network from imagery.

    SCENE is a raster file, a folder, a quoted glob or a URL; several become one mosaic.

    \b
    roadgis extract scene.tif -o roads.geojson
    roadgis extract sheets/*.tif -o county.gpkg --aoi county.geojson
    """  # noqa: D301 - click reads the backspace
    with shell(progress, verbose=verbose, quiet=quiet, kept=KEPT_BLOCKS) as sh:
        from roadgis.model.runtime import load_model
        from roadgis.pipeline import check_run, extract_roads

        settings = options.extract_options(values)
        description = options.model_description(values)
        check_run(sources, output, probability, model=model, options=settings, overwrite=overwrite)
        network = extract_roads(
            sources,
            output,
            model=load_model(model, threads=threads, device=device, description=description),
            options=settings,
            probability=probability,
            overwrite=overwrite,
            progress=sh.progress,
        )
        tell_network(sh, network, [output, *([probability] if probability else [])])
