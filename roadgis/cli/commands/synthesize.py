"""``roadgis synthesize``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from roadgis.cli import options
from roadgis.cli.parameters import Command, Settings, parameter
from roadgis.cli.shell import Shell, shell
from roadgis.options.option import Option
from roadgis.options.synthetic import TownOptions, TrainingSetOptions, VariedOptions

if TYPE_CHECKING:
    from roadgis.synthetic import Town, VariedScene

_SETTINGS = Settings(TrainingSetOptions())


def _gsd_range(text: str) -> tuple[float, float]:
    """Read one number, or two with a hyphen between: ``0.5`` or ``0.3-1.2``."""
    low, _, high = text.partition("-")
    try:
        return float(low), float(high or low)
    except ValueError:
        raise click.UsageError(
            f"--gsd: {text!r} is not a number or a range such as 0.3-1.2."
        ) from None


@click.command("synthesize", cls=Command)
@options.output_option(
    "Scene to write, .tif; with --scenes the folder of a training set.", "raster"
)
@parameter(
    Path,
    Option(
        "File for the exact road centrelines of one scene, .geojson.",
        flags=("--truth",),
        path=("out", "geojson"),
    ),
)
@parameter(
    Literal["town", "varied"],
    Option(
        "Kind of one scene: town, leafless New England at any size; varied, a place anywhere in "
        "the world, up to 2048 px.",
        flags=("--style",),
        default_text="town",
    ),
)
@parameter(
    int,
    Option(
        "Side of the scene.",
        flags=("size_px", "--size"),
        unit="px",
        low=64,
        default_text="1400; varied scenes 512",
    ),
)
@parameter(
    str,
    Option(
        "Pixel size in metres; with --scenes also a range, such as 0.3-1.2.",
        flags=("gsd_m", "--gsd"),
        metavar="M",
        default_text="1; --style varied 0.6; --scenes 0.3-1.2",
    ),
)
@parameter(
    int,
    Option(
        "Write a training set of N varied scenes: folders images and masks, with 1 on roads and "
        "255 where labels differ (drives, aisles of car parks, faint tracks).",
        "set",
        ("--scenes",),
        metavar="N",
        low=1,
        default_text="one scene",
    ),
)
@_SETTINGS
@options.overwrite_option
@options.progress_options
def command(
    output: Path,
    truth: Path | None,
    style: str | None,
    size_px: int | None,
    gsd_m: str | None,
    scenes: int | None,
    overwrite: bool,
    progress: str,
    verbose: int,
    quiet: bool,
    **values: object,
) -> None:
    """Draw synthetic scenes with exact road truth.

    One scene with its centrelines, or with --scenes a training set:

    \b
    roadgis synthesize -o town.tif --truth town_roads.geojson
    roadgis synthesize -o drawn --scenes 200 --gsd 0.3-1.2
    """  # noqa: D301 - click reads the backspace
    with shell(progress, verbose=verbose, quiet=quiet) as sh:
        gsd = None if gsd_m is None else _gsd_range(gsd_m)
        if scenes is not None:
            if truth is not None or style == "town":
                raise click.UsageError("--scenes takes no --truth and draws varied scenes only.")
            _training_set(sh, output, gsd, size_px, scenes, overwrite, _SETTINGS.made(values))
            return
        given = {path[-1] for path in _SETTINGS.given(values)} - {"seed"}
        if given:
            flags = (f"--{name.removesuffix('_m').replace('_', '-')}" for name in sorted(given))
            raise click.UsageError(f"{' and '.join(flags)} needs --scenes.")
        if gsd is not None and gsd[0] != gsd[1]:
            raise click.UsageError("a range of --gsd needs --scenes.")
        from roadgis.synthetic import write_town

        scene = _scene(style, size_px, gsd and gsd[0], _SETTINGS.made(values).seed)
        write_town(scene, output, truth, overwrite=overwrite, progress=sh.progress)
        sh.result(f"{output}: written", outputs=[str(output)])


def _scene(
    style: str | None, size_px: int | None, gsd_m: float | None, seed: int
) -> Town | VariedScene:
    from roadgis.synthetic import VariedScene, make_town

    if style == "varied":
        varied = VariedOptions(seed=seed)
        return VariedScene(
            dataclasses.replace(
                varied, size_px=size_px or varied.size_px, gsd_m=_first(gsd_m, varied.gsd_m)
            )
        )
    town = TownOptions(seed=seed)
    return make_town(
        dataclasses.replace(
            town,
            width_px=size_px or town.width_px,
            height_px=size_px or town.height_px,
            gsd_m=_first(gsd_m, town.gsd_m),
        )
    )


def _first(given: float | None, default: float) -> float:
    return default if given is None else given


def _training_set(
    sh: Shell,
    folder: Path,
    gsd_m: tuple[float, float] | None,
    size_px: int | None,
    scenes: int,
    overwrite: bool,
    settings: TrainingSetOptions,
) -> None:
    from roadgis.synthetic import write_training_set

    low, high = gsd_m or (settings.min_gsd_m, settings.max_gsd_m)
    made = dataclasses.replace(
        settings,
        scenes=scenes,
        size_px=size_px or settings.size_px,
        min_gsd_m=low,
        max_gsd_m=high,
    )
    write_training_set(made, folder, overwrite=overwrite, progress=sh.progress)
    sh.result(f"{folder}: {made.scenes} scenes written", outputs=[str(folder)], scenes=made.scenes)
