"""From probability rasters and road masks to a road network on disk."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from roadgis._version import __version__
from roadgis.heap import trim_heap
from roadgis.network.centerlines import Centerlines
from roadgis.network.clean import cleaned_lines, network_of_lines
from roadgis.network.network import RoadNetwork
from roadgis.network.sheets import SheetIndex
from roadgis.options.cleaning import CleanOptions
from roadgis.options.extraction import ExtractOptions
from roadgis.options.probability_raster import RasterOptions
from roadgis.options.vectorization import VectorizeOptions
from roadgis.output import check_output, write_network
from roadgis.overwriting import check_not_input
from roadgis.probability.raster import MosaicProbability, RasterProbability, open_probability
from roadgis.probability.source import ProbabilitySource
from roadgis.progress import Progress, no_progress, scaled
from roadgis.sources import Sheet
from roadgis.vectorization import trace_centerlines
from roadgis.vectorization.empty_result import explain_empty

logger = logging.getLogger(__name__)

#: Share of vectorizing that looking at a raster's values takes.
_LOOK_SHARE = 0.05


def vectorize_file(
    probability: str | Path | Sequence[str | Path | Sheet],
    output: str | Path | None = None,
    *,
    options: ExtractOptions | None = None,
    raster: RasterOptions | None = None,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> RoadNetwork:
    """Make a road network from probability rasters or road masks.

    Parameters
    ----------
    probability : str, Path or sequence of them
        Rasters of probability, masks or pictures of masks, in any CRS: files, folders, globs,
        URLs or sheets, together one mosaic; or the work directory of a run.
    output : str or Path, optional
        The vector file.
    options : ExtractOptions, optional
        Threshold (default 0.5, or what the raster's tags say), vectorizing and cleaning.
    raster : RasterOptions, optional
        What the raster's values mean; what is not given is detected.
    overwrite : bool
        Replace an existing output.
    progress : Progress
        Progress callback, called as ``progress(fraction, message)``; may cancel.

    Returns
    -------
    RoadNetwork
        In the CRS of the raster.
    """
    options = options or ExtractOptions()
    target = None if output is None else Path(output)
    if target is not None:
        named = [probability] if isinstance(probability, (str, Path)) else probability
        names = [item.name if isinstance(item, Sheet) else item for item in named]
        check_not_input([target], [(name, "raster") for name in names])
        check_output(target, overwrite=overwrite)
    with open_probability(
        probability,
        assume_crs=options.scene.assume_crs,
        max_mpx=options.scene.max_mpx,
        options=raster,
        progress=scaled(progress, 0, _LOOK_SHARE),
    ) as source:
        threshold = source.threshold if options.threshold is None else options.threshold
        network = vectorize_as_set(source, threshold, options, scaled(progress, _LOOK_SHARE, 0.99))
        network = attributed_vectors(network, source, options, threshold)
    if target is not None:
        write_network(network, target, overwrite=overwrite)
    progress(1.0, "done")
    return network


def vectorize(
    source: ProbabilitySource,
    options: VectorizeOptions | None = None,
    *,
    clean: CleanOptions | None = None,
    block_px: int = 2304,
    workers: int = 1,
    progress: Progress = no_progress,
) -> RoadNetwork:
    """Turn road probability into a clean road network: trace, clean, shapes and attributes.

    The result does not depend on `block_px` or `workers`.

    Parameters
    ----------
    source : ProbabilitySource
        Road probability on a metric grid.
    options : VectorizeOptions, optional
        How pixels become raw centrelines.
    clean : CleanOptions, optional
        How raw centrelines become a network.
    block_px : int
        Side of the blocks that are worked on, pixels.
    workers : int
        Blocks worked on at the same time, in threads.
    progress : Progress
        Progress callback, called as ``progress(fraction, message)``; may cancel.

    Returns
    -------
    RoadNetwork
        In the grid's CRS.

    Raises
    ------
    InputError
        If `block_px` or `workers` is not positive.
    """
    options, clean = options or VectorizeOptions(), clean or CleanOptions()

    def traced() -> Centerlines:
        told = scaled(progress, 0.0, 0.9)
        lines = trace_centerlines(
            source, options, block_px=block_px, workers=workers, progress=told
        )
        progress(0.9, "Cleaning the network")
        return lines

    network = cleaned_network(traced, source, options, clean, block_px=block_px)
    progress(1.0, f"{len(network)} edges")
    return network


def cleaned_network(
    traced: Callable[[], Centerlines],
    source: ProbabilitySource,
    options: VectorizeOptions,
    clean: CleanOptions,
    *,
    block_px: int,
) -> RoadNetwork:
    """Clean traced centrelines, and say why there are no roads where that is so.

    Parameters are those of :func:`vectorize`; `traced` returns the centrelines of `source`. What
    it returns is not kept, as networks can be large.
    """
    network = network_of_lines(cleaned_lines(traced(), clean, source=source), clean)
    trim_heap()
    if not len(network):
        why = explain_empty(source, options, clean, block_px=block_px)
        network = dataclasses.replace(network, why_empty=why)
    return network


def vectorize_as_set(
    source: ProbabilitySource, threshold: float, options: ExtractOptions, progress: Progress
) -> RoadNetwork:
    """Vectorize with the settings of a run; parameters are those of :func:`vectorize`."""
    return vectorize(
        source,
        dataclasses.replace(options.vectorize, threshold=threshold),
        clean=options.clean,
        block_px=options.predict.block_px,
        workers=options.predict.workers or min(4, os.cpu_count() or 1),
        progress=progress,
    )


def attributed_vectors(
    network: RoadNetwork,
    source: RasterProbability | MosaicProbability,
    options: ExtractOptions,
    threshold: float,
) -> RoadNetwork:
    """Return a network of probability rasters or masks with provenance, in the rasters' CRS.

    Roads get their sheet and its date if the rasters have dates.
    """
    if isinstance(source, RasterProbability) and any(r.date for r in source.scene.sheets):
        names, dates = SheetIndex.from_scene(source.scene).of(network.edges)
        network = dataclasses.replace(network, source=names, source_date=dates)
    network = network.to_crs(source.native_crs).with_provenance(
        roadgis=__version__,
        **source.provenance,
        threshold=threshold,
        settings=vector_settings(options),
    )
    return finished(network)


def finished(network: RoadNetwork) -> RoadNetwork:
    """Return a network ready to be written; warn if it is empty.

    The confidence of roads in imagery that is unlike the model's training imagery is lowered.
    """
    if network.why_empty is not None:
        logger.warning("no road was found; the output is empty. %s", network.why_empty.text)
    factor = network.provenance.get("confidence_factor", 1.0)
    if not isinstance(factor, int | float) or not 0 < factor < 1:
        return network
    return dataclasses.replace(
        network,
        confidence=network.confidence * factor,
        confidence_min=network.confidence_min * factor,
    )


def vector_settings(options: ExtractOptions) -> dict[str, Any]:
    """Return the settings of vectorizing and cleaning, as plain JSON values."""
    vector = dataclasses.asdict(options.vectorize)
    vector.pop("threshold", None)
    return {"vectorize": vector, "clean": dataclasses.asdict(options.clean)}
