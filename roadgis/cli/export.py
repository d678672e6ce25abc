"""``roadgis export``."""

from __future__ import annotations

from pathlib import Path

import click

from roadgis.cli import options
from roadgis.cli.shell import shell

__all__ = ["command"]


@click.command("export")
@click.argument("model", type=click.Path(path_type=Path))
@options.output_option("The model, .onnx.")
@click.option(
    "--precision",
    type=click.Choice(["float32", "float16-weights", "int8"]),
    default=None,
    help="int8 needs --data to calibrate on.  [default: int8 with --data, else float16-weights]",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Folders of training pairs, for the calibration of int8; may be repeated.",
)
@click.option(
    "--validation",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Folders of pairs to choose the threshold on; it goes into the card with its IoU.",
)
@options.overwrite_option
@options.progress_options
def command(
    model: Path,
    output: Path,
    precision: str | None,
    data: tuple[Path, ...],
    validation: tuple[Path, ...],
    overwrite: bool,
    progress: str,
    verbose: int,
    quiet: bool,
) -> None:
    """Write a trained model as ONNX with its card."""
    with shell(progress, verbose=verbose, quiet=quiet) as sh:
        from roadgis.errors import OutputError
        from roadgis.train.export import export_onnx
        from roadgis.train.threshold import set_threshold

        if output.exists() and not overwrite:
            raise OutputError(
                f"{output} exists. Choose another name, or replace it with --overwrite."
            )
        card = export_onnx(
            model,
            output,
            precision=precision or ("int8" if data else "float16-weights"),  # type: ignore[arg-type]
            calibration=data,
        )
        if validation:
            card = set_threshold(output, validation, progress=sh.progress)
        sh.result(
            f"{output}: {output.stat().st_size / 1e6:.1f} MB, threshold {card.threshold:.3f}",
            outputs=[str(output)],
            threshold=card.threshold,
        )
