"""Runs killed at any moment, or concurrent in one work directory, never leave a wrong file."""

from __future__ import annotations

import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest

from tests.factories.models import tiny_model
from tests.factories.rasters import write_raster
from tests.factories.roads import painted
from tests.killed import Ended, Runs

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and fork are POSIX")

_SEED = 14
# Steps of a run after the last block: COG, vector file, renames, clean-up.
_LAST = 0.45


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a scene of 2 x 2 chunks, and a model."""
    folder = tmp_path_factory.mktemp("inputs")
    strokes = [(0, 300, 900, 340, 8), (0, 820, 900, 800, 8), (400, 0, 420, 850, 9)]
    scene = write_raster(folder / "scene.tif", painted((850, 900), strokes), compress="deflate")
    return scene, tiny_model(folder / "tiny.onnx")


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    with Runs(tmp_path / "run.log") as server:
        yield server


class Command:
    """A command in a folder of its own, with its outputs."""

    def __init__(self, name: str, inputs: tuple[Path, Path], folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        raster = folder / "prob.tif"
        scene, model = inputs
        self.outputs = {
            "extract": [folder / "roads.gpkg", raster], "predict": [raster],
        }[name]  # fmt: skip
        self.arguments: list[Any] = [
            name, scene, "-m", model, "-o", self.outputs[0], "--block-px", 768, "--threads", 1,
            "--workers", 1, *(["--probability", raster] if name == "extract" else []),
        ]  # fmt: skip

    def contents(self) -> dict[str, Any]:
        """Return the files of the folder, and outputs as bytes or rows of a GeoPackage."""
        found: dict[str, Any] = {}
        for path in sorted(self.folder.iterdir()):
            found[path.name] = content(path)
        return found


def content(path: Path) -> Any:
    """Return bytes, or rows of a GeoPackage; None for a folder."""
    if path.is_dir():
        return None
    return rows(path) if path.suffix == ".gpkg" else path.read_bytes()


def rows(path: Path) -> list[Any]:
    layers = []
    for layer in ("edges", "nodes"):
        meta, _, shapes, columns = pyogrio.raw.read(path, layer=layer)
        values = [np.asarray(column).astype(str).tolist() for column in columns]
        layers.append((list(meta["fields"]), shapes.tolist(), values))
    return layers


def done(ended: Ended) -> Ended:
    assert ended.status == 0, ended.text
    return ended


def moments(steps: int, count: int, seed: int) -> list[tuple[int, float]]:
    """Return steps with delays, spread over the run; two thirds are among the last steps."""
    chance = random.Random(seed)
    first_of_last = int(steps * (1 - _LAST))
    in_between = count // 3
    chosen = spread(chance, 1, first_of_last, in_between)
    chosen += spread(chance, first_of_last, steps, count - in_between)
    return [(step, chance.choice([0.0, 0.0, chance.uniform(0.001, 0.2)])) for step in chosen]


def spread(chance: random.Random, first: int, last: int, count: int) -> list[int]:
    """Return steps from `first` to `last`, a random one of each of `count` parts."""
    part = (last + 1 - first) / count
    return [first + int((number + chance.random()) * part) for number in range(count)]


def check_completion(
    name: str, inputs: tuple[Path, Path], tmp_path: Path, runs: Runs, count: int
) -> None:
    whole = Command(name, inputs, tmp_path / "whole")
    steps = done(runs.run(whole.arguments, folder=whole.folder)).steps
    expected = whole.contents()
    assert sorted(expected) == sorted(path.name for path in whole.outputs)
    for number, (step, delay_s) in enumerate(moments(steps, count, _SEED)):
        case = f"step {step} of {steps}, {delay_s:.3f} s later"
        command = Command(name, inputs, tmp_path / str(number))
        first = runs.run(
            command.arguments, folder=command.folder, step=step, delay_s=delay_s,
            number=signal.SIGKILL,
        )  # fmt: skip
        assert first.status in (-signal.SIGKILL, 0), first.text
        left = {path.name for path in command.folder.iterdir()}
        again = command.arguments
        if {path.name for path in command.outputs} == left - {p for p in left if p[0] == "."}:
            # Everything was finished, and no record says that an earlier run was stopped.
            again = [*again, "--overwrite"]
        second = runs.run(again, folder=command.folder)
        assert second.status == 0, f"{case}: {second.text}"
        assert command.contents() == expected, case


@pytest.mark.parametrize("name", ["extract", "predict"])
def test_killed_run_is_completed_by_the_same_command(
    name: str, inputs: tuple[Path, Path], tmp_path: Path, runs: Runs
) -> None:
    check_completion(name, inputs, tmp_path, runs, 3)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", ["extract", "predict"])
def test_killed_runs_are_completed_at_many_moments(
    name: str, inputs: tuple[Path, Path], tmp_path: Path, runs: Runs
) -> None:
    check_completion(name, inputs, tmp_path, runs, 12)


def check_concurrent_runs(
    inputs: tuple[Path, Path], tmp_path: Path, runs: Runs, count: int
) -> None:
    whole = Command("extract", inputs, tmp_path / "whole")
    steps = done(runs.run(whole.arguments, folder=whole.folder)).steps
    expected = whole.contents()
    chance = random.Random(_SEED)
    for number, step in enumerate(spread(chance, 1, steps, count)):
        command = Command("extract", inputs, tmp_path / str(number))
        overwriting = [*command.arguments, "--overwrite"]
        first = runs.run(overwriting, folder=command.folder, step=step, number=signal.SIGSTOP)
        assert first.status is None, first.text
        second = runs.run(overwriting, folder=command.folder)
        if second.status != 0:
            assert second.status == 1
            assert f"in use by another roadgis run (process {first.pid} on " in second.text
        for path in command.outputs:
            if path.exists():
                assert content(path) == expected[path.name], f"step {step}"
        # A run that starts after the end of the other one repeats the work.
        done(runs.resume(first.pid))
        assert command.contents() == expected, f"step {step} of {steps}"


def test_concurrent_runs_in_one_work_directory_never_leave_a_wrong_file(
    inputs: tuple[Path, Path], tmp_path: Path, runs: Runs
) -> None:
    check_concurrent_runs(inputs, tmp_path, runs, 3)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_concurrent_runs_at_many_moments_never_leave_a_wrong_file(
    inputs: tuple[Path, Path], tmp_path: Path, runs: Runs
) -> None:
    check_concurrent_runs(inputs, tmp_path, runs, 8)
