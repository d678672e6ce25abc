"""``roadgis calibrate``."""

from __future__ import annotations

from pathlib import Path

import click

from roadgis.cli import options
from roadgis.cli.parameters import Command, argument
from roadgis.cli.shell import shell


@click.command("calibrate", cls=Command)
@argument("model", ("in", "model"), kind=Path)
@options.progress_options
def command(model: Path, progress: str, verbose: int, quiet: bool) -> None:
    """Calibrate a trained model: a probability becomes the share of found roads that are correct.

    MODEL is the folder of a training run. Its model.keras is changed: the same pixels are road as
    before, with new probabilities and a new threshold. Writes reliability.csv and reliability.svg.

    \b
    roadgis calibrate run/
    roadgis export run/ -o model.onnx
    """  # noqa: D301 - click reads the backspace
    with shell(progress, verbose=verbose, quiet=quiet) as sh:
        from roadgis.train.scoring.calibrated_run import calibrate_run

        made = calibrate_run(model, progress=sh.progress)
        sh.result(
            f"{model}: calibrated on {', '.join(made.places)}; calibration error "
            f"{made.error_before:.3f} before, {made.error:.3f} after; threshold "
            f"{made.threshold:.3f}",
            threshold=made.threshold,
            error_before=made.error_before,
            error=made.error,
        )
