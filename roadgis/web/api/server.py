"""Binding the address and running the server."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn
from filelock import FileLock

from roadgis.errors import InputError, OutputError
from roadgis.locks import take_lock
from roadgis.options.web import WebOptions
from roadgis.web.api.app import create_app

#: Connections that may be open at a time; more are answered with 503.
_CONNECTIONS = 400


def page_url(options: WebOptions) -> str:
    """Return the address of the page."""
    host = f"[{options.host}]" if ":" in options.host else options.host
    return f"http://{host}:{options.port}/"


def serve(options: WebOptions, ready: Callable[[WebOptions], None]) -> None:
    """Run the map page until it is stopped by a signal.

    Parameters
    ----------
    options : WebOptions
        Settings.
    ready : callable
        Callback, called with the options and the port once the address is bound.

    Raises
    ------
    InputError
        If the address cannot be bound, or another server uses the folder.
    OutputError
        If the folder cannot be written.
    """
    with contextlib.ExitStack() as stack:
        stack.callback(_locked(options.root).release)
        listener = stack.enter_context(contextlib.closing(_bound(options)))
        options = dataclasses.replace(options, port=listener.getsockname()[1])
        server = uvicorn.Server(
            uvicorn.Config(
                create_app(options),
                log_level="warning",
                access_log=False,
                server_header=False,
                limit_concurrency=_CONNECTIONS,
                timeout_keep_alive=20,
                timeout_graceful_shutdown=3,
            )
        )

        async def run() -> None:
            running = asyncio.create_task(server.serve(sockets=[listener]))
            while not server.started and not running.done():
                await asyncio.sleep(0.05)
            if server.started:
                ready(options)
            await running

        asyncio.run(run())


def _locked(folder: Path) -> FileLock:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = take_lock(folder / "server.lock")
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be written ({error}). Choose another --folder."
        ) from error
    if lock is None:
        raise InputError(
            f"{folder}: another roadgis serve uses this folder. Stop it, or choose another "
            "--folder."
        )
    return lock


def _bound(options: WebOptions) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in options.host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((options.host, options.port))
    except (OSError, UnicodeError) as error:
        listener.close()
        raise InputError(
            f"Cannot serve on {options.host}, port {options.port} ({error}). Choose another "
            "--port (0 takes a free one), or a --host that this machine has."
        ) from error
    return listener
