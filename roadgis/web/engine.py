"""One run of the command line as a child process."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["ENVIRONMENT", "EngineError", "run_engine", "stop"]

logger = logging.getLogger(__name__)

_LINE_BYTES = 1 << 20
_KILL_AFTER_S = 5.0
#: The child ends with the server; no file can make GDAL fetch anything over the network.
ENVIRONMENT = {
    "ROADGIS_WATCH_STDIN": "1",
    "PYTHONUTF8": "1",
    "CPL_VSIL_CURL_ALLOWED_FILENAME": "none",
}


class EngineError(Exception):
    """A run failed; the text says why.

    Attributes
    ----------
    cancelled : bool
        Whether it was stopped on request.
    """

    def __init__(self, text: str, *, cancelled: bool = False) -> None:
        super().__init__(text)
        self.cancelled = cancelled


async def run_engine(
    arguments: Sequence[str],
    heard: Callable[[Mapping[str, Any]], None],
    started: Callable[[asyncio.subprocess.Process], None],
) -> dict[str, Any]:
    """Run a command to its end.

    Parameters
    ----------
    arguments : sequence of str
        The command and its arguments, without ``--progress``.
    heard : callable
        Called with each ``progress`` and ``log`` line.
    started : callable
        Called with the process, for :func:`stop`.

    Returns
    -------
    dict
        The ``result`` line.

    Raises
    ------
    EngineError
        If it failed, crashed or was stopped.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-X", "utf8", "-m", "roadgis"),
        *arguments,
        *("--progress", "jsonl"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **ENVIRONMENT},
        limit=_LINE_BYTES,
    )
    started(process)
    last: dict[str, Any] = {}
    tail: deque[str] = deque(maxlen=20)
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        errors = asyncio.create_task(_collect(process.stderr, tail))
        async for raw in process.stdout:
            line = _line(raw)
            if line.get("type") in ("progress", "log"):
                heard(line)
            elif line.get("type") in ("result", "error"):
                last = line
        await errors
        status = await process.wait()
    except BaseException:
        await stop(process)
        raise
    if status == 0 and last.get("type") == "result":
        return last
    if last.get("kind") == "Terminated":
        raise EngineError("cancelled", cancelled=True)
    if last.get("type") == "error":
        raise EngineError(str(last["text"]))
    logger.error("the engine ended with status %s: %s", status, "\n".join(tail))
    reason = "was killed, probably out of memory" if status < 0 else f"ended with {status}"
    raise EngineError(f"The engine {reason}. See the server's terminal.")


async def _collect(stream: asyncio.StreamReader, tail: deque[str]) -> None:
    while chunk := await stream.read(4096):
        tail.extend(chunk.decode("utf-8", "replace").splitlines())


def _line(raw: bytes) -> dict[str, Any]:
    try:
        line = json.loads(raw)
    except ValueError:
        return {}
    return line if isinstance(line, dict) else {}


async def stop(process: asyncio.subprocess.Process) -> None:
    """Stop a run; it has time to put its files in order."""
    if process.returncode is not None:
        return
    if process.stdin is not None:
        process.stdin.close()  # the engine stops when its stdin ends
    try:
        process.terminate()
        await asyncio.wait_for(process.wait(), _KILL_AFTER_S)
    except ProcessLookupError:
        pass
    except asyncio.TimeoutError:
        process.kill()
        await process.wait()
