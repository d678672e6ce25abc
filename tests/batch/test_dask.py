"""Counties on the workers of Dask: the same network, whatever happens to the workers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

import roadgis
from roadgis.batch.engine import DaskEngine
from roadgis.batch.plan import PLAN, read_plan
from roadgis.batch.run import run_county
from roadgis.errors import InputError, ReadError
from tests.batch.counties import assert_same, extracted, merged, planned, settings

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture
def county(tmp_path: Path, model: Path, sheets: Path) -> Path:
    planned(tmp_path / "county", sheets, settings(model, 128))
    return tmp_path / "county"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def process(*arguments: str, path: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, **({} if path is None else {"PYTHONPATH": str(path)})}
    started = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        env=environment, cwd=path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield started
    finally:
        started.kill()
        started.wait()


def scheduler(port: int) -> Any:
    return process(
        "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port),
        "--dashboard-address", ":0", "--no-dashboard",
    )  # fmt: skip


def worker(port: int, path: Path | None = None) -> Any:
    return process(
        "distributed.cli.dask_worker", f"tcp://127.0.0.1:{port}", "--nthreads", "1", "--no-nanny",
        "--no-dashboard", path=path,
    )  # fmt: skip


def run_on_dask(county: Path, **keywords: Any) -> None:
    plan = read_plan(county)
    with DaskEngine(county, plan, threads=1, **keywords) as engine:
        run_county(county, plan, engine)


def test_two_workers_give_the_network_of_extract(county: Path, model: Path, sheets: Path) -> None:
    command = [sys.executable, "-m", "roadgis", "batch", "run", str(county), "--workers", "2"]
    subprocess.run(command, check=True, timeout=1500)
    workers = {
        json.loads(path.read_text())["worker"] for path in (county / "predicted").glob("*.json")
    }
    assert len(workers) == 2
    assert_same(merged(county).network, extracted(sheets, model))


@pytest.mark.slow
def test_a_killed_worker_changes_nothing(county: Path, model: Path, sheets: Path) -> None:
    command = [sys.executable, "-m", "roadgis", "batch", "run", str(county), "--workers", "2"]
    running = subprocess.Popen(command)
    killed = 0
    while running.poll() is None:
        records = list((county / "predicted").glob("*.json"))
        if len(records) >= 5 * (killed + 1) and killed < 3:
            pid = int(json.loads(records[-1].read_text())["worker"].rpartition(":")[2])
            if psutil.pid_exists(pid):
                os.kill(pid, signal.SIGKILL)
                killed += 1
        time.sleep(0.05)
    assert running.returncode == 0
    assert killed
    assert_same(merged(county).network, extracted(sheets, model))


@pytest.mark.slow
@pytest.mark.parametrize("units", [1, 8, 17])
def test_a_killed_scheduler_ends_the_run_and_the_next_one_completes_it(
    county: Path, model: Path, sheets: Path, units: int
) -> None:
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    command = [sys.executable, "-m", "roadgis", "batch", "run", str(county), "--dask", address]
    with scheduler(port) as first, worker(port):
        time.sleep(8)
        running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        while len(list((county / "predicted").glob("*.json"))) < units:
            assert running.poll() is None
            time.sleep(0.05)
        first.kill()
        _, said = running.communicate(timeout=300)
    assert running.returncode == 1
    assert said == (
        "Error: The connection to the Dask scheduler was lost. Finished units are kept: start the "
        "scheduler, and run the same command again.\n"
    )
    with scheduler(port), worker(port):
        time.sleep(8)
        subprocess.run(command, check=True, timeout=1500)
    assert_same(merged(county).network, extracted(sheets, model))


@pytest.mark.slow
def test_a_worker_with_another_version_is_rejected(county: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    here = Path(roadgis.__file__).parent
    shutil.copytree(here, other / "roadgis", copy_function=os.symlink)
    version = other / "roadgis" / "_version.py"
    text = version.read_text()
    version.unlink()
    version.write_text(text.replace(roadgis.__version__, "0.0.9"))
    port = free_port()
    with scheduler(port), worker(port, path=other):
        time.sleep(8)
        with pytest.raises(InputError, match=r"1 of 1 workers .*roadgis 0.1.0, and this is 0.0.9"):
            run_on_dask(county, address=f"tcp://127.0.0.1:{port}")


def test_a_plan_of_another_version_is_rejected(county: Path) -> None:
    values = json.loads((county / PLAN).read_text())
    (county / PLAN).write_text(json.dumps(values | {"roadgis": "9"}))
    with pytest.raises(InputError, match="made by roadgis 9, and this is"):
        run_on_dask(county, address="tcp://127.0.0.1:1")


def test_a_scheduler_that_does_not_answer_is_named(county: Path) -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(ReadError, match=f"{address}: no Dask scheduler answers"):
        run_on_dask(county, address=address)
