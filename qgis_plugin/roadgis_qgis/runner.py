"""Run the roadgis engine as a child process.

Standard library only and no QGIS import, so that it can be tested on any Python. The engine is
``PYTHON -I -u -X utf8 -m roadgis COMMAND ... --progress jsonl``; it answers in JSON lines on
stdout, which docs/protocol.md of roadgis describes.
"""

import collections
import json
import os
import queue
import signal
import subprocess  # nosec B404
import sys
import threading
import time

from .engine_errors import (
    PROTOCOL,
    EngineCanceled,
    EngineError,
    check_fit,
    end_hint,
    end_text,
    hint,
)
from .streams import LINE_BYTES, Events, percentage, shown

__all__ = [
    "PROTOCOL",
    "EngineCanceled",
    "EngineError",
    "check_fit",
    "clean_environment",
    "describe",
    "lines",
    "run",
    "stop",
    "without_window",
]

#: Lines of the engine's free text that an error message shows.
TAIL_LINES = 40
#: Seconds that a caller waits after it has stopped the engine, and those after which the engine is
#: killed. In between, a thread waits.
GRACE_S = 0.5
KILL_AFTER_S = 5.0
#: Asks the engine to stop when its stdin ends, as it does when QGIS is killed.
WATCH_STDIN = "ROADGIS_WATCH_STDIN"
#: Prefixes of variables of QGIS that would change the engine's Python, GDAL, PROJ and Qt.
FOREIGN = (
    "PYTHON", "PROJ_", "GDAL_", "QT_", "QGIS_", "CONDA_", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__",
)  # fmt: skip

_STOPPED = "Stopped. Finished predictions are kept: start the same run again to resume."


def clean_environment(environment=None):
    """Return the variables for the engine: those of QGIS's own Python are left out."""
    source = os.environ if environment is None else environment
    kept = {name: value for name, value in source.items() if not name.upper().startswith(FOREIGN)}
    kept["PYTHONUTF8"] = "1"
    return kept


def run(
    python,
    arguments,
    *,
    wanted="",
    on_progress=None,
    on_log=None,
    is_canceled=None,
    started=None,
):
    """Run one command of the engine to its end.

    Parameters
    ----------
    python : str
        Interpreter of the environment that holds roadgis, absolute path.
    arguments : list of str
        The command and its arguments, without ``--progress``.
    wanted : str
        Version of the engine that the caller was made for; see :func:`check_fit`.
    on_progress : callable(percent, text), optional
        Called in this thread.
    on_log : callable(level, text), optional
        Called in this thread; level is "debug", "info", "warning" or "error".
    is_canceled : callable() -> bool, optional
        Asked every 0.1 s.
    started : callable(pid), optional
        Called with the engine's process number.

    Returns
    -------
    dict
        The engine's ``result`` line.

    Raises
    ------
    EngineCanceled
        If `is_canceled` returned True. The engine ends within `KILL_AFTER_S`.
    EngineError
        If the engine cannot be started, fails, dies, or speaks another protocol.
    """
    process = _start(python, [*arguments, "--progress", "jsonl"])
    if started is not None:
        started(process.pid)
    events = Events()
    events.read(process.stdout, "out")
    events.read(process.stderr, "err")
    conversation = _Conversation(on_progress or _nothing, on_log or _nothing, wanted)
    try:
        _listen(process, events, conversation, is_canceled or _never)
    except BaseException:
        stop(process)
        raise
    finally:
        events.close()
        # stdout and stderr are closed by their readers, which may still be at them.
        _close(process.stdin)
    if process.returncode:
        _signal(process, force=True)
    return conversation.outcome(process.returncode)


def describe(python, timeout_s=60):
    """Return the engine's description of itself, a dict (``roadgis describe --json``).

    Raises
    ------
    EngineError
        If the interpreter cannot be started, holds no roadgis, or an older one.
    """
    process = _start(python, ["describe", "--json"])
    answer, errors = [], collections.deque(maxlen=TAIL_LINES)
    events = Events()
    events.read(process.stdout, "out")
    events.read(process.stderr, "err")
    until = time.monotonic() + timeout_s
    try:
        _listen(process, events, _Texts(answer, errors), lambda: time.monotonic() > until)
    except EngineCanceled:
        stop(process)
        raise EngineError(f"{python} did not answer within {timeout_s} s.") from None
    finally:
        events.close()
        _close(process.stdin)
    try:
        facts = json.loads("\n".join(answer))
        facts["protocol"], facts["version"]
        return facts
    except (ValueError, TypeError, KeyError, RecursionError):
        text = f"{python} holds no roadgis that can be used (exit status {process.returncode})."
        raise EngineError(text, hint("\n".join(errors)), errors) from None


def lines(process, is_canceled):
    """Yield the lines of a process's stdout until it ends; stdin and stderr are not looked at.

    Raises
    ------
    EngineCanceled
        If `is_canceled` returned True; the process continues.
    """
    events = Events()
    events.read(process.stdout, "out")
    try:
        while True:
            if is_canceled():
                raise EngineCanceled("Stopped.")
            try:
                _, line = events.get()
            except queue.Empty:
                continue
            if line is None:
                break
            yield line
    finally:
        events.close()
    process.wait()


