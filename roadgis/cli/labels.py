"""``roadgis labels``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from roadgis.cli import options
from roadgis.cli.shell import Shell, shell

if TYPE_CHECKING:
    from roadgis.labels.masks import BurntMask
    from roadgis.labels.vector import RoadLayer

__all__ = ["command"]


@click.command("labels")
@click.argument("source", type=click.Path(path_type=Path))
@options.output_option("The mask, .tif; for several scenes or annotations a folder.")
@click.option(
    "--like",
    multiple=True,
    metavar="SCENE",
    help="Vector layers: the raster, or a folder of them, whose pixels the mask takes; may be "
    "repeated.",
)
@click.option("--layer", default=None, help="Vector layers: which layer of the file.")
@click.option(
    "--width",
    "width_m",
    type=float,
    default=None,
    metavar="M",
    help="Vector layers: width of road lines, metres.",
)
@click.option(
    "--width-field",
    multiple=True,
    metavar="FIELD",
    help="Vector layers: field with each line's width in metres, or FIELD*FACTOR such as "
    "lanes*3.5; may be repeated, the first with a value counts; --width is for lines without.",
)
@click.option(
    "--classes",
    default=None,
    metavar="NAMES",
    help="Polygon JSON: labels that become 1, 2, ..., such as road,sidewalk,vehicle=car+truck.",
)
@click.option(
    "--ignore",
    default="",
    metavar="LABELS",
    help="Polygon JSON: labels whose pixels become 255, such as 'out of roi,ego vehicle'.",
)
@options.overwrite_option
@options.progress_options
def command(
    source: Path,
    output: Path,
    like: tuple[str, ...],
    layer: str | None,
    width_m: float | None,
    width_field: tuple[str, ...],
    classes: str | None,
    ignore: str,
    overwrite: bool,
    progress: str,
    verbose: int,
    quiet: bool,
) -> None:
    """Make masks for training from road layers or annotations.

    SOURCE is a vector layer of road lines or polygons, burnt onto the pixels of --like; or a
    folder of polygon JSON (IDD, Cityscapes), drawn as the --classes named.
    """
    with shell(progress, verbose=verbose, quiet=quiet) as sh:
        from roadgis.photos.polygon_json import is_polygon_json
        from roadgis.vector_files.reading import is_dataset_folder

        folder = source.is_dir() and not is_dataset_folder(source)
        polygons = folder or is_polygon_json(source)
        if polygons:
            _refuse(
                f"{source} holds polygon JSON",
                like=like, layer=layer, width=width_m, width_field=width_field,
            )  # fmt: skip
            _draw(sh, source, output, classes, ignore, overwrite)
        else:
            _refuse(f"{source} is a vector layer", classes=classes, ignore=ignore)
            if not like:
                raise click.UsageError(
                    "a vector layer needs --like: the raster whose pixels the mask takes."
                )
            from roadgis.labels.vector import RoadLayer

            roads = RoadLayer.open(source, layer=layer, width_m=width_m, width_field=width_field)
            _burn(sh, roads, like, output, overwrite)


def _refuse(what: str, **given: object) -> None:
    """Stop on options that are for the other kind of source."""
    wrong = [f"--{name.replace('_', '-')}" for name, value in given.items() if value]
    if wrong:
        raise click.UsageError(f"{what}, which takes no {' or '.join(wrong)}.")


def _draw(
    sh: Shell, source: Path, output: Path, classes: str | None, ignore: str, overwrite: bool
) -> None:
    from roadgis.photos.annotations import polygons_to_masks

    if classes is None:
        raise click.UsageError("polygon JSON needs --classes, such as road,sidewalk,vehicle.")
    made = polygons_to_masks(
        source, output, classes, ignore=ignore, overwrite=overwrite, progress=sh.progress
    )
    count, total = len(made.paths), sum(made.pixels.values())
    width = max(map(len, made.pixels))
    table = [
        f"  {index:>3}  {name:<{width}}  {pixels:>15,}  {pixels / total:7.2%}"
        for index, (name, pixels) in zip(
            (*range(len(made.names)), 255), made.pixels.items(), strict=True
        )
    ]
    left_out = f"; {made.skipped} outlines of fewer than 3 points left out" if made.skipped else ""
    sh.result(
        "\n".join([*table, f"{output}: {count:,} mask{'s' * (count > 1)}{left_out}"]),
        outputs=[str(output)],
        masks=count,
        pixels=made.pixels,
        skipped=made.skipped,
    )


def _burn(
    sh: Shell, roads: RoadLayer, like: tuple[str, ...], output: Path, overwrite: bool
) -> None:
    from roadgis.imagery.inputs import expand_sources
    from roadgis.labels.masks import burn_like, burn_like_each

    scenes = expand_sources(list(like))
    masks: list[BurntMask]
    if len(scenes) == 1 and not Path(like[0]).is_dir():
        masks = [burn_like(roads, scenes[0], output, overwrite=overwrite, progress=sh.progress)]
    else:
        masks = burn_like_each(roads, scenes, output, overwrite=overwrite, progress=sh.progress)
    road = sum(mask.road_px for mask in masks)
    other = sum(mask.other_px for mask in masks)
    invalid = sum(mask.invalid_px for mask in masks)
    share = road / max(road + other, 1)
    sh.result(
        f"{output}: {len(masks)} mask{'s' * (len(masks) > 1)} from {roads.count:,} features, "
        f"{share:.1%} of the valid pixels are road, {invalid:,} px invalid",
        outputs=[str(mask.path) for mask in masks],
        road_px=road,
        other_px=other,
        invalid_px=invalid,
    )
