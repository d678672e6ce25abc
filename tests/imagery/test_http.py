"""Imagery over HTTP with range requests, from working and from failing servers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from roadgis.errors import ReadError
from roadgis.imagery.scene import open_scene
from tests.factories.rasters import texture, write_raster


class RangeServer(ThreadingHTTPServer):
    """Serves byte ranges of one file; fails beyond a given byte."""

    daemon_threads = True
    data = b""
    etag = '"1"'
    fails_from: int | None = None
    sent = 0
    paths: set[str]


class Handler(BaseHTTPRequestHandler):
    server: RangeServer

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        server = self.server
        server.paths.add(self.path)
        if not self.path.startswith("/scene"):
            self.send_error(404)
            return
        first, last = 0, len(server.data) - 1
        asked = self.headers.get("Range")
        if asked:
            start, _, end = asked.removeprefix("bytes=").partition("-")
            first, last = int(start), min(int(end or last), last)
        if body and server.fails_from is not None and last >= server.fails_from:
            self.send_error(404, "gone")
            return
        part = server.data[first : last + 1]
        self.send_response(206 if asked else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", server.etag)
        self.send_header("Content-Length", str(len(part)))
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(server.data)}")
        self.end_headers()
        if body:
            server.sent += len(part)
            self.wfile.write(part)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@pytest.fixture
def server() -> Iterator[RangeServer]:
    server = RangeServer(("127.0.0.1", 0), Handler)
    server.paths = set()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def url(server: RangeServer) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/scene.tif"


def cog(folder: Path, pixel: float = 1.0) -> Path:
    return write_raster(
        folder / "a.tif", texture(1024, 1024), pixel=pixel, driver="COG", blocksize=128,
        overview_resampling="average",
    )  # fmt: skip


def test_open_scene_over_http_reads_the_pixels_of_the_file_and_only_the_bytes_needed(
    tmp_path: Path, server: RangeServer
) -> None:
    path = cog(tmp_path)
    server.data = path.read_bytes()
    with open_scene(url(server), gsd_m=1.0) as remote, open_scene(path, gsd_m=1.0) as local:
        corner = local.grid.window.__class__(0, 0, 200, 200)
        np.testing.assert_array_equal(remote.read(corner)[0], local.read(corner)[0])
        assert server.sent < len(server.data) / 3
        np.testing.assert_array_equal(
            remote.read(remote.grid.window)[0], local.read(local.grid.window)[0]
        )
        assert remote.inputs == (url(server),)
        assert remote.grid == local.grid
    # GDAL 3.12 and later requests an attribute table, whatever the setting for folders.
    assert server.paths - {"/scene.tif.vat.dbf"} == {"/scene.tif"}, "sidecar files were looked for"


def test_open_scene_over_http_reads_overviews(tmp_path: Path, server: RangeServer) -> None:
    server.data = cog(tmp_path, pixel=0.25).read_bytes()
    with open_scene(url(server), gsd_m=1.0) as scene:
        assert scene.read(scene.grid.window)[1].sum() == 256 * 256
    assert server.sent < len(server.data) / 3


def test_fingerprint_changes_with_the_file_on_the_server(
    tmp_path: Path, server: RangeServer
) -> None:
    server.data = cog(tmp_path).read_bytes()
    prints = []
    for etag in ('"1"', '"1"', '"2"'):
        server.etag = etag
        with open_scene(url(server), gsd_m=1.0) as scene:
            prints.append(scene.fingerprint)
    assert prints[0] == prints[1] != prints[2]


def test_read_error_over_http_names_url_and_window(tmp_path: Path, server: RangeServer) -> None:
    server.data = cog(tmp_path).read_bytes()
    with open_scene(url(server) + "?key=secret", gsd_m=1.0) as scene:
        server.fails_from = len(server.data) // 2
        with pytest.raises(ReadError, match=r"scene\.tif: reading rows 0\.\.1023") as caught:
            scene.read(scene.grid.window)
    assert "127.0.0.1" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_read_error_if_the_server_stops_while_it_answers(
    tmp_path: Path, server: RangeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    server.data = cog(tmp_path).read_bytes()
    with open_scene(url(server), gsd_m=1.0) as scene:
        server.shutdown()
        server.server_close()
        with pytest.raises(ReadError, match=r"scene\.tif: reading rows"):
            scene.read(scene.grid.window)


def test_read_error_of_a_url_without_a_file(server: RangeServer) -> None:
    with pytest.raises(ReadError, match=r"nothing\.tif: cannot be opened"):
        open_scene(url(server).replace("scene", "nothing"), gsd_m=1.0)
