"""Access: tokens, hosts, limits and browser security."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi")

from roadgis.errors import InputError
from roadgis.options.web import WebOptions, is_local
from roadgis.web.api.access import content_policy, is_own_host
from tests.factories.rasters import write_raster
from tests.web.conftest import TOWN, Server

TOKEN = "secret-token-of-the-test"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a server with a token, small limits and a data folder."""
    data = tmp_path_factory.mktemp("data")
    shutil.copy(TOWN, data / "town.tif")
    (data.parent / "outside.tif").write_bytes(TOWN.read_bytes())
    running = Server(
        tmp_path_factory.mktemp("serve"), "--token", TOKEN, "--max-mb", "1", "--max-mpx", "4",
        "--quota-mb", "30", "--data-dir", str(data),
    )  # fmt: skip
    yield running
    running.stop()


@pytest.mark.parametrize(
    ("header", "own"),
    [
        ("localhost:8000", True),
        ("127.0.0.1:8000", True),
        ("[::1]:8000", True),
        ("192.168.1.7", True),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("", False),
        (None, False),
        ("[", False),
    ],
)
def test_is_own_host(header: str | None, own: bool) -> None:
    assert is_own_host(header, {"localhost"}) is own


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("a.b", False)],
)
def test_is_local(host: str, local: bool) -> None:
    assert is_local(host) is local


def test_serve_options_need_a_token_for_other_machines(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="token"):
        WebOptions(folder=tmp_path, host="0.0.0.0")
    WebOptions(folder=tmp_path, host="0.0.0.0", token="t")


def test_content_policy_allows_only_a_base_map() -> None:
    assert "https" not in content_policy(None)
    assert "img-src 'self' blob: data: https://tile.openstreetmap.org;" in content_policy("osm")
    assert "unsafe" not in content_policy("osm")


@pytest.mark.parametrize(
    "path",
    [
        "/api/", "/api/jobs", "/api/jobs/x", "/api/openapi.json", "/static/app.js",
        "/static/index.html", "/api/jobs/x/download/gpkg", "/api/jobs/x/tiles/imagery/1/0/0.png",
    ],
)  # fmt: skip
@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], TOKEN + "x", "\u00fcmlaut"])
def test_token_is_needed_for_every_path(guarded: Server, path: str, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}".encode().decode("latin-1")}
    assert guarded.request("GET", path, headers=headers).status == 401


def test_token_missing_in_a_browser_gives_the_login_page(guarded: Server) -> None:
    answer = guarded.request("GET", "/", headers={"Authorization": ""})
    assert (answer.status, answer.headers["location"]) == (303, "/login")
    page = guarded.request("GET", "/login", headers={"Authorization": ""})
    assert page.status == 200
    assert b'type="password"' in page.body


def test_login_sets_a_cookie_that_scripts_cannot_read(guarded: Server) -> None:
    wrong = guarded.request("POST", "/login", {"token": "no"}, {"Authorization": ""})
    assert wrong.status == 401
    assert "set-cookie" not in wrong.headers
    right = guarded.request("POST", "/login", {"token": TOKEN}, {"Authorization": ""})
    cookie = right.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    shown = {"Authorization": "", "Cookie": cookie.partition(";")[0]}
    assert guarded.request("GET", "/api/", headers=shown).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_requests_of_other_pages_and_hosts_are_rejected(
    server: Server, headers: dict[str, str]
) -> None:
    assert server.request("POST", "/api/jobs", {}, headers).status == 403


def test_responses_have_the_security_headers(server: Server) -> None:
    for path in ("/", "/api/", "/static/app.js", "/api/none"):
        headers = server.request("GET", path).headers
        assert headers["content-security-policy"].startswith(
            "default-src 'none'; script-src 'self'"
        )
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"


def test_data_folder_limits_paths(guarded: Server) -> None:
    made = guarded.request("POST", "/api/jobs", {"paths": ["town.tif"]})
    assert made.status == 201, made.body
    job = guarded.wait_for(made.json["jobID"], "ready")
    assert job["facts"]["inputs"][0]["name"] == "town.tif"
    guarded.request("DELETE", f"/api/jobs/{job['jobID']}")
    for path in ("../outside.tif", "/etc/passwd", "town.tif/../../outside.tif"):
        refused = guarded.request("POST", "/api/jobs", {"paths": [path]})
        assert refused.status == 404, path


