"""The web page's server, over real connections: jobs, ranges, limits, and who is let in."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadgis.errors import InputError
from roadgis.model.runtime import load_model
from tests.factories.models import failing_model

pytest.importorskip("cv2")

from roadgis.options.video import VideoOptions
from roadgis.photos.frames import check_video, write_picture
from roadgis.serve.http_rules import byte_range, is_local
from roadgis.serve.jobs import Jobs, QueueFullError
from roadgis.serve.server import ServeOptions, Server, open_server
from tests.photos.test_video import FRAMES, Recording, colour_model, frame_at, write_video

VIDEO = VideoOptions(height=96)


class Gated(Recording):
    """A model that waits until it is let on."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.entered, self.gate = threading.Event(), threading.Event()

    def predict_classes(self, images: Any) -> Any:
        self.entered.set()
        assert self.gate.wait(60)
        return super().predict_classes(images)


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_model(colour_model(tmp_path_factory.mktemp("model") / "colour.onnx"), threads=1)


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_video(tmp_path_factory.mktemp("video") / "drive.mp4").read_bytes()


def running(segmenter: Any, **options: Any) -> Iterator[Server]:
    with open_server(segmenter, ServeOptions(port=0, video=VIDEO, **options)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def server(segmenter: Any) -> Iterator[Server]:
    yield from running(segmenter, max_mb=2)


@pytest.fixture
def gated(segmenter: Any) -> Iterator[tuple[Server, Gated]]:
    model = Gated(segmenter)
    for server in running(model):
        yield server, model
        model.gate.set()


def ask(
    server: Server, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=30)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, path, body, names)
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def upload(server: Server, body: bytes, name: str = "drive.mp4") -> dict[str, Any]:
    status, headers, answer = ask(server, "POST", "/jobs", body, X_File_Name=name)
    assert status == 201, answer
    job: dict[str, Any] = json.loads(answer)
    assert headers["Location"] == f"/jobs/{job['id']}"
    return job


def state(server: Server, job: dict[str, Any]) -> dict[str, Any]:
    status, _, answer = ask(server, "GET", f"/jobs/{job['id']}")
    assert status == 200, answer
    found: dict[str, Any] = json.loads(answer)
    return found


def wait(server: Server, job: dict[str, Any], *states: str) -> dict[str, Any]:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = state(server, job)
        if found["state"] in states:
            return found
        assert found["state"] in ("queued", "working"), found
        time.sleep(0.05)
    raise AssertionError(f"still {found}")


@pytest.fixture(scope="module")
def done(server: Server, drive: bytes) -> dict[str, Any]:
    return wait(server, upload(server, drive, "caf%C3%A9%20drive.mp4"), "done")


def test_an_uploaded_video_comes_back_segmented(
    tmp_path: Path, server: Server, done: dict[str, Any]
) -> None:
    assert (done["name"], done["kind"], done["fraction"]) == ("café drive.mp4", "video", 1.0)
    assert done["frames"] == FRAMES
    assert done["shares"]["red"] == pytest.approx(1 / 12, abs=0.01)
    status, headers, body = ask(server, "GET", f"/jobs/{done['id']}/result")
    assert (status, headers["Content-Type"]) == (200, "video/webm")
    assert headers["Accept-Ranges"] == "bytes"
    assert "caf%C3%A9%20drive-segmented.webm" in headers["Content-Disposition"]
    (tmp_path / "result.webm").write_bytes(body)
    assert check_video(tmp_path / "result.webm").frames == FRAMES


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-99", slice(0, 100)),
        ("bytes=100-", slice(100, None)),
        ("bytes=-50", slice(-50, None)),
        ("bytes=10-99999999", slice(10, None)),
    ],
)
def test_parts_of_the_result_are_those_of_the_whole(
    server: Server, done: dict[str, Any], header: str, expected: slice
) -> None:
    path = f"/jobs/{done['id']}/result"
    whole = ask(server, "GET", path)[2]
    status, headers, part = ask(server, "GET", path, Range=header)
    assert status == 206
    assert part == whole[expected]
    start, stop, _ = expected.indices(len(whole))
    assert headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(whole)}"


def test_a_range_past_the_end_is_refused_with_the_size(
    server: Server, done: dict[str, Any]
) -> None:
    path = f"/jobs/{done['id']}/result"
    size = len(ask(server, "GET", path)[2])
    status, headers, _ = ask(server, "GET", path, Range=f"bytes={size}-")
    assert (status, headers["Content-Range"]) == (416, f"bytes */{size}")


