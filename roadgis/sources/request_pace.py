"""Limiting the rate of requests to a web map service."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rasterio.errors import RasterioError
from rasterio.windows import Window

_TRIES = 4
_FIRST_PAUSE_S = 0.5
_lock = threading.Lock()
#: Earliest time of the next request to each server, by :func:`time.monotonic`.
_next: dict[str, float] = {}
#: Blocks in the cache, by record file.
_done: dict[Path, set[tuple[int, int]]] = {}


@dataclass(frozen=True)
class RequestPace:
    """Rate-limited download of the blocks of a window into GDAL's cache.

    GDAL caches what it reads, so a later read of the window sends no request. The rate applies to
    all threads of a process.

    Attributes
    ----------
    host : str
        Name of the server.
    rate : float
        Largest number of requests per second.
    record : Path
        File that lists the blocks in the cache; these do not wait.
    """

    host: str
    rate: float
    record: Path

    def __call__(self, dataset: Any, window: Window) -> None:
        """Download a window into the cache.

        Raises
        ------
        RasterioError
            If the server fails repeatedly.
        """
        done = self._blocks()
        for place, block in _touching(dataset, window):
            if place in done:
                continue
            self._read(dataset, block)
            with _lock:
                done.add(place)
                with self.record.open("a", encoding="ascii") as file:
                    file.write(f"{place[0]} {place[1]}\n")

    def _read(self, dataset: Any, block: Window) -> None:
        for attempt in range(_TRIES):
            self._wait()
            try:
                dataset.read(window=block)
                return
            except RasterioError:
                if attempt == _TRIES - 1:
                    raise
                time.sleep(_FIRST_PAUSE_S * 2**attempt)

    def _wait(self) -> None:
        with _lock:
            now = time.monotonic()
            at = max(now, _next.get(self.host, now))
            _next[self.host] = at + 1 / self.rate
        time.sleep(at - now)

    def _blocks(self) -> set[tuple[int, int]]:
        with _lock:
            if not self.record.is_file():
                _done[self.record] = set()
            elif self.record not in _done:
                lines = self.record.read_text(encoding="ascii").split("\n")[:-1]
                _done[self.record] = {
                    (int(row), int(col)) for row, _, col in (line.partition(" ") for line in lines)
                }
            return _done[self.record]


def _touching(dataset: Any, window: Window) -> Iterator[tuple[tuple[int, int], Window]]:
    rows, cols = dataset.block_shapes[0]
    for row in range(window.row_off // rows, -(-(window.row_off + window.height) // rows)):
        for col in range(window.col_off // cols, -(-(window.col_off + window.width) // cols)):
            height = min(rows, dataset.height - row * rows)
            width = min(cols, dataset.width - col * cols)
            yield (row, col), Window(col * cols, row * rows, width, height)
