"""Give freed memory back to the system."""

from __future__ import annotations

import ctypes
import sys


def trim_heap() -> None:
    """Give freed memory back to the system where the C library keeps it (glibc).

    Many small arrays that were freed leave gaps in which a large array has no room.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)