def test_head_tells_the_size_without_the_body(server: Server, done: dict[str, Any]) -> None:
    path = f"/jobs/{done['id']}/result"
    status, headers, body = ask(server, "HEAD", path)
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) == len(ask(server, "GET", path)[2])


@given(
    first=st.none() | st.integers(0, 30),
    last=st.none() | st.integers(0, 30),
    size=st.integers(1, 20),
)
def test_byte_ranges_select_what_the_standard_says(
    first: int | None, last: int | None, size: int
) -> None:
    header = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    if first is None:
        wanted = [] if last is None else list(range(size))[-last:] if last else []
        whole = last is None
    else:
        wanted = [n for n in range(size) if first <= n and (last is None or n <= last)]
        whole = last is not None and last < first
    if whole:
        assert byte_range(header, size) is None
    elif not wanted:
        with pytest.raises(ValueError, match="bytes"):
            byte_range(header, size)
    else:
        assert byte_range(header, size) == (wanted[0], wanted[-1] + 1)


@pytest.mark.parametrize("header", [None, "bytes=0-1,4-5", "pages=1-2", "bytes=x-", "bytes=-"])
def test_other_ranges_give_the_whole(header: str | None) -> None:
    assert byte_range(header, 10) is None


def test_a_picture_comes_back_as_a_picture(tmp_path: Path, server: Server) -> None:
    write_picture(tmp_path / "p.png", frame_at(0))
    job = wait(server, upload(server, (tmp_path / "p.png").read_bytes(), "p.png"), "done")
    status, headers, body = ask(server, "GET", f"/jobs/{job['id']}/result")
    assert (job["kind"], status, headers["Content-Type"]) == ("picture", 200, "image/png")
    assert body.startswith(b"\x89PNG")


def test_too_large_a_file_is_refused_and_the_sender_gets_to_know(server: Server) -> None:
    status, _, answer = ask(server, "POST", "/jobs", bytes(6_000_000), X_File_Name="big.mp4")
    assert status == 413
    assert json.loads(answer)["error"].startswith("The file has 6.0 MB, more than 2 MB.")


def test_a_file_that_is_no_video_fails_without_telling_paths(server: Server) -> None:
    job = wait(server, upload(server, b"not a video" * 50, "notes.txt"), "failed")
    assert job["text"].startswith("notes.txt: is not a video")
    assert str(Path(os.sep)) + "tmp" not in job["text"]
    assert "upload" not in job["text"]
    assert ask(server, "GET", f"/jobs/{job['id']}/result")[0] == 404


def test_a_failing_model_does_not_tell_where_it_lies(tmp_path: Path, drive: bytes) -> None:
    model = load_model(failing_model(tmp_path / "bad.onnx", "range"), threads=1)
    for server in running(model):
        job = wait(server, upload(server, drive), "failed")
        assert job["text"] == "The model failed; the server's terminal says more."


def test_what_is_unknown_is_not_found(server: Server) -> None:
    for method, path in (
        ("GET", "/jobs/unknown"),
        ("DELETE", "/jobs/unknown"),
        ("GET", "/jobs/unknown/result"),
        ("GET", "/jobs/../../etc/passwd"),
        ("GET", "/page.html"),
    ):
        status, _, answer = ask(server, method, path)
        assert status == 404, path
        assert json.loads(answer)["error"]
    assert ask(server, "DELETE", "/")[0] == 405
    assert ask(server, "POST", "/model", b"x")[0] == 405


def test_uploads_without_name_length_or_content_are_refused(server: Server) -> None:
    assert ask(server, "POST", "/jobs", b"x")[0] == 400
    assert ask(server, "POST", "/jobs", b"", X_File_Name="a.mp4")[0] == 400
    headers = {"X_File_Name": "a.mp4", "Transfer_Encoding": "chunked"}
    assert ask(server, "POST", "/jobs", None, **headers)[0] == 411


def test_names_are_shown_and_never_used_as_paths(server: Server) -> None:
    job = upload(server, b"x" * 500, "..%2F..%2Fetc%2Fcron.d%2Fa%0Ab.mp4")
    assert job["name"] == "ab.mp4"
    wait(server, job, "failed")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "[", ""])
