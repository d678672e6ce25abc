"""``roadgis batch``: plan, run, status, retry, update, merge and report."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import click

from roadgis.cli import options
from roadgis.cli.group import Group
from roadgis.cli.parameters import Command, Settings, argument, parameter
from roadgis.cli.shell import shell
from roadgis.cli.summary import report_network
from roadgis.options.extraction import ExtractOptions
from roadgis.options.model import RuntimeOptions
from roadgis.options.option import Option
from roadgis.options.probability_raster import RasterOptions

_KEPT = "Finished units are kept; run the same command again to resume."
_FILE_SUFFIXES = (".yaml", ".yml")
_EXTRACT = Settings(
    ExtractOptions(),
    without=("work_dir", "restart", "keep_work", "workers", "block_px", "on_error"),
)
_MODEL = Settings(RuntimeOptions(), only=("model",))
# --nodata is an option of imagery as well.
_MASKS = Settings(RasterOptions(), without=("nodata",))
_county = argument("county", ("in", "folder"), kind=Path)


@click.group("batch", cls=Group)
def command() -> None:
    """Map a county of many sheets on several processes or machines.

    \b
    roadgis batch plan sheets/ -o county/
    roadgis batch run county/ --workers 4
    roadgis batch status county/
    roadgis batch merge county/ -o county.gpkg
    roadgis batch report county/ -o report.html
    """  # noqa: D301 - click reads the backspace


@command.command("plan", cls=Command)
@argument("sources", ("in", "raster"), nargs=-1, required=True, metavar="SOURCE...")
@options.output_option(
    "Folder of the county: new, empty, or planned before; results that are still valid are kept.",
    "folder",
    required=False,
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
    output: Path | None,
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
        from roadgis.batch.plan import PlanSettings, make_plan
        from roadgis.batch.sheets import absolute_sources, county_sheets
        from roadgis.batch.update import plan_county
        from roadgis.errors import InputError

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
        source = absolute_sources(given["sources"])
        plan = make_plan(county_sheets(source, settings.options), settings, source)
        kept = plan_county(Path(given["output"]), plan)
        pixels = sum(unit.pixels for unit in plan.units)
        sh.result(
            f"{given['output']}: {len(plan.units)} units of {len(plan.rasters)} sheets, "
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


def _shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    number, slash, count = text.partition("/")
    if not (slash and number.isdigit() and count.isdigit()):
        raise click.BadParameter(f"{text!r}, expected N/COUNT such as 3/16.", param_hint="--shard")
    return int(number), int(count)


@command.command("run", cls=Command)
@_county
@parameter(
    int,
    Option(
        "Number of processes on this machine; they share its cores.", flags=("--workers",), low=1
    ),
    default=1,
)
@parameter(
    str,
    Option(
        "Address of a Dask scheduler, such as tcp://host:8786; its workers are used.",
        flags=("--dask",),
        metavar="ADDRESS",
    ),
)
@parameter(
    str,
    Option(
        "Part of the county to process, for job arrays without Dask, such as 3/16.",
        flags=("--shard",),
        metavar="N/COUNT",
    ),
)
@parameter(
    int,
    Option(
        "Number of retries of a unit after a temporary error (network, memory).",
        flags=("--retry",),
        low=0,
    ),
    default=2,
)
@parameter(
    int,
    Option(
        "Number of failed units after which the run stops.",
        flags=("--max-failures",),
        low=0,
        default_text="no limit",
    ),
)
@parameter(
    float,
    Option(
        "Seconds without a sign of life after which the units of another run are taken over.",
        "performance",
        ("--lease-s",),
        low=1,
    ),
    default=120.0,
)
@options.DEVICE
@options.progress_options
def run_command(
    county: Path,
    workers: int,
    dask: str | None,
    shard: str | None,
    retry: int,
    max_failures: int | None,
    lease_s: float,
    progress: str,
    verbose: int,
    quiet: bool,
    **values: object,
) -> None:
    """Process the remaining units of a county.

    Units with a permanent error, such as a damaged sheet, are only processed again after
    'roadgis batch retry', or after the sheet was replaced and 'roadgis batch update' was run.
    Several runs may work on one county at the same time, also on several machines.
    """
    part = _shard(shard)
    with shell(progress, verbose=verbose, quiet=quiet, kept=_KEPT) as sh:
        from roadgis.batch.engine import DaskEngine, InProcess
        from roadgis.batch.plan import read_plan
        from roadgis.batch.run import run_county
        from roadgis.batch.table import counts, unit_table, write_table

        plan = read_plan(county)
        plan.check_version()
        where = options.DEVICE.made(values)
        how: dict[str, Any] = {"threads": where.threads, "device": where.device}
        engine: Any
        if dask is not None or workers > 1:
            engine = DaskEngine(
                county, plan, workers=None if dask else workers, address=dask, **how
            )
        else:
            engine = InProcess(county, plan, **how)
        with engine:
            summary = run_county(
                county,
                plan,
                engine,
                retries=retry,
                max_failures=max_failures,
                shard=part,
                lease_s=lease_s,
                progress=sh.progress,
            )
        table = unit_table(county, plan)
        write_table(county, table)
        found = counts(table)
        sh.result(
            f"{county}: {_sentence(found)}; {summary.pixels / 1e6:,.1f} Mpx in this run"
            + _advice(found),
            units=found,
            failed_steps=summary.failed,
            pixels=round(summary.pixels),
        )


def _sentence(found: dict[str, int]) -> str:
    total = sum(found.values())
    done = found["done"] + found["skipped"]
    parts = [f"{done} of {total} units done"]
    if found["skipped"]:
        parts.append(f"{found['skipped']} of them without data")
    parts += [f"{found[state]} {state}" for state in ("running", "failed") if found[state]]
    if found["planned"]:
        parts.append(f"{found['planned']} left")
    return ", ".join(parts)


def _advice(found: dict[str, int]) -> str:
    return ". 'roadgis batch status' shows why units failed" if found["failed"] else ""


@command.command("status", cls=Command)
@_county
@parameter(bool, Option("Print one JSON object.", flags=("as_json", "--json")))
@parameter(
    bool,
    Option("Print the status every five seconds until all units are done.", flags=("--watch",)),
)
def status_command(county: Path, as_json: bool, watch: bool) -> None:
    """Show done and failed units, why they failed, and the time left.

    Also updates the tables units.gpkg and units.parquet in the folder of the county.
    """
    with shell():
        from roadgis.batch.plan import read_plan
        from roadgis.batch.status import county_status, status_lines
        from roadgis.batch.table import unit_table, write_table

        while True:
            plan = read_plan(county)
            table = unit_table(county, plan)
            write_table(county, table)
            status = county_status(plan, table)
            click.echo(json.dumps(status) if as_json else "\n".join(status_lines(status)))
            if not watch or not status["units"]["planned"] + status["units"]["running"]:
                return
            time.sleep(5)


@command.command("retry", cls=Command)
@_county
@parameter(
    str,
    Option(
        "SQL condition on the columns of the table of units, such as \"error_code = 'read'\".",
        flags=("--where",),
        metavar="SQL",
        default_text="all failed units",
    ),
)
def retry_command(county: Path, where: str | None) -> None:
    """Reset failed units, so that the next run retries them."""
    with shell() as sh:
        from roadgis.batch.plan import read_plan
        from roadgis.batch.table import chosen_units, retry_units, unit_table

        plan = read_plan(county)
        names = chosen_units(unit_table(county, plan), where)
        retry_units(county, plan, names)
        sh.result(
            f"{county}: {len(names)} units will be retried by 'roadgis batch run'",
            units=names,
        )


@command.command("update", cls=Command)
@_county
@argument("sources", ("in", "raster"), nargs=-1, metavar="[SOURCE...]")
@parameter(
    bool,
    Option(
        "Measure the statistics for normalizing the imagery again; all units are then computed "
        "again.",
        flags=("--restat",),
    ),
)
@options.progress_options
def update_command(
    county: Path,
    sources: tuple[str, ...],
    restat: bool,
    progress: str,
    verbose: int,
    quiet: bool,
) -> None:
    """Update the plan after sheets were changed, added or removed.

    Results of units that these sheets do not affect are kept. SOURCE names all sheets of the
    county; by default the sources of the previous plan are searched again.
    """
    with shell(progress, verbose=verbose, quiet=quiet) as sh:
        from roadgis.batch.update import update_county

        said = update_county(county, list(sources) or None, restat=restat)
        sh.result(f"{county}: {said.text}", **said.to_json())


@command.command("merge", cls=Command)
@_county
@options.output_option(options.VECTOR_FILE, "vector")
@parameter(
    bool, Option("Merge the finished units even if others are not done yet.", flags=("--partial",))
)
@options.overwrite_option
@options.progress_options
def merge_command(
    county: Path,
    output: Path,
    partial: bool,
    overwrite: bool,
    progress: str,
    verbose: int,
    quiet: bool,
) -> None:
    """Merge all units into the same network as 'roadgis extract'.

    Missing units and sheets are written as the layer missing_units of a GeoPackage, or to a file
    next to other formats.
    """
    with shell(progress, verbose=verbose, quiet=quiet) as sh:
        from roadgis.batch.merge import merge_county
        from roadgis.batch.plan import read_plan
        from roadgis.output import check_output

        check_output(output, overwrite=overwrite)
        plan = read_plan(county)
        merged = merge_county(
            county, plan, output, partial=partial, overwrite=overwrite, progress=sh.progress
        )
        report_network(sh, merged.network, [output])


@command.command("report", cls=Command)
@_county
@options.output_option(
    "HTML file; the figures of units are written next to it as .units.csv and .units.gpkg.", "html"
)
@parameter(
    Path,
    Option(
        "Merged network.",
        flags=("--network",),
        path=("in", "vector"),
        default_text="the one that was merged last",
    ),
)
@parameter(
    Path,
    Option(
        "Base network, such as OpenStreetMap, to list missing and extra roads by unit.",
        flags=("--base",),
        path=("in", "vector"),
    ),
)
@parameter(
    Path,
    Option(
        "Polygons, such as municipalities, for totals by zone.",
        flags=("--zones",),
        path=("in", "vector"),
    ),
)
@parameter(
    str,
    Option(
        "Field with the names of zones.",
        flags=("--zone-field",),
        metavar="FIELD",
        default_text="the first field of text",
    ),
)
@options.overwrite_option
@options.progress_options
def report_command(
    county: Path,
    output: Path,
    network: Path | None,
    base: Path | None,
    zones: Path | None,
    zone_field: str | None,
    overwrite: bool,
    progress: str,
    verbose: int,
    quiet: bool,
) -> None:
    """Write a report to sign: coverage, failures and unusual units."""
    with shell(progress, verbose=verbose, quiet=quiet) as sh:
        from roadgis.batch.plan import read_plan
        from roadgis.batch.report import CountyReportOptions, write_report

        paths = write_report(
            county,
            read_plan(county),
            output,
            CountyReportOptions(network, base, zones, zone_field),
            overwrite=overwrite,
            progress=sh.progress,
        )
        sh.result(f"{output}: report written", outputs=[str(path) for path in paths])
