"""Settings of the map page: address, folders and limits."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from roadgis.errors import InputError
from roadgis.options.option import Option, setting

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class BaseMap:
    """A map of others, loaded by the browser from the internet.

    Attributes
    ----------
    url : str
        Leaflet's template of its tiles.
    origin : str
        Sources of images that the content security policy allows.
    attribution : str
        Shown on the map.
    """

    url: str
    origin: str
    attribution: str


#: Base maps by name; none is loaded unless it is asked for.
BASE_MAPS = {
    "osm": BaseMap(
        "https://tile.openstreetmap.org/{z}/{x}/{y}.png",
        "https://tile.openstreetmap.org",
        "© OpenStreetMap contributors",
    ),
}


def is_local(host: str) -> bool:
    """Return whether an address is reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class UrlParts(NamedTuple):
    """What decides whether a URL is allowed."""

    scheme: str
    host: str
    port: int
    path: str

    def contains(self, other: UrlParts) -> bool:
        """Return whether another URL is this one, or lies below its path."""
        below = self.path if self.path.endswith("/") else f"{self.path}/"
        return self[:3] == other[:3] and (other.path == self.path or other.path.startswith(below))


def url_parts(url: str) -> UrlParts:
    """Return the parts of a URL that every program reads in the same way.

    Raises
    ------
    ValueError
        If it is not an http or https URL, or it has a user name, a backslash, a character that
        is not printable ASCII, or a path with ``..`` or an encoded slash.
    """
    parts = urlsplit(url)
    port = _PORTS.get(parts.scheme) if parts.port is None else parts.port
    path = parts.path or "/"
    plain = unquote(unquote(path))
    if (
        port is None
        or parts.scheme not in _PORTS
        or not parts.hostname
        or "@" in parts.netloc
        or not re.fullmatch(r"[!-\[\]-~]+", url)
        or {".", ".."} & set(re.split(r"[/\\]", plain))
        or re.search(r"%(25)*(2f|5c)", path, re.IGNORECASE)
    ):
        raise ValueError(f"{url!r} is not a plain URL")
    return UrlParts(parts.scheme, parts.hostname.rstrip("."), port, path)


@dataclass(frozen=True)
class WebOptions:
    """Settings of the map page.

    Attributes
    ----------
    folder : Path or None
        Where jobs and their files are kept.
    host : str
        Address to bind to.
    port : int
        0 takes a free one.
    token : str or None
        Token that browsers and programs must show; None for no access control.
    model : str or None
        Model for imagery; None is the bundled one.
    video_model : str or None
        Model for videos and pictures; None is the one for imagery.
    data_dirs : tuple of Path
        Folders of this machine whose imagery may be used without an upload.
    allow_urls : tuple of str
        URLs of imagery that may be used without an upload, or the beginnings of their paths.
    base_map : str or None
        A name in :data:`BASE_MAPS`; None loads nothing from the internet.
    max_mb : float
        Largest uploaded file, megabytes (10**6 bytes).
    max_files : int
        Most files of a job.
    max_mpx : float
        Largest imagery, decoded megapixels of all files of a job.
    max_waiting : int
        Most jobs that may be unfinished at a time.
    quota_mb : float
        Most that all jobs together may take on disk.
    keep_days : float
        Days for which ended jobs are kept.
    """

    folder: Path | None = setting(
        None,
        Option(
            "Folder of jobs and uploads, kept between runs.",
            flags=("--folder",),
            path=("out", "folder"),
            default_text="a folder of the user's",
        ),
    )
    host: str = setting(
        "127.0.0.1",
        Option("Address to serve on. Any but a local one requires the token.", flags=("--host",)),
    )
    port: int = setting(8000, Option("Port; 0 selects a free one.", low=0, high=65535))
    token: str | None = setting(
        None,
        Option(
            "Token that browsers and programs must show, also in ROADGIS_TOKEN.",
            metavar="TEXT",
            default_text="none on a local address, else random and printed",
        ),
    )
    model: str | None = setting(
        None,
        Option(
            "Model for imagery: file, folder of a training run or name of a model.",
            "model",
            ("-m", "--model"),
            path=("in", "model"),
            default_text="the bundled model",
        ),
    )
    video_model: str | None = setting(
        None,
        Option(
            "Model for videos and photographs.",
            "model",
            path=("in", "model"),
            default_text="the model for imagery",
        ),
    )
    data_dirs: tuple[Path, ...] = setting(
        (),
        Option(
            "Folder whose imagery may be used without an upload; may be repeated.",
            flags=("--data-dir", "data_dirs"),
            path=("in", "folder"),
            repeat=True,
        ),
    )
    allow_urls: tuple[str, ...] = setting(
        (),
        Option(
            "URL below which the server may fetch imagery, such as https://example.org/ortho; may "
            "be repeated.",
            flags=("--allow-url", "allow_urls"),
            metavar="URL",
            repeat=True,
        ),
    )
    base_map: str | None = setting(
        None,
        Option(
            "Map below the imagery, loaded by browsers from the internet.",
            choices=("osm",),
            default_text="none",
        ),
    )
    max_mb: float = setting(
        4000.0, Option("Maximum size of a file.", unit="MB", low=0, low_open=True)
    )
    max_files: int = setting(200, Option("Maximum number of files of a job.", metavar="N", low=1))
    max_mpx: float = setting(
        2000.0,
        Option("Maximum size of a job's imagery, megapixels.", metavar="N", low=0, low_open=True),
    )
    max_waiting: int = setting(
        8, Option("Maximum number of jobs that wait or run.", metavar="N", low=1)
    )
    quota_mb: float = setting(
        50_000.0,
        Option("Maximum disk space of all jobs together.", unit="MB", low=0, low_open=True),
    )
    keep_days: float = setting(
        30.0, Option("Days after which jobs are removed.", metavar="DAYS", low=0, low_open=True)
    )

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise InputError(f"port is {self.port}, expected 0 to 65535.")
        for name in ("max_mb", "max_files", "max_mpx", "max_waiting", "quota_mb", "keep_days"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} is {getattr(self, name)}, expected more than 0.")
        if not is_local(self.host) and not self.token:
            raise InputError(f"{self.host} is reached from other machines: a token is required.")
        for folder in self.data_dirs:
            if not folder.is_dir():
                raise InputError(f"{folder}: is not a folder. Correct --data-dir.")
        for url in self.allow_urls:
            try:
                parts = url_parts(url)
            except ValueError:
                parts = None
            if parts is None or "?" in url or "#" in url:
                raise InputError(
                    f"{url}: cannot be used with --allow-url. Expected a URL such as "
                    "https://example.org/ortho, without a user name or query."
                )
        if self.base_map is not None and self.base_map not in BASE_MAPS:
            raise InputError(
                f"base map {self.base_map!r} is not known. Choose one of: {', '.join(BASE_MAPS)}."
            )

    @property
    def root(self) -> Path:
        """The folder; it has to be given."""
        if self.folder is None:
            raise InputError("folder is not given, expected where jobs are kept.")
        return self.folder
