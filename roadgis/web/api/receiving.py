"""Files that arrive as the body of a request or from a URL, within the limits."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import http.client
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote

from fastapi import Request
from starlette.requests import ClientDisconnect

from roadgis._version import __version__
from roadgis.options.web import url_parts
from roadgis.web.api.context import Context
from roadgis.web.api.uploads import UploadError, check_content, check_free, printable

__all__ = ["allowed_url", "is_url", "receive_body", "receive_url"]

#: Seconds without data after which an upload is aborted, and a download.
_SILENCE_S, _FETCH_SILENCE_S = 60.0, 20.0
_CHUNK_BYTES = 1 << 18


def is_url(given: str) -> bool:
    """Return whether an input is a URL, not a path."""
    return given.strip().lower().startswith(("http://", "https://"))


def allowed_url(given: str, allowed: Sequence[str]) -> tuple[str, str]:
    """Return a URL that may be fetched, and the name of its file.

    Parameters
    ----------
    given : str
        What a user entered.
    allowed : sequence of str
        URLs that the server's options allow, with all that lies below them.

    Raises
    ------
    UploadError
        If it is not one of them.
    """
    url = given.strip().partition("#")[0]
    try:
        parts = url_parts(url)
    except ValueError:
        raise UploadError(
            422,
            f"{printable(url)}: cannot be used. Expected a URL of printable ASCII characters "
            "without a user name, '..' or encoded slashes.",
        ) from None
    if not any(url_parts(prefix).contains(parts) for prefix in allowed):
        raise UploadError(
            403,
            "The server may not fetch this URL. Its operator can allow it: --allow-url URL.",
        )
    return url, unquote(parts.path.rpartition("/")[2])


async def receive_body(context: Context, request: Request, path: Path, kind: str) -> int:
    """Write the body of a request to a file, within the limits, and return its size."""
    text = request.headers.get("content-length", "0")

    async def chunks() -> AsyncIterator[bytes]:
        stream = request.stream()
        while True:
            try:
                chunk = await asyncio.wait_for(anext(stream, None), _SILENCE_S)
            except asyncio.TimeoutError:
                raise UploadError(408, f"{path.name}: the upload stalled.") from None
            except ClientDisconnect:
                # Nobody hears this, but an error that is not caught fills the log.
                raise UploadError(400, f"{path.name}: the upload was cut off.") from None
            if chunk is None:
                return
            yield chunk

    announced = int(text) if text.isdecimal() else 0
    return await _receive(context, chunks(), announced, path, kind)


async def receive_url(
    context: Context, url: str, path: Path, kind: str, heard: Callable[[int, int], None]
) -> int:
    """Write what a URL gives to a file, within the limits, and return its size.

    Redirects are not followed: they could lead to hosts that are not allowed.

    Parameters
    ----------
    context : Context
        The server's limits.
    url : str
        See :func:`allowed_url`.
    path : Path
        The file that is written.
    kind : str
        Kind of job.
    heard : callable
        Called with the bytes received and announced after each part; it may raise.
    """
    async with context.fetches:
        answer = await asyncio.to_thread(_opened, url, path.name)
        text = answer.headers.get("Content-Length") or "0"
        announced = int(text) if text.isdecimal() else 0

        async def chunks() -> AsyncIterator[bytes]:
            received = 0
            try:
                while chunk := await asyncio.to_thread(answer.read1, _CHUNK_BYTES):
                    received += len(chunk)
                    heard(received, announced)
                    yield chunk
            except (OSError, http.client.HTTPException):
                raise UploadError(400, f"{path.name}: the download was cut off.") from None
            if received < announced:
                raise UploadError(400, f"{path.name}: the download was cut off.")

        with contextlib.closing(answer):
            return await _receive(context, chunks(), announced, path, kind)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Let a redirect end as the error that its status is."""


def _opened(url: str, name: str) -> Any:
    """Return the answer to a request."""

    def failed(why: str) -> NoReturn:
        raise UploadError(400, f"{name}: cannot be fetched. {why}") from None

    headers = {"Accept-Encoding": "identity", "User-Agent": f"roadgis/{__version__}"}
    request = urllib.request.Request(url, headers=headers)
    try:
        return urllib.request.build_opener(_NoRedirect).open(request, timeout=_FETCH_SILENCE_S)
    except urllib.error.HTTPError as error:
        error.close()
        if 300 <= error.code < 400:
            failed("The URL redirects to another one; enter that one.")
        failed(f"The other server answered with status {error.code}.")
    except (OSError, http.client.HTTPException, UnicodeError):
        failed("The other server does not answer.")


async def _receive(
    context: Context, chunks: AsyncIterator[bytes], announced: int, path: Path, kind: str
) -> int:
    limit = context.options.max_mb * 1e6
    too_large = UploadError(
        413,
        f"{path.name}: more than {limit / 1e6:g} MB. Send a smaller file, or start the server "
        "with a larger --max-mb.",
    )
    if announced > limit:
        raise too_large
    await asyncio.to_thread(check_free, context.root, announced, context.options.quota_mb * 1e6)
    partial = path.with_name(f".{path.name}.part")
    size = 0
    try:
        with partial.open("wb") as file:
            async for chunk in chunks:
                size += len(chunk)
                if size > limit:
                    raise too_large
                await asyncio.to_thread(file.write, chunk)
        await asyncio.to_thread(partial.replace, path)
        await asyncio.to_thread(check_content, path, kind)
    except OSError as error:
        path.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UploadError(
                507, "The server's disk is full. Free some space, or delete old jobs."
            ) from error
        raise
    except UploadError:
        path.unlink(missing_ok=True)
        raise
    finally:
        partial.unlink(missing_ok=True)
    return size
