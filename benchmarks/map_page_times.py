"""Waiting times on the map page: for the first roads, for a run, for a new network.

python -m benchmarks.map_page_times massachusetts/train/images
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.transform import from_origin

from benchmarks.map_page_load import Client, mixed_paths, server

CHANGES: tuple[dict[str, float], ...] = (
    {"threshold": 0.4},
    {"threshold": 0.6},
    {"threshold": 0.3},
    {"threshold": 0.3, "max_gap_m": 60.0},
    {"threshold": 0.3, "max_gap_m": 60.0, "min_component_m": 200.0},
    {"threshold": 0.3, "max_gap_m": 60.0, "min_component_m": 200.0, "tolerance_m": 2.0},
)


def side_by_side(folder: Path, side: int, output: Path) -> None:
    """Write the scenes of a folder with the fewest blank pixels side by side, at 1 m."""
    scenes = []
    for path in sorted(folder.glob("*.tif")):
        with rasterio.open(path) as dataset:
            blank = float((dataset.dataset_mask() == 0).mean())
            scenes.append((blank, path, dataset.height))
    size = scenes[0][2]
    columns = -(-side // size)
    values = np.zeros((3, columns * size, columns * size), np.uint8)
    for number, (_, path, _) in enumerate(sorted(scenes)[: columns**2]):
        row, col = divmod(number, columns)
        with rasterio.open(path) as dataset:
            part = dataset.read(out_shape=(3, size, size))
        values[:, row * size : (row + 1) * size, col * size : (col + 1) * size] = part
    profile = {
        "driver": "GTiff", "dtype": "uint8", "count": 3, "width": side, "height": side,
        "crs": "EPSG:26986", "transform": from_origin(200_000, 900_000, 1, 1), "tiled": True,
        "compress": "jpeg", "photometric": "ycbcr", "nodata": None,
    }  # fmt: skip
    with rasterio.open(output, "w", **profile) as dataset:
        dataset.write(values[:, :side, :side])


def upload(client: Client, scene: Path) -> str:
    """Upload a scene, and return the job once it is ready."""
    job = client.new_job()
    client.ask("PUT", f"/api/jobs/{job}/files/{scene.name}", scene.read_bytes())
    started = time.perf_counter()
    client.ask("POST", f"/api/jobs/{job}/check")
    found = _reached(client, job, "ready")
    facts = found["facts"]
    print(f"checked in {time.perf_counter() - started:.1f} s: {facts['size']['mpx']} Mpx, "
          f"estimated {facts['estimated_seconds']:.0f} s")  # fmt: skip
    return job


def _reached(client: Client, job: str, state: str) -> dict[str, Any]:
    while True:
        found: dict[str, Any] = client.json("GET", f"/api/jobs/{job}")
        if found["state"] == state:
            return found
        assert found["state"] != "failed", found["message"]
        time.sleep(0.1)


def run(client: Client, job: str) -> dict[str, Any]:
    """Run a job, and print when its first roads are visible and when it is done."""
    started = time.perf_counter()
    client.ask("POST", f"/api/jobs/{job}/execution", b"{}")
    seen = False
    while not seen:
        found = client.json("GET", f"/api/jobs/{job}")
        seen = found["live"].get("edges", 0) > 0
        if found["state"] == "done":
            break
        time.sleep(0.1)
    if seen:  # the next request of the page
        path = next(p for p in mixed_paths(found) if "/roads/" in p).replace(
            "roads/0", "roads/live"
        )
        client.ask("GET", path)
        print(f"first roads after {time.perf_counter() - started:.1f} s ({found['live']})")
    done = _reached(client, job, "done")
    network = done["result"]["networks"][0]
    print(f"done after {time.perf_counter() - started:.1f} s: {network['edges']} edges, "
          f"{network['length_m'] / 1000:.0f} km")  # fmt: skip
    return done


def change(client: Client, job: str) -> None:
    """Move each slider, and print how long each new network takes."""
    before: dict[str, float] = {}
    for settings in CHANGES:
        started = time.perf_counter()
        status, body = client.ask(
            "POST", f"/api/jobs/{job}/networks", json.dumps(settings).encode()
        )
        assert status == 201, body
        moved = {name: value for name, value in settings.items() if before.get(name) != value}
        print(f"{moved}: {time.perf_counter() - started:.2f} s, {json.loads(body)['edges']} edges")
        before = settings


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path, help="Folder of scenes of 1 m, or a scene.")
    parser.add_argument("--side", type=int, default=5000, help="Side of the scene, pixels.")
    parser.add_argument("--runs", type=int, default=2)
    given = parser.parse_args()
    print(f"load average before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        scene = given.images
        if scene.is_dir():
            scene = folder / "scene.tif"
            side_by_side(given.images, given.side, scene)
        port, _ = stack.enter_context(server(str(folder / "serve"), "--quota-mb", "100000"))
        client = Client(port)
        for _ in range(given.runs):
            job = upload(client, scene)
            run(client, job)
            change(client, job)
    print(f"load average after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
