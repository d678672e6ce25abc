"""A server process, small scenes, and a browser."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.factories.rasters import write_raster

TOWN = Path(__file__).resolve().parents[2] / "examples" / "town.tif"


class Answer:
    """A response: status, headers with lower-case names, body."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """``roadgis serve`` on a free port; `prefix` is put before its command line."""

    def __init__(self, folder: Path, *options: str, prefix: Sequence[str] = ()) -> None:
        self.folder, self.options, self.prefix = folder, options, prefix
        self.errors = folder.with_name(f"{folder.name}.errors.txt")
        self.token: str | None = None
        self.start()

    def start(self) -> None:
        with self.errors.open("a") as errors:
            self.process = subprocess.Popen(
                [*self.prefix, sys.executable, "-m", "roadgis", "serve", "--port", "0",
                 "--folder", str(self.folder), "--progress", "jsonl", *self.options],
                stdout=subprocess.PIPE, stderr=errors, text=True,
            )  # fmt: skip
        assert self.process.stdout is not None
        for text in self.process.stdout:
            line = json.loads(text)
            if line["type"] == "error":
                self.process.wait(60)
                self.process.stdout.close()
                raise AssertionError(line["text"])
            if line["type"] == "serving":
                self.url, self.token = line["url"], line["token"]
                break
        self.port = int(self.url.rstrip("/").rpartition(":")[2])
        self.wait(lambda: self._answers())

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            return self.request("GET", "/static/icon.svg").status in (200, 401)
        return False

    def stop(self, how: int = signal.SIGTERM) -> None:
        self.process.send_signal(how)
        self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        # Whatever clients do, the server logs no unexpected error.
        assert "Traceback" not in (said := self.errors.read_text()), said

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        timeout: float = 120,
    ) -> Answer:
        sent = dict(headers or {})
        if self.token and "Authorization" not in sent:
            sent["Authorization"] = f"Bearer {self.token}"
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        with contextlib.closing(
            http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        ) as connection:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, names, answer.read())

    @staticmethod
    def wait(condition: Callable[[], Any], seconds: float = 240) -> Any:
        """Return the value of a condition once it is true."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = condition()
            if found:
                return found
            time.sleep(0.2)
        raise AssertionError("nothing came of it in time")

    def job(self, identifier: str) -> Any:
        return self.request("GET", f"/api/jobs/{identifier}").json

    def wait_for(self, identifier: str, *states: str) -> Any:
        """Return a job once it is in one of the states."""

        def reached() -> Any:
            job = self.job(identifier)
            assert job["state"] != "failed" or "failed" in states, job
            return job if job["state"] in states else None

        return self.wait(reached)

    def upload(self, *paths: Path, kind: str = "roads", check: bool = True) -> str:
        """Upload files as a job and return its id."""
        made = self.request("POST", "/api/jobs", {"kind": kind})
        assert made.status == 201, made.body
        identifier = str(made.json["jobID"])
        for path in paths:
            sent = self.request(
                "PUT", f"/api/jobs/{identifier}/files/{quote(path.name)}", path.read_bytes()
            )
            assert sent.status == 201, sent.body
        if check:
            assert self.request("POST", f"/api/jobs/{identifier}/check").status == 202
        return identifier

    def run(self, *paths: Path, **settings: Any) -> Any:
        """Upload, run and return the finished job."""
        identifier = self.upload(*paths)
        self.wait_for(identifier, "ready")
        begun = self.request("POST", f"/api/jobs/{identifier}/execution", settings)
        assert begun.status == 202, begun.body
        return self.wait_for(identifier, "done")


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a part of the example, 640 by 640 pixels."""
    import rasterio
    from rasterio.windows import Window

    with rasterio.open(TOWN) as dataset:
        window = Window(300, 500, 640, 640)
        values, transform = dataset.read(window=window), dataset.window_transform(window)
        path = tmp_path_factory.mktemp("scene") / "town <b>.tif"
        return write_raster(path, values, crs=dataset.crs.to_string(), transform=transform)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a server shared by all tests of a process."""
    pytest.importorskip("fastapi")
    running = Server(tmp_path_factory.mktemp("serve"))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def done(server: Server, town: Path) -> Any:
    """Return a finished job."""
    return server.run(town)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Return a headless Chromium."""
    api = pytest.importorskip("playwright.sync_api")
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("ROADGIS_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip("no Chromium: apt-get install chromium, or name one in ROADGIS_CHROMIUM")
    with api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield running
        running.close()
