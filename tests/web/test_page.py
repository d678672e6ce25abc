"""The map page in a headless Chromium: actions of a user, and their effects."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import geopandas
import pytest

pytest.importorskip("fastapi")

from tests.web.conftest import TOWN, Server

pytestmark = pytest.mark.timeout(900)
SECONDS = 120
HEADING = "document.querySelector('h2').textContent"
HIDDEN = "window.roadgis.map.layers.roads.hidden.size"
# The map's state, for a failed test.
STATE = """(() => { const { map, layers } = window.roadgis.map;
const tiles = layers.roads?._tiles ?? {};
return JSON.stringify({ size: map.getSize(), zoom: map.getZoom(), center: map.getCenter(),
tiles: Object.entries(tiles).map(([key, tile]) => [key, tile.loaded !== undefined]) }); })()"""
DRAWN = "window.roadgis.map.layers.roads?.drawn().size ?? 0"


class Page:
    """A browser page, with its console messages."""

    def __init__(self, page: Any, url: str) -> None:
        self.page, self.url = page, url
        self.said: list[str] = []
        self.expected: str | None = None
        page.set_default_timeout(SECONDS * 1000)
        page.on("console", lambda m: self._log(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("dialog", lambda dialog: dialog.accept())
        page.on("request", lambda request: self._check(request.url))

    def _log(self, text: str) -> None:
        if self.expected is None or self.expected not in text:
            self.said.append(text)

    def _check(self, url: str) -> None:
        if not url.startswith((self.url, "blob:", "data:")):
            self.said.append(f"a request to {url}")

    def open(self, hash_: str = "") -> None:
        self.page.goto(self.url + hash_)

    def until(self, expression: str, test: Callable[[Any], bool] = bool) -> Any:
        """Return an expression's value once it passes a test; CSP forbids wait_for_function."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            found = self.page.evaluate(expression)
            if test(found):
                return found
            time.sleep(0.1)
        state = self.page.evaluate(STATE)
        raise AssertionError(f"{expression} is {found}; console: {self.said}; map: {state}")

    def drawn(self, test: Callable[[Any], bool] = bool) -> int:
        return int(self.until(DRAWN, test))

    def button(self, name: str) -> Any:
        return self.page.get_by_role("button", name=name, exact=True)

    def slide(self, name: str, value: float) -> None:
        """Move a slider and release it."""
        self.page.locator(f"#slider-{name}").fill(str(value))


@pytest.fixture
def page(browser: Any, server: Server) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    page = Page(context.new_page(), server.url)
    yield page
    context.close()
    assert page.said == []


def test_page_from_upload_to_corrected_geopackage(page: Page, town: Path, tmp_path: Path) -> None:
    page.open()
    page.page.set_input_files("input[type=file]", str(town))
    assert page.page.inner_text("#verdict") == "This imagery can be used."
    assert page.page.inner_text("h1") == "town <b>.tif"
    page.button("Run").click()
    page.page.wait_for_selector("#tab-adjust")
    edges = int(page.page.inner_text("#total-edges"))
    assert page.drawn(lambda count: count == edges) > 20
    # Move the threshold.
    page.page.click("#tab-adjust")
    page.slide("threshold", 0.9)
    page.page.wait_for_selector("#difference .minus")
    fewer = int(page.page.inner_text("#total-edges"))
    page.drawn(lambda count: count == fewer)
    assert page.until("window.roadgis.map.overlays.removed !== undefined")
    # Reject an edge with the keyboard.
    page.page.click("#tab-correct")
    page.page.click("#begin")
    page.page.wait_for_selector("#reject")
    doubtful = page.page.inner_text("h2")
    page.page.keyboard.press("r")
    page.until(HIDDEN, lambda count: count == 1)
    page.until(HEADING, lambda heading: heading != doubtful)
    # Undo, and reject it with the button.
    page.page.click("#undo")
    page.until(HIDDEN, lambda count: count == 0)
    page.until(HEADING, lambda heading: heading == doubtful)
    page.page.click("#reject")
    page.until(HIDDEN, lambda count: count == 1)
    # The map moves to the next road.
    page.until(HEADING, lambda heading: heading != doubtful)
    # Draw a missing road with two clicks.
    page.page.evaluate("window.roadgis.map.fit(window.roadgis.state.job.facts.bounds_lonlat)")
    page.page.click("#draw")
    page.page.mouse.click(700, 300)
    page.until("document.getElementById('hint').textContent.includes('ends')")
    page.page.mouse.click(850, 420)
    page.until("window.roadgis.map.overlays.drawn !== undefined")
    assert page.page.inner_text("#edit-count") == "2 corrections by anonymous"
    # Download.
    page.page.click("#tab-download")
    with page.page.expect_download() as download:
        page.page.click("#download-gpkg")
    download.value.save_as(tmp_path / "roads.gpkg")
    roads = geopandas.read_file(tmp_path / "roads.gpkg", layer="edges")
    assert set(roads["edit"].dropna()) == {"drawn"}
    # A reload shows the same.
    page.page.reload()
    page.page.wait_for_selector("#tab-correct")
    page.drawn(lambda count: count == fewer - 1)


