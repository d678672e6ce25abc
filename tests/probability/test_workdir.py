"""Work directories: marked, locked, and cleared of files of roadgis only."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from roadgis.errors import OutputError
from roadgis.probability.mosaic import remove_mosaic
from roadgis.workdir import check_work_directory, work_directory, wrote_outputs


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_work_directory_is_made_marked_locked_and_removed(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "work"
    with work_directory(folder, remove_mosaic) as work:
        assert work.folder == folder
        assert names(folder) == ["roadgis-work.json", "roadgis.lock"]
        marker = json.loads((folder / "roadgis-work.json").read_text())
        assert len(marker["id"]) == 32
        assert marker["run"]["pid"] == os.getpid()
    assert names(tmp_path / "deep") == []


def test_work_directory_is_kept_after_a_failed_run_with_its_id(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    with pytest.raises(KeyError), work_directory(folder, remove_mosaic):
        raise KeyError
    before = json.loads((folder / "roadgis-work.json").read_text())["id"]
    with work_directory(folder, remove_mosaic, keep=True):
        assert json.loads((folder / "roadgis-work.json").read_text())["id"] == before
    assert names(tmp_path) == ["work"]


def test_work_directory_that_was_empty_is_used_and_kept(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    with work_directory(folder, remove_mosaic):
        pass
    assert names(tmp_path) == ["mine"]
    assert names(folder) == []


@pytest.mark.parametrize("text", [b"{", b"\xff", b"[" * 100_000])
def test_work_directory_with_a_damaged_marker_is_rejected(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "roadgis-work.json").write_bytes(text)
    with pytest.raises(OutputError, match="not a roadgis work directory"):
        check_work_directory(tmp_path)
    assert (tmp_path / "roadgis-work.json").read_bytes() == text


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("name", ["thesis.txt", "mosaic.json", "roadgis-work.json", "00000.tif"])
def test_work_directory_with_other_files_is_rejected_before_anything_is_written(
    tmp_path: Path, name: str, restart: bool
) -> None:
    (tmp_path / name).write_text("{}")
    for use in (
        lambda: check_work_directory(tmp_path),
        lambda: work_directory(tmp_path, remove_mosaic, restart=restart).__enter__(),
    ):
        with pytest.raises(OutputError, match=r"not a roadgis work directory.*Nothing was written"):
            use()
    assert names(tmp_path) == [name]
    assert (tmp_path / name).read_text() == "{}"


def test_work_directory_keeps_files_added_by_the_user(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "work"
    with work_directory(folder, remove_mosaic):
        (folder / "notes.txt").write_text("mine")
    assert names(folder) == ["notes.txt"]
    assert "notes.txt, which roadgis did not write" in caplog.text


def test_lock_of_a_running_run_rejects_a_second_one_and_names_the_process(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    with work_directory(folder, remove_mosaic):
        with (
            pytest.raises(OutputError, match=rf"in use .*process {os.getpid()} on .*, since 20"),
            work_directory(folder, remove_mosaic, restart=True),
        ):
            pytest.fail("the block must not run")
        assert (folder / "roadgis-work.json").exists()


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
def test_lock_of_a_killed_run_is_taken_over(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    program = (
        "import os, pathlib, signal, sys\n"
        "from roadgis.workdir import work_directory\n"
        "with work_directory(pathlib.Path(sys.argv[1]), lambda folder: None):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(folder)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert names(folder) == ["roadgis-work.json", "roadgis.lock"]
    with work_directory(folder, remove_mosaic) as work:
        assert json.loads((work.folder / "roadgis-work.json").read_text())["run"]["pid"] == (
            os.getpid()
        )
    assert names(tmp_path) == []


def test_outputs_of_a_stopped_run_may_be_replaced_until_they_change(tmp_path: Path) -> None:
    folder, output = tmp_path / "work", tmp_path / "a.tif"
    assert not wrote_outputs(folder, output)
    with pytest.raises(KeyError), work_directory(folder, remove_mosaic) as work:
        written = tmp_path / "written"
        written.write_text("ours")
        work.record({output: written})
        written.rename(output)
        assert work.wrote(output)
        raise KeyError
    assert wrote_outputs(folder, output)
    assert not wrote_outputs(folder, tmp_path / "other.tif")
    output.write_text("edited by the user")
    assert not wrote_outputs(folder, output)


def test_outputs_of_a_finished_run_are_not_replaced(tmp_path: Path) -> None:
    folder, output = tmp_path / "work", tmp_path / "a.tif"
    output.write_text("ours")
    with work_directory(folder, remove_mosaic, keep=True) as work:
        work.record({output: output})
    assert not wrote_outputs(folder, output)
