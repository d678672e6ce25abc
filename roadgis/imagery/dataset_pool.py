"""Open datasets, lent to one reader at a time."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import rasterio
from rasterio.env import set_gdal_config

from roadgis.dataset_names import is_remote
from roadgis.imagery.damage import damage_raises, legible
from roadgis.imagery.gdal_warnings import quiet

_CACHE_BYTES = 128 * 2**20
_HTTP: dict[str, str] = {
    # No listing of the server's folder, no probing for sidecar files.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_INGESTED_BYTES_AT_OPEN": "32768",
    "GDAL_HTTP_MAX_RETRY": "3",
    "GDAL_HTTP_RETRY_DELAY": "0.5",
    "GDAL_HTTP_CONNECTTIMEOUT": "15",
    # A stalled transfer fails instead of hanging for ever.
    "GDAL_HTTP_LOW_SPEED_TIME": "60",
    "GDAL_HTTP_LOW_SPEED_LIMIT": "100",
    "VSI_CACHE": "TRUE",
}


def bound_block_cache() -> None:
    """Keep GDAL's block cache at 128 MiB, unless the user has set ``GDAL_CACHEMAX``.

    By default it may take a twentieth of the machine's memory, and grows with the scene.
    """
    if "GDAL_CACHEMAX" not in os.environ:
        with rasterio.Env():
            set_gdal_config("GDAL_CACHEMAX", _CACHE_BYTES)


def gdal_environment(path: str) -> AbstractContextManager[Any]:
    """Return the GDAL settings for reading `path`; the user's environment variables win."""
    if not is_remote(path):
        return nullcontext()
    environment: AbstractContextManager[Any] = rasterio.Env(
        **{k: v for k, v in _HTTP.items() if k not in os.environ}
    )
    return environment


@contextmanager
def open_dataset(path: str, level: int | None) -> Iterator[Any]:
    """Lend a raster opened for reading, at an overview level if one is given.

    Raises
    ------
    rasterio.errors.RasterioError
        For a damaged file, whatever the call that finds the damage.
    """
    with legible(), _opened(path, level) as dataset:
        yield dataset


def _opened(path: str, level: int | None) -> Any:
    options = {} if level is None else {"overview_level": level}
    # A missing georeference is reported once, in our own words, when the scene is opened.
    with quiet():
        return rasterio.open(path, **options)


class Handles:
    """A pool of open datasets that threads borrow from.

    GDAL datasets must not be used by two threads at once, opening them is slow, and thousands
    of sheets would exhaust the file descriptors; so idle ones are kept, up to a limit.

    Parameters
    ----------
    limit : int
        Largest number of idle open datasets.
    """

    def __init__(self, limit: int = 64) -> None:
        self._limit = limit
        self._idle: list[tuple[tuple[str, int | None], Any]] = []
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def borrow(self, path: str, level: int | None = None) -> Iterator[Any]:
        """Lend an open dataset, within the GDAL settings for it; damaged data is an error."""
        key = (path, level)
        with gdal_environment(path), legible():
            dataset = self._take(key)
            if dataset is None:
                dataset = _opened(path, level)
            try:
                with damage_raises():
                    yield dataset
            except BaseException:
                dataset.close()
                raise
            self._give_back(key, dataset)

    def _take(self, key: tuple[str, int | None]) -> Any:
        with self._lock:
            for i in range(len(self._idle) - 1, -1, -1):
                if self._idle[i][0] == key:
                    return self._idle.pop(i)[1]
        return None

    def _give_back(self, key: tuple[str, int | None], dataset: Any) -> None:
        with self._lock:
            self._idle.append((key, dataset))
            keep = 0 if self._closed else self._limit
            surplus = [self._idle.pop(0) for _ in range(len(self._idle) - keep)]
        for _, old in surplus:
            old.close()

    def close(self) -> None:
        """Close all idle datasets; those lent are closed when they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for _, dataset in idle:
            dataset.close()
