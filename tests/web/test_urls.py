"""Imagery that the server downloads from URLs allowed by its operator."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")

from roadgis.errors import InputError
from roadgis.options.web import WebOptions, url_parts
from roadgis.web.api.receiving import allowed_url
from roadgis.web.api.uploads import UploadError
from tests.web.conftest import TOWN, Server

ALLOWED = ("https://maps.example/ortho", "http://10.0.0.7:8080/")


class Elsewhere(BaseHTTPRequestHandler):
    """Another server: a scene, and failing responses."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        name = self.path.partition("?")[0].rpartition("/")[2]
        data = TOWN.read_bytes()
        if name == "moved.tif":
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{self.server.server_port}/secret.tif")
            self.end_headers()
            return
        if name == "gone.tif":
            self.send_error(404)
            return
        self.send_response(200)
        if name != "unsized.tif":
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if name == "page.tif":
            data = b"<html>" + data[6:]
        self.wfile.write(data[: len(data) // 2] if name == "cut.tif" else data)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """Return the URL of another server, and the paths requested from it."""
    asked: list[str] = []
    handler = type("Handler", (Elsewhere,), {"asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{other.server_port}", asked
        other.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def fetching(
    tmp_path_factory: pytest.TempPathFactory, elsewhere: tuple[str, list[str]]
) -> Iterator[Server]:
    """Return a server that may download URLs below a path of the other one."""
    folder = tmp_path_factory.mktemp("serve")
    running = Server(folder, "--allow-url", f"{elsewhere[0]}/ortho", "--max-mb", "20")
    yield running
    running.stop()


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://maps.example/ortho/a.tif", "a.tif"),
        ("https://maps.example/ortho", "ortho"),
        (" HTTPS://MAPS.example:443/ortho/2024/a%20b.tif?key=x#y ", "a b.tif"),
        ("http://10.0.0.7:8080/any/a.tif", "a.tif"),
    ],
)
def test_allowed_url_accepts_urls_below_a_prefix(url: str, name: str) -> None:
    assert allowed_url(url, ALLOWED)[1] == name


@pytest.mark.parametrize(
    "url",
    [
        "http://maps.example/ortho/a.tif",
        "https://maps.example:8443/ortho/a.tif",
        "https://maps.example.evil/ortho/a.tif",
        "https://evil.example/ortho/a.tif",
        "https://maps.example/orthophotos/a.tif",
        "https://maps.example/Ortho/a.tif",
        "http://169.254.169.254/latest/meta-data/a.tif",
        "http://10.0.0.7/a.tif",
    ],
)
def test_allowed_url_rejects_others(url: str) -> None:
    with pytest.raises(UploadError, match="--allow-url") as caught:
        allowed_url(url, ALLOWED)
    assert caught.value.status == 403


@pytest.mark.parametrize(
    "url",
    [
        "https://maps.example/ortho/../a.tif",
        "https://maps.example/ortho/%2e%2E/a.tif",
        "https://maps.example/ortho/%252e%252e/a.tif",
        "https://maps.example/ortho/..%2fa.tif",
        "https://maps.example/ortho/x%255ca.tif",
        "https://maps.example\\@evil.example/ortho/a.tif",
        "https://maps.example@evil.example/ortho/a.tif",
        "https://user:pass@maps.example/ortho/a.tif",
        "https://maps.example/ortho/a b.tif",
        "https://maps.example/ortho/a\r\nHost:x.tif",
        "https://maps.example:99999/ortho/a.tif",
        "https://[maps.example/ortho/a.tif",
        "https:///ortho/a.tif",
        "https://m\u00e4ps.example/ortho/a.tif",
    ],
)
def test_allowed_url_rejects_ambiguous_urls(url: str) -> None:
    with pytest.raises(UploadError) as caught:
        allowed_url(url, ALLOWED)
    assert caught.value.status == 422


@pytest.mark.parametrize(
    "prefix", ["ftp://a.example/", "a.example", "https://u@a.example/", "https://a.example/?x=1"]
)
def test_allow_url_needs_a_plain_url(tmp_path: Path, prefix: str) -> None:
    with pytest.raises(InputError, match="--allow-url"):
        WebOptions(folder=tmp_path, allow_urls=(prefix,))


def test_url_parts_have_the_port_of_the_scheme() -> None:
    assert url_parts("https://a.example") == ("https", "a.example", 443, "/")


def start(server: Server, *paths: str) -> Any:
    return server.request("POST", "/api/jobs", {"paths": list(paths)})


@pytest.mark.parametrize("name", ["town.tif", "2024/town.tif?key=password", "unsized.tif"])
def test_url_becomes_a_job(fetching: Server, elsewhere: tuple[str, list[str]], name: str) -> None:
    made = start(fetching, f"{elsewhere[0]}/ortho/{name}")
    assert made.status == 201, made.body
    job = fetching.wait_for(made.json["jobID"], "ready")
    file = name.partition("?")[0].rpartition("/")[2]
    assert (job["name"], job["files"]) == (file, [file])
    assert job["facts"]["size"]["mpx"] == 1.96
    assert "password" not in str(job)
    stored = fetching.folder / "jobs" / job["jobID"] / "inputs" / file
    assert stored.read_bytes() == TOWN.read_bytes()
    fetching.request("DELETE", f"/api/jobs/{job['jobID']}")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("moved.tif", "redirects to another one"),
        ("gone.tif", "status 404"),
        ("cut.tif", "cut off"),
        ("page.tif", "content does not match"),
    ],
)
def test_url_that_fails_gives_the_reason(
    fetching: Server, elsewhere: tuple[str, list[str]], name: str, text: str
) -> None:
    made = start(fetching, f"{elsewhere[0]}/ortho/{name}")
    job = fetching.wait_for(made.json["jobID"], "failed")
    assert text in job["message"]
    folder = fetching.folder / "jobs" / job["jobID"] / "inputs"
    assert list(folder.iterdir()) == []
    assert not any("secret" in path for path in elsewhere[1])
    fetching.request("DELETE", f"/api/jobs/{job['jobID']}")


