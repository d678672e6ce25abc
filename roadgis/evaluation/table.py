"""Scores of several pairs as one table: the CSV file, and the total of all pairs."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from roadgis.atomic import atomic_path
from roadgis.errors import OutputError
from roadgis.evaluation.area import harmonic_mean

#: The scores that every output lists first, in this order.
SCORES = (
    "iou", "relaxed_precision", "relaxed_recall", "relaxed_f1", "apls",
    "apls_truth_onto_proposal", "apls_proposal_onto_truth", "topo_precision", "topo_recall",
    "topo_f1", "junction_f1",
)  # fmt: skip
_BY_KIND = "_length_by_kind_m"
# In metres, but not additive.
_NO_SUMS = {"rmse_m"}
_SHARES = {
    "relaxed_precision": ("matched_proposal_m", "proposal_m"),
    "correctness": ("matched_proposal_m", "proposal_m"),
    "relaxed_recall": ("matched_truth_m", "truth_m"),
    "completeness": ("matched_truth_m", "truth_m"),
}


def flat(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Return scores as one row: lengths by class as ``truth_missed_m``, settings left out."""
    values: dict[str, Any] = {}
    for name, value in scores.items():
        if name.endswith(_BY_KIND):
            side = name.removesuffix(_BY_KIND)
            values |= {f"{side}_{kind}_m": length_m for kind, length_m in value.items()}
        elif not isinstance(value, (Mapping, list, tuple)):
            values[name] = value
    return values


def total_row(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the total of several pairs.

    Parameters
    ----------
    rows : sequence of mapping
        As ``Evaluation.to_dict`` gives them.

    Returns
    -------
    dict
        Lengths and counts added up; relaxed scores from the lengths of all pairs; each other
        score as the mean over the pairs that have it, weighted by the length of their truth.
        None where no pair has a score.
    """
    pairs = [flat(row) for row in rows]
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    total = {name: _joined(pairs, name) for name in names}
    for score, (matched, whole) in _SHARES.items():
        if total.get(score) is not None and total.get(whole) and matched in total:
            total[score] = min(total[matched] / total[whole], 1.0)
    for score, precision, recall in (("relaxed_f1", "relaxed_precision", "relaxed_recall"),):
        if total.get(score) is not None:
            total[score] = harmonic_mean(total[precision], total[recall])
    return total


def _joined(pairs: Sequence[Mapping[str, Any]], name: str) -> Any:
    found = [(pair[name], pair) for pair in pairs if _is_number(pair.get(name))]
    if not found:
        # A setting or a text: included if all pairs have the same.
        values = [pair.get(name) for pair in pairs]
        return values[0] if all(value == values[0] for value in values) else None
    numbers = [value for value, _ in found]
    counts = all(isinstance(value, int) for value in numbers)
    if counts or (name.endswith("_m") and name not in _NO_SUMS):
        return sum(numbers)
    weights = [float(pair.get("truth_m") or 0.0) for _, pair in found]
    if not any(weights):
        weights = [1.0] * len(found)
    return sum(v * w for v, w in zip(numbers, weights, strict=True)) / sum(weights)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def write_csv(
    path: Path, names: Sequence[str], rows: Sequence[Mapping[str, Any]], *, overwrite: bool = False
) -> None:
    """Write scores as CSV: a row for each pair and, of several, a last row ``total``.

    Parameters
    ----------
    path : Path
        Written under a temporary name and renamed.
    names : sequence of str
        Names of the pairs.
    rows : sequence of mapping
        Their scores; what does not apply is an empty cell.
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    OutputError
        If it exists and may not be replaced, or cannot be written.
    """
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists. Choose another name, or replace it with --overwrite.")
    lines = [{"pair": name, **flat(row)} for name, row in zip(names, rows, strict=True)]
    if len(lines) > 1:
        lines.append({"pair": "total", **total_row(rows)})
    known = dict.fromkeys(name for line in lines for name in line)
    columns = ["pair", *SCORES, *(name for name in known if name not in {"pair", *SCORES})]
    with (
        atomic_path(path, overwrite=overwrite) as partial,
        partial.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(
            {key: "" if value is None else value for key, value in line.items()} for line in lines
        )
