"""``roadgis serve``."""

from __future__ import annotations

from typing import Any, Literal

import click

from roadgis.cli import options
from roadgis.cli.shell import shell

__all__ = ["command"]


@click.command("serve")
@options.runtime_options
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to serve on; any but a local one lets others on the network in.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="0 takes a free one.",
)
@click.option(
    "--max-mb",
    type=click.FloatRange(min=0, min_open=True),
    default=500,
    show_default=True,
    metavar="MB",
    help="Largest file that is taken, megabytes.",
)
@options.drawing_options
@options.description_options
@options.progress_options
def command(
    model: str | None,
    device: Literal["auto", "cpu", "cuda"],
    threads: int | None,
    host: str,
    port: int,
    max_mb: float,
    alpha: float,
    every: int,
    height: int | None,
    allow_truncated: bool,
    progress: str,
    verbose: int,
    quiet: bool,
    **values: Any,
) -> None:
    """Serve a web page that segments videos; stop it with Ctrl-C."""
    with shell("jsonl" if progress == "jsonl" else "none", verbose=verbose, quiet=quiet) as sh:
        import logging

        from roadgis.model.runtime import load_model
        from roadgis.photos.frame_labels import FrameSegmenter
        from roadgis.photos.video import VideoOptions
        from roadgis.serve.http_rules import is_local
        from roadgis.serve.server import ServeOptions, open_server

        description = options.model_description(values)
        video = VideoOptions(alpha, every, height, True, allow_truncated)
        segmenter = load_model(model, threads=threads, device=device, description=description)
        FrameSegmenter(segmenter, height)  # a model that takes no videos is refused at once
        if not is_local(host):
            logging.getLogger(__name__).warning(
                "%s is not local: whoever reaches this machine can use the page, and what is sent "
                "is not encrypted",
                host,
            )
        serve = ServeOptions(host=host, port=port, max_mb=max_mb, video=video)
        with open_server(segmenter, serve) as server:
            sh.send("serving", url=server.url)
            if sh.mode != "jsonl" and not sh.quiet:
                click.echo(f"Open {server.url} in a browser. Ctrl-C stops.", err=True)
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                sh.result("stopped", url=server.url)
