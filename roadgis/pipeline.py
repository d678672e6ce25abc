"""From imagery to a road network on disk; `raster_pipeline` has the steps after prediction."""

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
from roadgis.network.network import RoadNetwork
from roadgis.network.sheets import SheetIndex
from roadgis.options.extraction import ExtractOptions
from roadgis.options.imagery import SceneOptions
from roadgis.output import check_output, check_raster, write_network
from roadgis.output.formats import output_format
from roadgis.overwriting import check_not_input
from roadgis.probability.mosaic import Mosaic, remove_mosaic, write_cog
from roadgis.probability.prediction import open_for_model, predict
from roadgis.probability.source import CroppedProbability
from roadgis.probability.tags import PROVENANCE_TAG
from roadgis.progress import Progress, no_progress, scaled
from roadgis.raster_pipeline import finished, vector_settings, vectorize_as_set
from roadgis.sources import Sheet, Sources, find_sheets, shown_name
from roadgis.workdir import WorkDirectory, check_work_directory, work_directory, wrote_outputs

logger = logging.getLogger(__name__)

#: Share of a run's time that inference takes; the rest is vectorizing and writing.
_PREDICT_SHARE = 0.9


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
        # Vectorizing large networks needs the memory of the model and of cached imagery.
        segmenter.release()
        scene.close()
        network = vectorize_as_set(
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
            _write_probability(mosaic, raster, scene, made_by, work, overwrite=overwrite)
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
        _write_probability(mosaic, target, scene, made_by, work, overwrite=overwrite)
    progress(1.0, "done")
    return made_by


def _write_probability(
    mosaic: Mosaic,
    path: Path,
    scene: Scene,
    made_by: dict[str, Any],
    work: WorkDirectory,
    *,
    overwrite: bool,
) -> None:
    write_cog(
        mosaic,
        path,
        window=scene.covered,
        tags={PROVENANCE_TAG: json.dumps(made_by, sort_keys=True)},
        overwrite=overwrite or work.wrote(path),
        record=work.record,
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
    return finished(network.with_provenance(**made_by))


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
            **vector_settings(options),
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
