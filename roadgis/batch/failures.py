"""Which errors stop a run, which pass, and which stay until something changes.

========  =========  ======================================================
code      tried      what
========  =========  ======================================================
read      not again  a sheet on a disk cannot be read: damaged
missing   not again  a sheet is gone
changed   not again  a sheet is not the one that was planned
scene     not again  a sheet cannot be used
tile      not again  the model failed on a tile
fault     not again  an error in roadgis
network   again      a server did not answer, or answered with an error
disk      again      the operating system could not read, as network drives do
memory    again      not enough memory
worker    again      a process that worked on the unit has ended
========  =========  ======================================================

An output that cannot be written stops the run.
"""

from __future__ import annotations

import errno

from roadgis.dataset_names import is_remote
from roadgis.errors import InputError, OutputError, ReadError, RoadgisError, SceneError, TileError

__all__ = ["PASSING", "ChangedSheetError", "MissingSheetError", "code_of", "delay_s"]

#: Codes of errors that are tried again.
PASSING = frozenset({"network", "disk", "memory", "worker"})
_PASSING_ERRNO = {
    *(errno.EIO, errno.EAGAIN, errno.ETIMEDOUT, errno.EINTR, errno.ECONNRESET),
    *(errno.ESTALE, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN),
}
_FIRST_S, _MOST_S = 5.0, 300.0


class ChangedSheetError(InputError):
    """A sheet is not the one that was planned."""


class MissingSheetError(InputError):
    """A sheet is gone since it was planned."""


def code_of(error: BaseException) -> str | None:
    """Return the code of an error, None where it stops the run."""
    if isinstance(error, OutputError):
        return None
    kinds: tuple[tuple[type[BaseException], str], ...] = (
        (ChangedSheetError, "changed"),
        (MissingSheetError, "missing"),
        (MemoryError, "memory"),
        (TileError, "memory" if isinstance(error.__cause__, MemoryError) else "tile"),
        (ReadError, "network" if _is_of_network(error) else "read"),
        (SceneError, "scene"),
    )
    for kind, code in kinds:
        if isinstance(error, kind):
            return code
    if isinstance(error, OSError) and not isinstance(error, RoadgisError):
        return "disk" if error.errno in _PASSING_ERRNO else "fault"
    return "fault"


def _is_of_network(error: BaseException) -> bool:
    """Return whether an error names an address; messages begin with what could not be read."""
    return is_remote(str(error).split(": ")[0])


def delay_s(attempts: int) -> float:
    """Return how long to wait before a step is tried again."""
    return min(_FIRST_S * 2.0 ** (attempts - 1), _MOST_S)
