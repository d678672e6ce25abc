"""``roadgis predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from roadgis.cli import options
from roadgis.cli.shell import KEPT_BLOCKS, shell

__all__ = ["command"]


@click.command("predict")
@options.sources_argument
@options.output_option("Probability raster, .tif: 0..254 = probability * 254, 255 = no data.")
@options.model_options
@options.imagery_options
@options.run_options
@options.overwrite_option
@options.progress_options
def command(
    sources: tuple[str, ...],
    output: Path,
    model: str | None,
    device: Literal["auto", "cpu", "cuda"],
    threads: int | None,
    overwrite: bool,
    progress: str,
    verbose: int,
    quiet: bool,
    **values: Any,
) -> None:
    """Predict road probability as a Cloud Optimized GeoTIFF."""
    with shell(progress, verbose=verbose, quiet=quiet, kept=KEPT_BLOCKS) as sh:
        from roadgis.model.runtime import load_model
        from roadgis.pipeline import check_run, predict_to_file

        settings = options.extract_options(values)
        description = options.model_description(values)
        check_run(sources, None, output, model=model, options=settings, overwrite=overwrite)
        predict_to_file(
            sources,
            output,
            model=load_model(model, threads=threads, device=device, description=description),
            options=settings,
            overwrite=overwrite,
            progress=sh.progress,
        )
        sh.result(f"{output}: written", outputs=[str(output)])
