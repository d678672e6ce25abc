"""Counties on Dask workers give the same network, even if workers are killed."""

from __future__ import annotations

import json
import os
import random
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

import distributed
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


def wait_for_a_worker(address: str) -> None:
    with distributed.Client(address, timeout=120, set_as_default=False) as client:
        client.wait_for_workers(1, timeout=120)


def run_on_dask(county: Path, **keywords: Any) -> None:
    plan = read_plan(county)
    with DaskEngine(county, plan, threads=1, **keywords) as engine:
        run_county(county, plan, engine)


def test_dask_on_two_workers_gives_the_network_of_extract(
    county: Path, model: Path, sheets: Path
) -> None:
    command = [sys.executable, "-m", "roadgis", "batch", "run", str(county), "--workers", "2"]
    subprocess.run(command, check=True, timeout=1500)
    workers = {
        json.loads(path.read_text())["worker"] for path in (county / "predicted").glob("*.json")
    }
    assert len(workers) == 2
    assert_same(merged(county).network, extracted(sheets, model))


def test_dask_local_workers_keep_the_memory_of_arrays(county: Path) -> None:
    before = set(psutil.Process().children(recursive=True))
    with DaskEngine(county, read_plan(county), workers=1, threads=1):
        started = set(psutil.Process().children(recursive=True)) - before
        variables = [process.environ() for process in started]
    assert any(values.get("OMP_NUM_THREADS") == "1" for values in variables)
    assert not any("MALLOC_TRIM_THRESHOLD_" in values for values in variables)


def test_run_county_on_a_cluster_made_in_python_gives_the_network_of_extract(
    county: Path, model: Path, sheets: Path
) -> None:
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        dashboard_address=None,
        scheduler_kwargs={"dashboard_address": ":0"},
    ) as cluster:
        cluster.wait_for_workers(1)
        run_on_dask(county, address=cluster)
    assert_same(merged(county).network, extracted(sheets, model))


def records(county: Path) -> list[Path]:
    """Return the records of finished steps, in arbitrary order."""
    return [path for step in ("predicted", "traced") for path in (county / step).glob("*.json")]


def wait_for_steps(county: Path, count: int, running: subprocess.Popen[Any]) -> None:
    """Wait until a running command has finished some of its 40 steps."""
    while len(records(county)) < count:
        assert running.poll() is None
        time.sleep(0.02)


def kill_a_worker(county: Path, running: subprocess.Popen[Any], chance: random.Random) -> None:
    """Kill a live process that has finished a step."""
    while True:
        assert running.poll() is None
        pids = {int(json.loads(path.read_text())["worker"].rpartition(":")[2])
                for path in records(county)}  # fmt: skip
        alive = sorted(pid for pid in pids if psutil.pid_exists(pid))
        if alive:
            os.kill(chance.choice(alive), signal.SIGKILL)
            return
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_dask_workers_killed_at_four_moments_change_nothing(
    county: Path, model: Path, sheets: Path, seed: int
) -> None:
    chance = random.Random(seed)
    command = [sys.executable, "-m", "roadgis", "batch", "run", str(county), "--workers", "2"]
    running = subprocess.Popen(command)
    for steps in sorted(chance.sample(range(1, 30), 4)):
        wait_for_steps(county, steps, running)
        time.sleep(chance.uniform(0, 0.1))
        kill_a_worker(county, running, chance)
    assert running.wait(timeout=1500) == 0
    assert_same(merged(county).network, extracted(sheets, model))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_dask_runs_with_workers_killed_at_five_moments_are_completed(
    county: Path, model: Path, sheets: Path, seed: int
) -> None:
    chance = random.Random(seed)
    command = [sys.executable, "-m", "roadgis", "batch", "run", str(county), "--workers", "2"]
    for _ in range(5):
        with subprocess.Popen(command) as running:
            wait_for_steps(county, len(records(county)) + chance.randint(1, 3), running)
            time.sleep(chance.uniform(0, 0.1))
            workers = psutil.Process(running.pid).children(recursive=True)
            running.kill()
        _, alive = psutil.wait_procs(workers, timeout=60)
        assert not alive
    subprocess.run(command, check=True, timeout=1500)
    assert_same(merged(county).network, extracted(sheets, model))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_dask_runs_end_when_the_scheduler_is_killed_and_the_next_one_completes(
    county: Path, model: Path, sheets: Path, seed: int
) -> None:
    chance = random.Random(seed)
    for _ in range(5):
        port = free_port()
        address = f"tcp://127.0.0.1:{port}"
        command = [sys.executable, "-m", "roadgis", "batch", "run", str(county), "--dask", address]
        with scheduler(port) as killed, worker(port):
            wait_for_a_worker(address)
            running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
            wait_for_steps(county, len(records(county)) + chance.randint(1, 3), running)
            time.sleep(chance.uniform(0, 0.1))
            killed.kill()
            _, said = running.communicate(timeout=300)
        assert running.returncode == 1
        assert said == (
            "Error: The connection to the Dask scheduler was lost. Finished units are kept: start "
            "the scheduler, and run the same command again.\n"
        )
    port = free_port()
    with scheduler(port), worker(port):
        wait_for_a_worker(f"tcp://127.0.0.1:{port}")
        run_on_dask(county, address=f"tcp://127.0.0.1:{port}")
    assert_same(merged(county).network, extracted(sheets, model))


@pytest.mark.slow
def test_dask_worker_of_another_version_is_rejected(county: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    here = Path(roadgis.__file__).parent
    shutil.copytree(here, other / "roadgis", copy_function=os.symlink)
    version = other / "roadgis" / "_version.py"
    text = version.read_text()
    version.unlink()
    version.write_text(text.replace(roadgis.__version__, "0.0.9"))
    port = free_port()
    with scheduler(port), worker(port, path=other):
        wait_for_a_worker(f"tcp://127.0.0.1:{port}")
        with pytest.raises(InputError, match=r"1 of 1 workers .*roadgis 0.1.0, and this is 0.0.9"):
            run_on_dask(county, address=f"tcp://127.0.0.1:{port}")


def test_run_rejects_a_plan_of_another_version(county: Path) -> None:
    values = json.loads((county / PLAN).read_text())
    (county / PLAN).write_text(json.dumps(values | {"roadgis": "9"}))
    with pytest.raises(InputError, match="made by roadgis 9, and this is"):
        run_on_dask(county, address="tcp://127.0.0.1:1")


def test_dask_scheduler_that_does_not_answer_is_named(county: Path) -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(ReadError, match=f"{address}: no Dask scheduler answers"):
        run_on_dask(county, address=address)
