"""``roadgis test``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from roadgis.cli import options
from roadgis.cli.shell import shell

__all__ = ["command"]


@click.command("test")
@click.argument("model")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Folders of image and mask pairs; may be repeated.  "
    "[default: a run's own validation scenes]",
)
@options.road_layer_options
@click.option("--report", type=click.Path(path_type=Path), default=None, help="Write an HTML page.")
@click.option(
    "--json",
    "scores",
    type=click.Path(path_type=Path),
    default=None,
    help="Write all scores as one JSON object.",
)
@options.threshold_option
@options.buffer_option
@click.option(
    "--examples",
    type=click.IntRange(0),
    default=None,
    help="How many of the best and of the worst scenes the page shows.  [default: 3]",
)
@options.device_options
@options.overwrite_option
@options.progress_options
def command(
    model: str,
    data: tuple[Path, ...],
    report: Path | None,
    scores: Path | None,
    threshold: float | None,
    buffer_px: int | None,
    examples: int | None,
    device: str,
    threads: int | None,
    overwrite: bool,
    progress: str,
    verbose: int,
    quiet: bool,
    **road_layer: Any,
) -> None:
    """Score a model on labelled scenes, and write a report.

    MODEL is an .onnx or .keras file, a run folder, or "default", the one that comes with roadgis.
    """
    with shell(progress, verbose=verbose, quiet=quiet) as sh:
        from roadgis.train.scoring.report import ReportOptions, score_model

        given = {
            name: value
            for name, value in (("buffer_px", buffer_px), ("examples", examples))
            if value is not None
        }
        settings = ReportOptions(
            threshold=threshold, report=report, scores=scores, overwrite=overwrite, **given
        )
        result = score_model(
            model,
            options.labelled_data(data, **road_layer),
            settings,
            device=device,  # type: ignore[arg-type]
            threads=threads,
            progress=sh.progress,
        )
        values = result.to_json()
        brief = {
            name: values[name]
            for name in (
                "threshold", "iou", "precision", "recall", "f1", "relaxed_precision",
                "relaxed_recall", "relaxed_f1", "break_even", "mean_iou",
            )
        }  # fmt: skip
        shown = ", ".join(
            f"{text} {brief[name]:.4f}"
            for name, text in (
                ("iou", "IoU"), ("precision", "precision"), ("recall", "recall"), ("f1", "F1"),
                ("relaxed_f1", "relaxed F1"), ("break_even", "break-even"),
                ("mean_iou", "mean IoU"),
            )
            if brief[name] is not None
        )  # fmt: skip
        sh.result(
            f"{len(result.scenes)} scenes at threshold {result.threshold:.4f}: {shown}",
            outputs=[str(path) for path in (report, scores) if path is not None],
            scores=brief,
        )
