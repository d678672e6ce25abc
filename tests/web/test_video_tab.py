"""A street-level picture and a video through the map page's server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.web.conftest import Server
from tests.web.test_page import Page

cv2 = pytest.importorskip("cv2")


def write_street(path: Path, codec: str) -> Path:
    """Write a grey road below a blue sky, 160 by 96 pixels, 6 frames."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 10, (160, 96))
    for number in range(6):
        frame = np.full((96, 160, 3), (200, 120, 60), np.uint8)
        frame[48 + number :] = 110
        writer.write(frame)
    writer.release()
    return path


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_street(tmp_path_factory.mktemp("video") / "drive.mp4", "mp4v")


def test_video_from_upload_to_result(server: Server, street: Path) -> None:
    job = server.upload(street, kind="video")
    server.wait_for(job, "ready")
    settings = {"every": 2, "alpha": 0.6, "height": 96}
    assert server.request("POST", f"/api/jobs/{job}/execution", settings).status == 202
    done: Any = server.wait_for(job, "done")
    assert done["result"]["frames"] == 6
    assert set(done["result"]["shares"]) == {"other", "road"}
    whole = server.request("GET", f"/api/jobs/{job}/result")
    assert whole.headers["content-type"] == "video/webm"
    part = server.request("GET", f"/api/jobs/{job}/result", headers={"Range": "bytes=0-3"})
    assert (part.status, part.body) == (206, whole.body[:4])
    original = server.request("GET", f"/api/jobs/{job}/original")
    assert original.headers["content-type"] == "video/mp4"
    assert original.body == street.read_bytes()


def test_original_is_for_videos_only(server: Server, done: Any) -> None:
    assert server.request("GET", f"/api/jobs/{done['jobID']}/original").status == 404


def test_video_tab_shows_a_segmented_picture(browser: Any, server: Server, tmp_path: Path) -> None:
    path = tmp_path / "street.png"
    cv2.imwrite(str(path), np.full((96, 160, 3), 120, np.uint8))
    context = browser.new_context()
    try:
        page = Page(context.new_page(), server.url)
        page.open("#video")
        page.page.wait_for_selector("#choose")
        page.page.set_input_files("input[type=file]", str(path))
        page.button("Run").click()
        page.page.wait_for_selector("#shares")
        assert page.until("document.querySelector('#result')?.naturalWidth") == 160
        assert page.until("document.querySelector('#original')?.naturalWidth") == 160
        assert page.said == []
    finally:
        context.close()


@pytest.mark.parametrize(("name", "codec"), [("drive.webm", "VP80"), ("drive.mp4", "mp4v")])
def test_video_tab_plays_the_original_next_to_the_result(
    browser: Any, server: Server, tmp_path: Path, name: str, codec: str
) -> None:
    job = server.upload(write_street(tmp_path / name, codec), kind="video")
    server.wait_for(job, "ready")
    server.request("POST", f"/api/jobs/{job}/execution", {"height": 96})
    server.wait_for(job, "done")
    context = browser.new_context()
    try:
        page = Page(context.new_page(), server.url)
        page.open(f"#job={job}")
        page.until("document.querySelector('#result')?.videoWidth === 160")
        if codec == "mp4v":  # which Chromium does not play
            page.page.wait_for_selector("#unplayable")
            return
        page.until("document.querySelector('#original')?.videoWidth === 160")
        page.page.evaluate(
            """(() => {
              const result = document.querySelector('#result');
              result.pause();
              result.currentTime = 0.3;
            })()"""
        )
        page.until("Math.abs(document.querySelector('#original').currentTime - 0.3) < 0.1")
        page.until("document.querySelector('#original').paused")
        assert page.said == []
    finally:
        context.close()


def test_video_tab_segments_the_example_with_its_own_model(browser: Any, server: Server) -> None:
    context = browser.new_context()
    try:
        page = Page(context.new_page(), server.url)
        page.open("#video")
        # The server has no model for videos, and says so.
        assert "aerial imagery" in page.page.inner_text("#aerial-model")
        page.page.click("#example")
        page.page.wait_for_selector("#about-example")
        page.page.fill("#every", "12")
        page.button("Run").click()
        page.page.wait_for_selector("#shares")
        names = page.page.locator("#shares td:first-child").all_inner_texts()
        assert names == ["other", "road", "sidewalk", "vehicle", "building", "vegetation"]
        for name in ("original", "result"):
            page.until(f"document.querySelector('#{name}')?.videoWidth === 640")
        job = server.job(page.page.evaluate("window.roadgis.state.job.jobID"))
        assert job["result"]["frames"] == 72
        assert 0.25 < job["result"]["shares"]["road"] < 0.45
        assert page.said == []
    finally:
        context.close()
