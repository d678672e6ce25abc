"""A scene: any imagery as one metric pixel grid that can be read anywhere, from any thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from pyproj import CRS

from roadgis.arrays import Bools, Bytes, Singles
from roadgis.imagery.area import Area
from roadgis.imagery.damage import check_whole
from roadgis.imagery.dataset_pool import Handles, bound_block_cache
from roadgis.imagery.describe import describe_scene
from roadgis.imagery.grid import Grid, Window
from roadgis.imagery.inputs import expand_sources
from roadgis.imagery.plan import Plan, plan_scene, warn_apart
from roadgis.imagery.raster import Raster, inspect_raster
from roadgis.imagery.record import SceneRecord, scene_fingerprint, scene_record
from roadgis.imagery.resampling import Layer, touches
from roadgis.imagery.sample_blocks import blocks_of_inputs, spread_blocks
from roadgis.imagery.size import RunSize
from roadgis.imagery.values.blank import BLANK_REACH_PX, blank_pixels
from roadgis.imagery.values.look import Look, measure_look
from roadgis.imagery.values.normalization import Normalization, measure
from roadgis.imagery.values.scene_statistics import SceneStatistics
from roadgis.imagery.values.stretch import Stretch, percentile_scaling
from roadgis.options.imagery import SceneOptions

_LOG = logging.getLogger(__name__)

#: The value of pixels without image: a middling grey, which looks like no edge of anything.
INVALID_FILL = 115
_SAMPLE_BLOCKS = (64, 1024)
_ENOUGH_SAMPLES = 50_000


def open_scene(
    sources: str | Path | Sequence[str | Path],
    *,
    gsd_m: float | tuple[float, float] | None = None,
    band_count: int = 3,
    align_px: int = 64,
    normalize_to: tuple[float, float] | None = None,
    options: SceneOptions | None = None,
) -> Scene:
    """Open imagery of any kind as one scene.

    Parameters
    ----------
    sources : str, path or sequence of them
        Files, VRTs, http(s) URLs, folders, quoted glob patterns. Where inputs overlap, the
        first one lies on top.
    gsd_m : float, tuple of two floats, or None
        Ground sampling distance to read at, metres; a range takes the inputs' own where that lies
        in it, else the nearest end; None takes the first input's own.
    band_count : int
        Channels to read.
    align_px : int
        The grid's corners lie on multiples of this many pixels, counted from the CRS's origin,
        so that runs over different parts of an area share one lattice of tiles.
    normalize_to : tuple of two floats, or None
        Mean and standard deviation, 0..255, that each band is brought to, by the statistics of
        the whole scene.
    options : SceneOptions or None
        Bands, nodata, area of interest and so on.

    Returns
    -------
    Scene
        To be closed, or used as a context manager.

    Raises
    ------
    SceneError
        If an input is not a raster, has no CRS or too few bands, is far too coarse, lies too far
        from the others, or misses the area of interest, or all are too large.
    ReadError
        If a file or URL fails, or a file is not whole.
    """
    options = options or SceneOptions()
    bound_block_cache()
    rasters = [inspect_raster(name, options, band_count) for name in expand_sources(sources)]
    return compose_scene(
        rasters,
        gsd_m=gsd_m,
        band_count=band_count,
        align_px=align_px,
        normalize_to=normalize_to,
        options=options,
    )


def compose_scene(
    rasters: Sequence[Raster],
    *,
    gsd_m: float | tuple[float, float] | None = None,
    band_count: int = 3,
    align_px: int = 64,
    normalize_to: tuple[float, float] | None = None,
    options: SceneOptions | None = None,
    skipped: Mapping[str, str] | None = None,
    statistics: SceneStatistics | None = None,
) -> Scene:
    """Compose a scene of rasters that are already known; see :func:`open_scene`.

    `skipped` names the inputs that were left out, and why. `statistics` that are given are used
    in place of the scene's own, which are then not measured.
    """
    options = options or SceneOptions()
    handles = Handles()
    try:
        plan = plan_scene(rasters, handles, options.gsd_m or gsd_m, align_px, options)
        for raster in rasters:
            check_whole(raster.name, raster.damage)
        warn_apart(plan)
        scene = Scene(rasters, plan, handles, band_count, options, normalize_to, statistics)
        scene.skipped = dict(skipped or {})
        return scene
    except BaseException:
        handles.close()
        raise


def check_rasters(rasters: Sequence[Raster], options: SceneOptions) -> None:
    """Check that rasters can be composed to a scene of their own pixel size.

    Raises
    ------
    SceneError, ReadError
        See :func:`open_scene`.
    """
    handles = Handles()
    try:
        plan_scene(rasters, handles, None, 1, options)
        for raster in rasters:
            check_whole(raster.name, raster.damage)
    finally:
        handles.close()


class Scene:
    """Imagery on the analysis grid; made by :func:`open_scene`. Reading is thread-safe.

    Attributes
    ----------
    grid : Grid
        The pixels that a run computes: those of `covered`, and some around them, so that tiles
        start on the same lattice in all runs.
    native_crs : pyproj.CRS
        CRS of the first input.
    band_count : int
        Bands of the images.
    inputs : tuple of str
        Names of all inputs, without secrets.
    options : SceneOptions
        As given.
    normalization : Normalization or None
        How the bands are normalized; None where they are not.
    look : Look or None
        Of scenes that are normalized, what they look like before.
    skipped : dict of str to str
        Names of the inputs that were left out, and why.
    """

    def __init__(
        self,
        rasters: Sequence[Raster],
        plan: Plan,
        handles: Handles,
        band_count: int,
        options: SceneOptions,
        normalize_to: tuple[float, float] | None = None,
        statistics: SceneStatistics | None = None,
    ) -> None:
        self.grid: Grid = plan.grid
        self.native_crs: CRS = rasters[0].crs
        self.inputs = tuple(raster.name for raster in rasters)
        self.options = options
        self._rasters = tuple(rasters)
        self._plan = plan
        self._handles = handles
        self.band_count = band_count
        self._area: Area | None = plan.area
        self._valid_share: float | None = None
        self._lock = threading.Lock()
        known = statistics or SceneStatistics()
        self._scalings = self._choose_scalings(known.scalings)
        self.normalization: Normalization | None = known.normalization
        self.look: Look | None = known.look
        self.skipped: dict[str, str] = {}
        if normalize_to is not None and statistics is None:
            samples = self._valid_samples()
            self.normalization = measure(
                (image[valid] for image, valid in samples), band_count, normalize_to
            )
            self.look = measure_look(samples)
        self.fingerprint: str = scene_fingerprint(
            plan, rasters, options, band_count, self.stretch, self._normalized()
        )

    def __enter__(self) -> Scene:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all files."""
        self._handles.close()

    @property
    def stretch(self) -> dict[str, dict[str, list[float]]]:
        """The values that became 0 and 255, per channel, of each type that was scaled."""
        return {
            f"{dtype} x {channels}": {"low": list(s.low), "high": list(s.high)}
            for (dtype, channels), s in self._scalings.items()
        }

    @property
    def statistics(self) -> SceneStatistics:
        """Statistics of the whole scene."""
        return SceneStatistics(self._scalings, self.normalization, self.look)

    @property
    def extent(self) -> Window:
        """All inputs together, relative to `grid`; it reaches beyond it around an area of interest.

        There are no image pixels outside of it.
        """
        return self._plan.relative(self._plan.extent)

    @property
    def covered(self) -> Window:
        """The pixels of the inputs, or of their part around the area of interest; within `grid`."""
        return self._plan.relative(self._plan.covered)

    @property
    def size(self) -> RunSize:
        """Amount of work of a run over the scene."""
        return self._plan.size

    @property
    def given(self) -> tuple[Raster, ...]:
        """The inputs in the order given."""
        return self._rasters

    @property
    def origin(self) -> tuple[int, int]:
        """Row and column of the grid's first pixel on the lattice, which all runs share."""
        return self._plan.row, self._plan.col

    def misses_area(self, window: Window) -> bool:
        """Return True when a window certainly holds no wanted pixel."""
        return self._area is not None and self._area.misses(self._absolute(window))

    @property
    def sheets(self) -> tuple[Raster, ...]:
        """The inputs in the order in which they lie on each other, the first on top."""
        return tuple(sheet for layer in self._plan.layers for sheet in layer.group.sheets)

    def read(self, window: Window) -> tuple[Bytes, Bools]:
        """Read pixels; the same ones through any window, in any order, from any thread.

        Parameters
        ----------
        window : Window
            Relative to `grid`; may reach beyond it. Around an area of interest there are still
            image pixels, so that the model sees the surroundings.

        Returns
        -------
        image : ndarray of uint8, shape (height, width, band_count)
            `INVALID_FILL` where not valid. Mostly band after band in memory.
        valid : ndarray of bool, shape (height, width)
            Where there is an image.

        Raises
        ------
        ReadError
            If a file or URL fails; names it and the part that was read.
        """
        blank = self.options.blank
        reach = BLANK_REACH_PX if blank != "none" else 0
        image, valid = self._compose(self._absolute(window.buffered(reach)))
        if reach:
            valid = valid & ~blank_pixels(image, valid, blank)
            inner = slice(reach, -reach)
            image, valid = image[inner, inner], valid[inner, inner]
        if self.normalization is not None:
            image = self.normalization.apply(image)
        if not valid.all():
            for band in range(self.band_count):
                image[..., band][~valid] = INVALID_FILL
        return image, valid

    def wanted(self, window: Window) -> Bools:
        """Return bool (height, width): pixels whose centre lies in the area of interest.

        All True where there is none.
        """
        if self._area is None:
            return np.ones((window.height, window.width), np.bool_)
        return self._area.inside(self._absolute(window))

    def misses_inputs(self, window: Window) -> bool:
        """Return True when no input reaches into a window; reads nothing."""
        return not self._plan.layers_at(self._absolute(window))

    def is_blank(self, window: Window) -> bool:
        """Return True when a window certainly holds no valid, wanted pixel; reads nothing."""
        return self.misses_inputs(window) or self.misses_area(window)

    def valid_share(self) -> float:
        """Estimate the valid share of the inputs' wanted pixels from blocks spread over them."""
        if self._valid_share is None:
            seen = wanted = 0
            whole = self._absolute(self.grid.window)
            for block in spread_blocks(whole, _SAMPLE_BLOCKS[0]):
                window = block.intersection(whole)
                relative = self._plan.relative(window)
                inside = self.wanted(relative) & self._plan.in_extent(window)
                wanted += int(inside.sum())
                if inside.any() and not self.is_blank(relative):
                    seen += int((self.read(relative)[1] & inside).sum())
            self._valid_share = seen / wanted if wanted else 0.0
        return self._valid_share

    def record(self) -> SceneRecord:
        """Return what decides the pixels, sheet by sheet, for runs that are resumed later."""
        decided = {**self.stretch, "normalization": self._normalized()}
        return scene_record(self._plan, self.options, self.band_count, decided)

    def describe(self) -> dict[str, Any]:
        """Return what `roadgis info` shows, as plain JSON values."""
        return {
            **describe_scene(self._rasters, self._plan, self.options),
            "stretch": self.stretch,
            "normalization": self._normalized(),
            "valid_share": round(self.valid_share(), 4),
            **({"skipped": self.skipped} if self.skipped else {}),
        }

    def _normalized(self) -> dict[str, Any] | None:
        return None if self.normalization is None else self.normalization.to_json()

    def _absolute(self, window: Window) -> Window:
        return window.shifted(self._plan.row, self._plan.col)

    def _compose(self, window: Window) -> tuple[Bytes, Bools]:
        """Lay the layers over each other, the first on top, by their share of each pixel."""
        shape = (window.height, window.width)
        touching = self._plan.layers_at(window)
        if len(touching) == 1:
            values, share = touching[0].read(window, self._scaling(touching[0]))
            if len(values) != self.band_count:
                values = np.broadcast_to(values, (self.band_count, *shape)).copy()
            return np.moveaxis(values, 0, -1), share >= 128
        image = np.zeros((*shape, self.band_count), np.uint8)
        covered = np.zeros(shape, np.int32)
        total = np.zeros((*shape, self.band_count if touching else 0), np.float32)
        for layer in touching:
            values, share = layer.read(window, self._scaling(layer))
            values = np.moveaxis(np.broadcast_to(values, (self.band_count, *shape)), 0, -1)
            weight = np.minimum(share, 255 - covered)
            total += values * weight[..., None].astype(np.float32)
            covered += weight
        if touching:
            image = np.rint(total / np.maximum(covered, 1)[..., None]).astype(np.uint8)
        return image, covered >= 128

    def _scaling(self, layer: Layer) -> Stretch | None:
        return self._scalings.get((layer.group.dtype, layer.group.channels))

    def _choose_scalings(
        self, known: Mapping[tuple[str, int], Stretch]
    ) -> dict[tuple[str, int], Stretch]:
        scalings: dict[tuple[str, int], Stretch] = {}
        fixed = self.options.value_range
        for key in dict.fromkeys((la.group.dtype, la.group.channels) for la in self._plan.layers):
            dtype, channels = key
            if key in known:
                scalings[key] = known[key]
            elif fixed is not None:
                scalings[key] = Stretch((fixed[0],) * channels, (fixed[1],) * channels)
            elif dtype not in ("uint8", "bool"):
                layers = [
                    la for la in self._plan.layers if (la.group.dtype, la.group.channels) == key
                ]
                scalings[key] = percentile_scaling(
                    self._samples(layers), self.options.stretch, channels
                )
                _LOG.info("Stretch of %s: %s", dtype, scalings[key])
        return scalings

    def _samples(self, layers: Sequence[Layer]) -> list[Singles]:
        """Read valid pixels from blocks spread evenly over all inputs, area of interest or not."""
        samples: list[Singles] = []
        for count in _SAMPLE_BLOCKS:
            samples = []
            for window in self._blocks(count):
                for layer in layers:
                    if touches(layer, window):
                        values, share = layer.read_raw(window)
                        samples.append(values[:, share >= 0.5])
            if sum(s.shape[1] for s in samples) >= _ENOUGH_SAMPLES:
                break
        return samples

    def _valid_samples(self) -> list[tuple[Bytes, Bools]]:
        """Read blocks with valid pixels, spread evenly over all inputs, area of interest or not."""
        samples: list[tuple[Bytes, Bools]] = []
        for count in _SAMPLE_BLOCKS:
            read = (self.read(self._plan.relative(block)) for block in self._blocks(count))
            samples = [(image, valid) for image, valid in read if valid.any()]
            if sum(int(valid.sum()) for _, valid in samples) >= _ENOUGH_SAMPLES:
                break
        return samples

    def _blocks(self, count: int) -> list[Window]:
        boxes = [layer.boxes for layer in self._plan.layers]
        return blocks_of_inputs(self._plan.extent, boxes, count)
