"""Tracing block by block: probability in, raw centrelines out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from roadgis.errors import InputError
from roadgis.heap import trim_heap
from roadgis.imagery.grid import Grid, Window
from roadgis.network.centerlines import Centerlines, RoadEnds
from roadgis.options.vectorization import VectorizeOptions
from roadgis.probability.source import NO_DATA, ProbabilitySource, holds_mask
from roadgis.probability.tiling import blocks
from roadgis.progress import Progress, no_progress
from roadgis.vectorization.bitplanes import Plane, dilated, pixels, unpack
from roadgis.vectorization.dead_ends import road_ends
from roadgis.vectorization.mask import RoadMask, read_mask
from roadgis.vectorization.pixel_graph import PixelGraph, skeleton_links
from roadgis.vectorization.radii import Radii, radii_of, strong_level, weak_level
from roadgis.vectorization.runs import in_runs
from roadgis.vectorization.thinning import measure_widths, nearest, thin
from roadgis.vectorization.trace import trace

# Blocks; what is kept of each leaves gaps between larger arrays that were freed.
_TRIM_EVERY = 16


def trace_centerlines(
    source: ProbabilitySource,
    options: VectorizeOptions | None = None,
    *,
    block_px: int = 2304,
    workers: int = 1,
    progress: Progress = no_progress,
) -> Centerlines:
    """Trace the raw centrelines of a probability raster, block by block.

    Memory is bounded by the blocks being traced and by the skeleton's pixels.

    Parameters
    ----------
    source : ProbabilitySource
        Road probability on a metric grid.
    options : VectorizeOptions, optional
        Thresholds and widths.
    block_px : int
        Side of the blocks, pixels.
    workers : int
        Blocks worked on at the same time, in threads.
    progress : Progress
        Progress callback, called as ``progress(fraction, message)``; may cancel.

    Returns
    -------
    Centerlines
        The same for any `block_px` and `workers`.

    Raises
    ------
    InputError
        If `block_px` or `workers` is not positive.
    """
    options = options or VectorizeOptions()
    if block_px < 1 or workers < 1:
        raise InputError(
            f"block_px is {block_px} and workers is {workers}; both must be 1 or more. Raise them."
        )
    grid = source.grid
    radii = radii_of(options, grid.gsd_m)
    cores = blocks(grid.height, grid.width, block_px)

    def parts() -> Iterator[PixelGraph]:
        for done, part in enumerate(
            _blocks(source, cores, weak_level(options), radii, workers), start=1
        ):
            if part is not None:
                yield part
            progress(0.95 * done / len(cores), f"Vectorizing block {done} of {len(cores)}")

    return joined_blocks(parts(), source, options)


def trace_block(
    source: ProbabilitySource, core: Window, options: VectorizeOptions
) -> PixelGraph | None:
    """Return the skeleton of one block with its links to others; None where there is no road.

    Parameters
    ----------
    source : ProbabilitySource
        Road probability on a metric grid.
    core : Window
        The block, within the grid.
    options : VectorizeOptions
        Thresholds and widths; ``radii_of(options, gsd_m).halo`` is how far it looks.
    """
    return _block_graph(source, core, weak_level(options), radii_of(options, source.grid.gsd_m))


def joined_blocks(
    parts: Iterable[PixelGraph], source: ProbabilitySource, options: VectorizeOptions
) -> Centerlines:
    """Join the skeletons of blocks by pixel ids and trace them.

    Parameters
    ----------
    parts : iterable of PixelGraph
        Of :func:`trace_block`, for blocks that cover the grid once, in any order. Links to blocks
        that are missing are left out.
    source : ProbabilitySource
        As for the blocks.
    options : VectorizeOptions
        As for the blocks.
    """
    radii = radii_of(options, source.grid.gsd_m)
    runs = []
    for part in parts:
        runs.append(in_runs(part, source.grid.width))
        if len(runs) % _TRIM_EVERY == 0:
            trim_heap()
    return trace(
        runs or [in_runs(_no_pixels(), source.grid.width)],
        source.grid,
        strong_level(options),
        # Collars of imagery cut roads; where a mask is nodata, its roads are whole.
        (0 if holds_mask(source) else radii.rim, radii.rim_step),
    )


def _blocks(
    source: ProbabilitySource, cores: list[Window], level: int, radii: Radii, workers: int
) -> Iterator[PixelGraph | None]:
    if workers == 1:
        for core in cores:
            yield _block_graph(source, core, level, radii)
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="vectorize") as pool:
        # Results that nobody has taken yet need memory, and a future keeps its result.
        pending: deque[Future[PixelGraph | None]] = deque()
        try:
            for core in cores:
                pending.append(pool.submit(_block_graph, source, core, level, radii))
                if len(pending) > 2 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            # After an error or a cancel, blocks not yet begun need not be.
            for future in pending:
                future.cancel()


def _no_pixels() -> PixelGraph:
    real = np.empty(0, np.float32)
    return PixelGraph(
        id=np.empty(0, np.int64),
        width_px=real,
        d_row=real,
        d_col=real,
        probability=np.empty(0, np.uint8),
        blank_px=real,
        exit=np.empty(0, bool),
        links=np.empty((0, 2), np.int64),
        ends=RoadEnds.none(),
    )


def _block_graph(
    source: ProbabilitySource, core: Window, level: int, radii: Radii
) -> PixelGraph | None:
    """Return the skeleton of one block: its pixels, and their links to later pixels."""
    mask = read_mask(source, core, level, radii)
    if mask is None or not mask.road.any():
        return None
    mask = mask.cropped(core.buffered(radii.skeleton_halo))
    skeleton = thin(mask.road, radii.iterations)
    top, left = core.row - mask.window.row, core.col - mask.window.col
    near = skeleton[top - 1 : top + core.height + 2]
    rows, cols = pixels(near)
    rows += top - 1
    own = (rows >= top) & (rows < top + core.height) & (cols >= left) & (cols < left + core.width)
    rows, cols = rows[own], cols[own]
    within = skeleton
    if mask.blank is not None:
        within = skeleton & ~mask.blank
        has_data = _at(within, rows, cols)
        rows, cols = rows[has_data], cols[has_data]
    if not len(rows):
        return None
    ids = (rows + mask.window.row) * source.grid.width + cols + mask.window.col
    road = unpack(mask.road)
    widths = measure_widths(road, rows, cols, radii.wide)
    probability = mask.probability[rows, cols]
    return PixelGraph(
        id=ids,
        width_px=widths.width,
        d_row=widths.d_row,
        d_col=widths.d_col,
        # Closing fills pixels of any probability, but none without data.
        probability=np.minimum(probability, np.uint8(NO_DATA - 1)),
        blank_px=_blank_distance(mask, rows, cols, radii),
        exit=_exits(mask, skeleton, source.grid, rows, cols),
        links=_links(skeleton, within, mask.window, source.grid, ids, rows, cols),
        ends=road_ends(road, unpack(skeleton), rows, cols, ids, radii.wide, radii.walk),
    )


def _at(
    plane: Plane, rows: npt.NDArray[np.int64], cols: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Return a plane's bits at some pixels."""
    bits: npt.NDArray[np.bool_] = (
        plane[rows, cols >> 6] >> (cols & 63).astype(np.uint64)
    ) & np.uint64(1) > 0
    return bits


