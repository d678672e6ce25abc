"""The short version of the fuzz harness; the long one is ``python -m tests.fuzz``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.judge import verdict


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="the harness needs Linux")
def test_fuzz_cases_end_with_a_message_or_a_result() -> None:
    # In a process of its own: forks of a process with threads, such as a test worker, may hang.
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--short", "--jobs", "2"],
        cwd=Path(__file__).resolve().parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counts = [line.partition(" cases")[0] for line in done.stdout.splitlines()[:-1]]
    assert counts == ["rasters: 18", "vectors: 18", "models: 12", "settings: 6", "tags: 6"]


class TestVerdict:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "out").mkdir()
        (tmp_path / "in.tif").write_bytes(b"whole")
        return tmp_path

    @pytest.mark.parametrize(
        ("status", "printed", "said"),
        [
            (0, "", ""),
            (1, "Error: in.tif: is damaged", ""),
            (1, "", "an error without a message"),
            (-11, "", "signal SIGSEGV"),
            (-24, "", "hang"),
            (1, "Error: out of memory.", "out of memory"),
            (
                1,
                "Traceback (most recent call last):\nError: 3",
                "printed a traceback: Error: 3",
            ),
            (
                99,
                'File "/a/roadgis/lines/layer.py", line 7, in on\nKeyError: 3',
                "traceback: KeyError: 3 in roadgis/lines/layer.py:7 on",
            ),
        ],
    )
    def test_verdict_names_how_a_case_ended(
        self, folder: Path, status: int, printed: str, said: str
    ) -> None:
        assert verdict(status, printed, {}, folder / "out") == said

    def test_verdict_names_leftovers_and_changes_of_a_failed_run(self, folder: Path) -> None:
        before = {"in.tif": "another hash"}
        assert verdict(0, "", before, folder) == "input changed: in.tif"
        (folder / "in.tif").unlink()
        (folder / "out" / "out.gpkg").write_bytes(b"")
        assert verdict(0, "", {}, folder) == ""
        assert verdict(1, "Error: no", {}, folder) == "left behind: out.gpkg"
        (folder / "out" / ".out.partial").write_bytes(b"")
        assert verdict(0, "", {}, folder) == "left behind: .out.partial"
