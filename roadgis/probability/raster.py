"""Probability rasters and road masks of any program, read as probability on a metric grid."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pyproj import CRS
from rasterio.enums import Compression

from roadgis.errors import SceneError
from roadgis.imagery.dataset_pool import Handles, bound_block_cache, gdal_environment, open_dataset
from roadgis.imagery.grid import Grid, Window
from roadgis.imagery.inputs import expand_sources
from roadgis.imagery.raster import Raster, inspect_raster
from roadgis.imagery.record import SceneRecord
from roadgis.imagery.scene import Scene, check_rasters, compose_scene
from roadgis.imagery.values.statistics import ValueStatistics, value_statistics
from roadgis.model.card import named_models
from roadgis.options.imagery import SceneOptions
from roadgis.options.probability_raster import RasterOptions
from roadgis.probability.encoding import Decoder, Encoding, Stored, detect_encoding
from roadgis.probability.mosaic import Mosaic
from roadgis.probability.source import (
    NO_DATA,
    ArrayProbability,
    CroppedProbability,
    ProbabilitySource,
)
from roadgis.probability.tags import PROVENANCE_TAG, stored_divisor, stored_provenance
from roadgis.progress import Progress, no_progress
from roadgis.sources import Sheet, stated

logger = logging.getLogger(__name__)

_LOSSY_DRIVERS = {"JPEG", "WEBP"}
_LOSSY = {Compression.jpeg, Compression.webp}


class RasterProbability:
    """Raster files as a :class:`roadgis.probability.source.ProbabilitySource`.

    Reads from any thread. Use :func:`open_probability`.

    Attributes
    ----------
    scene : Scene
        The rasters.
    grid : Grid
        The first raster's own pixels where they are metric, north-up and square; else a metric
        grid of about the same pixel size, onto which probability is resampled.
    native_crs : pyproj.CRS
        The first raster's.
    threshold : float
        What the rasters' provenance says, else 0.5.
    encoding : Encoding
        How values are understood.
    is_mask : bool
        Whether there are two values only: between roads nothing is known.
    provenance : dict
        What made the rasters, where they say so, else their paths; and how values are understood.
    """

    def __init__(self, scene: Scene, encoding: Encoding, made_by: dict[str, Any]) -> None:
        self.scene = scene
        self.grid: Grid = scene.grid
        self.native_crs: CRS = scene.native_crs
        self.encoding = encoding
        self.is_mask = encoding.is_mask
        self.threshold = float(made_by.get("threshold", 0.5))
        keys = ("model", "models", "inputs", "grid", "unlike_training", "confidence_factor")
        known: dict[str, Any] = {key: made_by[key] for key in keys if key in made_by}
        own = {"inputs": list(scene.inputs), "values": encoding.what}
        self.provenance: dict[str, Any] = known if "inputs" in known else {**known, **own}

    def __enter__(self) -> RasterProbability:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.scene.close()

    def read(self, window: Window) -> npt.NDArray[np.uint8]:
        """Return probability of a window.

        Parameters
        ----------
        window : Window
            May reach beyond the grid.

        Returns
        -------
        ndarray of uint8, shape (height, width)
            0..254 = p * 254, 255 = nodata or beyond the grid.

        Raises
        ------
        ReadError
            If the file cannot be read.
        """
        # Between sheets far apart there is little else.
        if self.scene.misses_inputs(window):
            return np.full((window.height, window.width), NO_DATA, np.uint8)
        image, valid = self.scene.read(window)
        # Interpolation may overshoot.
        stored: npt.NDArray[np.uint8] = np.minimum(image[..., 0], np.uint8(NO_DATA - 1))
        stored[~valid] = NO_DATA
        return stored


class MosaicProbability:
    """A run's work directory, under the interface of :class:`RasterProbability`.

    Attributes
    ----------
    grid, native_crs, threshold, provenance
        See :class:`RasterProbability`.
    """

    def __init__(self, mosaic: Mosaic) -> None:
        # Around what the imagery covers there are pixels that only complete the tiles.
        window = mosaic.grid.window
        if mosaic.imagery:
            window = SceneRecord.from_json(mosaic.imagery).covered_in_grid
        self._values: ProbabilitySource = CroppedProbability(mosaic, window)
        self.grid = self._values.grid
        self.native_crs = mosaic.grid.crs
        self.threshold = 0.5
        inputs = [sheet["name"] for sheet in mosaic.imagery.get("sheets", ())]
        self.provenance: dict[str, Any] = {**mosaic.settings, "inputs": inputs, **mosaic.about}

    def __enter__(self) -> MosaicProbability:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def read(self, window: Window) -> npt.NDArray[np.uint8]:
        """Return probability of a window; see :meth:`RasterProbability.read`."""
        return self._values.read(window)

    def load(self) -> None:
        """Read all values into memory, for many small reads."""
        self._values = ArrayProbability(self.grid, self.read(self.grid.window))


def open_probability(
    sources: str | Path | Sequence[str | Path | Sheet],
    *,
    assume_crs: str | None = None,
    max_mpx: float = SceneOptions.max_mpx,
    options: RasterOptions | None = None,
    progress: Progress = no_progress,
) -> RasterProbability | MosaicProbability:
    """Open probability rasters or road masks, or the work directory of a run.

    Parameters
    ----------
    sources : str, Path, Sheet or sequence of them
        Files, VRTs, URLs, folders, quoted glob patterns, or sheets with the CRS, nodata value,
        band and date that their source states; together one mosaic, in which the first lies on
        top, and any mask may show a road. A folder with a ``mosaic.json`` is the work directory of
        a run.
    assume_crs : str, optional
        The CRS of rasters that have none.
    max_mpx : float
        Largest size of the rasters together, megapixels.
    options : RasterOptions, optional
        What values mean. What is not given is detected from all values, and logged.
    progress : Progress
        Progress callback, called while values are looked at.

    Returns
    -------
    RasterProbability or MosaicProbability
        A context manager.

    Raises
    ------
    SceneError
        If an input is not a raster, has no CRS, or it is not clear what its values mean.
    ReadError
        If a file cannot be read.
    """
    options = options or RasterOptions()
    given = [sources] if isinstance(sources, (str, Path)) else list(sources)
    folder = given[0] if len(given) == 1 and not isinstance(given[0], Sheet) else None
    if folder is not None and (Path(folder) / "mosaic.json").is_file():
        return MosaicProbability(Mosaic.open(Path(folder)))
    scene_options = SceneOptions(
        assume_crs=assume_crs,
        nodata=options.nodata,
        bands=None if options.band is None else (options.band,),
        max_mpx=max_mpx,
    )
    bound_block_cache()
    sheets = _sheets(given, scene_options)
    if options.scale is not None:
        sheets = [sheet._replace(scale=1.0, offset=0.0) for sheet in sheets]
    # Before all values are read: sizes that cannot be, files that are not whole.
    check_rasters([sheet.raster for sheet in sheets], scene_options)
    encoding = _encoding(sheets, options, progress)
    logger.log(
        logging.WARNING if encoding.notice else logging.INFO,
        "%s: read as %s.%s",
        _joined_name(sheets),
        encoding.what,
        " If that is wrong, use --road-value, --scale or --nodata-is." if encoding.notice else "",
    )
    # No overviews: they may average class numbers.
    rasters = [
        dataclasses.replace(s.raster, decoder=Decoder(encoding, s.scale, s.offset), overviews=())
        for s in sheets
    ]
    scene = compose_scene(rasters, band_count=1, align_px=1, options=scene_options)
    return RasterProbability(scene, encoding, _made_by(sheets))


class _Sheet(NamedTuple):
    """A raster with what its file says about the values."""

    raster: Raster
    scale: float
    offset: float
    lossy: bool
    tags: dict[str, str]


def _sheets(given: Sequence[str | Path | Sheet], options: SceneOptions) -> list[_Sheet]:
    named = [source for source in given if not isinstance(source, Sheet)]
    listed = [source for source in given if isinstance(source, Sheet)]
    if named or not listed:
        listed += map(Sheet, expand_sources(named))
    return [_sheet(sheet, options) for sheet in listed]


def _sheet(sheet: Sheet, options: SceneOptions) -> _Sheet:
    name, band = sheet.name, sheet.bands if sheet.bands and len(sheet.bands) == 1 else None
    options = dataclasses.replace(
        options,
        bands=options.bands or band,
        assume_crs=sheet.crs or options.assume_crs,
    )
    raster = inspect_raster(name, dataclasses.replace(options, bands=None), 1)
    if options.bands is not None:
        (number,) = options.bands
        if number > raster.count:
            raise SceneError(
                f"{raster.name}: has {raster.count} band(s), but band {number} was asked for. "
                "Correct --band."
            )
        raster = inspect_raster(name, options, 1)
    colours = raster.count - (raster.alpha is not None)
    if options.bands is None and colours > 1:
        if colours != 3 or np.dtype(raster.dtype).kind not in "ui":
            raise SceneError(
                f"{raster.name}: found {colours} bands, expected one band of probability or a "
                "picture of a mask. Choose a band with --band. To extract roads from imagery use "
                "'roadgis extract'."
            )
        raster = inspect_raster(name, options, 3)
    raster = stated(sheet, raster)
    with gdal_environment(raster.path), open_dataset(raster.path, None) as dataset:
        index = raster.bands[0] - 1
        return _Sheet(
            raster,
            float(dataset.scales[index]),
            float(dataset.offsets[index]),
            raster.driver in _LOSSY_DRIVERS or dataset.compression in _LOSSY,
            dataset.tags(),
        )


def _joined_name(sheets: Sequence[_Sheet]) -> str:
    more = f" and {len(sheets) - 1} more" if len(sheets) > 1 else ""
    return sheets[0].raster.name + more


def _encoding(sheets: Sequence[_Sheet], options: RasterOptions, progress: Progress) -> Encoding:
    full = {stored_divisor(sheet.tags, sheet.raster.name) for sheet in sheets}
    if len(full) == 1 and None not in full and options.scale is None and not options.road_values:
        (divisor,) = full
        assert divisor is not None
        return Encoding(
            f"probability times {divisor:g}, as its tag says",
            scale=1 / divisor,
            is_mask=False,
            background=options.nodata_is == "background",
        )
    scaled = any((sheet.scale, sheet.offset) != (1.0, 0.0) for sheet in sheets)
    found = Stored(
        name=_joined_name(sheets),
        dtype=str(np.result_type(*(sheet.raster.dtype for sheet in sheets))),
        scaled=scaled and options.scale is None,
        nodata=tuple(_declared(sheets)),
        picture=any(sheet.raster.channels > 1 for sheet in sheets),
        lossy=any(sheet.lossy for sheet in sheets),
    )
    return detect_encoding(found, _statistics(sheets, options, progress), options)


def _statistics(
    sheets: Sequence[_Sheet], options: RasterOptions, progress: Progress
) -> ValueStatistics:
    handles = Handles()
    anything = Encoding("")
    try:
        return value_statistics(
            handles,
            [(s.raster, Decoder(anything, s.scale, s.offset).values) for s in sheets],
            options.nodata,
            progress,
        )
    finally:
        handles.close()


def _declared(sheets: Iterable[_Sheet]) -> list[float]:
    """Return the values that files declare as nodata."""
    return [value for sheet in sheets for value in sheet.raster.nodata if value is not None]


def _made_by(sheets: Sequence[_Sheet]) -> dict[str, Any]:
    """Return what the rasters say made them; of several runs, their models and threshold."""
    # Sheets of one run have the same text, which need not be read for each.
    distinct = {sheet.tags.get(PROVENANCE_TAG): sheet for sheet in sheets}
    if distinct.keys() == {None}:
        return {}
    if len(distinct) == 1:
        return stored_provenance(sheets[0].tags, _joined_name(sheets))
    said = [stored_provenance(sheet.tags, sheet.raster.name) for sheet in distinct.values()]
    made = named_models(*said)
    thresholds = {made_by.get("threshold") for made_by in said}
    if len(thresholds) == 1 and None not in thresholds:
        return made | {"threshold": thresholds.pop()}
    logger.warning(
        "%s: were not made with one threshold, so 0.5 is used unless it is given.",
        _joined_name(sheets),
    )
    return made
