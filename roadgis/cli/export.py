"""``roadgis export``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from roadgis.cli import options
from roadgis.cli.shell import shell

__all__ = ["command"]

# Scores that are in the card after a comparison.
_COMPARED = ("iou_float16-weights", "iou_int8")


@click.command("export")
@click.argument("model", type=click.Path(path_type=Path))
@options.output_option("The model, .onnx; or .keras, for fine-tuning (--init).")
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "float16-weights", "int8"]),
    default=None,
    help="int8 needs --data to calibrate on. auto also needs --validation (or --images), or a "
    "run's own validation scenes, measures both, and keeps int8 if its IoU is less than 0.5 "
    "points lower.  [default: auto with --data or a run, and --validation or --images; int8 with "
    "--data only, else float16-weights]",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Folders of training pairs, for the calibration of int8; may be repeated.  [default: "
    "of a run folder, what it was trained on]",
)
@click.option(
    "--validation",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Folders of pairs to choose the threshold on; it goes into the card with its IoU.",
)
@options.road_layer_options
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
    **road_layer: Any,
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
        from roadgis.train.export.export import ExportOptions, export_onnx

        check_target(output, overwrite=overwrite)
        if output.suffix.lower() == ".keras":
            if precision or data or validation or any(road_layer.values()):
                raise InputError(
                    f"{output}: a .keras file for fine-tuning keeps weights and threshold as they "
                    "are; expected neither --precision nor data."
                )
            from roadgis.train.export.export import write_compact
            from roadgis.train.starting_model import resolve_trained

            write_compact(resolve_trained(str(model)), output)
            sh.result(
                f"{output}: for fine-tuning, {output.stat().st_size / 1e6:.1f} MB",
                outputs=[str(output)],
            )
            return
        settings = ExportOptions(
            precision=precision,  # type: ignore[arg-type]
            calibration=data,
            validation=options.labelled_data(validation, **road_layer),
        )
        card = export_onnx(model, output, settings, progress=sh.progress)
        compared = {key[4:]: card.scores[key] for key in _COMPARED if key in card.scores}
        told = "".join(f", IoU {iou:.4f} in {kind}" for kind, iou in compared.items())
        kept = card.recipe["export"]["precision"]
        sh.result(
            f"{output}: {kept}, {output.stat().st_size / 1e6:.1f} MB, "
            f"threshold {card.threshold:.3f}{told}",
            outputs=[str(output)],
            precision=kept,
            threshold=card.threshold,
            iou=compared,
        )