def test_page_shows_attributes_of_a_clicked_road(page: Page, done: Any) -> None:
    page.open(f"#job={done['jobID']}")
    page.page.wait_for_selector("#tab-layers")
    page.drawn()
    edge, x, y = page.page.evaluate(
        """(() => {
          const { map, layers } = window.roadgis.map;
          const middle = (id) => {
            const line = layers.roads.parts(id)[0];
            return line?.length > 2 ? line[Math.floor(line.length / 2)] : null;
          };
          const inside = map.getBounds().pad(-0.1);
          const shown = (id) => middle(id) && inside.contains(middle(id));
          const id = [...layers.roads.drawn()].find(shown);
          const point = map.latLngToContainerPoint(middle(id));
          const box = map.getContainer().getBoundingClientRect();
          return [id, point.x + box.x, point.y + box.y];
        })()"""
    )
    page.page.mouse.click(x, y)
    page.page.wait_for_selector("#details table")
    assert page.page.inner_text("#details h2") == f"Road {edge}"
    assert "town _b_.tif" in page.page.inner_text("#details")


def test_page_reload_cancel_and_resume(page: Page, server: Server) -> None:
    identifier = server.upload(TOWN)
    server.wait_for(identifier, "ready")
    page.open(f"#job={identifier}")
    page.button("Run").click()
    page.page.wait_for_selector("#percent")
    page.page.reload()
    page.button("Cancel").click()
    page.button("Resume").wait_for()
    assert server.job(identifier)["state"] == "cancelled"
    page.page.reload()
    page.button("Resume").click()
    page.page.wait_for_selector("#tab-adjust")


def test_page_requests_failed_road_tiles_again(page: Page, done: Any) -> None:
    failed: list[str] = []

    def first_fails(route: Any) -> None:
        if route.request.url in failed:
            route.continue_()
        else:
            failed.append(route.request.url)
            route.fulfill(status=503)

    page.page.route("**/roads/*/*/*/*.json**", first_fails)
    page.open(f"#job={done['jobID']}")
    assert page.drawn() > 0
    assert failed
    assert page.page.locator(".toast").count() == 0
    page.said = [text for text in page.said if "503" not in text]


def test_page_reports_missing_road_tiles(page: Page, done: Any) -> None:
    page.page.route("**/roads/*/*/*/*.json**", lambda route: route.fulfill(status=404))
    page.open(f"#job={done['jobID']}")
    page.page.wait_for_selector(".toast.bad")
    assert "Some roads could not be loaded" in page.page.inner_text(".toast.bad")
    assert page.page.locator(".toast").count() == 1
    page.said = [text for text in page.said if "404" not in text]


def test_page_compares_again_after_a_change_of_the_network(
    page: Page, server: Server, town: Path, tmp_path: Path
) -> None:
    job = server.run(town)["jobID"]
    layer = tmp_path / "truth.geojson"
    layer.write_bytes(server.request("GET", f"/api/jobs/{job}/download/geojson").body)
    page.open(f"#job={job}")
    page.page.click("#tab-compare")
    page.page.set_input_files("#base-file", str(layer))
    page.page.wait_for_selector("#comparison table")
    assert page.page.locator("#comparison .stats").count() == 0
    page.page.check("#truth")
    page.page.wait_for_selector("#comparison .stats")
    page.page.reload()
    page.page.click("#tab-compare")
    page.page.wait_for_selector("#comparison .stats")
    assert page.page.is_checked("#truth")
    page.page.click("#tab-adjust")
    page.slide("threshold", 0.9)
    page.page.wait_for_selector("#difference .minus")
    page.page.click("#tab-compare")
    page.page.click("#compare-again")
    page.page.wait_for_selector("#comparison table")
    assert page.until("window.roadgis.map.overlays.missing !== undefined")


def test_page_checks_a_scene_again_whose_check_was_cancelled(
    page: Page, server: Server, town: Path
) -> None:
    job = server.upload(town, check=False)
    assert server.request("POST", f"/api/jobs/{job}/cancel").json["message"] == "Cancelled."
    page.open(f"#job={job}")
    page.button("Check the files again").click()
    page.page.wait_for_selector("#verdict")
    assert page.page.inner_text("#verdict") == "This imagery can be used."
    page.said[:] = [text for text in page.said if "404" not in text]


def test_page_shows_names_as_text(page: Page, server: Server) -> None:
    name = "<img src=x onerror=alert(1)>"
    job = server.request("POST", "/api/jobs", {"name": name}).json["jobID"]
    page.open()
    page.page.wait_for_selector(".jobs a")
    assert name in page.page.inner_text(".jobs")
    assert page.page.evaluate("document.querySelectorAll('.jobs img').length") == 0
    page.open(f"#job={job}")
    page.page.wait_for_selector("h1.ellipsis")
    assert page.page.inner_text("h1") == name
    server.request("DELETE", f"/api/jobs/{job}")


