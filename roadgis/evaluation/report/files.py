"""The files that an evaluation writes: CSV, report, layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from roadgis.atomic import check_target, check_writable
from roadgis.errors import InputError, OutputError
from roadgis.evaluation.report.layers import check_layers, write_layers
from roadgis.evaluation.report.page import ReportPair, write_report
from roadgis.evaluation.run import Evaluation
from roadgis.evaluation.table import write_csv
from roadgis.imagery.inputs import expand_sources
from roadgis.overwriting import check_not_input
from roadgis.progress import Progress, no_progress


@dataclass(frozen=True)
class Outputs:
    """Files to write.

    Attributes
    ----------
    csv, report, errors : Path or None
        Scores; HTML page; GeoPackage with the layers hits, misses and false.
    image : path or URL, optional
        Behind the maps of the report.
    assume_crs : str or None
        CRS of images that have none.
    overwrite : bool
        Replace existing files.
    """

    csv: Path | None = None
    report: Path | None = None
    errors: Path | None = None
    image: Path | str | None = None
    assume_crs: str | None = None
    overwrite: bool = False

    @property
    def paths(self) -> list[Path]:
        """The files, in the order in which they are written."""
        return [path for path in (self.csv, self.errors, self.report) if path is not None]


def check_outputs(outputs: Outputs, inputs: Sequence[Path | str] = ()) -> None:
    """Check before the work that the files can be written.

    Parameters
    ----------
    inputs : sequence of Path or str, optional
        Inputs of the command.

    Raises
    ------
    InputError
        If two outputs have one name, one is an input, or one has the wrong suffix.
    SceneError
        If the image does not exist.
    OutputError
        If one exists and may not be replaced, or its folder is missing or cannot be written to.
    """
    image: list[tuple[Path | str, str]] = []
    if outputs.image is not None:
        image.append((outputs.image, "raster"))
    check_not_input(outputs.paths, [*inputs, *image])
    if outputs.image is not None and outputs.report is None:
        raise InputError("--image is for the maps of a report; give --report FILE.html as well.")
    if outputs.image is not None:
        expand_sources(outputs.image)
    for path in outputs.paths:
        check_target(path, overwrite=outputs.overwrite)
        if not path.parent.is_dir():
            raise OutputError(f"{path}: the folder does not exist. Create it and run again.")
        check_writable(path)
    if outputs.errors is not None:
        check_layers(outputs.errors, overwrite=outputs.overwrite)


def write_outputs(
    outputs: Outputs,
    evaluations: Sequence[tuple[str, Evaluation]],
    *,
    progress: Progress = no_progress,
) -> list[Path]:
    """Write all that is wanted of one or more evaluations.

    Parameters
    ----------
    evaluations : sequence of (str, Evaluation)
        Name of each pair, and its evaluation; at least one.
    progress : Progress
        Progress callback, called after each map of the report.

    Returns
    -------
    list of Path
        Files that were written.

    Raises
    ------
    SceneError, ReadError
        If the image cannot be used.
    OutputError
        If a file cannot be written.
    """
    names = [name for name, _ in evaluations]
    rows = [evaluation.to_dict() for _, evaluation in evaluations]
    if outputs.csv is not None:
        write_csv(outputs.csv, names, rows, overwrite=outputs.overwrite)
    if outputs.errors is not None:
        pieces = [(name, done.errors, done.crs) for name, done in evaluations]
        write_layers(outputs.errors, pieces, overwrite=outputs.overwrite)
    if outputs.report is not None:
        write_report(
            outputs.report,
            [
                ReportPair(name, row, done.errors, done.crs, done.area, done.issues)
                for (name, done), row in zip(evaluations, rows, strict=True)
            ],
            options=evaluations[0][1].options.to_dict(),
            image=outputs.image,
            assume_crs=outputs.assume_crs,
            overwrite=outputs.overwrite,
            progress=progress,
        )
    return outputs.paths
