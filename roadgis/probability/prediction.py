"""Scene and segmenter to probability mosaic: reading, inference and writing overlapped."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from roadgis.affine import mapped
from roadgis.errors import RoadgisError, TileError
from roadgis.imagery.grid import Window
from roadgis.imagery.scene import Scene, compose_scene
from roadgis.model.runtime import predict_part
from roadgis.options.imagery import SceneOptions
from roadgis.options.prediction import PredictOptions
from roadgis.options.sources import SourceOptions
from roadgis.probability.cutting import Cutting, is_free
from roadgis.probability.mosaic import Mosaic
from roadgis.probability.resumption import take_up
from roadgis.probability.source import NO_DATA
from roadgis.probability.tiling import Crop
from roadgis.progress import Progress, no_progress
from roadgis.sources import Sources, find_sheets, inspect_sheets

if TYPE_CHECKING:
    from roadgis.model.card import ModelCard
    from roadgis.model.runtime import Segmenter

logger = logging.getLogger(__name__)

#: Rows of a block that are read at once.
_STRIP_PX = 768


@dataclass(frozen=True)
class _Block:
    core: Window
    seen: Window
    image: npt.NDArray[np.uint8]
    valid: npt.NDArray[np.bool_]


def open_for_model(
    sources: Sources,
    card: ModelCard,
    options: SceneOptions,
    source_options: SourceOptions | None = None,
) -> Scene:
    """Open imagery as a model wants it: pixel size, bands and normalization.

    Parameters
    ----------
    sources : str, Path, Sheet or sequence of them
        See :func:`roadgis.sources.find_sheets`.
    card : ModelCard
        The model's.
    options : SceneOptions
        How the imagery is read.
    source_options : SourceOptions, optional
        How sources are searched, and which sheets are used.

    Raises
    ------
    SceneError, ReadError
        See :func:`roadgis.sources.inspect_sheets` and :func:`roadgis.imagery.scene.open_scene`.
    """
    sheets = find_sheets(sources, source_options, aoi=options.aoi)
    found = inspect_sheets(
        sheets,
        options,
        len(card.bands),
        source_options,
        gsd_m=options.gsd_m or card.gsd_m,
    )
    return compose_scene(
        found.rasters,
        gsd_m=card.working_gsd_m,
        band_count=len(card.bands),
        normalize_to=card.normalize_to,
        options=options,
        skipped=found.skipped,
    )


def predict(
    scene: Scene,
    segmenter: Segmenter,
    folder: Path,
    options: PredictOptions | None = None,
    *,
    progress: Progress = no_progress,
) -> Mosaic:
    """Predict road probability for all of a scene.

    Blocks that an earlier run has finished are not done again; blocks without a valid pixel
    are marked and skipped.

    Parameters
    ----------
    scene : Scene
        Opened at the model's GSD.
    segmenter : Segmenter
        The model.
    folder : Path
        Of the mosaic.
    options : PredictOptions, optional
        How to cut.
    progress : Progress
        Progress callback, called after each block; may raise
        :class:`roadgis.errors.Cancelled`.

    Returns
    -------
    Mosaic
        Complete.

    Raises
    ------
    TileError
        If the network fails on a tile; the blocks done before stay.
    ReadError, OutputError
        If imagery cannot be read or the mosaic not be written.
    ResumeError
        If the folder belongs to a run with other settings.
    """
    options = options or PredictOptions()
    card = segmenter.card
    cutting = Cutting.of(scene, card, options)
    mosaic = _mosaic(scene, segmenter, folder, cutting)
    todo, done_px = [], 0
    for core in cutting.blocks(scene.grid):
        if mosaic.is_done(core):
            done_px += core.height * core.width
        else:
            todo.append(core)
    total_px = scene.grid.height * scene.grid.width
    if done_px:
        logger.info("resuming: %.1f of %.1f Mpx are done", done_px / 1e6, total_px / 1e6)
    progress(done_px / total_px, _text(done_px, total_px))
    workers = options.workers or min(4, os.cpu_count() or 1)
    with ThreadPoolExecutor(1, "roadgis-write") as writer:
        written: Future[None] | None = None
        for core, block in _read_ahead(scene, todo, cutting, workers):
            values = None if block is None else _predict_block(block, segmenter, cutting, scene)
            if written is not None:
                written.result()  # at most one block waits; a full disk stops the run here
            written = writer.submit(mosaic.write, core, values)
            done_px += core.height * core.width
            progress(done_px / total_px, _text(done_px, total_px))
        if written is not None:
            written.result()
    return mosaic


def predict_block(
    scene: Scene, segmenter: Segmenter, core: Window, cutting: Cutting
) -> npt.NDArray[np.uint8] | None:
    """Predict road probability for one block.

    Parameters
    ----------
    scene : Scene
        Opened at the model's GSD.
    segmenter : Segmenter
        The model.
    core : Window
        The block, relative to the scene's grid.
    cutting : Cutting
        How it becomes tiles.

    Returns
    -------
    ndarray of uint8, shape (height, width), or None
        0..254 = p * 254, 255 = nodata; None where no pixel is valid.

    Raises
    ------
    TileError
        If the network fails on a tile.
    ReadError
        If imagery cannot be read.
    """
    ((_, block),) = _read_ahead(scene, [core], cutting, workers=1)
    return None if block is None else _predict_block(block, segmenter, cutting, scene)


def _mosaic(scene: Scene, segmenter: Segmenter, folder: Path, cutting: Cutting) -> Mosaic:
    card, imagery, grid = segmenter.card, scene.record(), scene.grid
    settings: dict[str, Any] = {
        "reading": imagery.options,
        "model": f"{card.name} {card.version} sha256:{segmenter.fingerprint}",
    }
    if cutting.flips:
        settings["flips"] = True
    if not card.local:
        settings["tile_px"] = cutting.side
    mosaic = Mosaic.create(
        folder,
        grid,
        settings,
        chunk_px=cutting.chunk_px,
        imagery=imagery.to_json(),
        about={"model": card.provenance(segmenter.fingerprint)},
    )

    def tiles(core: Window, extent: Window) -> list[tuple[Window, object]]:
        return list(dataclasses.replace(cutting, extent=extent).tiles(core))

    return take_up(
        mosaic,
        grid,
        imagery,
        cutting.blocks(grid),
        tiles,
        local=card.local,
    )


def _text(done_px: int, total_px: int) -> str:
    return f"predicting: {done_px / 1e6:.1f} of {total_px / 1e6:.1f} Mpx"


def _read_ahead(
    scene: Scene, cores: list[Window], cutting: Cutting, workers: int
) -> Iterator[tuple[Window, _Block | None]]:
    """Read blocks in order, each on several threads; the next one while one is worked on."""
    waiting: deque[tuple[Window, _Reading | None]] = deque()
    pool = ThreadPoolExecutor(workers, "roadgis-read")
    try:
        for core in cores:
            reading = None
            if not scene.is_blank(core):
                before = waiting[-1][1] if waiting else None
                reading = _Reading(scene, cutting.seen(core), pool, before)
            waiting.append((core, reading))
            if sum(reading is not None for _, reading in waiting) > 1:
                yield from _next_block(scene, waiting)
        while waiting:
            yield from _next_block(scene, waiting)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _next_block(
    scene: Scene, waiting: deque[tuple[Window, _Reading | None]]
) -> Iterator[tuple[Window, _Block | None]]:
    core, reading = waiting.popleft()
    block = None
    if reading is not None:
        image, valid = reading.result()
        kept = valid[core.slices_in(reading.window)] & scene.wanted(core)
        if kept.any():
            block = _Block(core, reading.window, image, kept)
    yield core, block


class _Reading:
    """A window of a scene that is being read, strip by strip.

    Strips share the work among threads, and keep what each of them needs on the way small. They
    start on whole strips from the imagery's top, where its compressed tiles mostly start too: a
    tile on both sides of a cut is decoded twice.

    What the window shares with the one to its left is copied from there.
    """

    def __init__(
        self, scene: Scene, window: Window, pool: ThreadPoolExecutor, before: _Reading | None
    ) -> None:
        self.window = window
        self._scene = scene
        self._image = np.empty((window.height, window.width, scene.band_count), np.uint8)
        self._valid = np.empty((window.height, window.width), np.bool_)
        col = window.col
        self._strips: list[Future[None]] = []
        if before is not None and _continues(before.window, window):
            col = before.window.end_col
            self._strips.append(pool.submit(self._copy, before))
        first = window.row - (window.row - scene.extent.row) % _STRIP_PX
        self._strips += [
            pool.submit(self._read, Window(row, col, _STRIP_PX, window.end_col - col))
            for row in range(first, window.end_row, _STRIP_PX)
        ]

    def _copy(self, before: _Reading) -> None:
        image, valid = before.result()  # it was submitted before, so no thread waits for itself
        shared = before.window.intersection(self.window)
        here, there = shared.slices_in(self.window), shared.slices_in(before.window)
        self._image[here], self._valid[here] = image[there], valid[there]

    def _read(self, strip: Window) -> None:
        strip = strip.intersection(self.window)
        here = strip.slices_in(self.window)
        image, self._valid[here] = self._scene.read(strip)
        # Bands lie one after the other; copied together, numpy would do so pixel by pixel.
        for band in range(self._scene.band_count):
            self._image[here][..., band] = image[..., band]

    def result(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
        """Return image (height, width, B) and valid pixels when all is read."""
        for strip in self._strips:
            strip.result()
        return self._image, self._valid


def _continues(before: Window, window: Window) -> bool:
    """Return whether a window begins within another one of the same rows, and ends beyond it."""
    same_rows = (before.row, before.height) == (window.row, window.height)
    return same_rows and before.col <= window.col < before.end_col < window.end_col


def _predict_block(
    block: _Block, segmenter: Segmenter, cutting: Cutting, scene: Scene
) -> npt.NDArray[np.uint8]:
    """Return the block core's probability, uint8 (height, width), 255 where not valid."""
    card, core = segmenter.card, block.core
    result = np.full((core.height, core.width), NO_DATA, np.uint8)
    # Less to compute around sheets; only where the cut does not change the answer.
    needed = _around(block.valid).shifted(core.row, core.col) if is_free(card) else core
    for window, crop in cutting.tiles(needed):
        top = window.row + crop[0].start - core.row
        left = window.col + crop[1].start - core.col
        inside = np.s_[
            top : top + crop[0].stop - crop[0].start, left : left + crop[1].stop - crop[1].start
        ]
        valid = block.valid[inside]
        if not valid.any():
            continue
        image = block.image[window.slices_in(block.seen)]
        try:
            probability = _tile_probability(segmenter, image, crop, flips=cutting.flips)
        except (RoadgisError, RuntimeError, ValueError, MemoryError) as error:
            west, north = mapped(scene.grid.transform, window.col, window.row)
            raise TileError(
                f"The model {card.name} failed on the tile at row {window.row}, column "
                f"{window.col} ({window.height} x {window.width} px, top left at "
                f"{west:.1f}, {north:.1f} in {scene.grid.crs.name}): {error}. Nothing was written "
                "to the output; blocks done before are kept. A smaller --tile-px needs less memory."
            ) from error
        scaled = probability * np.float32(254)
        np.rint(scaled, out=scaled)
        # A condition makes copying slower.
        where = True if valid.all() else valid
        np.copyto(result[inside], scaled, where=where, casting="unsafe")
    return result


def _around(valid: npt.NDArray[np.bool_]) -> Window:
    """Return the smallest window around all valid pixels."""
    rows, cols = (np.flatnonzero(valid.any(axis=axis)) for axis in (1, 0))
    return Window.between(int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1)


def _tile_probability(
    segmenter: Segmenter, image: npt.NDArray[np.uint8], crop: Crop, *, flips: bool
) -> npt.NDArray[np.float32]:
    """Return the road probability of the part of a tile that is kept, float32."""
    if not flips:
        probability: npt.NDArray[np.float32] = predict_part(segmenter, image[None], *crop)[0]
        return probability
    total = np.zeros(image.shape[:2], np.float32)
    # Always in this order, as sums of floats depend on it.
    for flip in (np.s_[:, :], np.s_[:, ::-1], np.s_[::-1, :], np.s_[::-1, ::-1]):
        mirrored = np.ascontiguousarray(image[flip])
        total += segmenter.predict(mirrored[None])[0][flip]
    total *= np.float32(0.25)
    return total[crop]
