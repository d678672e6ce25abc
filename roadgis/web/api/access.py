"""Access control: host names, origins, the token and the content security policy."""

from __future__ import annotations

import hmac
import ipaddress
import json
from collections.abc import Container
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from roadgis.options.web import BASE_MAPS

#: The cookie that holds the token in a browser.
COOKIE = "roadgis_token"
#: Paths that need no token: the login page and its parts.
_OPEN = ("/login", "/static/app.css", "/static/login.js", "/static/icon.svg")
#: Largest body of a request that is not an upload, bytes.
_BODY_BYTES = 1_000_000


def is_own_host(header: str | None, names: Container[str]) -> bool:
    """Return whether a ``Host`` header names this server.

    With DNS rebinding a foreign page reaches this server under its own name. Addresses cannot
    be rebound, so all are accepted: which of them lead here is not always known.

    Parameters
    ----------
    header : str or None
        As sent; its port does not count, as a tunnel may have another.
    names : container of str
        Host names of this server, in small letters.
    """
    try:
        name = urlsplit(f"//{header}").hostname if header else None
    except ValueError:
        return False
    if name is None:
        return False
    if name in names:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def content_policy(base_map: str | None) -> str:
    """Return the Content-Security-Policy: nothing from elsewhere but a base map's images."""
    images = "'self' blob: data:" + (f" {BASE_MAPS[base_map].origin}" if base_map else "")
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src {images}; "
        "media-src 'self' blob:; connect-src 'self'; font-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )


def same_token(given: str | None, wanted: str) -> bool:
    """Return whether a token is the right one, in a time that does not depend on it."""
    return given is not None and hmac.compare_digest(given.encode(), wanted.encode())


class Access:
    """ASGI middleware that rejects foreign requests and sets the security headers.

    Parameters
    ----------
    app : ASGIApp
        The protected application.
    host_names : container of str
        Names under which the server may be called.
    token : str or None
        The required token; None requires none.
    policy : str
        The Content-Security-Policy.
    """

    def __init__(
        self, app: ASGIApp, host_names: Container[str], token: str | None, policy: str
    ) -> None:
        self._app, self._names, self._token, self._policy = app, host_names, token, policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or reject it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refused = self._refusal(scope["path"], scope["method"], headers)

        async def protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                out = MutableHeaders(scope=message)
                out["Content-Security-Policy"] = self._policy
                out["X-Content-Type-Options"] = "nosniff"
                out["Referrer-Policy"] = "no-referrer"
                out["Cross-Origin-Resource-Policy"] = "same-origin"
                out["Cross-Origin-Opener-Policy"] = "same-origin"
                out.setdefault("Cache-Control", "no-store")
            await send(message)

        if refused is None:
            await self._app(scope, receive, protected)
        else:
            await _refuse(protected, *refused)

    def _refusal(self, path: str, method: str, headers: Headers) -> tuple[int, str] | None:
        if not is_own_host(headers.get("host"), self._names):
            return 403, (
                "This server accepts its own host names and IP addresses only. Open the address "
                "that it printed."
            )
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != headers.get("host"):
            return 403, "Requests from other web pages are rejected."
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and method != "GET":
            return 403, "Requests from other web pages are rejected."
        if method != "PUT" and not _is_small(headers):
            return 413, f"The request has more than {_BODY_BYTES:,} bytes."
        if self._token is None or path in _OPEN:
            return None
        if same_token(_shown_token(headers), self._token):
            return None
        if path == "/" and method in ("GET", "HEAD"):
            return 303, "/login"
        return 401, "Send the token that the server printed: Authorization: Bearer TOKEN."


def _is_small(headers: Headers) -> bool:
    length = headers.get("content-length")
    if length is None:
        return "transfer-encoding" not in headers
    return length.isdecimal() and int(length) <= _BODY_BYTES


def _shown_token(headers: Headers) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return cookie.value if cookie else None


async def _refuse(send: Any, status: int, text: str) -> None:
    headers = [(b"content-type", b"application/json")]
    body = json.dumps({"detail": text}).encode()
    if status == 303:
        headers, body = [(b"location", text.encode())], b""
    headers.append((b"content-length", str(len(body)).encode()))
    if status in (403, 413):
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
