"""Judgement of a case: it may succeed, or end with a message and without output."""

from __future__ import annotations

import hashlib
import re
import signal
from pathlib import Path

from tests.fuzz.run import FAULT

__all__ = ["contents", "verdict"]

#: A run that failed may keep its work directory, to be resumed.
_KEPT = ".roadgis-work"
#: GDAL writes these next to a GML file when it opens one.
_NOTES = ".gfs"


def contents(folder: Path) -> dict[str, str]:
    """Return a hash of each file in a folder, by its path in it."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def verdict(status: int, printed: str, before: dict[str, str], folder: Path) -> str:
    """Return the reason why a case failed; empty if it did not.

    Parameters
    ----------
    status : int
        Exit status, negative for a signal.
    printed : str
        What it printed.
    before : dict of str to str
        The folder's files when the command began; see :func:`contents`.
    folder : Path
        The case's folder. Outputs are in ``out``.
    """
    if status == -signal.SIGXCPU:
        return "hang"
    if status < 0:
        return f"signal {signal.Signals(-status).name}"
    if status == FAULT:
        return f"traceback: {_innermost(printed)}"
    if status not in (0, 1, 2):
        return f"exit status {status}"
    # `info` prints a verdict in place of an error.
    if status and "rror: " not in printed and "Usable: " not in printed:
        return "an error without a message"
    if "Traceback (most recent" in printed:
        return f"printed a traceback: {_innermost(printed)}"
    if "out of memory" in printed:
        return "out of memory"
    after = contents(folder)
    changed = [name for name, digest in before.items() if after.get(name) != digest]
    if changed:
        return f"input changed: {Path(changed[0]).name}"
    new = [name for name in after if name not in before and _KEPT not in name]
    new = [name for name in new if not name.endswith(_NOTES)]
    left = [name for name in new if status or not re.fullmatch(r"out/out[\w.]*", name)]
    return f"left behind: {Path(left[0]).name}" if left else ""


def _innermost(printed: str) -> str:
    """Return the error's class, and the last line of roadgis in its traceback."""
    ours = re.findall(r'File ".*/(roadgis/[\w/]+\.py)", line (\d+), in (\w+)', printed)
    last = printed.strip().splitlines()[-1] if printed.strip() else "nothing printed"
    where = f" in {ours[-1][0]}:{ours[-1][1]} {ours[-1][2]}" if ours else ""
    return f"{last[:150]}{where}"