def test_uploads_that_are_too_large_are_rejected(guarded: Server) -> None:
    job = guarded.request("POST", "/api/jobs", {}).json["jobID"]
    path = f"/api/jobs/{job}/files/a.tif"
    assert guarded.request("PUT", path, b"II*\0" + bytes(1_000_000)).status == 413
    # Without Content-Length, by counting bytes.
    with contextlib.closing(
        http.client.HTTPConnection("127.0.0.1", guarded.port, timeout=60)
    ) as connection:
        connection.putrequest("PUT", path)
        connection.putheader("Authorization", f"Bearer {TOKEN}")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        chunk = bytes(100_000)
        with contextlib.suppress(OSError):  # the server has responded and closed the connection
            for _ in range(30):
                connection.send(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            connection.send(b"0\r\n\r\n")
        assert connection.getresponse().status == 413
    guarded.request("DELETE", f"/api/jobs/{job}")


def test_decompression_bombs_are_rejected_before_they_are_decoded(
    guarded: Server, tmp_path: Path
) -> None:
    path = write_raster(
        tmp_path / "bomb.tif", np.zeros((1, 2100, 2100), np.uint8), compress="deflate"
    )
    job = guarded.upload(path, check=False)
    refused = guarded.request("POST", f"/api/jobs/{job}/check")
    assert refused.status == 413
    assert "megapixels" in refused.json["detail"]
    assert guarded.job(job)["state"] == "failed"
    guarded.request("DELETE", f"/api/jobs/{job}")


def test_vrt_under_another_name_reads_no_file(guarded: Server) -> None:
    job = guarded.request("POST", "/api/jobs", {}).json["jobID"]
    vrt = (
        b'<VRTDataset rasterXSize="10" rasterYSize="10"><VRTRasterBand band="1"><SimpleSource>'
        b"<SourceFilename>/etc/passwd</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    assert guarded.request("PUT", f"/api/jobs/{job}/files/a.tif", vrt).status == 422
    assert guarded.request("PUT", f"/api/jobs/{job}/files/a.vrt", vrt).status == 415
    guarded.request("DELETE", f"/api/jobs/{job}")


def test_quota_limits_the_data_folder(guarded: Server) -> None:
    (guarded.folder / "jobs" / "filler").mkdir()
    (guarded.folder / "jobs" / "filler" / "file").write_bytes(bytes(29_500_000))
    try:
        refused = guarded.request("POST", "/api/jobs", {"example": True})
        assert refused.status == 507
        assert "Delete old jobs" in refused.json["detail"]
    finally:
        shutil.rmtree(guarded.folder / "jobs" / "filler", ignore_errors=True)


def test_queue_limit_holds_for_concurrent_requests(guarded: Server) -> None:
    found: list[int] = []

    def make() -> None:
        found.append(guarded.request("POST", "/api/jobs", {}).status)

    threads = [threading.Thread(target=make) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [201] * 8 + [503] * 22
    for job in guarded.request("GET", "/api/jobs").json["jobs"]:
        guarded.request("DELETE", f"/api/jobs/{job['jobID']}")


def test_upload_that_is_aborted_leaves_nothing(guarded: Server) -> None:
    job = guarded.request("POST", "/api/jobs", {}).json["jobID"]
    with socket.create_connection(("127.0.0.1", guarded.port)) as connection:
        connection.sendall(
            f"PUT /api/jobs/{job}/files/a.tif HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {TOKEN}\r\nContent-Length: 500000\r\n\r\n".encode()
            + bytes(1000)
        )
        time.sleep(0.5)
    folder = guarded.folder / "jobs" / job / "inputs"
    guarded.wait(lambda: not list(folder.iterdir()), 30)
    assert guarded.job(job)["files"] == []
    guarded.request("DELETE", f"/api/jobs/{job}")


def test_jobs_survive_a_killed_server(tmp_path: Path, town: Path) -> None:
    server = Server(tmp_path / "serve")
    try:
        job = server.upload(town)
        server.wait_for(job, "ready")
        server.request("POST", f"/api/jobs/{job}/execution", {})
        server.wait_for(job, "running")
        server.stop(signal.SIGKILL)
        server.start()
        done: Any = server.wait_for(job, "done")
        assert done["result"]["networks"][0]["edges"] > 20
        assert "roadgis.lock" not in json.dumps(done)
    finally:
        server.stop()


def test_second_server_on_a_folder_is_rejected(server: Server) -> None:
    with pytest.raises(AssertionError, match="another roadgis serve uses this folder"):
        Server(server.folder)
