"""Shared by all commands: progress on a terminal or as JSON lines, logging, exit status.

Exit status: 0 done, 1 an error (its text on stderr, or an ``error`` line with
``--progress jsonl``), 2 wrong use of the command line, 130 stopped by Ctrl-C, 143 by SIGTERM,
129 by SIGHUP (a terminal or connection that closed).

The JSON lines are documented in ``docs/protocol.md``.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import click

from roadgis._version import __version__
from roadgis.cli.stdin_watch import StdinWatch
from roadgis.errors import (
    Cancelled,
    MissingExtraError,
    ModelError,
    OutputError,
    ReadError,
    ResumeError,
    RoadgisError,
    SceneError,
)
from roadgis.progress import Progress, no_progress

#: Version of the JSON lines and of ``roadgis describe``; raised for incompatible changes.
PROTOCOL = 1
#: State of an interrupted prediction.
KEPT_BLOCKS = "Finished blocks are kept; run the same command again to resume."


class Shell:
    """Progress and results of a command.

    Attributes
    ----------
    progress : Progress
        Progress callback for the library.
    quiet : bool
        Show only errors.
    """

    def __init__(self, mode: str, *, quiet: bool = False) -> None:
        self.mode = mode
        self.quiet = quiet
        self.progress: Progress = no_progress
        self._lines: int | None = None
        # A signal may raise inside `send`, and its handler sends again.
        self._lock = threading.RLock()
        self._started = time.monotonic()
        self._watch = StdinWatch(active=False)

    def send(self, line: str, /, **values: Any) -> None:
        """Write one JSON line in ``jsonl`` mode.

        If the reader has closed the pipe, the run ends.
        """
        text = json.dumps({"type": line, **values}, ensure_ascii=False) + "\n"
        with self._lock:
            if self._lines is None:
                return
            data = text.encode("utf-8", "surrogateescape")
            try:
                while data:
                    data = data[os.write(self._lines, data) :]
            except BrokenPipeError:
                self._lines = None
                raise _Terminated("stdout was closed") from None

    @property
    def heard(self) -> bool:
        """Whether there is a reader of JSON lines."""
        return self._lines is not None

    def result(self, text: str, **values: Any) -> None:
        """Report the result: a line on stderr, or a ``result`` line of JSON."""
        seconds = time.monotonic() - self._started
        self._watch.end()
        self.send("result", **values, seconds=round(seconds, 1))
        if self._lines is None and not self.quiet:
            click.echo(f"{text} ({seconds:.1f} s)", err=True)


@contextlib.contextmanager
def shell(
    mode: str = "none",
    *,
    verbose: int = 0,
    quiet: bool = False,
    kept: str | Callable[[], str] = "Nothing was written.",
) -> Iterator[Shell]:
    """Set up progress and logging for one command.

    Parameters
    ----------
    mode : {"auto", "bar", "jsonl", "none"}
        ``auto`` is a bar if stderr is a terminal, else none.
    verbose : int
        0 shows warnings, 1 information, 2 all.
    quiet : bool
        Show errors only.
    kept : str or callable
        State of an interrupted run, printed when the command is stopped; a callable is called then.
    """
    if mode == "auto":
        mode = "bar" if sys.stderr.isatty() and not quiet else "none"
    this = Shell(mode, quiet=quiet)
    level = (
        logging.ERROR if quiet else [logging.WARNING, logging.INFO, logging.DEBUG][min(verbose, 2)]
    )
    package = logging.getLogger("roadgis")
    with contextlib.ExitStack() as stack:
        # Python's warnings are for programmers; users' warnings are logged.
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("default" if verbose > 1 else "ignore")
        stack.enter_context(_undecodable_messages_ignored())
        handler: logging.Handler = _StderrHandler()
        if mode == "jsonl":
            this._lines = stack.enter_context(_own_stdout())
            handler = _JsonHandler(this)
            level = min(level, logging.INFO)
            this._watch = stack.enter_context(StdinWatch.asked_for())
            this.send(
                "hello",
                protocol=PROTOCOL,
                version=__version__,
                pid=os.getpid(),
                watches_stdin=this._watch.active,
            )
            this.progress = _jsonl_progress(this)
        elif mode == "bar":
            this.progress, handler = stack.enter_context(_bar())
        stack.callback(package.setLevel, package.level)
        package.setLevel(level)
        package.addHandler(handler)
        stack.callback(package.removeHandler, handler)
        try:
            _check_targets()
            yield this
        except BaseException as error:
            this._watch.end()
            error.roadgis_kept = kept if isinstance(kept, str) else kept()  # type: ignore[attr-defined]
            if mode == "jsonl":
                with contextlib.suppress(_Terminated):
                    _send_error(this, error)
            raise


@contextlib.contextmanager
def _undecodable_messages_ignored() -> Iterator[None]:
    """Keep Python from printing a traceback when rasterio cannot decode a message of GDAL.

    rasterio decodes messages as UTF-8 in callbacks that cannot raise. They may quote text of the
    file, such as a file name in Latin-1. The error itself is raised elsewhere.
    """
    # Cython prints the error twice, the first time through `sys.excepthook`.
    unraisable, uncaught = sys.unraisablehook, sys.excepthook

    def unraisable_hook(what: sys.UnraisableHookArgs) -> None:
        if not issubclass(what.exc_type, UnicodeDecodeError):
            unraisable(what)

    def uncaught_hook(
        kind: type[BaseException], error: BaseException, where: TracebackType | None
    ) -> None:
        if not issubclass(kind, UnicodeDecodeError):
            uncaught(kind, error, where)

    sys.unraisablehook, sys.excepthook = unraisable_hook, uncaught_hook
    try:
        yield
    finally:
        sys.unraisablehook, sys.excepthook = unraisable, uncaught


def _check_targets() -> None:
    """Reject a command whose outputs include one of its inputs."""
    context = click.get_current_context(silent=True)
    if context is None:
        return
    from roadgis.cli.parameters import FilePath
    from roadgis.overwriting import check_not_input

    outputs: list[Path] = []
    inputs: list[tuple[Path, Any]] = []
    for parameter in context.command.params:
        kind, given = parameter.type, context.params.get(parameter.name or "")
        for value in given if isinstance(given, tuple) else (given,):
            if not isinstance(kind, FilePath) or not isinstance(value, (str, Path)):
                continue
            if kind.direction == "in":
                inputs.append((Path(value), kind.content))
            elif (context.command.name, kind.content) == ("train", "folder"):
                outputs.append(Path(value) / "model.keras")
            else:
                outputs.append(Path(value))
    check_not_input(outputs, inputs)


def _send_error(this: Shell, error: BaseException) -> None:
    known = _explain(error)
    if known is not None:
        status, text = known
    elif isinstance(error, click.ClickException):
        status, text = error.exit_code, error.format_message()
    elif isinstance(error, (click.exceptions.Exit, SystemExit)):
        return
    else:
        # A fault in roadgis: the traceback goes to stderr as well.
        status, text = 1, f"{type(error).__name__}: {error}"
    this.send("error", text=text, hint=_hint(error), kind=_kind(error), status=status)
    # Not repeated on stderr if a reader has received it.
    error.roadgis_reported = this.heard  # type: ignore[attr-defined]


def _kind(error: BaseException) -> str:
    return "Terminated" if isinstance(error, _Terminated) else type(error).__name__


#: Next step by kind of error; the first match counts. The error's text describes the problem.
_HINTS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    (SceneError, "'roadgis info' describes the imagery."),
    (ModelError, "'roadgis model info' describes a model file."),
    (MissingExtraError, "Install the extra that the message names into roadgis's environment."),
    (ResumeError, "Run it again with --restart to start over."),
    (ReadError, "Check the file or the connection, then run it again."),
    (OutputError, "Check the output's folder, its free space and whether the file is open."),
    (RoadgisError, "Correct the problem that the message names, then run it again."),
    (
        MemoryError,
        "Close other programs, or work on a smaller area; where imagery is read, give a smaller "
        "--block-px and --tile-px.",
    ),
    (click.ClickException, "'roadgis COMMAND --help' lists a command's options."),
    (Exception, "This is a fault in roadgis: report it with the lines above."),
)


def _hint(error: BaseException) -> str:
    if isinstance(error, Cancelled) or _is_name_too_long(error):
        return ""
    return next((hint for kind, hint in _HINTS if isinstance(error, kind)), "")


@contextlib.contextmanager
def _own_stdout() -> Iterator[int]:
    """Reserve stdout for JSON lines; output of native libraries goes to stderr."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield kept
    finally:
        sys.stdout.flush()


