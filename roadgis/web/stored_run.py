"""A finished run, kept in memory between two moves of a slider."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from roadgis.network.centerlines import Centerlines
from roadgis.network.network import RoadNetwork
from roadgis.network.sheets import SheetIndex
from roadgis.options.extraction import ExtractOptions
from roadgis.options.imagery import SceneOptions
from roadgis.probability.mosaic import Mosaic
from roadgis.probability.raster import MosaicProbability
from roadgis.raster_pipeline import attributed_vectors, cleaned_network
from roadgis.sources import find_sheets, inspect_sheets
from roadgis.vectorization import trace_centerlines

#: Probability of at most this many pixels is kept in memory, one byte each.
_IN_MEMORY_PX = 400_000_000


class StoredRun:
    """The probability and sheets of a finished run, and the last centrelines traced from them.

    Parameters
    ----------
    work : Path
        The run's work directory.
    sheets : sequence of Path
        The imagery.
    crs : str or None
        CRS of sheets that have none.
    """

    def __init__(self, work: Path, sheets: Sequence[Path], crs: str | None) -> None:
        self._probability = MosaicProbability(Mosaic.open(work))
        grid = self._probability.grid
        if grid.width * grid.height <= _IN_MEMORY_PX:
            self._probability.load()
        found = inspect_sheets(find_sheets(sheets), SceneOptions(assume_crs=crs), 1)
        self._sheets = SheetIndex(found.rasters, self._probability.native_crs)
        self._traced: tuple[float, Centerlines] | None = None

    def network(self, options: ExtractOptions) -> RoadNetwork:
        """Return the network that some settings make; only a new threshold traces again."""
        source = self._probability
        threshold = source.threshold if options.threshold is None else options.threshold
        vectorizing = dataclasses.replace(options.vectorize, threshold=threshold)
        if self._traced is None or self._traced[0] != threshold:
            self._traced = None  # two at a time need not fit
            workers = min(4, os.cpu_count() or 1)
            self._traced = threshold, trace_centerlines(source, vectorizing, workers=workers)
        lines = self._traced[1]
        network = cleaned_network(
            lambda: lines, source, vectorizing, options.clean, block_px=options.predict.block_px
        )
        network = attributed_vectors(network, source, options, threshold)
        names, dates = self._sheets.of(network.edges)
        return dataclasses.replace(network, source=names, source_date=dates)


def stored_run(work: Path, sheets: Sequence[Path], crs: str | None) -> StoredRun:
    """Return the run of a work directory; the last one stays in memory.

    Parameters are those of :class:`StoredRun`.

    Raises
    ------
    ReadError
        If the work directory or a sheet cannot be read.
    """
    head = work / "mosaic.json"
    version = head.stat().st_mtime_ns if head.is_file() else 0
    return _kept(work, tuple(sheets), crs, version)


@lru_cache(maxsize=1)
def _kept(work: Path, sheets: tuple[Path, ...], crs: str | None, version: int) -> StoredRun:
    return StoredRun(work, sheets, crs)