def test_foreign_host_names_are_refused(server: Server, host: str) -> None:
    assert ask(server, "GET", "/", Host=host)[0] == 403


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:8000", "192.168.0.7:80"])
def test_localhost_and_addresses_are_let_in(server: Server, host: str) -> None:
    assert ask(server, "GET", "/model", Host=host)[0] == 200


def test_other_pages_cannot_send_jobs(server: Server, drive: bytes) -> None:
    foreign = {"X_File_Name": "a.mp4", "Origin": "http://evil.example"}
    assert ask(server, "POST", "/jobs", drive, **foreign)[0] == 403
    assert ask(server, "OPTIONS", "/jobs", **foreign)[0] == 501


def test_the_page_is_whole_and_its_script_is_the_allowed_one(server: Server) -> None:
    status, headers, body = ask(server, "GET", "/")
    page = body.decode("utf-8")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    for tag in ("script", "style"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in headers["Content-Security-Policy"]
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", page)
    assert not re.findall(r"\son[a-z]+=|\sstyle=", page)  # the policy would stop them
    used = set(re.findall(r"""\$\("([^"]+)"\)""", page))
    assert used <= set(re.findall(r'\sid="([^"]+)"', page))
    assert set(re.findall(r'for="([^"]+)"', page)) <= set(re.findall(r'\sid="([^"]+)"', page))


def test_the_script_parses(tmp_path: Path, server: Server) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    (script,) = re.findall(r"<script>(.*?)</script>", server.page.decode(), re.DOTALL)
    (tmp_path / "page.js").write_text(script)
    subprocess.run([node, "--check", tmp_path / "page.js"], check=True, timeout=60)


def test_the_model_is_described_with_its_colours(server: Server) -> None:
    about = json.loads(ask(server, "GET", "/model")[2])
    assert about["max_bytes"] == 2_000_000
    assert about["classes"] == [
        {"name": "other", "colour": None},
        {"name": "red", "colour": "#e12d69"},
        {"name": "blue", "colour": "#e1ff00"},
    ]


def test_one_job_is_in_work_and_others_wait_and_can_be_cancelled(
    gated: tuple[Server, Gated], drive: bytes
) -> None:
    server, model = gated
    first, second, third = (upload(server, drive) for _ in range(3))
    assert model.entered.wait(30)
    assert [state(server, job)["state"] for job in (first, second, third)] == [
        "working", "queued", "queued",
    ]  # fmt: skip
    status, _, answer = ask(server, "DELETE", f"/jobs/{second['id']}")
    assert (status, json.loads(answer)["state"]) == (200, "cancelled")
    assert ask(server, "DELETE", f"/jobs/{first['id']}")[0] == 200
    assert state(server, first)["state"] == "cancelled"
    model.gate.set()
    assert wait(server, third, "done")["frames"] == FRAMES
    assert [state(server, job)["state"] for job in (first, second)] == ["cancelled"] * 2
    assert len(model.shapes) == 1 + FRAMES  # the cancelled one stopped within a frame
    assert ask(server, "DELETE", f"/jobs/{third['id']}")[0] == 200  # an ended one is forgotten
    assert ask(server, "GET", f"/jobs/{third['id']}")[0] == 404


def test_files_go_with_their_jobs(segmenter: Any, drive: bytes) -> None:
    now = [0.0]
    with Jobs(segmenter, options=VIDEO, keep_s=3600, clock=lambda: now[0]) as jobs:
        folder = jobs.reserve()
        (folder / "upload").write_bytes(drive)
        job = jobs.add(folder, "drive.mp4")
        end = time.monotonic() + 60
        while jobs.result(job.id) is None and time.monotonic() < end:
            time.sleep(0.02)
        found = jobs.result(job.id)
        assert found is not None
        time.sleep(0.1)
        assert sorted(path.name for path in folder.iterdir()) == ["result.webm"]
        now[0] = 3599
        jobs.expire()
        assert found[1].exists()
        now[0] = 3600
        jobs.expire()
        assert not folder.exists()
        assert jobs.status(job.id) is None
        assert folder.parent.exists()
    assert not folder.parent.exists()


def test_closing_stops_the_job_in_work_and_removes_all(segmenter: Any, drive: bytes) -> None:
    model = Gated(segmenter)
    jobs = Jobs(model, options=VIDEO)
    folder = jobs.reserve()
    (folder / "upload").write_bytes(drive)
    jobs.add(folder, "drive.mp4")
    assert model.entered.wait(30)
    threading.Timer(0.3, model.gate.set).start()
    jobs.close()
    assert len(model.shapes) == 1
    assert not folder.parent.exists()


def test_too_many_waiting_jobs_are_refused(segmenter: Any, drive: bytes) -> None:
    model = Gated(segmenter)
    with Jobs(model, options=VIDEO, waiting=1) as jobs:
        folder = jobs.reserve()
        (folder / "upload").write_bytes(drive)
        jobs.add(folder, "drive.mp4")
        with pytest.raises(QueueFullError, match="1 videos are waiting"):
            jobs.reserve()
        model.gate.set()


def test_an_upload_that_breaks_off_leaves_no_job_and_no_file(
    server: Server, done: dict[str, Any]
) -> None:
    found = server.jobs.result(done["id"])
    assert found is not None
    folder = found[1].parent.parent
    before = sorted(folder.iterdir())
    with socket.create_connection(server.server_address[:2], timeout=30) as connection:
        connection.sendall(
            b"POST /jobs HTTP/1.1\r\nHost: localhost\r\nX-File-Name: a.mp4\r\n"
            b"Content-Length: 100000\r\n\r\n" + bytes(5000)
        )
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b""
    assert sorted(folder.iterdir()) == before


def test_a_port_in_use_is_an_error_that_helps(server: Server, segmenter: Any) -> None:
    options = ServeOptions(port=server.server_address[1])
    with (
        pytest.raises(InputError, match=r"Choose another\s+--port"),
        open_server(segmenter, options),
    ):
        pass


def test_local_addresses_are_known() -> None:
    assert [is_local(h) for h in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "example.org")] == [
        True, True, True, False, False,
    ]  # fmt: skip


