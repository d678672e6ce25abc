"""``roadgis test``."""

from __future__ import annotations

import click

from roadgis.cli import options
from roadgis.cli.parameters import Command, Settings, argument
from roadgis.cli.shell import shell
from roadgis.options.scoring import ReportOptions

_SETTINGS = Settings(ReportOptions())


@click.command("test", cls=Command)
@argument("model", ("in", "model"))
@options.LABELLED
@_SETTINGS
@options.DEVICE
@options.progress_options
def command(model: str, progress: str, verbose: int, quiet: bool, **values: object) -> None:
    """Score a model on labelled scenes, and write a report.

    MODEL is an .onnx or .keras file, the folder of a run, or "default", the bundled model.
    """
    with shell(progress, verbose=verbose, quiet=quiet) as sh:
        from roadgis.train.scoring.report import score_model

        settings, device = _SETTINGS.made(values), options.DEVICE.made(values)
        result = score_model(
            model,
            options.LABELLED.made(values),
            settings,
            device=device.device,
            threads=device.threads,
            progress=sh.progress,
        )
        found = result.to_json()
        brief = {
            name: found[name]
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
            outputs=[str(path) for path in (settings.report, settings.scores) if path is not None],
            scores=brief,
        )
