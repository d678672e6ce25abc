"""Call rasterio from threads without its warnings."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from rasterio.errors import NotGeoreferencedWarning

# Filters for warnings are process-wide: rasterio changes them around each array that it hands to
# GDAL (reproject, rasterize), so two threads in there at once undo each other's.
_LOCK = threading.RLock()


@contextmanager
def quiet() -> Iterator[None]:
    """Let one thread at a time call rasterio on arrays, without warnings on georeferences."""
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield
