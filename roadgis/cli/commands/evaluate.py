"""``roadgis evaluate``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from roadgis.cli import options
from roadgis.cli.parameters import Command, Settings, argument, combined, parameter
from roadgis.cli.shell import Shell, shell
from roadgis.options.evaluation import EvaluateOptions
from roadgis.options.option import Option

if TYPE_CHECKING:
    from roadgis.evaluation import Evaluation
    from roadgis.evaluation.file_pairs import FilePair

_SETTINGS = Settings(EvaluateOptions())
#: Share of the evaluation in the work of a run with a report.
_SHARE = 0.9

_input_options = combined(
    parameter(
        str,
        Option(
            "Layer of PROPOSAL.", "lines", ("--layer",), metavar="NAME", default_text="the only one"
        ),
    ),
    parameter(
        str,
        Option(
            "Layer of TRUTH.",
            "lines",
            ("--truth-layer",),
            metavar="NAME",
            default_text="the only one",
        ),
    ),
    parameter(
        str,
        Option(
            "CRS of files and images that have none.", "lines", ("--assume-crs",), metavar="CRS"
        ),
    ),
    parameter(
        Path,
        Option(
            "Area of interest: polygons in any CRS. Only roads inside are scored.",
            flags=("--aoi",),
            path=("in", "vector"),
        ),
    ),
)
_output_options = combined(
    parameter(bool, Option("Print all scores as one JSON object.", flags=("as_json", "--json"))),
    parameter(
        Path,
        Option(
            "CSV file to write: a row of scores for each pair, and a total if there are several.",
            flags=("--csv",),
            path=("out", "csv"),
        ),
    ),
    parameter(
        Path,
        Option(
            "HTML report to write: the scores, and maps of missed and false roads.",
            flags=("--report",),
            path=("out", "html"),
        ),
    ),
    parameter(
        Path,
        Option(
            "GeoPackage (.gpkg) to write, with the layers hits, misses and false.",
            flags=("--errors",),
            path=("out", "gpkg"),
        ),
    ),
    parameter(
        str,
        Option(
            "Imagery behind the maps of the report: a raster, a folder or a URL.",
            flags=("--image",),
            metavar="SCENE",
            path=("in", "raster"),
        ),
    ),
)


@click.command("evaluate", cls=Command)
@argument("proposal", ("in", "vector"))
@argument("truth", ("in", "vector"))
@_output_options
@_input_options
@_SETTINGS
@options.overwrite_option
@options.progress_options
def command(
    proposal: str,
    truth: str,
    layer: str | None,
    truth_layer: str | None,
    assume_crs: str | None,
    aoi: Path | None,
    as_json: bool,
    csv: Path | None,
    report: Path | None,
    errors: Path | None,
    image: str | None,
    overwrite: bool,
    progress: str,
    verbose: int,
    quiet: bool,
    **values: object,
) -> None:
    """Score a road network against ground truth.

    PROPOSAL and TRUTH are line layers in any CRS, or two folders of files with equal stems.

    \b
    roadgis evaluate roads.gpkg truth.geojson --aoi area.geojson --report report.html
    roadgis evaluate found/ truth/ --csv scores.csv
    """  # noqa: D301 - click reads the backspace
    kept = "No file was left half-written."
    with shell(progress, verbose=verbose, quiet=quiet, kept=kept) as sh:
        from roadgis.evaluation.file_pairs import find_pairs
        from roadgis.evaluation.report.files import Outputs, check_outputs, write_outputs
        from roadgis.progress import scaled

        settings = _SETTINGS.made(values)
        wanted = Outputs(csv, report, errors, image, assume_crs, overwrite)
        pairs = find_pairs(proposal, truth)
        read = [path for pair in pairs for path in (pair.proposal, pair.truth)]
        check_outputs(wanted, [*read, *([] if aoi is None else [aoi])])
        share = _SHARE if report is not None else 1.0
        done = _evaluated(
            pairs,
            (layer, truth_layer, assume_crs),
            aoi,
            settings,
            scaled(sh.progress, 0.0, share),
        )
        written = write_outputs(wanted, done, progress=scaled(sh.progress, share, 1.0))
        _report(sh, done, written, as_json=as_json)


def _evaluated(
    pairs: list[FilePair],
    reading: tuple[str | None, str | None, str | None],
    aoi: Path | None,
    settings: EvaluateOptions,
    progress: Any,
) -> list[tuple[str, Evaluation]]:
    import logging

    from roadgis.errors import EmptyTruthError
    from roadgis.evaluation import evaluate
    from roadgis.lines import read_lines
    from roadgis.progress import scaled

    layer, truth_layer, assume_crs = reading
    done = []
    for at, pair in enumerate(pairs):
        truth = read_lines(
            pair.truth, layer=truth_layer, assume_crs=assume_crs, layer_option="--truth-layer"
        )
        proposal = read_lines(pair.proposal, layer=layer, assume_crs=assume_crs)
        part = scaled(progress, at / len(pairs), (at + 1) / len(pairs))
        try:
            result = evaluate(proposal, truth, aoi=aoi, options=settings, progress=part)
        except EmptyTruthError:
            # Some of many sheets have no road; a single one is an error.
            if len(pairs) == 1:
                raise
            where = "is empty" if not len(truth.lines) else "has no line inside the area"
            logging.getLogger(__name__).warning("%s: left out, as its truth %s", pair.name, where)
            continue
        done.append((pair.name, result))
    if not done:
        raise EmptyTruthError(
            f"None of the {len(pairs)} truth files has a line"
            f"{'' if aoi is None else f' inside {aoi}'}, so there is nothing to compare with. "
            "Expected the centrelines of the true roads; check the files, and the area of "
            "interest where one is given."
        )
    return done


def _report(
    sh: Shell, done: list[tuple[str, Evaluation]], written: list[Path], *, as_json: bool
) -> None:
    from roadgis.evaluation.table import SCORES, total_row

    rows = [evaluation.to_dict() for _, evaluation in done]
    scores = rows[0]
    if len(rows) > 1:
        scores = total_row(rows)
        scores["pairs"] = [{"pair": name, **row} for (name, _), row in zip(done, rows, strict=True)]
    if sh.mode != "jsonl":
        if as_json:
            click.echo(json.dumps(scores, ensure_ascii=False, allow_nan=False, indent=1))
        elif not sh.quiet:
            for line in _table([name for name, _ in done], rows, scores):
                click.echo(line)
    outputs = [str(path) for path in written]
    sh.result(
        f"{', '.join(outputs)}: written" if outputs else f"{len(done)} evaluated",
        outputs=outputs,
        pairs=len(done),
        scores={name: scores.get(name) for name in SCORES},
    )


_COLUMNS = {
    "relaxed_f1": "relaxed F1",
    "relaxed_precision": "precision",
    "relaxed_recall": "recall",
    "apls": "APLS",
    "topo_f1": "TOPO F1",
    "junction_f1": "junctions",
    "iou": "IoU",
}


def _table(names: list[str], rows: list[dict[str, Any]], total: Mapping[str, Any]) -> Iterator[str]:
    lines: list[tuple[str, Mapping[str, Any]]] = list(zip(names, rows, strict=True))
    if len(lines) > 1:
        lines.append(("all", total))
    width = max(len(name) for name, _ in lines)
    yield " ".join([" " * width, *(f"{text:>10}" for text in _COLUMNS.values())])
    for name, row in lines:
        yield " ".join([f"{name:<{width}}", *(f"{_text(row.get(key)):>10}" for key in _COLUMNS)])
    truth_m, proposal_m = total["truth_m"], total["proposal_m"]
    yield (
        f"{truth_m / 1000:.2f} km true, {(truth_m - total['matched_truth_m']) / 1000:.2f} missed; "
        f"{proposal_m / 1000:.2f} km found, "
        f"{(proposal_m - total['matched_proposal_m']) / 1000:.2f} false"
    )


def _text(value: Any) -> str:
    return "-" if value is None else f"{value:.4f}"
