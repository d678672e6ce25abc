"""``roadgis batch``: plan, run, status, retry, update, merge and report."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from roadgis.cli import options
from roadgis.cli.commands.batch_plan import plan_command
from roadgis.cli.group import Group
from roadgis.cli.parameters import Command, argument, parameter
from roadgis.cli.shell import shell
from roadgis.cli.summary import report_network
from roadgis.options.option import Option

_KEPT = "Finished units are kept; run the same command again to resume."
_county = argument("county", ("in", "folder"))


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


command.add_command(plan_command)


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
    county: str,
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
        from roadgis.batch.report.table import counts, unit_table, write_table
        from roadgis.batch.run import run_county
        from roadgis.batch.storage import county_folder

        folder = county_folder(county)
        plan = read_plan(folder)
        plan.check_version()
        where = options.DEVICE.made(values)
        how: dict[str, Any] = {"threads": where.threads, "device": where.device}
        engine: Any
        if dask is not None or workers > 1:
            engine = DaskEngine(
                folder, plan, workers=None if dask else workers, address=dask, **how
            )
        else:
            engine = InProcess(folder, plan, **how)
        with engine:
            summary = run_county(
                folder,
                plan,
                engine,
                retries=retry,
                max_failures=max_failures,
                shard=part,
                lease_s=lease_s,
                progress=sh.progress,
            )
        table = unit_table(folder, plan)
        write_table(folder, table)
        found = counts(table)
        mapped = f"{summary.pixels / 1e6:,.1f} Mpx in this run"
        if not summary.done + summary.failed:
            mapped = "nothing was left to do"
        sh.result(
            f"{county}: {_sentence(found)}; {mapped}{_advice(found)}",
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
def status_command(county: str, as_json: bool, watch: bool) -> None:
    """Show done and failed units, why they failed, and the time left.

    Also updates the tables units.gpkg and units.parquet in the folder of the county.
    """
    with shell():
        from roadgis.batch.plan import read_plan
        from roadgis.batch.report.status import county_status, status_lines
        from roadgis.batch.report.table import unit_table, write_table
        from roadgis.batch.storage import county_folder

        folder = county_folder(county)
        while True:
            plan = read_plan(folder)
            table = unit_table(folder, plan)
            write_table(folder, table)
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
def retry_command(county: str, where: str | None) -> None:
    """Reset failed units, so that the next run retries them."""
    with shell() as sh:
        from roadgis.batch.plan import read_plan
        from roadgis.batch.report.table import chosen_units, retry_units, unit_table
        from roadgis.batch.storage import county_folder

        folder = county_folder(county)
        plan = read_plan(folder)
        names = chosen_units(unit_table(folder, plan), where)
        retry_units(folder, names)
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
    county: str,
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
        from roadgis.batch.storage import county_folder
        from roadgis.batch.update import update_county

        said = update_county(county_folder(county), list(sources) or None, restat=restat)
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
    county: str,
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
        from roadgis.batch.storage import county_folder
        from roadgis.output import check_output

        check_output(output, overwrite=overwrite)
        folder = county_folder(county)
        plan = read_plan(folder)
        merged = merge_county(
            folder, plan, output, partial=partial, overwrite=overwrite, progress=sh.progress
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
    county: str,
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
        from roadgis.batch.report.page import CountyReportOptions, write_report
        from roadgis.batch.storage import county_folder

        folder = county_folder(county)
        paths = write_report(
            folder,
            read_plan(folder),
            output,
            CountyReportOptions(network, base, zones, zone_field),
            overwrite=overwrite,
            progress=sh.progress,
        )
        sh.result(f"{output}: report written", outputs=[str(path) for path in paths])
