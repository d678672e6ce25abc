"""The web page and its JSON API over HTTP, for one user on this machine."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urlsplit

from roadgis._version import __version__
from roadgis.errors import InputError
from roadgis.model.card import ModelCard
from roadgis.model.runtime import Segmenter
from roadgis.options.video import VideoOptions
from roadgis.photos.frame_labels import drawn_classes
from roadgis.photos.palette import class_colours, hex_colour
from roadgis.serve.http_rules import byte_range, content_policy, display_name, is_own_host
from roadgis.serve.jobs import Jobs, JobStatus, QueueFullError

__all__ = ["NAME_HEADER", "ServeOptions", "Server", "open_server"]

logger = logging.getLogger(__name__)

#: The uploaded file's name, percent-encoded UTF-8. Pages of other origins cannot set it without
#: being asked first (CORS), and we never agree; so it keeps their forms out too.
NAME_HEADER = "X-File-Name"
_CHUNK = 1 << 20
# How much of a refused upload is still read, so that the browser gets to see the answer.
_DRAIN_BYTES = 64 << 20
_DRAIN_S = 5.0
_JOB_URL = re.compile(r"^/jobs/([A-Za-z0-9_-]{1,64})(/result)?$")
_TYPES = {".webm": "video/webm", ".png": "image/png"}


@dataclass(frozen=True)
class ServeOptions:
    """Where and how the page is served.

    Attributes
    ----------
    host : str
        Address to bind to.
    port : int
        0 takes a free one.
    max_mb : float
        Largest upload, megabytes (10**6 bytes).
    keep_s : float
        Seconds for which ended jobs are kept.
    video : VideoOptions
        How videos are drawn.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    max_mb: float = 500.0
    keep_s: float = 3600.0
    video: VideoOptions = field(default_factory=VideoOptions)

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise InputError(f"port is {self.port}, expected 0 to 65535.")
        if not self.max_mb > 0:
            raise InputError(f"max_mb is {self.max_mb}, expected more than 0.")


@contextlib.contextmanager
def open_server(segmenter: Segmenter, options: ServeOptions | None = None) -> Iterator[Server]:
    """Bind the server; the block calls ``serve_forever``.

    Parameters
    ----------
    segmenter : Segmenter
        The model.
    options : ServeOptions, optional
        Default: ``ServeOptions()``.

    Yields
    ------
    Server
        When the block ends all jobs are stopped and their files removed.

    Raises
    ------
    InputError
        If the address cannot be bound.
    OutputError
        If OpenCV can write no .webm here.
    MissingExtraError
        If OpenCV is not installed.
    """
    options = options or ServeOptions()
    with Jobs(segmenter, options=options.video, keep_s=options.keep_s) as jobs:
        try:
            server = Server(segmenter.card, jobs, options)
        except (OSError, UnicodeError) as error:
            raise InputError(
                f"Cannot serve on {options.host}, port {options.port} ({error}). Choose another "
                "--port (0 takes a free one), or a --host that this machine has."
            ) from error
        try:
            yield server
        finally:
            server.server_close()


