"""``roadgis synthesize``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from roadgis.cli import options
from roadgis.cli.shell import shell

__all__ = ["command"]


@click.command("synthesize")
@options.output_option("The scene, .tif.")
@click.option(
    "--truth",
    type=click.Path(path_type=Path),
    default=None,
    help="Also write the exact road centrelines, .geojson.",
)
@click.option("--size", "size_px", type=click.IntRange(256), default=None, help="Side, pixels.")
@click.option("--gsd", "gsd_m", type=float, default=None, help="Metres per pixel.")
@click.option("--seed", type=int, default=None, help="Another seed is another town.")
@options.overwrite_option
def command(
    output: Path, truth: Path | None, size_px: int | None, overwrite: bool, **values: Any
) -> None:
    """Make a synthetic scene with exact road truth."""
    with shell() as sh:
        from roadgis.synthetic import TownOptions, make_town, write_town

        given = {key: value for key, value in values.items() if value is not None}
        if size_px is not None:
            given["width_px"] = given["height_px"] = size_px
        town = make_town(TownOptions(**given))
        write_town(town, output, truth, overwrite=overwrite)
        sh.result(f"{output}: written", outputs=[str(output)])
