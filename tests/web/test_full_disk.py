"""Uploads in the browser while the disk of the server fills up."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")

from tests.web.conftest import Server
from tests.web.test_page import Page

pytestmark = pytest.mark.timeout(600)
#: A small disk that only the server and its children see.
MOUNT = ("unshare", "--user", "--mount", "--map-root-user", "sh", "-c")
DISK_MB, SCENE_MB = 300, 40


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[Server, Path]]:
    """Return a server whose folder is a disk of 300 MB, and its path in this process."""
    folder = tmp_path / "serve"
    folder.mkdir()
    script = f'mount -t tmpfs -o size={DISK_MB}m none "$0"'
    if sys.platform != "linux" or shutil.which("unshare") is None or subprocess.run(
        [*MOUNT, script, str(folder)], capture_output=True
    ).returncode:  # fmt: skip
        pytest.skip("a disk of our own needs Linux with user namespaces")
    server = Server(folder, prefix=(*MOUNT, f'{script} && exec "$@"', str(folder)))
    yield server, Path(f"/proc/{server.process.pid}/root{folder}")
    server.stop()


@pytest.fixture
def page(browser: Any, disk: tuple[Server, Path]) -> Iterator[Page]:
    context = browser.new_context()
    yield Page(context.new_page(), disk[0].url)
    context.close()


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    path = tmp_path / "large.tif"
    path.write_bytes(b"II*\0" + bytes(SCENE_MB * 1_000_000))
    return path


def fill(disk: Path, left_mb: int) -> None:
    """Write a file that leaves a few megabytes free."""
    with contextlib.suppress(OSError):  # the upload continues meanwhile
        (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free - left_mb * 1_000_000))


def files_of_jobs(disk: Path) -> list[Path]:
    return [path for path in (disk / "jobs").rglob("*") if path.is_file()]


def test_page_says_that_the_disk_is_full(
    page: Page, disk: tuple[Server, Path], scene: Path
) -> None:
    server, folder = disk
    fill(folder, 210)
    page.open()
    page.page.set_input_files("input[type=file]", str(scene))
    page.page.wait_for_selector(".toast.bad")
    assert "The server's disk is full" in page.page.inner_text(".toast.bad")
    page.page.wait_for_selector("#choose")
    server.wait(lambda: server.request("GET", "/api/jobs").json["jobs"] == [], 30)
    assert files_of_jobs(folder) == []


def test_page_says_that_the_disk_filled_up_during_an_upload(
    page: Page, disk: tuple[Server, Path], scene: Path
) -> None:
    server, folder = disk
    tools = page.page.context.new_cdp_session(page.page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 4e6}
    tools.send("Network.enable")
    tools.send("Network.emulateNetworkConditions", slow)
    page.open()
    page.page.set_input_files("input[type=file]", str(scene))
    server.wait(lambda: any(path.stat().st_size > 0 for path in files_of_jobs(folder)), 60)
    fill(folder, 0)
    page.page.wait_for_selector(".toast.bad")
    assert "The server's disk is full" in page.page.inner_text(".toast.bad")
    server.wait(lambda: server.request("GET", "/api/jobs").json["jobs"] == [], 30)
    assert files_of_jobs(folder) == []
    # With free space again, the same page works.
    (folder / "filler").unlink()
    page.page.click("#example")
    page.page.wait_for_selector("#verdict")
    assert page.page.inner_text("#verdict") == "This imagery can be used."
