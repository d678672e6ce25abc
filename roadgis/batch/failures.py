"""Classification of errors: which stop a run, which are retried, which are permanent.

========  =========  ======================================================
code      retried    cause
========  =========  ======================================================
read      no         a sheet on a disk is damaged
missing   no         a sheet does not exist any more
changed   no         a sheet has changed since it was planned
scene     no         a sheet cannot be used
tile      no         the model failed on a tile
fault     no         an error in roadgis
network   yes        a server did not answer, or answered with an error
disk      yes        the operating system could not read, as on network drives
memory    yes        not enough memory
worker    yes        a process that worked on the unit has ended
========  =========  ======================================================

An output that cannot be written stops the run.
"""

from __future__ import annotations

import errno

from roadgis.dataset_names import is_remote
from roadgis.errors import InputError, OutputError, ReadError, RoadgisError, SceneError, TileError

#: Codes of errors that are retried.
PASSING = frozenset({"network", "disk", "memory", "worker"})
_PASSING_ERRNO = {
    *(errno.EIO, errno.EAGAIN, errno.ETIMEDOUT, errno.EINTR, errno.ECONNRESET),
    *(errno.ESTALE, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN),
}
_FIRST_S, _MOST_S = 5.0, 300.0


class ChangedSheetError(InputError):
    """A sheet has changed since it was planned."""


class MissingSheetError(InputError):
    """A sheet that was planned does not exist any more."""


def code_of(error: BaseException) -> str | None:
    """Return the code of an error, or None if the error stops the run."""
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
    """Return whether the message of an error starts with a URL."""
    return is_remote(str(error).split(": ")[0])


def delay_s(attempts: int) -> float:
    """Return the seconds to wait before a retry."""
    return min(_FIRST_S * 2.0 ** (attempts - 1), _MOST_S)
