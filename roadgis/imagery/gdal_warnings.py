"""Calling rasterio from threads without its warnings getting out."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from rasterio.errors import NotGeoreferencedWarning

__all__ = ["quiet"]

# Filters for warnings are process-wide: rasterio changes them around each array that it hands to
# GDAL (reproject, rasterize), so two threads in there at once undo each other's.
_LOCK = threading.RLock()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep one thread at a time in rasterio's calls on arrays, without a word on georeference."""
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield
