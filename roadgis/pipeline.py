"""From imagery to a road network on disk: the one place that knows the order of the steps."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from roadgis._version import __version__
from roadgis.errors import InputError, ReadError
from roadgis.imagery.scene import Scene
from roadgis.imagery.size import RunSize, check_space, storage
from roadgis.likeness import likeness
from roadgis.model.card import ModelCard
from roadgis.model.runtime import Segmenter, load_model
from roadgis.network.centerlines import Centerlines
from roadgis.network.clean import cleaned_lines, network_of_lines
from roadgis.network.network import RoadNetwork
from roadgis.network.sheets import SheetIndex
from roadgis.options.cleaning import CleanOptions
from roadgis.options.extraction import ExtractOptions
from roadgis.options.imagery import SceneOptions
from roadgis.options.probability_raster import RasterOptions
from roadgis.options.vectorization import VectorizeOptions
from roadgis.output import check_output, check_raster, write_network
from roadgis.output.formats import output_format
from roadgis.overwriting import check_not_input
from roadgis.probability.mosaic import Mosaic, remove_mosaic, write_cog
from roadgis.probability.prediction import open_for_model, predict
from roadgis.probability.raster import MosaicProbability, RasterProbability, open_probability
from roadgis.probability.source import CroppedProbability, ProbabilitySource
from roadgis.probability.tags import PROVENANCE_TAG
from roadgis.progress import Progress, no_progress, scaled
from roadgis.sources import Sheet, Sources, find_sheets, shown_name
from roadgis.vectorization import trace_centerlines
from roadgis.vectorization.empty_result import explain_empty
from roadgis.workdir import WorkDirectory, check_work_directory, work_directory, wrote_outputs

logger = logging.getLogger(__name__)

#: Share of a run's time that inference takes; the rest is vectorizing and writing.
_PREDICT_SHARE = 0.9
#: Share of vectorizing that looking at a raster's values takes.
_LOOK_SHARE = 0.05


def extract_roads(
    sources: Sources,
    output: str | Path | None = None,
    *,
    model: str | Path | Segmenter | None = None,
    options: ExtractOptions | None = None,
    probability: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> RoadNetwork:
    """Extract the road network from aerial imagery.

    Parameters
    ----------
    sources : str, Path, Sheet or sequence of them
        Raster files, folders, globs, URLs, tile indexes or tables; together one mosaic. See
        :func:`roadgis.sources.find_sheets`.
    output : str or Path, optional
        The vector file; its suffix chooses the format. None writes none.
    model : str, Path or Segmenter, optional
        An ``.onnx`` or ``.keras`` file, the folder of a training run, or a loaded model (see
        :func:`roadgis.load_model`, which also takes descriptions of files without a card); None
        takes the bundled one.
    options : ExtractOptions, optional
        The settings.
    probability : str or Path, optional
        Also write the probability as a Cloud Optimized GeoTIFF.
    overwrite : bool
        Replace existing outputs.
    progress : Progress
        Progress callback; may raise :class:`roadgis.errors.Cancelled`.

    Returns
    -------
    RoadNetwork
        In the CRS of the imagery.

    Raises
    ------
    RoadgisError
        See :mod:`roadgis.errors`; no partial output is left. The next run with the same settings
        resumes the prediction.
    """
    options = options or ExtractOptions()
    target = None if output is None else Path(output)
    raster = None if probability is None else Path(probability)
    sheets = check_run(sources, target, raster, model=model, options=options, overwrite=overwrite)
    segmenter = _loaded(model)
    threshold = segmenter.card.threshold if options.threshold is None else options.threshold
    told = scaled(progress, 0, _PREDICT_SHARE)
    with _predicted(sheets, segmenter, target or raster, options, told) as (scene, work, mosaic):
        segmenter.release()  # vectorizing large networks needs the memory
        network = _vectorized(
            CroppedProbability(mosaic, scene.covered),
            threshold,
            options,
            scaled(progress, _PREDICT_SHARE, 0.99),
        )
        made_by = extract_provenance(
            scene, segmenter.card, segmenter.fingerprint, options, threshold
        )
        network = attributed(network, scene, made_by)
        if raster is not None:
            replace = overwrite or work.wrote(raster)
            write_cog(
                mosaic,
                raster,
                window=scene.covered,
                tags=_tags(made_by),
                overwrite=replace,
                record=work.record,
            )
        if target is not None:
            replace = overwrite or work.wrote(target, output_format(target).parts)
            write_network(network, target, overwrite=replace, record=work.record)
    progress(1.0, "done")
    return network


def check_run(
    sources: Sources,
    output: str | Path | None,
    probability: str | Path | None,
    *,
    model: str | Path | Segmenter | None = None,
    options: ExtractOptions | None = None,
    overwrite: bool = False,
) -> tuple[Sheet, ...]:
    """Check before a run over imagery that its results can be written; writes nothing.

    Parameters
    ----------
    sources, output, probability, model, options, overwrite
        Those of :func:`extract_roads`.

    Returns
    -------
    tuple of Sheet
        Sheets of the sources, as input of the run.

    Raises
    ------
    InputError
        If sources hold no sheets, an output is an input, or has a suffix that is not known.
    OutputError
        If an output exists and may not be replaced, or cannot be written, or the work directory
        holds files of others. Outputs of a run that was killed before its end may be replaced.
    """
    options = options or ExtractOptions()
    sheets = find_sheets(sources, options.sources, aoi=options.scene.aoi)
    given = [sources] if isinstance(sources, (str, Path, Sheet)) else sources
    kind = "raster tree" if options.sources.recursive else "raster"
    inputs: list[str | Path | tuple[str | Path, str]] = [
        *((source, kind) for source in given if not isinstance(source, Sheet)),
        *((sheet.name, "raster") for sheet in sheets),
    ]
    if isinstance(model, (str, Path)):
        inputs.append((model, "model"))
    if isinstance(options.scene.aoi, (str, Path)):
        inputs.append(options.scene.aoi)
    check_not_input((output, probability), inputs)
    folder = _work_folder(output or probability, options)
    if folder is not None:
        for path in (output, probability):
            if path is not None and os.path.realpath(path) == os.path.realpath(folder):
                raise InputError(
                    f"{path}: is the work directory as well. Give --work-dir another name."
                )
        check_work_directory(folder)
    if output is not None:
        parts = output_format(output).parts
        stopped = folder is not None and wrote_outputs(folder, Path(output), parts)
        check_output(output, overwrite=overwrite or stopped)
    if probability is not None:
        stopped = folder is not None and wrote_outputs(folder, Path(probability))
        check_raster(probability, overwrite=overwrite or stopped)
    return sheets


def predict_to_file(
    sources: Sources,
    output: str | Path,
    *,
    model: str | Path | Segmenter | None = None,
    options: ExtractOptions | None = None,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Predict road probability and write it as a Cloud Optimized GeoTIFF.

    Parameters are those of :func:`extract_roads`; `output` is the raster: uint8,
    0..254 = p * 254, 255 = nodata, on the pixels of the analysis grid that the imagery covers.
    Returns the provenance that the raster holds.
    """
    options = options or ExtractOptions()
    target = Path(output)
    sheets = check_run(sources, None, target, model=model, options=options, overwrite=overwrite)
    segmenter = _loaded(model)
    told = scaled(progress, 0, 0.97)
    with _predicted(sheets, segmenter, target, options, told) as (scene, work, mosaic):
        threshold = segmenter.card.threshold if options.threshold is None else options.threshold
        made_by = extract_provenance(
            scene, segmenter.card, segmenter.fingerprint, options, threshold
        )
        write_cog(
            mosaic,
            target,
            window=scene.covered,
            tags=_tags(made_by),
            overwrite=overwrite or work.wrote(target),
            record=work.record,
        )
    progress(1.0, "done")
    return made_by


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
        Progress callback.

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
        network = _vectorized(source, threshold, options, scaled(progress, _LOOK_SHARE, 0.99))
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
    lines = trace_centerlines(
        source, options, block_px=block_px, workers=workers, progress=scaled(progress, 0.0, 0.9)
    )
    progress(0.9, "Cleaning the network")
    network = cleaned_network(lines, source, options, clean, block_px=block_px)
    progress(1.0, f"{len(network)} edges")
    return network


def cleaned_network(
    lines: Centerlines,
    source: ProbabilitySource,
    options: VectorizeOptions,
    clean: CleanOptions,
    *,
    block_px: int,
) -> RoadNetwork:
    """Clean traced centrelines, and say why there are no roads where that is so.

    Parameters are those of :func:`vectorize`; `lines` were traced from `source`.
    """
    network = network_of_lines(cleaned_lines(lines, clean, source=source), clean)
    if not len(network):
        why = explain_empty(source, lines, options, clean, block_px=block_px)
        network = dataclasses.replace(network, why_empty=why)
    return network


def _vectorized(
    source: ProbabilitySource, threshold: float, options: ExtractOptions, progress: Progress
) -> RoadNetwork:
    return vectorize(
        source,
        dataclasses.replace(options.vectorize, threshold=threshold),
        clean=options.clean,
        block_px=options.predict.block_px,
        workers=options.predict.workers or min(4, os.cpu_count() or 1),
        progress=progress,
    )


def attributed(
    network: RoadNetwork,
    scene: Scene,
    made_by: dict[str, Any],
) -> RoadNetwork:
    """Return a network of imagery with sheets, dates and provenance, in the imagery's CRS.

    Parameters
    ----------
    network : RoadNetwork
        In the CRS of the scene's grid.
    scene : Scene
        The imagery.
    made_by : dict
        Provenance; see :func:`extract_provenance`.
    """
    source, source_date = SheetIndex.from_scene(scene).of(network.edges)
    network = dataclasses.replace(network, source=source, source_date=source_date)
    network = network.to_crs(scene.native_crs)
    network = _less_sure(network.with_provenance(**made_by))
    _warn_empty(network)
    return network


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
        settings=_vector_settings(options),
    )
    network = _less_sure(network)
    _warn_empty(network)
    return network


def _less_sure(network: RoadNetwork) -> RoadNetwork:
    """Lower the confidence of roads in imagery that is unlike the model's training imagery."""
    factor = network.provenance.get("confidence_factor", 1.0)
    if not isinstance(factor, int | float) or not 0 < factor < 1:
        return network
    return dataclasses.replace(
        network,
        confidence=network.confidence * factor,
        confidence_min=network.confidence_min * factor,
    )


def _warn_empty(network: RoadNetwork) -> None:
    if network.why_empty is not None:
        logger.warning("no road was found; the output is empty. %s", network.why_empty.text)


def _loaded(model: str | Path | Segmenter | None) -> Segmenter:
    return load_model(model) if model is None or isinstance(model, (str, Path)) else model


@contextlib.contextmanager
def _predicted(
    sheets: Sequence[Sheet],
    segmenter: Segmenter,
    target: Path | None,
    options: ExtractOptions,
    progress: Progress,
) -> Iterator[tuple[Scene, WorkDirectory, Mosaic]]:
    """Give scene, work directory and probability; sheets that fail are skipped if that is wanted.

    What is found to be unreadable only while pixels are read is left out as a whole: the blocks
    that show it are predicted again without it.
    """
    skipped: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        work: WorkDirectory | None = None
        while True:
            try:
                scene = stack.enter_context(_open(sheets, segmenter, options))
                scene.skipped.update(skipped)
                if work is None:
                    work = stack.enter_context(_work(target, options, scene.size))
                mosaic = predict(scene, segmenter, work.folder, options.predict, progress=progress)
                break
            except ReadError as error:
                left = [s for s in sheets if shown_name(s) != error.sheet]
                if options.sources.on_error == "stop" or not 0 < len(left) < len(sheets):
                    raise
                logger.warning("Skipped: %s", error)
                skipped[str(error.sheet)] = str(error)
                sheets = left
        yield scene, work, mosaic