def _command(python):
    return [python, "-I", "-u", "-X", "utf8", "-m", "roadgis"]


def without_window():
    """Return arguments to start a child in a process group of its own, without a console."""
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        return {"creationflags": flags}
    return {"start_new_session": True}


def _start(python, arguments):
    try:
        return subprocess.Popen(  # nosec B603
            [*_command(python), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**clean_environment(), WATCH_STDIN: "1"},
            **without_window(),
        )
    except OSError as error:
        raise _not_started(python, error) from error


def _not_started(python, error):
    return EngineError(
        f"The interpreter {python} cannot be started ({error.strerror or error}).",
        "Run 'Set up roadgis', or choose another interpreter in Settings > Options > "
        "Processing > Providers > roadgis.",
    )


def _listen(process, events, conversation, is_canceled):
    """Read the engine's lines until both streams and the process have ended."""
    open_streams = 2
    exit_seen = None
    while open_streams:
        if is_canceled():
            raise EngineCanceled(_STOPPED)
        try:
            name, line = events.get()
        except queue.Empty:
            # A grandchild may hold the pipes open after the engine has ended.
            if process.poll() is not None:
                exit_seen = exit_seen or time.monotonic()
                if time.monotonic() - exit_seen > 2:
                    break
            continue
        if line is None:
            open_streams -= 1
        elif name == "out":
            conversation.line(line)
        else:
            conversation.free_text(line)
    while process.poll() is None:
        if is_canceled():
            raise EngineCanceled(_STOPPED)
        time.sleep(0.02)


def stop(process):
    """Stop the engine and its children.

    Returns when they have ended, or after `GRACE_S`; a thread then kills them if necessary.
    """
    if sys.platform == "win32":
        _close(process.stdin)
    else:
        # Not its stdin as well: a second stop would interrupt the cleaning up after the first.
        _signal(process, force=False)
    if _gone_within(process, GRACE_S):
        _signal(process, force=True)  # others of the group have lost their parent
        return
    threading.Thread(target=_end, args=(process,), name="roadgis end").start()


def _end(process):
    if not _gone_within(process, KILL_AFTER_S - GRACE_S):
        _signal(process, force=True)
        process.wait()
    _signal(process, force=True)


def _close(stream):
    try:
        stream.close()
    except OSError:
        pass


def _gone_within(process, seconds):
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _signal(process, force):
    try:
        if sys.platform == "win32":
            if process.poll() is None:
                process.kill() if force else process.terminate()
        else:
            os.killpg(process.pid, signal.SIGKILL if force else signal.SIGTERM)
    except (ProcessLookupError, PermissionError):
        pass  # gone already


class _Conversation:
    """State of the engine from its lines."""

    def __init__(self, on_progress, on_log, wanted=""):
        self._on_progress = on_progress
        self._on_log = on_log
        self._wanted = wanted
        self._tail = collections.deque(maxlen=TAIL_LINES)
        self._percent = 0.0
        self._result = None
        self._error = None

    def line(self, line):
        """Process a line of stdout; anything but a JSON line is free text."""
        try:
            event = json.loads(line)
            kind = event["type"]
        except (ValueError, TypeError, KeyError, RecursionError):
            self.free_text(line)
            return
        text = shown(event.get("text", ""))
        if kind == "hello":
            check_fit(event.get("protocol"), event.get("version", "?"), self._wanted)
        elif kind == "progress":
            self._percent = percentage(event.get("percent"), self._percent)
            self._on_progress(self._percent, text)
        elif kind == "log":
            self._tail.append(text)
            self._on_log(shown(event.get("level", "info")), text)
        elif kind == "result":
            self._result = event
        elif kind == "error":
            self._error = event

    def free_text(self, line):
        """Process a line of native libraries or the interpreter."""
        if line.strip():
            self._tail.append(shown(line))
            self._on_log("info", self._tail[-1])

    def outcome(self, status):
        """Return the result, or raise the error."""
        log = list(self._tail)
        if self._error is not None:
            text = shown(self._error.get("text", "The engine failed."))
            raise EngineError(text, shown(self._error.get("hint", "") or hint(text)), log)
        if status == 0 and self._result is not None:
            return self._result
        if status == 0:
            raise EngineError("The engine ended without a result.", hint("\n".join(log)), log)
        raise EngineError(end_text(status), hint("\n".join(log)) or end_hint(status), log)


class _Texts:
    """Lines of an engine that answers with one text, and the last lines of stderr."""

    def __init__(self, answer, errors):
        self._answer = answer
        self._errors = errors
        self._bytes = 0

    def line(self, line):
        """Keep a line of stdout, up to a total size."""
        self._bytes += len(line)
        if self._bytes <= LINE_BYTES:
            self._answer.append(line)

    def free_text(self, line):
        """Keep a line of stderr."""
        self._errors.append(shown(line))


def _nothing(*_arguments):
    pass


def _never():
    return False
