"""Load on the map page's server: many clients, uploads at once, slow and aborted clients; memory.

python benchmarks/map_page_load.py examples/town.tif
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import math
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

UPLOADS, SLOW = 50, 50


class Client:
    """Requests to the server, each on its own connection."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, bytes]:
        """Return status and body of the response."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        with contextlib.closing(line):
            line.request(method, path, body, {"Content-Type": "application/json", **headers})
            answer = line.getresponse()
            return answer.status, answer.read()

    def json(self, method: str, path: str, body: bytes | None = None) -> Any:
        """Return the decoded body of the response."""
        return json.loads(self.ask(method, path, body)[1])

    def new_job(self) -> str:
        """Make a job for an upload and return its id."""
        return str(self.json("POST", "/api/jobs", b"{}")["jobID"])

    def remove_uploads(self) -> None:
        """Delete the jobs that were never checked."""
        for job in self.json("GET", "/api/jobs")["jobs"]:
            if job["state"] == "uploading":
                self.ask("DELETE", f"/api/jobs/{job['jobID']}")


def at_once(clients: int, work: Callable[[int], list[tuple[int, float]]]) -> str:
    """Run a function in many threads, and return statuses, rate and times as text."""
    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        answers = [entry for part in pool.map(work, range(clients)) for entry in part]
    passed = time.perf_counter() - started
    seconds = np.array([entry[1] for entry in answers])
    return (
        f"{len(answers)} answers, {dict(Counter(status for status, _ in answers))}, "
        f"{len(answers) / passed:.0f} per s, median {np.median(seconds):.2f} s, "
        f"95 % below {np.percentile(seconds, 95):.2f} s"
    )


def timed(work: Callable[[], tuple[int, bytes]]) -> tuple[int, float]:
    """Return the status of a request and the seconds that it took."""
    started = time.perf_counter()
    status, _ = work()
    return status, time.perf_counter() - started


def finished_job(client: Client, scene: Path) -> dict[str, Any]:
    job = client.new_job()
    client.ask("PUT", f"/api/jobs/{job}/files/{scene.name}", scene.read_bytes())
    client.ask("POST", f"/api/jobs/{job}/check")
    for state, then in (("ready", "execution"), ("done", "")):
        while (found := client.json("GET", f"/api/jobs/{job}"))["state"] != state:
            time.sleep(0.5)
        if then:
            client.ask("POST", f"/api/jobs/{job}/{then}", b"{}")
    return dict(found)


def mixed_paths(job: dict[str, Any]) -> list[str]:
    """Return the requests of an open page: lists, map tiles at the centre of the scene, scripts."""
    west, south, east, north = job["facts"]["bounds_lonlat"]
    zoom = 16
    x = int(((west + east) / 2 + 180) / 360 * 2**zoom)
    y = int((1 - math.asinh(math.tan(math.radians((south + north) / 2))) / math.pi) / 2 * 2**zoom)
    path = f"/api/jobs/{job['jobID']}"
    return [
        "/api/jobs",
        path,
        f"{path}/roads/0/{zoom}/{x}/{y}.json",
        f"{path}/tiles/imagery/{zoom}/{x}/{y}.png",
        f"{path}/tiles/probability/{zoom}/{x}/{y}.png",
        "/static/app.js",
    ]


def many_clients(client: Client, paths: list[str], clients: int, requests: int) -> str:
    def work(number: int) -> list[tuple[int, float]]:
        chosen = [paths[(number + turn) % len(paths)] for turn in range(requests)]
        return [timed(lambda path=path: client.ask("GET", path)) for path in chosen]  # type: ignore[misc]

    return at_once(clients, work)


def ranges(client: Client, path: str, clients: int) -> str:
    """Request parts of a raster, as GDAL does when it reads over HTTP."""
    whole = client.ask("GET", path)[1]

    def work(number: int) -> list[tuple[int, float]]:
        first = number * 97 % (len(whole) - 1000)
        started = time.perf_counter()
        status, part = client.ask("GET", path, Range=f"bytes={first}-{first + 999}")
        assert part == whole[first : first + 1000]
        return [(status, time.perf_counter() - started)]

    return at_once(clients, work)


def event_streams(client: Client, clients: int) -> str:
    """Keep event streams of an unfinished job open, and make other requests meanwhile."""
    job = client.new_job()
    request = f"GET /api/jobs/{job}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    lines = [socket.create_connection(("127.0.0.1", client.port)) for _ in range(clients)]
    for line in lines:
        line.sendall(request)
    heard = sum(line.recv(15).startswith(b"HTTP/1.1 200") for line in lines)
    status, seconds = timed(lambda: client.ask("GET", "/api/"))
    for line in lines:
        line.close()
    client.remove_uploads()
    return f"{heard} streams open; another request: {status} in {seconds:.2f} s"


def uploads_at_once(client: Client, megabytes: int) -> str:
    jobs = [client.new_job() for _ in range(UPLOADS)]
    body = b"II*\0" + bytes(megabytes * 1_000_000)
    text = at_once(
        UPLOADS,
        lambda n: [timed(lambda: client.ask("PUT", f"/api/jobs/{jobs[n]}/files/a.tif", body))],
    )
    client.remove_uploads()
    return f"{UPLOADS} of {megabytes} MB: {text}"


def slow_and_aborted(client: Client, folder: Path) -> str:
    """Start uploads and requests that stall, make other requests, and close them."""
    job = client.new_job()
    heads = [
        b"GET /api/ HTTP/1.1\r\nHost: localhost\r\n",
        f"PUT /api/jobs/{job}/files/a.tif HTTP/1.1\r\nHost: localhost\r\n"
        "Content-Length: 9000000\r\n\r\nII*".encode(),
    ]
    lines = [socket.create_connection(("127.0.0.1", client.port)) for _ in range(2 * SLOW)]
    for number, line in enumerate(lines):
        line.sendall(heads[number % 2])
    for line in lines[1::2]:
        line.sendall(bytes(100_000))
    status, seconds = timed(lambda: client.ask("GET", "/api/"))
    for line in lines:
        line.close()
    inputs = folder / "jobs" / job / "inputs"
    until = time.monotonic() + 60
    while list(inputs.iterdir()) and time.monotonic() < until:
        time.sleep(0.2)
    left = len(list(inputs.iterdir()))
    client.remove_uploads()
    return f"{2 * SLOW} hang; another request: {status} in {seconds:.2f} s; {left} files left"


def rejected(port: int) -> str:
    """Request more jobs at once than the queue allows."""
    client = Client(port)
    with ThreadPoolExecutor(UPLOADS) as pool:
        found = Counter(
            pool.map(lambda _: client.ask("POST", "/api/jobs", b"{}")[0], range(UPLOADS))
        )
    client.remove_uploads()
    return str(dict(found))


def memory_mb(pid: int) -> str:
    """Return the resident memory of the server and of its process for short work."""

    def resident(process: int) -> int:
        text = Path(f"/proc/{process}/status").read_text()
        return int(text.partition("VmRSS:")[2].split()[0])

    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return f"{resident(pid) / 1024:.0f} + {sum(resident(int(c)) for c in children) / 1024:.0f} MB"


@contextlib.contextmanager
def server(folder: str, *options: str) -> Iterator[tuple[int, int]]:
    """Run a server, and give its port and process id."""
    command = [sys.executable, "-m", "roadgis", "serve", "--port", "0", "--folder", folder,
               "--progress", "jsonl", *options]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = (json.loads(line) for line in process.stdout)
        url = next(line["url"] for line in lines if line["type"] == "serving")
        rest = threading.Thread(target=lambda: list(lines), daemon=True)
        rest.start()
        try:
            yield int(url.rstrip("/").rpartition(":")[2]), process.pid
        finally:
            process.terminate()
            rest.join()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--requests", type=int, default=10, help="Requests of each client.")
    parser.add_argument("--megabytes", type=int, default=10, help="Size of each upload.")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    print(f"load average before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder, server(folder) as (port, _):
        print(f"{UPLOADS} jobs asked for at once, 8 may wait: {rejected(port)}", flush=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        server(folder, "--max-waiting", "60") as (port, pid),
    ):
        client = Client(port)
        job = finished_job(client, given.scene)
        raster = f"/api/jobs/{job['jobID']}/download/probability"
        print(f"after one job: {memory_mb(pid)}")
        for turn in range(1, given.rounds + 1):
            works: dict[str, Callable[[], object]] = {
                "requests": lambda: many_clients(
                    client, mixed_paths(job), given.clients, given.requests
                ),
                "ranges": lambda: ranges(client, raster, given.clients),
                "events": lambda: event_streams(client, given.clients),
                "slow": lambda: slow_and_aborted(client, Path(folder)),
                "uploads": lambda: uploads_at_once(client, given.megabytes),
            }
            for name, work in works.items():
                print(f"{turn} {name}: {work()}; {memory_mb(pid)}", flush=True)
    print(f"load average after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
