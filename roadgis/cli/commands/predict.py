"""``roadgis predict``."""

from __future__ import annotations

from pathlib import Path

import click

from roadgis.cli import options
from roadgis.cli.parameters import Command, Settings
from roadgis.cli.shell import KEPT_BLOCKS, shell
from roadgis.cli.summary import skipped_text
from roadgis.options.extraction import ExtractOptions

_SETTINGS = Settings(ExtractOptions(), without=("threshold", "vectorize", "clean"))


@click.command("predict", cls=Command)
@options.sources_argument
@options.output_option(
    "Probability raster, .tif: 0 to 254 is the probability times 254, 255 is nodata.", "raster"
)
@options.RUNTIME
@_SETTINGS
@options.DESCRIPTION
@options.overwrite_option
@options.progress_options
def command(
    sources: tuple[str, ...],
    output: Path,
    overwrite: bool,
    progress: str,
    verbose: int,
    quiet: bool,
    **values: object,
) -> None:
    """Predict road probability as a Cloud Optimized GeoTIFF."""
    with shell(progress, verbose=verbose, quiet=quiet, kept=KEPT_BLOCKS) as sh:
        from roadgis.model.runtime import load_model
        from roadgis.pipeline import check_run, predict_to_file

        settings = _SETTINGS.made(values)
        runtime, description = options.RUNTIME.made(values), options.DESCRIPTION.made(values)
        model = runtime.model
        sheets = check_run(
            sources, None, output, model=model, options=settings, overwrite=overwrite
        )
        made_by = predict_to_file(
            sheets,
            output,
            model=load_model(
                model, threads=runtime.threads, device=runtime.device, description=description
            ),
            options=settings,
            overwrite=overwrite,
            progress=sh.progress,
        )
        skipped = made_by.get("skipped", {})
        sh.result(
            f"{output}: written" + (f", {skipped_text(skipped)}" if skipped else ""),
            outputs=[str(output)],
            **({"skipped": skipped} if skipped else {}),
        )
