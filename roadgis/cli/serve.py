"""``roadgis serve``."""

from __future__ import annotations

import click

from roadgis.cli import options
from roadgis.cli.parameters import Command, parameter
from roadgis.cli.shell import shell
from roadgis.options.option import Option

__all__ = ["command"]


@click.command("serve", cls=Command)
@options.RUNTIME
@parameter(
    str,
    Option(
        "Address to serve on; any but a local one lets others on the network in.",
        flags=("--host",),
    ),
    default="127.0.0.1",
)
@parameter(
    int, Option("Port; 0 takes a free one.", flags=("--port",), low=0, high=65535), default=8000
)
@parameter(
    float,
    Option(
        "Maximum size of a file in megabytes; larger ones are rejected.",
        flags=("--max-mb",),
        unit="MB",
        low=0,
        low_open=True,
    ),
    default=500,
)
@options.DRAWING
@options.DESCRIPTION
@options.progress_options
def command(
    host: str,
    port: int,
    max_mb: float,
    progress: str,
    verbose: int,
    quiet: bool,
    **values: object,
) -> None:
    """Serve a web page that segments videos; stop it with Ctrl-C."""
    with shell("jsonl" if progress == "jsonl" else "none", verbose=verbose, quiet=quiet) as sh:
        import logging

        from roadgis.model.runtime import load_model
        from roadgis.photos.frame_labels import FrameSegmenter
        from roadgis.serve.http_rules import is_local
        from roadgis.serve.server import ServeOptions, open_server

        runtime, description = options.RUNTIME.made(values), options.DESCRIPTION.made(values)
        video = options.DRAWING.made(values)
        segmenter = load_model(
            runtime.model, threads=runtime.threads, device=runtime.device, description=description
        )
        FrameSegmenter(segmenter, video.height)  # a model that takes no videos is refused at once
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
