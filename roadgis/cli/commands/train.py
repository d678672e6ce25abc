"""``roadgis train``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from roadgis.cli import options
from roadgis.cli.parameters import Command, Settings, parameter
from roadgis.cli.shell import shell
from roadgis.options.option import Option
from roadgis.options.training import TrainSettings

if TYPE_CHECKING:
    from roadgis.train.inherited import SettingName

_SETTINGS = Settings(TrainSettings())


@click.command("train", cls=Command)
@options.output_option(
    "Folder of the run: model, card, log and checkpoint.", "folder", required=False
)
@parameter(
    Path,
    Option(
        "Settings file (YAML), such as a run writes; options override it.",
        flags=("--settings",),
        path=("in", "yaml"),
    ),
)
@parameter(
    Path,
    Option(
        "Picture of augmented crops and their labels to write, instead of training.",
        flags=("--preview",),
        metavar="PNG",
        path=("out", "picture"),
    ),
)
@_SETTINGS
@options.overwrite_option
@options.progress_options
def command(
    output: Path | None,
    settings: Path | None,
    preview: Path | None,
    overwrite: bool,
    progress: str,
    verbose: int,
    quiet: bool,
    **values: object,
) -> None:
    """Train a road model, or resume an interrupted run.

    \b
    roadgis train --data train/ --validation valid/ -o run/
    roadgis train --images tiles/ --labels roads.gpkg --label-width 7 --hold-out 0.2 -o run/
    roadgis train --init default --images mine.tif --labels roads.gpkg -o run/
    """  # noqa: D301 - click reads the backspace
    if output is None and preview is None:
        raise click.UsageError("Missing option '-o' / '--output': a folder for the run.")
    # A run of hours reports its progress by default.
    verbose = verbose if progress == "none" else max(verbose, 1)

    def kept() -> str:
        return stop_message(output, overwrite=overwrite)

    with shell(progress, verbose=verbose, quiet=quiet, kept=kept) as sh:
        chosen = run_settings(settings, values)
        if preview is not None:
            from roadgis.train.augmentation.preview import preview_settings

            preview_settings(chosen, preview, overwrite=overwrite)
            sh.result(f"{preview}: a look at the training crops", outputs=[str(preview)])
            return
        from roadgis.train.fit import fit

        assert output is not None
        card = fit(chosen, output, overwrite=overwrite, progress=sh.progress)
        sh.result(
            f"{output}: model {card.name}, stride {card.stride}, margin {card.margin_px} px",
            outputs=[str(output / "model.keras")],
        )


def stop_message(output: Path | None, *, overwrite: bool) -> str:
    """Return the state of an interrupted run in a folder, and how to resume it."""
    from roadgis.train.run_folder import RunFolder

    if output is None:
        return "Nothing was written."
    if not RunFolder(output).has_checkpoint():
        return "There is no checkpoint yet; run the same command again to start anew."
    same = "the same command without --overwrite" if overwrite else "the same command again"
    return f"The last checkpoint is kept; run {same} to resume."


def run_settings(path: Path | None, values: Mapping[str, object]) -> TrainSettings:
    """Return the file's settings, overridden by the options.

    Other settings are those of the model that the run starts from.
    """
    from roadgis.train.inherited import file_settings, inherit_settings
    from roadgis.train.settings import read_settings

    known: set[SettingName] = set() if path is None else file_settings(path)
    settings = TrainSettings() if path is None else read_settings(path)
    for section, field in _SETTINGS.given(values):
        known.add((section, field))
        if field == "gsd_m":  # one size instead of the file's range
            data = dataclasses.replace(settings.data, gsd_range_m=None)
            settings = dataclasses.replace(settings, data=data)
    settings = _SETTINGS.made(values, settings)
    return inherit_settings(settings, known)