def _links(
    skeleton: Plane,
    within: Plane,
    window: Window,
    grid: Grid,
    ids: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    cols: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Return the links (L, 2) from a block's pixels to later ones within grid and data."""
    out = []
    for d_row, d_col, plane in skeleton_links(skeleton):
        linked = _at(plane, rows, cols)
        linked[linked] = _at(within, rows[linked] + d_row, cols[linked] + d_col)
        row, col = rows + (d_row + window.row), cols + (d_col + window.col)
        linked &= (row < grid.height) & (col >= 0) & (col < grid.width)
        first = ids[linked]
        out.append(np.stack([first, first + (d_row * grid.width + d_col)], axis=1))
    return np.concatenate(out)


def _exits(
    mask: RoadMask,
    skeleton: Plane,
    grid: Grid,
    rows: npt.NDArray[np.int64],
    cols: npt.NDArray[np.int64],
) -> npt.NDArray[np.bool_]:
    """Return which of a block's pixels have a neighbour beyond the raster's edge or the data."""
    out = np.zeros(len(rows), bool)
    row, col = rows + mask.window.row, cols + mask.window.col
    edge = (row == 0) | (row == grid.height - 1) | (col == 0) | (col == grid.width - 1)
    if mask.blank is not None:
        edge |= _at(dilated(mask.blank, 1.5), rows, cols)
    at = np.flatnonzero(edge)
    for d_row in (-1, 0, 1):
        for d_col in (-1, 0, 1):
            r, c = rows[at] + d_row, cols[at] + d_col
            outside = (
                (r + mask.window.row < 0)
                | (r + mask.window.row >= grid.height)
                | (c + mask.window.col < 0)
                | (c + mask.window.col >= grid.width)
            )
            if mask.blank is not None:
                outside |= _at(mask.blank, r, c)
            out[at] |= outside & _at(skeleton, r, c)
    return out


def _blank_distance(
    mask: RoadMask,
    rows: npt.NDArray[np.int64],
    cols: npt.NDArray[np.int64],
    radii: Radii,
) -> npt.NDArray[np.float32]:
    """Return the distance of a block's pixels to nodata; inf beyond the rim's reach."""
    out = np.full(len(rows), np.inf, np.float32)
    if mask.blank is None:
        return out
    around = dilated(mask.blank, radii.rim_reach)
    near = np.flatnonzero(_at(around, rows, cols))
    if len(near):
        out[near], _ = nearest(unpack(mask.blank), 1, rows[near], cols[near], radii.rim_reach)
    return out
