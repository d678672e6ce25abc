"""Counties whose processes are killed at any moment: the next run gives the same results."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.factories.models import tiny_model
from tests.factories.rasters import cut_into_sheets, write_raster
from tests.factories.roads import painted
from tests.killed import Runs
from tests.test_kill import done, rows, spread

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and fork are POSIX")

_SEED = 18


class Land:
    """A planned county of a few units, and its network."""

    def __init__(self, folder: Path, runs: Runs) -> None:
        strokes = [(0, 300, 900, 340, 8), (0, 820, 900, 800, 8), (400, 0, 420, 850, 9)]
        whole = write_raster(folder / "scene.tif", painted((850, 900), strokes), compress="deflate")
        self.sheets = cut_into_sheets(whole, folder / "sheets", [400], [450])
        self.folder, self.runs = folder, runs
        self.county = folder / "county"
        model = tiny_model(folder / "tiny.onnx")
        self.plan = [
            "batch", "plan", self.sheets, "-m", model, "--unit-px", 768, "--max-road-width", 16,
        ]  # fmt: skip
        done(self._run([*self.plan, "-o", self.county]))

    def _run(self, arguments: list[Any], **keywords: Any) -> Any:
        return self.runs.run(arguments, **{"folder": self.folder, **keywords})

    def network(self, county: Path) -> list[Any]:
        output = county.with_suffix(".gpkg")
        done(self._run(["batch", "merge", county, "-o", output, "--overwrite"]))
        return rows(output)

    def copy(self, name: str, county: Path | None = None) -> Path:
        return Path(shutil.copytree(county or self.county, self.folder / name))


@pytest.fixture
def land(tmp_path: Path) -> Iterator[Land]:
    with Runs(tmp_path / "run.log") as server:
        yield Land(tmp_path, server)


def commands(land: Land, name: str, county: Path) -> list[Any]:
    run = ["batch", "run", county, "--threads", 1]
    return {
        "plan": [*land.plan, "-o", county],
        "run": run,
        "update": ["batch", "update", county],
        "merge": ["batch", "merge", county, "-o", county.with_suffix(".gpkg"), "--overwrite"],
    }[name]


def killed_and_completed(land: Land, name: str, count: int) -> None:
    whole = land.copy("whole")
    done(land._run(commands(land, "run", whole)))
    expected = land.network(whole)
    before = {"plan": None, "run": land.county}.get(name, whole)
    counted = land.folder / "counted" if before is None else land.copy("counted", before)
    steps = done(land._run(commands(land, name, counted), folder=counted.parent)).steps
    chance = random.Random(_SEED)
    for number, step in enumerate(spread(chance, 1, steps, count)):
        county = land.folder / f"{name}{number}"
        if before is not None:
            land.copy(county.name, before)
        land._run(
            commands(land, name, county), folder=county.parent, step=step, number=signal.SIGKILL,
            delay_s=chance.choice([0.0, chance.uniform(0.001, 0.1)]),
        )  # fmt: skip
        for command in (name, "run"):
            ended = land._run(commands(land, command, county))
            assert ended.status == 0, f"step {step} of {steps}: {ended.text}"
        assert land.network(county) == expected, f"step {step} of {steps}"
        left = [path.name for path in county.rglob(".*") if path.suffix != ".clock"]
        assert not left, f"step {step} of {steps}"


@pytest.mark.parametrize("name", ["plan", "run", "update", "merge"])
def test_killed_command_is_completed_by_the_same_command(land: Land, name: str) -> None:
    killed_and_completed(land, name, 2)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", ["plan", "run", "update", "merge"])
def test_commands_killed_at_twenty_moments_are_completed(land: Land, name: str) -> None:
    killed_and_completed(land, name, 20)


def test_lease_that_expired_is_taken_over_and_its_holder_writes_nothing(land: Land) -> None:
    expected_county = land.copy("whole")
    done(land._run(commands(land, "run", expected_county)))
    expected = land.network(expected_county)
    county = land.copy("stopped")
    run = [*commands(land, "run", county), "--lease-s", 1]
    first = land._run(run, folder=county / "predicted", step=6, number=signal.SIGSTOP)
    assert first.status is None, first.text
    assert len(os.listdir(county / "leases")) > 0
    done(land._run(run))
    assert land.network(county) == expected
    done(land.runs.resume(first.pid))
    assert land.network(county) == expected