def _open(sheets: Sequence[Sheet], segmenter: Segmenter, options: ExtractOptions) -> Scene:
    card = segmenter.card
    scene = open_for_model(sheets, card, options.scene, options.sources)
    logger.info(
        "%d inputs, %s, about %s of disk space, in %s; model %s %s on %s",
        len(scene.inputs),
        scene.size,
        storage(scene.size.disk_bytes),
        scene.grid.crs.name,
        card.name,
        card.version,
        segmenter.device,
    )
    unlike = likeness(card, scene.look).text
    if unlike is not None:
        logger.warning("%s", unlike)
    return scene


@contextlib.contextmanager
def _work(target: Path | None, options: ExtractOptions, size: RunSize) -> Iterator[WorkDirectory]:
    """Give the place for the mosaic; it outlives a run that fails, and not one that ends."""
    folder = _work_folder(target, options)
    with contextlib.ExitStack() as stack:
        if folder is None:
            name = stack.enter_context(tempfile.TemporaryDirectory(prefix="roadgis-"))
            folder = Path(name)
        check_space(folder, size)
        yield stack.enter_context(
            work_directory(folder, remove_mosaic, restart=options.restart, keep=options.keep_work)
        )


def _work_folder(target: str | Path | None, options: ExtractOptions) -> Path | None:
    """Return where the mosaic lies while the run lasts; None is a temporary folder."""
    if options.work_dir is not None:
        return options.work_dir
    if target is None:
        return None
    target = Path(os.path.realpath(target))
    return target.with_name(target.name + ".roadgis-work")


def _vector_settings(options: ExtractOptions) -> dict[str, Any]:
    vector = dataclasses.asdict(options.vectorize)
    vector.pop("threshold", None)
    return {"vectorize": vector, "clean": dataclasses.asdict(options.clean)}


def extract_provenance(
    scene: Scene, card: ModelCard, fingerprint: str, options: ExtractOptions, threshold: float
) -> dict[str, Any]:
    """Return what made a network of imagery, as plain JSON values."""
    alike = likeness(card, scene.look)
    licence = options.sources.imagery_licence
    unlike = {
        "unlike_training": {name: list(facts) for name, facts in alike.outside.items()},
        "confidence_factor": alike.confidence_factor,
    }
    return {
        "roadgis": __version__,
        "model": card.provenance(fingerprint),
        "threshold": threshold,
        **(unlike if alike.outside else {}),
        "inputs": list(scene.inputs),
        **({"skipped": scene.skipped} if scene.skipped else {}),
        **({"imagery_licence": licence} if licence else {}),
        "grid": {"crs": scene.grid.crs.to_string(), "gsd_m": scene.grid.gsd_m},
        "settings": {
            "scene": _scene_settings(scene),
            **({"predict": {"flips": True}} if options.predict.flips else {}),
            **_vector_settings(options),
        },
    }


def _scene_settings(scene: Scene) -> dict[str, Any]:
    """Return what differs from the defaults in how the scene is read, and what was stretched."""
    default = SceneOptions()
    settings: dict[str, Any] = {}
    for field_ in dataclasses.fields(default):
        value = getattr(scene.options, field_.name)
        if field_.name == "aoi":
            if value is not None:
                settings["aoi"] = str(value) if isinstance(value, (str, Path)) else "geometry"
        elif value != getattr(default, field_.name):
            settings[field_.name] = list(value) if isinstance(value, tuple) else value
    if scene.stretch:
        settings["stretched"] = scene.stretch
    if scene.normalization is not None:
        settings["normalized"] = scene.normalization.to_json()
    return settings


def _tags(made_by: dict[str, Any]) -> dict[str, str]:
    return {PROVENANCE_TAG: json.dumps(made_by, sort_keys=True)}