class Server(ThreadingHTTPServer):
    """Holds what all requests share.

    Parameters
    ----------
    card : ModelCard
        Of the model.
    jobs : Jobs
        Work and files.
    options : ServeOptions
        Where to bind, and limits.

    Attributes
    ----------
    url : str
        Of the page.
    page, policy : bytes, str
        The page, and what it may load.
    about : dict
        The model's name and classes, for the page.
    host_names : set of str
        Under which it may be called.
    """

    daemon_threads = True
    block_on_close = False  # a browser's idle connection must not hold the program

    def __init__(self, card: ModelCard, jobs: Jobs, options: ServeOptions) -> None:
        if ":" in options.host:
            self.address_family = socket.AF_INET6
        super().__init__((options.host, options.port), _Handler)
        self.jobs = jobs
        self.max_bytes = int(options.max_mb * 1e6)
        self.page = Path(__file__).with_name("page.html").read_bytes()
        self.policy = content_policy(self.page.decode("utf-8"))
        colours = class_colours(len(drawn_classes(card)))
        self.about = {
            "name": card.name,
            "version": card.version,
            "roadgis": __version__,
            "max_bytes": self.max_bytes,
            "classes": [
                {"name": name, "colour": None if index == 0 else hex_colour(colours[index])}
                for index, name in enumerate(drawn_classes(card))
            ],
        }
        self.host_names = {"localhost", options.host.lower(), socket.gethostname().lower()}
        host = f"[{options.host}]" if ":" in options.host else options.host
        self.url = f"http://{host}:{self.server_address[1]}/"

    def service_actions(self) -> None:
        """Forget old jobs; called twice a second by ``serve_forever``."""
        self.jobs.expire()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = f"roadgis/{__version__}"
    sys_version = ""
    timeout = 60.0
    server: Server

    def do_GET(self) -> None:
        self._answer("GET")

    def do_HEAD(self) -> None:
        self._answer("HEAD")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def log_message(self, format: str, *args: Any) -> None:
        logger.info("%s %s", self.address_string(), format % args)

    def _answer(self, method: str) -> None:
        try:
            self._route(method)
        except (ConnectionError, TimeoutError) as error:
            # The browser went away or fell silent: nobody is left to answer.
            logger.info("connection lost: %s", error)
            self.close_connection = True

    def _route(self, method: str) -> None:
        if not is_own_host(self.headers.get("Host"), self.server.host_names):
            self._refuse(
                HTTPStatus.FORBIDDEN,
                "This server answers to localhost and IP addresses only. Open it under the "
                "address that it printed.",
            )
            return
        origin = self.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != self.headers.get("Host"):
            self._refuse(HTTPStatus.FORBIDDEN, "Requests from other web pages are not taken.")
            return
        path = urlsplit(self.path).path
        match = _JOB_URL.match(path)
        read = method in ("GET", "HEAD")
        if path == "/" and read:
            self._send_page()
        elif path == "/model" and read:
            self._send_json(HTTPStatus.OK, self.server.about)
        elif path == "/jobs" and method == "POST":
            self._take_upload()
        elif match and match.group(2) and read:
            self._send_result(match.group(1))
        elif match and not match.group(2) and (read or method == "DELETE"):
            jobs = self.server.jobs
            identifier = match.group(1)
            self._send_job(jobs.status(identifier) if read else jobs.cancel(identifier))
        elif path in ("/", "/model", "/jobs") or match:
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, f"{method} is not possible here.")
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "There is no such page.")

    def _begin(self, status: HTTPStatus, kind: str, length: int, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def _send_page(self) -> None:
        page = self.server.page
        policy = self.server.policy
        kind = "text/html; charset=utf-8"
        self._begin(HTTPStatus.OK, kind, len(page), Content_Security_Policy=policy)
        if self.command != "HEAD":
            self.wfile.write(page)

    def _send_json(self, status: HTTPStatus, content: Any, **headers: str) -> None:
        body = json.dumps(content, ensure_ascii=False).encode("utf-8")
        self._begin(status, "application/json; charset=utf-8", len(body), **headers)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_job(self, status: JobStatus | None) -> None:
        if status is None:
            self._refuse(HTTPStatus.NOT_FOUND, "There is no such job; it may have expired.")
        else:
            self._send_json(HTTPStatus.OK, asdict(status))

    def _refuse(self, status: HTTPStatus, text: str, **headers: str) -> None:
        """Answer with an error; a body that was sent is read on for a while."""
        left = self._content_length() or 0
        if left or "Transfer-Encoding" in self.headers:
            self.close_connection = True
        self._send_json(status, {"error": text}, **headers)
        if left:
            self._drain(left)

    def _drain(self, left: int) -> None:
        self.wfile.flush()
        left = min(left, _DRAIN_BYTES)
        end = time.monotonic() + _DRAIN_S
        self.connection.settimeout(_DRAIN_S)
        while left > 0 and time.monotonic() < end:
            chunk = self.rfile.read1(min(left, _CHUNK))
            if not chunk:
                return
            left -= len(chunk)

    def _content_length(self) -> int | None:
        text = self.headers.get("Content-Length", "")
        return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None

    def _take_upload(self) -> None:
        length = self._content_length()
        name = self.headers.get(NAME_HEADER)
        limit = self.server.max_bytes
        if length is None or "Transfer-Encoding" in self.headers:
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "Send the file with its Content-Length.")
        elif name is None:
            self._refuse(HTTPStatus.BAD_REQUEST, f"Send the file's name in {NAME_HEADER}.")
        elif length == 0:
            self._refuse(HTTPStatus.BAD_REQUEST, "The file is empty; choose a video.")
        elif length > limit:
            self._refuse(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"The file has {length / 1e6:.1f} MB, more than {limit / 1e6:g} MB. Choose a "
                "shorter video, or start the server with a larger --max-mb.",
            )
        else:
            self._store(length, display_name(name))

    def _store(self, length: int, name: str) -> None:
        jobs = self.server.jobs
        try:
            folder = jobs.reserve()
        except QueueFullError as error:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, str(error), Retry_After="30")
            return
        complete = False
        left = length
        try:
            with (folder / "upload").open("wb") as file:
                while left > 0:
                    chunk = self.rfile.read(min(left, _CHUNK))
                    if not chunk:
                        self.close_connection = True
                        return
                    left -= len(chunk)
                    file.write(chunk)
            complete = True
        except (ConnectionError, TimeoutError):
            raise
        except OSError as error:
            logger.error("an upload could not be stored: %s", error)
            self._refuse(
                HTTPStatus.INSUFFICIENT_STORAGE, "The server's disk is full; free some space."
            )
            return
        finally:
            if not complete:
                jobs.discard(folder)
        status = jobs.add(folder, name)
        self._send_json(HTTPStatus.CREATED, asdict(status), Location=f"/jobs/{status.id}")

    def _send_result(self, identifier: str) -> None:
        found = self.server.jobs.result(identifier)
        try:
            file = found[1].open("rb") if found else None
        except FileNotFoundError:
            file = None  # removed a moment ago
        if found is None or file is None:
            self._refuse(HTTPStatus.NOT_FOUND, "There is no result, or it has expired.")
            return
        status, path = found
        with file:
            self._send_file(file, path, status)

    def _send_file(self, file: BinaryIO, path: Path, status: JobStatus) -> None:
        size = path.stat().st_size
        headers = {"Accept_Ranges": "bytes"}
        try:
            wanted = byte_range(self.headers.get("Range"), size)
        except ValueError:
            self._refuse(
                HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
                f"The result has {size} bytes only.",
                Content_Range=f"bytes */{size}",
            )
            return
        start, stop = wanted or (0, size)
        if wanted:
            headers["Content_Range"] = f"bytes {start}-{stop - 1}/{size}"
        stem = quote(f"{Path(status.name).stem or 'video'}-segmented{path.suffix}", safe="")
        headers["Content_Disposition"] = f"inline; filename*=UTF-8''{stem}"
        code = HTTPStatus.PARTIAL_CONTENT if wanted else HTTPStatus.OK
        self._begin(code, _TYPES[path.suffix], stop - start, **headers)
        if self.command == "HEAD":
            return
        file.seek(start)
        left = stop - start
        while left > 0 and (chunk := file.read(min(left, _CHUNK))):
            self.wfile.write(chunk)
            left -= len(chunk)
