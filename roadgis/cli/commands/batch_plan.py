"""``roadgis batch plan``: divide a county into units."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from roadgis.cli import options
from roadgis.cli.parameters import Command, Settings, argument, parameter
from roadgis.cli.shell import shell
from roadgis.options.extraction import ExtractOptions
from roadgis.options.model import RuntimeOptions
from roadgis.options.option import Option
from roadgis.options.probability_raster import RasterOptions

_FILE_SUFFIXES = (".yaml", ".yml")
_EXTRACT = Settings(
    ExtractOptions(),
    without=("work_dir", "restart", "keep_work", "workers", "block_px", "on_error"),
)
_MODEL = Settings(RuntimeOptions(), only=("model",))
# --nodata is an option of imagery as well.
_MASKS = Settings(RasterOptions(), without=("nodata",))


@click.command("plan", cls=Command)
@argument("sources", ("in", "raster"), nargs=-1, required=True, metavar="SOURCE...")
@parameter(
    str,
    Option(
        "Folder of the county: new, empty, or planned before; results that are still valid are "
        "kept. Also an address in an object store, such as s3://bucket/county.",
        flags=("-o", "--output"),
        path=("out", "folder"),
    ),
)
@parameter(
    bool,
    Option("Vectorize only: the sheets are road masks or probability.", flags=("--from-masks",)),
)
@parameter(
    int,
    Option(
        "Side of a unit of work, a multiple of 768.",
        "performance",
        ("--unit-px",),
        unit="px",
        low=1,
    ),
    default=2304,
)
@_EXTRACT
@_MODEL
@options.DESCRIPTION
@_MASKS
@options.progress_options
@click.pass_context
def plan_command(
    context: click.Context,
    /,
    sources: tuple[str, ...],
    output: str | None,
    from_masks: bool,
    unit_px: int,
    progress: str,
    verbose: int,
    quiet: bool,
    **values: Any,
) -> None:
    """Divide a county into units and store the settings of all runs.

    SOURCE is any source of 'roadgis extract'; several become one county.
    A county.yaml holds 'sources' and any options of this command.
    """
    with shell(progress, verbose=verbose, quiet=quiet) as sh:
        from roadgis.batch.county_file import county_file
        from roadgis.batch.planning import make_plan
        from roadgis.batch.settings import PlanSettings
        from roadgis.batch.sheets import absolute_sources, county_sheets
        from roadgis.batch.storage import county_folder
        from roadgis.batch.update import check_county_folder, plan_county
        from roadgis.errors import InputError
        from roadgis.sources.location import counted

        given = {**values, "output": output, "from_masks": from_masks, "unit_px": unit_px}
        given |= {"sources": sources}
        if len(sources) == 1 and Path(sources[0]).suffix.lower() in _FILE_SUFFIXES:
            given |= _chosen(context, county_file(Path(sources[0])))
        if given["output"] is None:
            raise InputError(
                "The folder of the county is missing. Give it with -o, such as -o county/."
            )
        settings = PlanSettings(
            options=_EXTRACT.made(given),
            model=_absolute(_MODEL.made(given).model),
            description=options.DESCRIPTION.made(given),
            masks=(
                dataclasses.replace(_MASKS.made(given), nodata=given["nodata"])
                if given["from_masks"]
                else None
            ),
            unit_px=given["unit_px"],
        )
        folder = county_folder(given["output"])
        check_county_folder(folder)
        source = absolute_sources(given["sources"])
        plan = make_plan(county_sheets(source, settings.options), settings, source)
        kept = plan_county(folder, plan)
        pixels = sum(unit.pixels for unit in plan.units)
        sh.result(
            f"{given['output']}: {len(plan.units)} unit{'s' if len(plan.units) > 1 else ''} of "
            f"{counted(plan.rasters)}, "
            f"{pixels / 1e6:,.1f} Mpx at {plan.gsd_m:g} m"
            + (f"; {kept} are done already" if kept else ""),
            units=len(plan.units),
            sheets=len(plan.rasters),
            bad_sheets=len(plan.bad_sheets),
            pixels=pixels,
            kept=kept,
        )


def _chosen(context: click.Context, values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a county file that the command line does not override, converted."""
    from click.core import ParameterSource

    from roadgis.errors import InputError

    parameters = {parameter.name: parameter for parameter in context.command.params}
    shell_only = {"progress", "verbose", "quiet"}
    chosen: dict[str, Any] = {}
    for name, value in values.items():
        parameter = parameters.get(name)
        if parameter is None or name in shell_only:
            known = ", ".join(sorted(set(map(str, parameters)) - shell_only))
            raise InputError(
                f"The county file has the entry {name!r}, which is not an option of 'roadgis batch "
                f"plan'. Expected some of: {known}."
            )
        if name != "sources" and (
            context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        ):
            continue
        try:
            chosen[name] = parameter.type_cast_value(context, value)
        except click.BadParameter as error:
            raise InputError(f"The county file's {name}: {error.message}") from error
    return chosen


def _absolute(model: str | None) -> str | None:
    """Return the absolute path of a model file; names of models are unchanged."""
    return str(Path(model).absolute()) if model is not None and Path(model).exists() else model
