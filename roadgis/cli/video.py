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
@options.runtime_options
@options.output_option("The overlay: .webm or .mp4; for a picture .png or .jpg.")
@options.drawing_options
@click.option("--no-legend", is_flag=True, help="Draw no legend.")
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
        from roadgis.photos.video import VideoOptions, segment_video

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
