"""Runs of roadgis that get a signal at an exact file operation.

A server process imports roadgis once and forks a child for each run, as most of a short run's time
is importing. See :class:`Runs`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

_EVENTS = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir"}


@dataclass(frozen=True)
class Ended:
    """State of a run: `status` is negative for a signal, None while it is stopped."""

    pid: int
    status: int | None
    steps: int
    text: str


class Runs:
    """A server that runs the command line; a context manager."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def __enter__(self) -> Runs:
        self._server = subprocess.Popen(
            [sys.executable, __file__], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
        )  # fmt: skip
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.communicate()

    def run(
        self,
        arguments: Sequence[object],
        *,
        folder: Path,
        step: int = 0,
        delay_s: float = 0.0,
        number: int = 0,
    ) -> Ended:
        """Run ``roadgis ARGUMENTS`` until it ends, or stops.

        It gets the signal `number`, `delay_s` after the `step`-th time that Python opens, makes,
        renames or removes something in `folder`; the count of such steps is returned for a run
        that ends by itself.
        """
        return self._ask(
            {
                "arguments": list(map(str, arguments)),
                "watch": [str(folder), step, delay_s, number],
                "log": str(self._log),
            }
        )

    def resume(self, pid: int) -> Ended:
        """Resume a stopped run and wait for its end."""
        return self._ask({"resume": pid, "log": str(self._log)})

    def _ask(self, question: dict[str, Any]) -> Ended:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(question) + "\n")
        self._server.stdin.flush()
        answer = json.loads(self._server.stdout.readline())
        return Ended(**answer)


def _serve() -> None:
    # Before the forks.
    import onnxruntime  # noqa: F401

    import roadgis.batch.engine
    import roadgis.batch.merge
    import roadgis.batch.report.table
    import roadgis.batch.run
    import roadgis.batch.update
    import roadgis.cli.commands.batch
    import roadgis.cli.commands.extract
    import roadgis.cli.commands.predict
    import roadgis.cli.description
    import roadgis.pipeline  # noqa: F401

    for line in sys.stdin:
        question = json.loads(line)
        log = Path(question["log"])
        pid = question.get("resume")
        if pid is None:
            pid = os.fork()
            if pid == 0:
                _child(question["arguments"], question["watch"], log)
        else:
            os.kill(pid, signal.SIGCONT)
        _, status = os.waitpid(pid, os.WUNTRACED)
        stopped = os.WIFSTOPPED(status)
        steps = log.with_suffix(".steps")
        answer = {
            "pid": pid,
            "status": None if stopped else os.waitstatus_to_exitcode(status),
            "steps": int(steps.read_text()) if steps.exists() else 0,
            "text": log.read_text(),
        }
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _child(arguments: list[str], watched: list[Any], log: Path) -> None:
    folder, step, delay_s, number = watched
    log.with_suffix(".steps").unlink(missing_ok=True)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    steps = 0

    def watch(event: str, values: tuple[object, ...]) -> None:
        nonlocal steps
        if event not in _EVENTS or not str(values[0]).startswith(folder):
            return
        steps += 1
        if steps != step:
            return
        run = os.getpid()
        if not delay_s:
            os.kill(run, number)
        elif os.fork() == 0:
            time.sleep(delay_s)
            if os.getppid() == run:  # not if the run has ended meanwhile
                os.kill(run, number)
            os._exit(0)

    from roadgis.cli import main

    sys.argv = ["roadgis", *arguments]
    sys.addaudithook(watch)
    status = 1
    try:
        main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    log.with_suffix(".steps").write_text(str(steps))
    os._exit(status)


if __name__ == "__main__":
    _serve()
