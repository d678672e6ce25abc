"""The JSON lines between roadgis and a program that drives it, on real child processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import roadgis
from roadgis.cli.shell import PROTOCOL
from roadgis.cli.stdin_watch import VARIABLE

pytestmark = pytest.mark.skipif(os.name == "nt", reason="uses POSIX signals")

# A command that works in small steps until it is stopped, and writes a file only when done.
WORKER = """
import sys, time, click
from pathlib import Path
from roadgis.atomic import atomic_path
from roadgis.cli.shell import run, shell

@click.command()
@click.argument("output", type=click.Path(path_type=Path))
@click.argument("what")
def command(output, what):
    with shell("jsonl", kept="Half is kept.") as sh:
        import os
        os.write(1, b"noise of a native library\\n")
        with atomic_path(output) as partial:
            partial.write_text("half")
            sh.progress(0.5, "halfway: Straße")
            if what == "fault":
                raise ZeroDivisionError("a bug")
            if what == "usage":
                raise click.UsageError("not so")
            if what == "memory":
                raise MemoryError
            if what == "error":
                from roadgis.errors import SceneError
                raise SceneError("no raster here")
            for step in range(600 if what != "done" else 1):
                time.sleep(0.05)
                if what == "talk":
                    sh.progress(0.5, "still here")
        sh.result("done", outputs=[str(output)], edges=3)

run(command)
"""


def start(output: Path, what: str, *, watch: bool = True, **keywords: Any) -> subprocess.Popen[str]:
    env = {**os.environ, VARIABLE: "1"} if watch else {**os.environ}
    if not watch:
        env.pop(VARIABLE, None)
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(output), what],
        text=True, encoding="utf-8", env=env, **{**streams, **keywords},
    )  # fmt: skip


def line(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return the next line of a running process."""
    assert process.stdout is not None
    text = process.stdout.readline()
    assert text, process.communicate()
    value: dict[str, Any] = json.loads(text)
    return value


def rest(process: subprocess.Popen[str]) -> tuple[int, list[dict[str, Any]], str]:
    """Wait for the end; return exit status, remaining lines and stderr."""
    out, err = process.communicate(timeout=60)
    return process.returncode, [json.loads(text) for text in out.splitlines()], err


def test_protocol_is_hello_then_progress_then_the_result(tmp_path: Path) -> None:
    process = start(tmp_path / "out", "done", watch=False)
    assert line(process) == {
        "type": "hello", "protocol": PROTOCOL, "version": roadgis.__version__,
        "pid": process.pid, "watches_stdin": False,
    }  # fmt: skip
    assert line(process) == {"type": "progress", "percent": 50.0, "text": "halfway: Straße"}
    status, lines, err = rest(process)
    assert status == 0
    assert [sorted(entry) for entry in lines] == [["edges", "outputs", "seconds", "type"]]
    assert lines[0]["outputs"] == [str(tmp_path / "out")]
    assert "noise" in err  # output of native libraries does not break the lines


@pytest.mark.parametrize(
    ("what", "status", "kind", "text", "hint"),
    [
        ("error", 1, "SceneError", "no raster here", "roadgis info"),
        ("memory", 1, "MemoryError", "out of memory", "--block-px"),
        ("usage", 2, "UsageError", "not so", "--help"),
        ("fault", 1, "ZeroDivisionError", "a bug", "report"),
    ],
)
def test_protocol_reports_each_failure_as_a_line_with_hint_and_exit_status(
    tmp_path: Path, what: str, status: int, kind: str, text: str, hint: str
) -> None:
    ended, lines, err = rest(start(tmp_path / "out", what, watch=False))
    last = lines[-1]
    assert (last["type"], last["kind"], last["status"]) == ("error", kind, status)
    assert text in last["text"]
    assert hint in last["hint"]
    assert ended == status
    assert ("Traceback" in err) == (what == "fault")
    assert list(tmp_path.iterdir()) == []


def test_run_stops_and_leaves_no_file_when_its_stdin_is_closed(tmp_path: Path) -> None:
    process = start(tmp_path / "out", "work")
    assert line(process)["watches_stdin"] is True
    line(process)
    assert process.stdin is not None
    began = time.monotonic()
    process.stdin.close()
    process.stdin = None
    status, lines, _ = rest(process)
    assert time.monotonic() - began < 5
    assert status == 143
    assert lines[-1]["text"] == "terminated (stdin was closed). Half is kept."
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "streams",
    [{}, {"stdin": subprocess.DEVNULL}],
    ids=["a pipe that nobody asked to watch", "no pipe"],
)
def test_run_continues_without_stdin_unless_it_watches_a_pipe(
    tmp_path: Path, streams: dict[str, Any]
) -> None:
    process = start(tmp_path / "out", "done", watch=bool(streams), **streams)
    status, lines, _ = rest(process)  # closes stdin at once
    assert status == 0
    assert lines[0]["watches_stdin"] is False
    assert (tmp_path / "out").is_file()


def test_run_ends_when_the_driving_program_is_killed(tmp_path: Path) -> None:
    driver = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', sys.argv[1], sys.argv[2], 'work'],"
        " stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "sys.stdout.buffer.write(child.stdout.readline()); sys.stdout.flush()\n"
        "child.stdout.readline(); print('working', flush=True)\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", driver, WORKER, str(tmp_path / "out")],
        env={**os.environ, VARIABLE: "1"}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True,
    )  # fmt: skip
    assert process.stdout is not None
    child = json.loads(process.stdout.readline())["pid"]
    assert process.stdout.readline() == "working\n"
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    process.stdout.close()
    assert gone(child, within_s=10)
    assert list(tmp_path.iterdir()) == []


def gone(pid: int, within_s: float) -> bool:
    """Wait for a process other than a child to end; zombies count as ended."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
            state = Path(f"/proc/{pid}/stat")
            if state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.05)
    return False


def test_run_stops_when_its_reader_is_gone(tmp_path: Path) -> None:
    process = start(tmp_path / "out", "talk", watch=False)
    line(process)
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    assert process.wait(20) == 143
    assert process.stderr is not None
    assert "stdout was closed" in process.stderr.read()
    process.stderr.close()
    assert process.stdin is not None
    process.stdin.close()
    assert list(tmp_path.iterdir()) == []


def test_sigterm_removes_files_and_is_reported(tmp_path: Path) -> None:
    process = start(tmp_path / "out", "work", watch=False)
    line(process)
    line(process)
    process.terminate()
    status, lines, _ = rest(process)
    assert status == 143
    assert lines[-1]["text"] == "terminated. Half is kept."
    assert list(tmp_path.iterdir()) == []
