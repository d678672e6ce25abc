"""``roadgis serve``."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import click

from roadgis.cli import options
from roadgis.cli.parameters import Command, Settings
from roadgis.cli.shell import shell
from roadgis.options.web import WebOptions, is_local

_WEB = Settings(WebOptions())


@click.command("serve", cls=Command)
@_WEB
@options.progress_options
def command(progress: str, verbose: int, quiet: bool, **values: object) -> None:
    """Serve the map page, which extracts roads from scenes in a browser.

    Ctrl-C stops it; jobs resume when it starts again.
    """
    mode = "jsonl" if progress == "jsonl" else "none"
    kept = "Jobs are kept; they resume when the server starts again."
    with shell(mode, verbose=verbose, quiet=quiet, kept=kept) as sh:
        import logging
        import secrets

        from roadgis.errors import MissingExtraError, how_to_install

        try:
            from roadgis.web.api.server import page_url, serve
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] == "roadgis":
                raise
            raise MissingExtraError(
                f"The map page needs {error.name}, which is not installed. {how_to_install('web')}"
            ) from error
        from roadgis.model.runtime import load_model

        host = str(values["host"] or WebOptions().host)
        token = values["token"] or os.environ.get("ROADGIS_TOKEN")
        if not token and not is_local(host):
            token = secrets.token_urlsafe(24)
        folder = values["folder"] or Path(click.get_app_dir("roadgis")) / "serve"
        chosen = _WEB.made({**values, "token": token, "folder": folder})
        for model in {chosen.model, chosen.video_model}:
            load_model(model).release()  # a model that cannot be used is rejected at once
        if not is_local(host):
            logging.getLogger("roadgis").warning(
                "%s is not local: everyone with the token can use the page, and the connection is "
                "not encrypted. Put a web server with TLS in front of it.",
                host,
            )

        def ready(bound: WebOptions) -> None:
            url = page_url(bound)
            sh.send("serving", url=url, token=bound.token)
            if sh.mode != "jsonl" and not sh.quiet:
                click.echo(f"Open {url} in a browser. Ctrl-C stops.", err=True)
                if bound.token is not None:
                    click.echo(f"Token: {bound.token}", err=True)

        with contextlib.suppress(KeyboardInterrupt):
            serve(chosen, ready)
        sh.result("stopped", url=page_url(chosen))
