"""What the headers of a request mean here, and which ones are let in."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
from collections.abc import Container
from urllib.parse import unquote, urlsplit

__all__ = ["byte_range", "content_policy", "display_name", "is_local", "is_own_host"]


def is_local(host: str) -> bool:
    """Whether an address is reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Read a ``Range`` header (RFC 9110, section 14).

    Parameters
    ----------
    header : str or None
        As sent.
    size : int
        Of the file, bytes.

    Returns
    -------
    tuple of int or None
        First byte and the one after the last; None when the whole file is to be sent: no header,
        several ranges, or something else than bytes.

    Raises
    ------
    ValueError
        If no byte of the file is in the range.
    """
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", (header or "").strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        start, stop = max(size - int(last), 0), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    if start >= stop:
        raise ValueError(f"bytes {start}- of {size}")
    return start, stop


def is_own_host(header: str | None, names: Container[str]) -> bool:
    """Whether a ``Host`` header names this server.

    With DNS rebinding a foreign page reaches this server under its own name. Addresses cannot
    be rebound, so they are all let in: which ones lead here is not always known.

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


def content_policy(page: str) -> str:
    """Return a Content-Security-Policy: the page's own script and style, nothing from elsewhere.

    Parameters
    ----------
    page : str
        HTML with one ``<script>`` and one ``<style>``, which are allowed by their hashes.
    """

    def hashed(tag: str) -> str:
        match = re.search(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        text = match.group(1) if match else ""
        digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
        return f"'sha256-{digest}'"

    return (
        f"default-src 'none'; script-src {hashed('script')}; style-src {hashed('style')}; "
        "img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def display_name(header: str) -> str:
    """Return the last part of a file's name, printable and of bounded length."""
    name = re.split(r"[/\\]", unquote(header))[-1]
    printable = "".join(letter for letter in name if letter.isprintable()).strip()
    return printable[:120] or "video"
