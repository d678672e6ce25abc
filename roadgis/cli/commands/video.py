"""``roadgis video``."""

from __future__ import annotations

from pathlib import Path

import click

from roadgis.cli import options
from roadgis.cli.parameters import Command, Settings, argument
from roadgis.cli.shell import shell
from roadgis.options.video import VideoOptions

_SETTINGS = Settings(VideoOptions())


@click.command("video", cls=Command)
@argument("source", ("in", "video"), kind=Path, metavar="VIDEO")
@options.output_option("Overlay to write: .webm or .mp4; for a picture .png or .jpg.", "video")
@options.RUNTIME
@_SETTINGS
@options.DESCRIPTION
@options.progress_options
def command(
    source: Path, output: Path, progress: str, verbose: int, quiet: bool, **values: object
) -> None:
    """Draw a model's classes over each frame of a video, or over a picture."""
    with shell(progress, verbose=verbose, quiet=quiet) as sh:
        from roadgis.model.runtime import load_model
        from roadgis.photos.video import segment_video

        runtime, description = options.RUNTIME.made(values), options.DESCRIPTION.made(values)
        model = load_model(
            runtime.model, threads=runtime.threads, device=runtime.device, description=description
        )
        result = segment_video(
            source, output, model, options=_SETTINGS.made(values), progress=sh.progress
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
