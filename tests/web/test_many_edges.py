"""A network of 100,000 edges in the browser."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from pyproj import CRS

pytest.importorskip("fastapi")

from roadgis.network.network import RoadNetwork
from roadgis.output import write_network
from roadgis.web.store import Store
from tests.web.conftest import Server
from tests.web.test_page import Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ROADS = "window.roadgis.map.layers.roads"


def street_grid(side: int) -> RoadNetwork:
    """Return crooked streets 100 m apart, with 8 vertices per edge."""
    rng = np.random.default_rng(1)
    row, col = np.mgrid[:side, :side].reshape(2, -1)
    nodes = np.stack([500_000 + 100.0 * col, 5_000_000 + 100.0 * row], axis=1)
    nodes += rng.uniform(-20, 20, nodes.shape)
    number = np.arange(side * side).reshape(side, side)
    start = np.concatenate([number[:, :-1].ravel(), number[:-1].ravel()])
    end = np.concatenate([number[:, 1:].ravel(), number[1:].ravel()])
    along = np.linspace(0, 1, 8)[:, None]
    lines = nodes[start][:, None] * (1 - along) + nodes[end][:, None] * along
    lines[:, 1:-1] += rng.normal(0, 2, lines[:, 1:-1].shape)
    confidence = rng.uniform(0.3, 1, len(start))
    return RoadNetwork(
        crs=CRS.from_epsg(32633),
        edges=shapely.linestrings(lines),
        start=start,
        end=end,
        nodes=nodes,
        width_m=rng.uniform(3, 12, len(start)),
        confidence=confidence,
        confidence_min=confidence,
        provenance={},
    )


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Server, str]]:
    """Return a server with a finished job of 100,800 edges, and its id."""
    network = street_grid(225)
    assert len(network) == 100_800
    folder = tmp_path / "serve"
    (folder / "jobs").mkdir(parents=True)
    store = Store(folder / "jobs.sqlite")
    job = store.add("roads", "streets").id
    facts = {"bounds_lonlat": [15.0, 45.153, 15.286, 45.355], "inputs": [], "usable": True}
    about = {"number": 0, "settings": {}, "edges": len(network), "length_m": 1e7, "bridged": 0}
    store.update(job, state="done", facts=facts, result={"networks": [about], "current": 0})
    store.close()
    networks = folder / "jobs" / job / "networks"
    networks.mkdir(parents=True)
    write_network(network, networks / "0.gpkg")
    server = Server(folder)
    yield server, job
    server.stop()


class Watched:
    """A page with the CPU time of its main thread and of the server."""

    def __init__(self, page: Page, server: Server) -> None:
        self.page, self._stat = page, Path(f"/proc/{server.process.pid}/stat")
        self._tools = page.page.context.new_cdp_session(page.page)
        self._tools.send("Performance.setTimeDomain", {"timeDomain": "threadTicks"})
        self._tools.send("Performance.enable")

    def _now(self) -> tuple[float, float]:
        found = self._tools.send("Performance.getMetrics")["metrics"]
        script = next(entry["value"] for entry in found if entry["name"] == "ScriptDuration")
        ticks = self._stat.read_text().rpartition(")")[2].split()[11:13]
        return script, sum(map(int, ticks)) / 100

    def cost(self, work: Any) -> tuple[float, float]:
        """Return the CPU seconds of page and server until all tiles are drawn after an action."""
        script, server = self._now()
        work()
        time.sleep(0.7)  # zooming and dragging take effect a little later
        self.page.until(f"{ROADS} && !{ROADS}._loading && {ROADS}._data.size > 0")
        after = self._now()
        return after[0] - script, after[1] - server


def test_page_stays_fluid_with_100_000_edges(browser: Any, served: tuple[Server, str]) -> None:
    server, job = served
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    try:
        page = Page(context.new_page(), server.url)
        watched, mouse = Watched(page, server), page.page.mouse
        costs = {"open": watched.cost(lambda: page.open(f"#job={job}"))}
        assert page.drawn() > 50_000
        mouse.move(800, 400)
        for name, step in (("in", -120), ("in", -120), ("out", 120), ("out", 120), ("out", 120)):
            costs[f"zoom {name} {len(costs)}"] = watched.cost(lambda by=step: mouse.wheel(0, by))
        mouse.down()
        costs["pan"] = watched.cost(lambda: mouse.move(500, 300, steps=30))
        mouse.up()
        assert all(script < 1 and seconds < 6 for script, seconds in costs.values()), costs
        # There is no probability in this folder.
        assert [text for text in page.said if "404" not in text] == []
    finally:
        context.close()
