from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from roadgis.atomic import atomic_path, check_target, make_folder
from roadgis.errors import Cancelled, OutputError


def test_atomic_path_gets_its_name_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "a.tif"
    with atomic_path(target) as partial:
        partial.write_bytes(b"new")
        assert partial.suffix == ".tif"
        assert not target.exists()
    assert target.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a.tif"]


@pytest.mark.parametrize("error", [Cancelled, KeyboardInterrupt, ValueError])
def test_atomic_path_keeps_the_old_file_on_failure(
    tmp_path: Path, error: type[BaseException]
) -> None:
    target = tmp_path / "a.tif"
    target.write_bytes(b"old")
    with pytest.raises(error), atomic_path(target) as partial:
        partial.write_bytes(b"half")
        raise error
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.tif"]


def test_atomic_path_turns_os_errors_into_output_errors_that_name_the_target(
    tmp_path: Path,
) -> None:
    with (
        pytest.raises(OutputError, match=r"a\.tif: the disk is full.*Free some space"),
        atomic_path(tmp_path / "a.tif"),
    ):
        raise OSError(28, "No space left on device")
    assert os.listdir(tmp_path) == []


def test_atomic_path_in_a_missing_folder_is_an_output_error(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match="folder does not exist"),
        atomic_path(tmp_path / "no" / "a.tif"),
    ):
        pytest.fail("the block must not run")


def test_atomic_path_without_any_output_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="nothing was written"), atomic_path(tmp_path / "a.tif"):
        pass


def test_atomic_path_keeps_a_file_that_appeared_meanwhile(tmp_path: Path) -> None:
    target = tmp_path / "a.tif"
    with (
        pytest.raises(OutputError, match="was created by another program"),
        atomic_path(target, overwrite=False) as partial,
    ):
        partial.write_bytes(b"mine")
        target.write_bytes(b"theirs")
    assert target.read_bytes() == b"theirs"


def test_atomic_path_renames_side_files_and_removes_stale_ones(tmp_path: Path) -> None:
    for name in ("a.shp", "a.dbf", "a.qix", "b.qix"):
        (tmp_path / name).write_text("old")
    with atomic_path(tmp_path / "a.shp", stale=["a.qix", "a.sbn"]) as partial:
        partial.write_text("new")
        partial.with_suffix(".dbf").write_text("new")
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {
        "a.shp": "new",
        "a.dbf": "new",
        "b.qix": "old",
    }


def test_atomic_path_follows_symbolic_links(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "a.tif"
    link.symlink_to(tmp_path / "real" / "a.tif")
    with atomic_path(link) as partial:
        partial.write_bytes(b"new")
    assert link.is_symlink()
    assert (tmp_path / "real" / "a.tif").read_bytes() == b"new"


@pytest.mark.skipif(os.name == "nt", reason="permission bits are POSIX")
def test_atomic_path_has_default_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    with atomic_path(tmp_path / "a.tif") as partial:
        partial.write_bytes(b"new")
    assert (tmp_path / "a.tif").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
def test_atomic_path_of_a_killed_process_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.tif"
    target.write_bytes(b"old")
    program = (
        "import os, signal, sys\n"
        "from roadgis.atomic import atomic_path\n"
        "with atomic_path(sys.argv[1]) as partial:\n"
        "    partial.write_bytes(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(target)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert target.read_bytes() == b"old"
    left = [name for name in os.listdir(tmp_path) if name != "a.tif"]
    assert all(name.startswith(".a.tif.") and name.endswith(".partial") for name in left)


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
def test_atomic_path_removes_leftovers_of_killed_runs_only(tmp_path: Path) -> None:
    target = tmp_path / "a.tif"
    program = (
        "import os, signal, sys\n"
        "from roadgis.atomic import atomic_path\n"
        "with atomic_path(sys.argv[1]) as partial:\n"
        "    partial.write_bytes(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(target)], check=False)
    mine = tmp_path / ".a.tif.my_own_1.partial"
    mine.mkdir()
    (mine / "notes").touch()
    assert len(os.listdir(tmp_path)) == 2
    with atomic_path(target) as partial:
        partial.write_bytes(b"new")
        check_target(target, overwrite=False)
        assert partial.read_bytes() == b"new"
        assert sorted(os.listdir(tmp_path)) == sorted([mine.name, partial.parent.name])
    assert sorted(os.listdir(tmp_path)) == [mine.name, "a.tif"]


def test_atomic_path_rejects_a_name_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="name is too long"):
        check_target(tmp_path / ("a" * 300), overwrite=True)
    with atomic_path(tmp_path / ("a" * 255)) as partial:
        partial.touch()
    assert os.listdir(tmp_path) == ["a" * 255]


def test_atomic_path_calls_record_before_renaming(tmp_path: Path) -> None:
    target = tmp_path / "a.shp"
    seen = {}

    def record(files: Mapping[Path, Path]) -> None:
        assert not any(final.exists() for final in files)
        seen.update({final.name: written.read_text() for final, written in files.items()})

    with atomic_path(target, record=record) as partial:
        partial.write_text("main")
        partial.with_suffix(".dbf").write_text("part")
    assert seen == {"a.dbf": "part", "a.shp": "main"}


def test_check_target_accepts_a_free_name(tmp_path: Path) -> None:
    target = tmp_path / "a.shp"
    check_target(target, overwrite=False, parts=(".dbf",))
    target.with_suffix(".dbf").touch()
    check_target(target, overwrite=False)
    with pytest.raises(OutputError, match=r"a\.dbf: exists already"):
        check_target(target, overwrite=False, parts=(".dbf",))
    check_target(target, overwrite=True, parts=(".dbf",))
    with pytest.raises(OutputError, match="is a folder"):
        check_target(tmp_path, overwrite=True)
    with pytest.raises(OutputError, match="is a device or a pipe"):
        check_target(os.devnull, overwrite=True)


def test_make_folder_makes_folders_or_names_the_obstacle(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file: the folder cannot be created"):
        make_folder(tmp_path / "file")
