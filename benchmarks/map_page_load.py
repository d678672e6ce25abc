"""Load on the map page's server: many clients, uploads at once, slow and aborted clients; memory.

python benchmarks/map_page_load.py examples/town.tif
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

CLIENTS, REQUESTS, UPLOADS, SLOW = 200, 10, 50, 50


def request(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=300)) as line:
        line.request(method, path, body, {"Content-Type": "application/json"})
        answer = line.getresponse()
        return answer.status, answer.read()


def memory_mb(pid: int) -> float:
    """Return the resident memory of a process, without its children."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


def finished_job(port: int, scene: Path) -> str:
    job = json.loads(request(port, "POST", "/api/jobs", b"{}")[1])["jobID"]
    request(port, "PUT", f"/api/jobs/{job}/files/{scene.name}", scene.read_bytes())
    request(port, "POST", f"/api/jobs/{job}/check")
    for state, then in (("ready", "execution"), ("done", "")):
        while json.loads(request(port, "GET", f"/api/jobs/{job}")[1])["state"] != state:
            time.sleep(0.5)
        if then:
            request(port, "POST", f"/api/jobs/{job}/{then}", b"{}")
    return str(job)


def many_clients(port: int, paths: list[str]) -> dict[str, Any]:
    """Ask for each path from many clients at once."""

    def client(number: int) -> list[tuple[int, float]]:
        out = []
        for turn in range(REQUESTS):
            started = time.perf_counter()
            status, _ = request(port, "GET", paths[(number + turn) % len(paths)])
            out.append((status, time.perf_counter() - started))
        return out

    started = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = [entry for part in pool.map(client, range(CLIENTS)) for entry in part]
    seconds = np.array([entry[1] for entry in answers])
    return {
        "statuses": dict(Counter(status for status, _ in answers)),
        "per_s": round(len(answers) / (time.perf_counter() - started), 1),
        "median_s": round(float(np.median(seconds)), 2),
        "p95_s": round(float(np.percentile(seconds, 95)), 2),
    }


def uploads_at_once(port: int) -> dict[int, int]:
    def make(_: int) -> int:
        return request(port, "POST", "/api/jobs", b"{}")[0]

    with ThreadPoolExecutor(UPLOADS) as pool:
        found = Counter(pool.map(make, range(UPLOADS)))
    for job in json.loads(request(port, "GET", "/api/jobs")[1])["jobs"]:
        if job["state"] == "uploading":
            request(port, "DELETE", f"/api/jobs/{job['jobID']}")
    return dict(found)


def slow_and_aborted(port: int) -> None:
    """Open connections that send half a request, and close them after a while."""
    lines = [socket.create_connection(("127.0.0.1", port)) for _ in range(SLOW)]
    for line in lines:
        line.sendall(b"GET /api/ HTTP/1.1\r\nHost: localhost\r\n")
    started = time.perf_counter()
    status, _ = request(port, "GET", "/api/")
    print(f"with {SLOW} clients that hang: {status} in {time.perf_counter() - started:.2f} s")
    for line in lines:
        line.close()


def main(scene: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "roadgis", "serve", "--port", "0", "--folder", folder,
                   "--progress", "jsonl"]  # fmt: skip
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            lines = (json.loads(line) for line in process.stdout)
            url = next(line["url"] for line in lines if line["type"] == "serving")
            port = int(url.rstrip("/").rpartition(":")[2])
            threading.Thread(target=lambda: list(lines), daemon=True).start()
            try:
                job = finished_job(port, scene)
                tile = f"/api/jobs/{job}/roads/0/12/1235/1513.json"
                paths = ["/api/jobs", f"/api/jobs/{job}", tile, "/static/app.js"]
                for turn in range(3):
                    found = many_clients(port, paths)
                    print(turn, found, f"{memory_mb(process.pid):.0f} MB")
                print(f"{UPLOADS} uploads at once:", uploads_at_once(port))
                slow_and_aborted(port)
                print(f"at the end: {memory_mb(process.pid):.0f} MB")
            finally:
                process.terminate()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
