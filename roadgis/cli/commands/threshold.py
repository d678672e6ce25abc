"""``roadgis threshold``."""

from __future__ import annotations

from pathlib import Path

import click

from roadgis.cli import options
from roadgis.cli.parameters import Command, Settings, argument
from roadgis.cli.shell import shell
from roadgis.options.scoring import ThresholdOptions

_SETTINGS = Settings(ThresholdOptions())


@click.command("threshold", cls=Command)
@argument("model", ("in", "model"), kind=Path)
@options.LABELLED
@_SETTINGS
@options.overwrite_option
@options.progress_options
def command(
    model: Path,
    overwrite: bool,
    progress: str,
    verbose: int,
    quiet: bool,
    **values: object,
) -> None:
    """Choose a model's threshold on validation scenes and write it into its card.

    MODEL is an .onnx or .keras file or a run folder; its card is changed.
    """
    with shell(progress, verbose=verbose, quiet=quiet) as sh:
        from roadgis.atomic import check_target
        from roadgis.train.scoring.threshold import set_threshold

        settings = _SETTINGS.made(values)
        for path in (settings.plot, settings.table):
            if path is not None:
                check_target(path, overwrite=overwrite)
        card = set_threshold(model, options.LABELLED.made(values), settings, progress=sh.progress)
        scores = card.scores
        sh.result(
            f"threshold {card.threshold:.4f}: IoU {scores['iou']:.4f} "
            f"({scores['iou_at_half']:.4f} at 0.5) on {scores['validation']}",
            threshold=card.threshold,
            scores=scores,
        )