def _jsonl_progress(this: Shell) -> Progress:
    def report(fraction: float, message: str) -> None:
        this.send("progress", percent=round(100 * fraction, 2), text=message)

    return report


@contextlib.contextmanager
def _bar() -> Iterator[tuple[Progress, logging.Handler]]:
    from rich.console import Console
    from rich.logging import RichHandler
    from rich.progress import (
        BarColumn,
        Task,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as RichProgress
    from rich.text import Text

    class TimeLeft(TimeRemainingColumn):
        """Remaining time, unless the message states it."""

        def render(self, task: Task) -> Text:
            if task.description.endswith(" left"):
                return Text("")
            return Text("left ").append_text(super().render(task))

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeLeft(),
    )
    with RichProgress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=1.0)
        rate = _Rate()

        def report(fraction: float, message: str) -> None:
            bar.update(task, completed=fraction, description=rate(message))

        yield report, RichHandler(console=console, show_time=False, show_path=False, markup=False)


class _Rate:
    """Adds the rate to messages such as ``predicting: 12.0 of 100.0 Mpx``."""

    def __init__(self) -> None:
        self._first: tuple[float, float] | None = None

    def __call__(self, message: str) -> str:
        words = message.split()
        if len(words) < 4 or words[-1] != "Mpx":
            return message
        now, done = time.monotonic(), float(words[-4])
        if self._first is None:
            self._first = (now, done)
        seconds = now - self._first[0]
        if seconds < 0.5 or done <= self._first[1]:
            return message
        return f"{message}, {(done - self._first[1]) / seconds:.2f} Mpx/s"