def test_page_rejects_garbage_with_a_reason(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "scene.tif"
    path.write_bytes(b"no picture at all")
    page.open()
    page.page.set_input_files("input[type=file]", str(path))
    page.page.wait_for_selector(".toast.bad")
    assert "does not match the suffix .tif" in page.page.inner_text(".toast.bad")
    page.page.wait_for_selector("#choose")
    page.said = [text for text in page.said if "422" not in text]


def test_page_asks_for_the_crs_of_a_scene_that_has_none(page: Page, tmp_path: Path) -> None:
    from tests.factories.rasters import texture, write_raster

    path = write_raster(tmp_path / "nowhere.tif", texture(200, 200), crs=None)
    # The map may request tiles before the CRS is known; there are none.
    page.expected = "404"
    page.open()
    page.page.set_input_files("input[type=file]", str(path))
    page.page.wait_for_selector(".note.bad")
    assert "no coordinate reference system" in page.page.inner_text(".note.bad")
    page.page.fill("#crs", "EPSG:25832")
    page.page.keyboard.press("Enter")
    page.page.wait_for_selector("#verdict")
    assert page.page.inner_text("#verdict") == "This imagery can be used."


def test_page_works_in_dark_mode_on_a_tablet(browser: Any, server: Server, done: Any) -> None:
    context = browser.new_context(
        viewport={"width": 800, "height": 1100}, color_scheme="dark", has_touch=True
    )
    try:
        page = Page(context.new_page(), server.url)
        page.open(f"#job={done['jobID']}")
        page.page.wait_for_selector("#tab-layers")
        page.drawn()
        wide = page.page.evaluate("document.documentElement.scrollWidth")
        assert wide == 800
        assert page.page.evaluate("document.documentElement.dataset.theme") == "dark"
        assert page.said == []
    finally:
        context.close()


def violations(page: Any) -> list[str]:
    """Return serious and critical findings of axe-core."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{entry['id']}: {node['target']} {node['failureSummary']}"
        for entry in found
        if entry["impact"] in ("serious", "critical")
        for node in entry["nodes"]
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_page_is_accessible(browser: Any, server: Server, done: Any, theme: str) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme=theme)
    try:
        page = Page(context.new_page(), server.url)
        page.open()
        page.page.wait_for_selector("#example")
        assert violations(page.page) == []
        page.open(f"#job={done['jobID']}")
        page.page.wait_for_selector("#tab-layers")
        page.drawn()
        for tab in ("layers", "adjust", "correct", "compare", "download"):
            page.page.click(f"#tab-{tab}")
            assert violations(page.page) == [], tab
    finally:
        context.close()


def test_page_can_be_used_with_the_keyboard_alone(page: Page, done: Any) -> None:
    page.open(f"#job={done['jobID']}")
    page.page.wait_for_selector("#tab-layers")
    reached = set()
    for _ in range(40):
        page.page.keyboard.press("Tab")
        reached.add(
            page.page.evaluate("document.activeElement.id || document.activeElement.tagName")
        )
    assert {
        "brand",
        "theme",
        "tab-layers",
        "layer-roads",
        "colouring",
        "swipe-button",
        "map",
    } <= reached
    page.page.focus("#tab-layers")
    page.page.keyboard.press("ArrowRight")
    assert page.page.evaluate("document.activeElement.id") == "tab-adjust"


def test_page_asks_for_clicks_on_the_imagery_when_a_road_is_drawn(page: Page, done: Any) -> None:
    page.open(f"#job={done['jobID']}")
    page.page.click("#tab-correct")
    page.page.wait_for_selector("#doubt h2")
    page.drawn()
    page.page.click("#draw")
    page.page.evaluate("window.roadgis.map.map.panBy([5000, 0], { animate: false })")
    page.page.mouse.click(800, 400)
    hint = "document.getElementById('hint').textContent"
    page.until(hint, lambda text: text == "Roads start and end on the imagery: click on it.")
    page.page.evaluate("window.roadgis.map.map.panBy([-5000, 0], { animate: false })")
    page.page.mouse.click(800, 400)
    page.until(hint, lambda text: text == "Click where it ends.")


def test_page_draws_and_undoes_a_road_with_the_keyboard(page: Page, done: Any) -> None:
    page.open(f"#job={done['jobID']}")
    page.page.click("#tab-correct")
    page.page.wait_for_selector("#doubt h2")
    page.drawn()
    page.page.focus("#map")
    page.page.keyboard.press("d")
    page.page.keyboard.press("Enter")
    page.until("document.getElementById('hint').textContent.includes('ends')")
    before = page.page.evaluate("window.roadgis.map.map.getCenter().lng")
    page.page.keyboard.press("ArrowRight")
    page.until("window.roadgis.map.map.getCenter().lng", lambda now: now > before)
    # Other tests may have left corrections.
    edits = "document.getElementById('edit-count').textContent"
    before = page.until(edits)
    page.page.keyboard.press("Enter")
    page.until(edits, lambda now: now != before)
    page.until("window.roadgis.map.overlays.drawn !== undefined")
    page.page.keyboard.press("z")
    page.until(edits, lambda now: now == before)
