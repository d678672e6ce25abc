"""``roadgis export``."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from roadgis.cli import options
from roadgis.cli.parameters import Command, Settings, argument
from roadgis.cli.shell import shell
from roadgis.options.export import ExportOptions
from roadgis.options.option import Option

# Scores that are in the card after a comparison.
_COMPARED = ("iou_float16-weights", "iou_int8")


_SETTINGS = Settings(ExportOptions())
_SCORED = options.labelled_with(
    Option(
        "Folder of pairs to choose the threshold on, written into the card with its IoU; may be "
        "repeated.",
        flags=("--validation",),
        path=("in", "folder"),
        repeat=True,
    )
)


@click.command("export", cls=Command)
@argument("model", ("in", "model"), kind=Path)
@options.output_option("Model to write: .onnx, or .keras for fine-tuning (--init).", "model")
@_SETTINGS
@_SCORED
@options.overwrite_option
@options.progress_options
def command(
    model: Path,
    output: Path,
    overwrite: bool,
    progress: str,
    verbose: int,
    quiet: bool,
    **values: object,
) -> None:
    """Write a trained model as ONNX with its card, or as a small .keras file to start from.

    MODEL is the folder of a training run, or a .keras file.

    \b
    roadgis export run/ -o model.onnx --validation valid/
    roadgis export run/ -o model.onnx --precision auto
    roadgis export run/ -o small.keras
    """  # noqa: D301 - click reads the backspace
    with shell(progress, verbose=verbose, quiet=quiet) as sh:
        from roadgis.atomic import check_target
        from roadgis.errors import InputError
        from roadgis.train.export.export import export_onnx

        check_target(output, overwrite=overwrite)
        if output.suffix.lower() == ".keras":
            if _SETTINGS.given(values) or _SCORED.given(values):
                raise InputError(
                    f"{output}: a .keras file for fine-tuning keeps weights and threshold. "
                    "Leave out --precision, --data and --validation."
                )
            from roadgis.train.export.export import write_compact
            from roadgis.train.starting_model import resolve_trained

            write_compact(resolve_trained(str(model)), output)
            sh.result(
                f"{output}: for fine-tuning, {output.stat().st_size / 1e6:.1f} MB",
                outputs=[str(output)],
            )
            return
        settings = dataclasses.replace(_SETTINGS.made(values), validation=_SCORED.made(values))
        card = export_onnx(model, output, settings, progress=sh.progress)
        compared = {key[4:]: card.scores[key] for key in _COMPARED if key in card.scores}
        scores = "".join(f", IoU {iou:.4f} in {kind}" for kind, iou in compared.items())
        kept = card.recipe["export"]["precision"]
        sh.result(
            f"{output}: {kept}, {output.stat().st_size / 1e6:.1f} MB, "
            f"threshold {card.threshold:.3f}{scores}",
            outputs=[str(output)],
            precision=kept,
            threshold=card.threshold,
            iou=compared,
        )