class _StderrHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        click.echo(f"{record.levelname.capitalize()}: {record.getMessage()}", err=True)


class _JsonHandler(logging.Handler):
    def __init__(self, this: Shell) -> None:
        super().__init__()
        self._shell = this

    def emit(self, record: logging.LogRecord) -> None:
        self._shell.send("log", level=record.levelname.lower(), text=record.getMessage())


class _Terminated(BaseException):
    """A signal as an exception, so that files are cleaned up."""

    number: int = signal.SIGTERM


def _terminate(number: int, frame: FrameType | None) -> None:
    stop = _Terminated(StdinWatch.reason)
    stop.number = number
    raise stop


def _is_name_too_long(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG


def _explain(error: BaseException) -> tuple[int, str] | None:
    """Return exit status and text of an error that users can act on, else None."""
    # click raises Abort from the interrupt that the command saw.
    kept = getattr(error.__cause__ or error, "roadgis_kept", "")
    if isinstance(error, (click.Abort, KeyboardInterrupt, Cancelled)):
        return 130, f"stopped. {kept}".strip()
    if isinstance(error, _Terminated):
        reason = f" ({error})" if str(error) else ""
        return 128 + error.number, f"terminated{reason}. {kept}".strip()
    if isinstance(error, RoadgisError):
        return 1, str(error)
    if _is_name_too_long(error):
        filename = getattr(error, "filename", "")
        return 1, f"{filename}: the name is too long for this file system. Shorten it."
    if isinstance(error, MemoryError):
        return 1, (
            "out of memory. Close other programs, or work on a smaller area; where imagery is "
            "read, a smaller --block-px and --tile-px help."
        )
    return None


def exit_status(command: Callable[..., Any]) -> int:
    """Run a click command, print its error, and return the exit status of the program."""
    try:
        # In this mode click returns the status of an Exit.
        status = command(standalone_mode=False, prog_name="roadgis")
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BaseException as error:
        known = _explain(error)
        if known is None:
            raise
        status, text = known
        if not getattr(error, "roadgis_reported", False):
            click.echo(f"Error: {text}", err=True)
        return status
    return status if isinstance(status, int) else 0


def run(command: Callable[..., Any]) -> None:
    """Run a click command and exit with one of the statuses listed above."""
    signal.signal(signal.SIGTERM, _terminate)
    hang_up = getattr(signal, "SIGHUP", None)  # not on Windows
    # Under nohup it stays ignored.
    if hang_up is not None and signal.getsignal(hang_up) is not signal.SIG_IGN:
        signal.signal(hang_up, _terminate)
    sys.exit(exit_status(command))
