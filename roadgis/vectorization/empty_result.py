"""Explain why no road was found in a raster."""

from __future__ import annotations

import dataclasses

import numpy as np

from roadgis.imagery.grid import Window
from roadgis.network.clean import removed_by_cleaning
from roadgis.options.cleaning import CleanOptions
from roadgis.options.vectorization import VectorizeOptions
from roadgis.probability.source import NO_DATA, ProbabilitySource, holds_mask
from roadgis.probability.tiling import blocks
from roadgis.vectorization.bitplanes import unpack
from roadgis.vectorization.mask import read_mask
from roadgis.vectorization.radii import radii_of, weak_level
from roadgis.vectorization.run import trace_centerlines
from roadgis.why_empty import NODATA_ADVICE, RasterFacts, Removed, WhyEmpty

_FULL = NO_DATA - 1


def explain_empty(
    source: ProbabilitySource,
    options: VectorizeOptions,
    clean: CleanOptions,
    *,
    block_px: int,
) -> WhyEmpty:
    """Explain why no road was found; traces the raster again.

    Parameters
    ----------
    source : ProbabilitySource
        The raster.
    options : VectorizeOptions
        As used.
    clean : CleanOptions
        As used.
    block_px : int
        Side of the blocks to read, pixels.
    """
    gsd = source.grid.gsd_m
    lines = everywhere = trace_centerlines(source, options, block_px=block_px)
    if not len(lines):
        options_at_nodata = dataclasses.replace(options, rim_m=0.0)
        everywhere = trace_centerlines(source, options_at_nodata, block_px=block_px)
    lines_m, with_rim_m = (float(traced.length_px.sum()) * gsd for traced in (lines, everywhere))
    removed = removed_by_cleaning(lines, clean, source=source)
    if with_rim_m > lines_m:
        along = Removed("along nodata", with_rim_m - lines_m, NODATA_ADVICE)
        removed = (along, *removed)
    cores = blocks(source.grid.height, source.grid.width, block_px)
    return WhyEmpty(max(lines_m, with_rim_m), removed, _facts(source, cores, options))


def _facts(
    source: ProbabilitySource, cores: list[Window], options: VectorizeOptions
) -> RasterFacts:
    grid = source.grid
    radii = radii_of(options, grid.gsd_m)
    missing = road = narrow = 0
    highest = -1
    for core in cores:
        values = source.read(core)
        known = values[values != NO_DATA]
        missing += values.size - known.size
        if not known.size:
            continue
        highest = max(highest, int(known.max()))
        road += int(np.count_nonzero(known >= weak_level(options)))
        mask = read_mask(source, core, weak_level(options), radii)
        if mask is not None:
            top, left = core.row - mask.window.row, core.col - mask.window.col
            kept = unpack(mask.road)[top : top + core.height, left : left + core.width]
            narrow += int(np.count_nonzero(kept[values != NO_DATA]))
    area = grid.gsd_m**2
    return RasterFacts(
        nodata_share=missing / (grid.width * grid.height),
        highest=None if highest < 0 else highest / _FULL,
        threshold=None if holds_mask(source) else options.threshold,
        road_m2=road * area,
        # Closing adds some pixels.
        wide_m2=max(road - narrow, 0) * area,
    )
