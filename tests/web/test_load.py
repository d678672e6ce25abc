"""Many requests at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("fastapi")

from benchmarks.map_page_load import mixed_paths
from roadgis.web.api.context import TILE_THREADS
from tests.web.conftest import Server


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path / "serve")
    yield running
    running.stop()


def threads(server: Server) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/task").iterdir()))


def test_tile_requests_at_once_take_few_threads(fresh: Server, town: Path) -> None:
    job = fresh.wait_for(fresh.upload(town), "ready")
    path = next(path for path in mixed_paths(job) if "imagery" in path)
    before = threads(fresh)
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda _: fresh.request("GET", path).status, range(40)))
    assert answers == [200] * 40
    assert threads(fresh) - before <= TILE_THREADS
