"""``roadgis threshold``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from roadgis.cli import options
from roadgis.cli.shell import shell

__all__ = ["command"]


@click.command("threshold")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Folders of pairs that the model was not trained on; may be repeated.  "
    "[default: a run's own validation scenes]",
)
@options.road_layer_options
@click.option(
    "--criterion",
    type=click.Choice(["iou", "f1", "relaxed-f1"]),
    default="iou",
    show_default=True,
    help="What the best threshold has the most of.",
)
@options.buffer_option
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    default=None,
    help="Draw the curve, .svg, .png or .pdf.  [default: threshold.svg in a run folder]",
)
@click.option(
    "--curve",
    type=click.Path(path_type=Path),
    default=None,
    help="Write the curve's numbers, .csv or .json.  [default: threshold.csv in a run folder]",
)
@options.overwrite_option
@options.progress_options
def command(
    model: Path,
    data: tuple[Path, ...],
    criterion: str,
    buffer_px: int | None,
    plot: Path | None,
    curve: Path | None,
    overwrite: bool,
    progress: str,
    verbose: int,
    quiet: bool,
    **road_layer: Any,
) -> None:
    """Choose a model's threshold on validation scenes and write it into its card.

    MODEL is an .onnx or .keras file or a run folder; its card is changed.
    """
    with shell(progress, verbose=verbose, quiet=quiet) as sh:
        from roadgis.atomic import check_target
        from roadgis.train.scoring.threshold import ThresholdOptions, set_threshold

        for path in (plot, curve):
            if path is not None:
                check_target(path, overwrite=overwrite)
        given = {} if buffer_px is None else {"buffer_px": buffer_px}
        settings = ThresholdOptions(criterion=criterion, plot=plot, table=curve, **given)  # type: ignore[arg-type]
        card = set_threshold(
            model, options.labelled_data(data, **road_layer), settings, progress=sh.progress
        )
        scores = card.scores
        sh.result(
            f"threshold {card.threshold:.4f}: IoU {scores['iou']:.4f} "
            f"({scores['iou_at_half']:.4f} at 0.5) on {scores['validation']}",
            threshold=card.threshold,
            scores=scores,
        )
