"""``roadgis video``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from roadgis.cli import options
from roadgis.cli.shell import shell

__all__ = ["command"]


@click.command("video")
@click.argument("source", type=click.Path(path_type=Path), metavar="VIDEO")
@click.option(
    "-m",
    "--model",
    default=None,
    metavar="FILE",
    help="An .onnx or .keras model, or the folder of a training run.  "
    "[default: the one that comes with roadgis]",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where the model runs.",
)
@click.option(
    "--threads", type=click.IntRange(1), default=None, help="Of the model.  [default: all cores]"
)
@options.output_option("The overlay: .webm or .mp4; for a picture .png or .jpg.")
@click.option(
    "--alpha",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Weight of the class colours over the picture.",
)
@click.option(
    "--every",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="Segment every N-th frame; those between keep the classes of the one before.",
)
@click.option(
    "--height",
    type=click.IntRange(1),
    default=None,
    metavar="PX",
    help="Height that the model sees.  [default: of its training crops, else 512]",
)
@click.option("--no-legend", is_flag=True, help="Draw no legend.")
@click.option(
    "--allow-truncated",
    is_flag=True,
    help="Take a video that is cut short as far as it can be decoded.",
)
@options.overwrite_option
@options.description_options
@options.progress_options
def command(
    source: Path,
    model: str | None,
    device: Literal["auto", "cpu", "cuda"],
    threads: int | None,
    output: Path,
    alpha: float,
    every: int,
    height: int | None,
    no_legend: bool,
    allow_truncated: bool,
    overwrite: bool,
    progress: str,
    verbose: int,
    quiet: bool,
    **values: Any,
) -> None:
    """Draw a model's classes over each frame of a video, or over a picture."""
    with shell(progress, verbose=verbose, quiet=quiet) as sh:
        from roadgis.model.runtime import load_model
        from roadgis.video.segment import VideoOptions, segment_video

        description = options.model_description(values)
        result = segment_video(
            source,
            output,
            load_model(model, threads=threads, device=device, description=description),
            options=VideoOptions(alpha, every, height, not no_legend, allow_truncated, overwrite),
            progress=sh.progress,
        )
        shares = ", ".join(f"{name} {share:.1%}" for name, share in result.shares.items())
        what = f"{result.width} x {result.height} px"
        if result.kind == "video":
            what += f", {result.frames} frames at {result.fps:g}/s, {result.speed:.1f} frames/s"
        sh.result(
            f"{output}: {what}; {shares}",
            outputs=[str(output)],
            frames=result.frames,
            segmented=result.segmented,
            frames_per_second=round(result.speed, 2),
            shares=result.shares,
        )
