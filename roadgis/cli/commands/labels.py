"""``roadgis labels``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from roadgis.cli import options
from roadgis.cli.parameters import Command, argument, combined, parameter
from roadgis.cli.shell import Shell, shell
from roadgis.options.option import Option

if TYPE_CHECKING:
    from roadgis.labels.masks import BurntMask
    from roadgis.labels.vector import RoadLayer

_layer_options = combined(
    parameter(
        tuple[str, ...],
        Option(
            "Raster, or folder of rasters, with the pixel grid of the mask; may be repeated.",
            "layer",
            ("--like",),
            metavar="SCENE",
            path=("in", "raster"),
            repeat=True,
        ),
    ),
    parameter(str, Option("Layer of the file.", "layer", ("--layer",), metavar="NAME")),
    parameter(
        float,
        Option("Width of road lines, in metres.", "layer", ("width_m", "--width"), unit="m"),
    ),
    parameter(
        tuple[str, ...],
        Option(
            "Field with each line's width in metres, or FIELD*FACTOR such as lanes*3.5; may be "
            "repeated, the first with a value counts. --width is for lines without.",
            "layer",
            ("--width-field",),
            metavar="FIELD",
            repeat=True,
        ),
    ),
)
_polygon_options = combined(
    parameter(
        str,
        Option(
            "Labels that become 1, 2, ..., such as road,sidewalk,vehicle=car+truck.",
            "polygons",
            ("--classes",),
            metavar="NAMES",
        ),
    ),
    parameter(
        str,
        Option(
            "Labels whose pixels become 255, such as 'out of roi,ego vehicle'.",
            "polygons",
            ("--ignore",),
            metavar="LABELS",
        ),
        default="",
    ),
)


@click.command("labels", cls=Command)
@argument("source", ("in", "vector"), kind=Path)
@options.output_option("Mask to write, .tif; for several scenes or annotations a folder.", "raster")
@_layer_options
@_polygon_options
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
    """Make training masks from road layers or annotations.

    SOURCE is a vector layer of road lines or polygons, rasterized onto the pixel grid of --like; or
    a folder of polygon JSON (IDD, Cityscapes), drawn as the --classes named.
    """
    with shell(progress, verbose=verbose, quiet=quiet) as sh:
        from roadgis.photos.polygon_json import is_polygon_json
        from roadgis.vector_files.reading import is_dataset_folder

        folder = source.is_dir() and not is_dataset_folder(source)
        polygons = folder or is_polygon_json(source)
        if polygons:
            _reject(
                f"{source} holds polygon JSON",
                like=like, layer=layer, width=width_m, width_field=width_field,
            )  # fmt: skip
            _draw(sh, source, output, classes, ignore, overwrite)
        else:
            _reject(f"{source} is a vector layer", classes=classes, ignore=ignore)
            if not like:
                raise click.UsageError(
                    "a vector layer needs --like: the raster that defines the pixel grid."
                )
            from roadgis.labels.vector import RoadLayer

            roads = RoadLayer.open(source, layer=layer, width_m=width_m, width_field=width_field)
            _burn(sh, roads, like, output, overwrite)


def _reject(what: str, **given: object) -> None:
    """Reject options for the other kind of source."""
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