@pytest.mark.parametrize("path", ["/secret.tif", "/ortho/../secret.tif", "/ortho2/secret.tif"])
def test_url_that_is_not_allowed_is_not_requested(
    fetching: Server, elsewhere: tuple[str, list[str]], path: str
) -> None:
    assert start(fetching, elsewhere[0] + path).status in (403, 422)
    assert not any("secret" in asked for asked in elsewhere[1])
    assert fetching.request("GET", "/api/jobs").json["jobs"] == []


def test_urls_with_equal_file_names_are_rejected(
    fetching: Server, elsewhere: tuple[str, list[str]]
) -> None:
    refused = start(fetching, f"{elsewhere[0]}/ortho/1/a.tif", f"{elsewhere[0]}/ortho/2/a.tif")
    assert refused.status == 422
    assert "two URLs have this file name" in refused.json["detail"]


def test_url_of_a_folder_is_rejected_by_its_url(
    fetching: Server, elsewhere: tuple[str, list[str]]
) -> None:
    url = f"{elsewhere[0]}/ortho/2024/"
    refused = start(fetching, url)
    assert refused.status == 415
    assert refused.json["detail"].startswith(f"{url}: unsupported file type. Expected one of: .tif")


def test_job_of_several_urls_is_named_after_the_first(
    fetching: Server, elsewhere: tuple[str, list[str]]
) -> None:
    urls = [f"{elsewhere[0]}/ortho/{name}.tif" for name in ("town", "gone")]
    job = start(fetching, *urls).json
    assert job["name"] == "town.tif and 1 more"
    fetching.wait_for(job["jobID"], "failed")
    fetching.request("DELETE", f"/api/jobs/{job['jobID']}")


def test_urls_are_off_by_default(server: Server) -> None:
    refused = start(server, "http://127.0.0.1:1/a.tif")
    assert refused.status == 403
    assert not server.request("GET", "/api/").json["allow_url"]
