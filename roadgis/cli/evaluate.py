"""``roadgis evaluate``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from roadgis.cli import options
from roadgis.cli.lengths import metres_option
from roadgis.cli.shell import Shell, shell

if TYPE_CHECKING:
    from roadgis.evaluation import EvaluateOptions, Evaluation
    from roadgis.evaluation.file_pairs import FilePair

__all__ = ["SETTINGS", "command"]

#: The field of ``EvaluateOptions`` that each option is.
SETTINGS = {
    "buffer": "buffer_m",
    "width": "width_m",
    "gsd": "gsd_m",
    "junction_radius": "junction_radius_m",
    "gap": "gap_m",
    "spacing": "apls_spacing_m",
    "snap": "apls_snap_m",
    "max_controls": "apls_max_controls",
    "speed_field": "speed_field",
    "topo_radius": "topo_radius_m",
    "topo_hole": "topo_hole_m",
    "topo_interval": "topo_interval_m",
    "topo_seeds": "topo_seeds",
    "seed": "seed",
}
#: Share of the work that the evaluation is where a report is drawn.
_SHARE = 0.9


_score_options = options.combined(
    metres_option(
        "--buffer",
        "How far a road may lie from the other network and still match, metres.  [default: 3]",
    ),
    metres_option("--width", "Width of the roads that IoU is measured on, metres.  [default: 7]"),
    metres_option(
        "--gsd", "Size of the pixels that IoU is measured on, metres.  [default: 1]", least=0.05
    ),
    metres_option(
        "--junction-radius",
        "How far a junction may lie from its partner, metres.  [default: 10]",
    ),
    metres_option(
        "--gap",
        "Longest missed stretch between found parts that is called a gap, metres.  [default: 100]",
        least=0.0,
    ),
    metres_option(
        "--spacing", "APLS: distance of the control points, metres.  [default: 50]", least=1.0
    ),
    metres_option(
        "--snap",
        "APLS: how far a control point may lie from the other network, metres.  [default: 4]",
    ),
    click.option(
        "--max-controls",
        type=click.IntRange(1),
        default=None,
        metavar="N",
        help="APLS: routes start from this many control points; of more, some are drawn by the "
        "seed.  [default: 500]",
    ),
    click.option(
        "--speed-field",
        default=None,
        metavar="FIELD",
        help="APLS by travel time too: field of both layers with the speed in km/h.",
    ),
    metres_option("--topo-radius", "TOPO: how far to walk from each seed, metres.  [default: 300]"),
    metres_option(
        "--topo-hole",
        "TOPO: how far a marble may lie from the hole it falls into, metres.  [default: 5]",
    ),
    metres_option(
        "--topo-interval", "TOPO: distance of holes and marbles, metres.  [default: 5]", least=0.5
    ),
    click.option(
        "--topo-seeds",
        type=click.IntRange(1),
        default=None,
        metavar="N",
        help="TOPO: most places that are walked from.  [default: 200]",
    ),
    click.option(
        "--seed",
        type=click.IntRange(0),
        default=None,
        metavar="N",
        help="Seed of what is drawn at random; the same one gives the same scores.  [default: 0]",
    ),
)

_output_options = options.combined(
    click.option("--json", "as_json", is_flag=True, help="Print all scores as one JSON object."),
    click.option(
        "--csv",
        type=click.Path(path_type=Path),
        default=None,
        help="Write the scores as CSV: a row for each pair, and a last one for all of several.",
    ),
    click.option(
        "--report",
        type=click.Path(path_type=Path),
        default=None,
        help="Write an HTML page with the scores and maps of what is missed and false.",
    ),
    click.option(
        "--errors",
        type=click.Path(path_type=Path),
        default=None,
        help="Write a GeoPackage (.gpkg) with the layers hits, misses and false.",
    ),
    click.option(
        "--image",
        default=None,
        metavar="SCENE",
        help="Imagery behind the maps of the report: a raster, a folder or a URL.",
    ),
)


@click.command("evaluate")
@click.argument("proposal")
@click.argument("truth")
@click.option(
    "--layer", default=None, metavar="NAME", help="Layer of PROPOSAL.  [default: the only one]"
)
@click.option(
    "--truth-layer", default=None, metavar="NAME", help="Layer of TRUTH.  [default: the only one]"
)
@click.option(
    "--assume-crs", metavar="CRS", default=None, help="CRS of files and images that have none."
)
@click.option(
    "--aoi",
    type=click.Path(path_type=Path),
    default=None,
    help="Polygons in any CRS; only what lies inside counts.",
)
@_output_options
@_score_options
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
    **values: Any,
) -> None:
    """Measure how good a road network is.

    PROPOSAL and TRUTH are line layers in any CRS, or two folders of files with equal stems.

    \b
    roadgis evaluate roads.gpkg truth.geojson --aoi area.geojson --report report.html
    roadgis evaluate found/ truth/ --csv scores.csv
    """  # noqa: D301 - click reads the backspace
    kept = "No file is left half-written."
    with shell(progress, verbose=verbose, quiet=quiet, kept=kept) as sh:
        from roadgis.evaluation import EvaluateOptions
        from roadgis.evaluation.file_pairs import find_pairs
        from roadgis.evaluation.report.files import Outputs, check_outputs, write_outputs
        from roadgis.progress import scaled

        settings = EvaluateOptions(
            **{field: values[name] for name, field in SETTINGS.items() if values[name] is not None}
        )
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
        _tell(sh, done, written, as_json=as_json)


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
            # Of many sheets some hold no road; one alone is an error.
            if len(pairs) == 1:
                raise
            where = "is empty" if not len(truth.lines) else "has no line inside the area"
            logging.getLogger(__name__).warning("%s: left out, as its truth %s", pair.name, where)
            continue
        done.append((pair.name, result))
    if not done:
        raise EmptyTruthError(
            f"None of the {len(pairs)} truth files holds a line"
            f"{'' if aoi is None else f' inside {aoi}'}, so there is nothing to compare with. "
            "Expected the centrelines of the true roads; check the files, and the area of "
            "interest where one is given."
        )
    return done


def _tell(
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
