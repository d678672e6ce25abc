"""Names of datasets: paths and URLs as GDAL opens them and as people read them."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

_NETWORKS = ("/vsicurl", "/vsis3", "/vsigs", "/vsiaz", "/vsiadls", "/vsioss", "/vsiswift")


def is_remote(name: str) -> bool:
    """Return whether GDAL reaches `name` over a network."""
    return "://" in name or name.startswith(_NETWORKS)


def gdal_path(name: str) -> str:
    """Return what GDAL opens for a path or URL."""
    return f"/vsicurl/{name}" if name.startswith(("http://", "https://")) else name


def display_name(name: str) -> str:
    """Return `name` without user, password and query, which may hold secrets."""
    if "://" not in name:
        return name
    prefix, curl, url = name.rpartition("/vsicurl/")
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return prefix + curl + urlunsplit((parts.scheme, host, parts.path, "", ""))


def driver_says(error: Exception) -> str:
    """Return a driver's message without its advice, which is for programmers."""
    return str(error).partition("; It might help to specify")[0].rstrip(".")