def start(*arguments: str) -> subprocess.Popen[str]:
    code = "from roadgis.cli.shell import run; from roadgis.cli.serve import command; run(command)"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_stopped(
    tmp_path: Path, number: signal.Signals, drive: bytes
) -> None:
    model = colour_model(tmp_path / "m.onnx")
    process = start("-m", str(model), "--port", "0", "--progress", "jsonl")
    assert process.stdout is not None
    url = ""
    for line in process.stdout:
        url = json.loads(line).get("url", "")
        if url:
            break
    host = re.sub(r"^http://|/$", "", url)
    connection = http.client.HTTPConnection(host, timeout=30)
    connection.request("POST", "/jobs", drive, {"X-File-Name": "a.mp4"})
    assert connection.getresponse().read().startswith(b'{"id"')
    connection.close()
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == (0 if number == signal.SIGINT else 143)


def test_a_public_host_is_warned_of(tmp_path: Path) -> None:
    process = start(
        "-m", str(colour_model(tmp_path / "m.onnx")), "--port", "0", "--host", "0.0.0.0"
    )
    assert process.stderr is not None
    lines = [process.stderr.readline() for _ in range(2)]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert lines[0].startswith("Warning: 0.0.0.0 is not local")
    assert lines[1].startswith("Open http://0.0.0.0:")


def test_the_page_segments_a_video_in_a_browser(tmp_path: Path, server: Server) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    source = write_video(tmp_path / "drive.webm")
    with playwright.sync_playwright() as p:
        found = next(
            (path for name in ("chromium", "google-chrome") if (path := shutil.which(name))), None
        )
        if found is None and not Path(p.chromium.executable_path).exists():
            pytest.skip("no chromium on this machine")
        browser = p.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page()
        problems: list[str] = []
        page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda e: problems.append(str(e)))
        page.goto(server.url)
        page.set_input_files("#file", source)
        page.click("#start")
        page.wait_for_selector("#result:not([hidden])", timeout=60_000)
        page.wait_for_function("document.querySelector('#segmented video').videoWidth === 128")
        assert page.locator("#classes tr").count() == 3
        page.check("[value=over]")
        assert page.locator("#mix").is_visible()
        browser.close()
    assert problems == []


def test_the_result_is_not_the_source(server: Server, done: dict[str, Any]) -> None:
    import cv2

    path = server.jobs.result(done["id"])
    assert path is not None
    capture = cv2.VideoCapture(str(path[1]))
    _, frame = capture.read()
    capture.release()
    red, green, blue = (int(v) for v in np.flip(frame[60, 20]))
    assert (red > 180, green < 90, blue > 40) == (True, True, True)  # half red, half the class
