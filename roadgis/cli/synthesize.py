"""``roadgis synthesize``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from roadgis.cli import options
from roadgis.cli.shell import Shell, shell

if TYPE_CHECKING:
    from roadgis.synthetic import Town, VariedScene

__all__ = ["command"]


def _read_gsd(context: click.Context, option: click.Parameter, text: str | None) -> Any:
    """Read one number, or two with a hyphen between: ``0.5`` or ``0.3-1.2``."""
    if text is None:
        return None
    low, _, high = text.partition("-")
    try:
        return float(low), float(high or low)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is not a number or a range such as 0.3-1.2.", context, option
        ) from None


@click.command("synthesize")
@options.output_option("The scene, .tif; with --scenes the folder of a training set.")
@click.option(
    "--truth",
    type=click.Path(path_type=Path),
    default=None,
    help="One scene: also write the exact road centrelines, .geojson.",
)
@click.option(
    "--scenes",
    type=click.IntRange(1),
    default=None,
    metavar="N",
    help="Write a training set of N varied scenes: folders images and masks, with 1 on roads and "
    "255 where labels differ (drives, aisles of car parks, faint tracks).",
)
@click.option(
    "--style",
    type=click.Choice(["town", "varied"]),
    default=None,
    help="One scene: town, leafless New England at any size; varied, a place anywhere in the "
    "world with its own looks, up to 2048 px.  [default: town]",
)
@click.option("--size", "size_px", type=click.IntRange(64), default=None, help="Side, pixels.  "
              "[default: 1400; varied scenes 512]")  # fmt: skip
@click.option(
    "--gsd",
    "gsd_m",
    default=None,
    callback=_read_gsd,
    metavar="M",
    help="Metres per pixel; --scenes takes a range, such as 0.3-1.2.  "
    "[default: 1; --style varied 0.6; --scenes 0.3-1.2]",
)
@click.option(
    "--seed", type=click.IntRange(0), default=None, help="Another seed draws other scenes."
)
@click.option(
    "--first",
    type=click.IntRange(0),
    default=None,
    metavar="N",
    help="--scenes: number of the first scene, to write a set in parts.",
)
@click.option(
    "--line-width",
    "line_width_m",
    type=float,
    default=None,
    metavar="M",
    help="--scenes: draw roads in the masks with one width along their centrelines.  "
    "[default: as wide as they are]",
)
@options.overwrite_option
@options.progress_options
def command(
    output: Path,
    truth: Path | None,
    scenes: int | None,
    style: str | None,
    gsd_m: tuple[float, float] | None,
    overwrite: bool,
    progress: str,
    verbose: int,
    quiet: bool,
    **values: Any,
) -> None:
    """Draw synthetic scenes with exact road truth.

    One scene with its centrelines, or with --scenes a training set:

    \b
    roadgis synthesize -o town.tif --truth town_roads.geojson
    roadgis synthesize -o drawn --scenes 200 --gsd 0.3-1.2
    """  # noqa: D301 - click reads the backspace
    with shell(progress, verbose=verbose, quiet=quiet) as sh:
        given = {key: value for key, value in values.items() if value is not None}
        if scenes is not None:
            if truth is not None or style == "town":
                raise click.UsageError("--scenes takes no --truth and draws varied scenes only.")
            _training_set(sh, output, gsd_m, overwrite, {"scenes": scenes, **given})
            return
        alone = [f"--{key.removesuffix('_m').replace('_', '-')}" for key in given
                 if key in ("first", "line_width_m")]  # fmt: skip
        if alone:
            raise click.UsageError(f"{' and '.join(alone)} needs --scenes.")
        if gsd_m is not None:
            if gsd_m[0] != gsd_m[1]:
                raise click.UsageError("a range of --gsd needs --scenes.")
            given["gsd_m"] = gsd_m[0]
        from roadgis.synthetic import write_town

        scene = _scene(style, given)
        write_town(scene, output, truth, overwrite=overwrite, progress=sh.progress)
        sh.result(f"{output}: written", outputs=[str(output)])


def _scene(style: str | None, given: dict[str, Any]) -> Town | VariedScene:
    from roadgis.synthetic import TownOptions, VariedOptions, VariedScene, make_town

    if style == "varied":
        return VariedScene(VariedOptions(**given))
    size = given.pop("size_px", None)
    if size is not None:
        given["width_px"] = given["height_px"] = size
    return make_town(TownOptions(**given))


def _training_set(
    sh: Shell,
    folder: Path,
    gsd_m: tuple[float, float] | None,
    overwrite: bool,
    given: dict[str, Any],
) -> None:
    from roadgis.synthetic import TrainingSetOptions, write_training_set

    if gsd_m is not None:
        given["min_gsd_m"], given["max_gsd_m"] = gsd_m
    made = TrainingSetOptions(**given)
    write_training_set(made, folder, overwrite=overwrite, progress=sh.progress)
    sh.result(f"{folder}: {made.scenes} scenes written", outputs=[str(folder)], scenes=made.scenes)
