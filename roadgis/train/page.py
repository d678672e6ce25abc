"""The HTML of a report: one page without scripts or anything from elsewhere."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from roadgis.train.curves import Scores
from roadgis.train.overlays import COLOURS, Overlay, jpeg_uri

__all__ = [
    "confusion_table",
    "facts",
    "figure",
    "gallery",
    "legend",
    "number",
    "page",
    "score_row",
    "table",
]

_STYLE = """
:root { color-scheme: light dark; --ground: #fff; --ink: #1d2126; --soft: #5d6671;
  --line: #d9dee4; --panel: #f6f7f9; }
@media (prefers-color-scheme: dark) { :root { --ground: #14171b; --ink: #e4e7eb;
  --soft: #9aa4b0; --line: #333a43; --panel: #1c2127; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 62rem; background: var(--ground);
  color: var(--ink); font: 16px/1.55 system-ui, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2.75rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
p, figcaption { color: var(--soft); margin: .25rem 0 .75rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.25rem; margin: 1.25rem 0;
  padding: .9rem 1.1rem; background: var(--panel); border-radius: .5rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; min-width: 60%; }
caption { text-align: left; color: var(--soft); padding-bottom: .4rem; }
th, td { padding: .35rem .7rem; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; }
th { font-weight: 600; } thead th { color: var(--soft); font-weight: 500; }
th:first-child { text-align: left; }
tr.all th, tr.all td { font-weight: 650; border-bottom: 2px solid var(--line); }
figure { margin: .75rem 0; }
figure svg { width: 100%; height: auto; display: block; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); gap: 1rem; }
.pictures img { width: 100%; height: auto; display: block; border-radius: .35rem; }
.key { display: inline-block; width: .85em; height: .85em; border-radius: .2em; margin: 0 .35em 0 1em;
  vertical-align: -.08em; }
@media print { body { max-width: none; } h2 { break-after: avoid; } figure, tr { break-inside: avoid; } }
"""  # noqa: E501 - style sheet

_KEYS = {
    "hit": "hit: labelled and found",
    "missed": "missed: labelled, not found",
    "false": "false: found, not labelled",
}


def page(title: str, parts: Sequence[str]) -> str:
    """Return a whole page.

    Parameters
    ----------
    title : str
        Plain text.
    parts : sequence of str
        HTML, one after the other.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
    )


def number(value: float) -> str:
    """Return a score with three decimals, or a dash where it means nothing."""
    return "–" if math.isnan(value) else f"{value:.3f}"  # noqa: RUF001 - a dash is meant


def facts(values: dict[str, str]) -> str:
    """Return names and values as a list; both are plain text."""
    rows = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>"
        for name, value in values.items()
        if value
    )
    return f"<dl>{rows}</dl>"


def score_row(scores: Scores) -> list[str]:
    """Return the cells of one row of scores, in the order of the report's tables."""
    values = (
        scores.iou, scores.precision, scores.recall, scores.f1,
        scores.relaxed_precision, scores.relaxed_recall, scores.relaxed_f1,
    )  # fmt: skip
    return [number(value) for value in values]


def table(
    caption: str, head: Sequence[str], rows: Sequence[Sequence[str]], *, total: bool = False
) -> str:
    """Return a table whose first column names the rows.

    Parameters
    ----------
    caption : str
        Plain text.
    head : sequence of str
        Plain text, one for each column.
    rows : sequence of sequence of str
        Plain text.
    total : bool
        Whether the first row sums up the others.
    """
    lines = []
    for at, row in enumerate(rows):
        first, *rest = (html.escape(cell) for cell in row)
        cells = "".join(f"<td>{cell}</td>" for cell in rest)
        kind = ' class="all"' if total and at == 0 else ""
        lines.append(f'<tr{kind}><th scope="row">{first}</th>{cells}</tr>')
    heads = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in head)
    return (
        f'<div class="wide"><table><caption>{html.escape(caption)}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def confusion_table(confusion: npt.NDArray[np.int64], names: Sequence[str]) -> str:
    """Return a confusion matrix as a table, each cell shaded by its share of the row.

    Parameters
    ----------
    confusion : ndarray of int64, shape (C, C)
        Pixels by true class (rows) and found class (columns).
    names : sequence of str
        Of the classes.
    """
    lines = []
    for name, row in zip(names, confusion, strict=True):
        whole = max(int(row.sum()), 1)
        cells = "".join(
            f'<td style="background:rgba(47,132,198,{0.75 * count / whole:.3f})">'
            f"{count / whole:.1%}<br><small>{count:,}</small></td>"
            for count in row.tolist()
        )
        lines.append(f'<tr><th scope="row">{html.escape(name)}</th>{cells}</tr>')
    heads = "".join(f'<th scope="col">found {html.escape(name)}</th>' for name in names)
    return (
        '<div class="wide"><table><caption>Pixels of each labelled class (row) by the class that '
        "was found (column), as a share of the row and as a number</caption>"
        f'<thead><tr><th scope="col">labelled</th>{heads}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def figure(svg: str, caption: str) -> str:
    """Return a figure with its caption (plain text)."""
    return f"<figure>{svg}<figcaption>{html.escape(caption)}</figcaption></figure>"


def gallery(title: str, overlays: Sequence[Overlay], *, by_class: bool) -> str:
    """Return pictures of scenes with their scores; nothing when there is none."""
    if not overlays:
        return ""
    figures = []
    for overlay in overlays:
        scores = overlay.scores
        name = html.escape(scores.name)
        iou = f"IoU {number(scores.scores.iou)}"
        if by_class:
            iou = f"mean IoU {number(scores.mean_iou)}, road {number(scores.scores.iou)}"
        text = (
            f"Scene {name}, {iou}: {_shares(scores.scores)}. Hits are green, missed pixels blue, "
            "false ones red."
        )
        figures.append(
            f'<figure><img src="{jpeg_uri(overlay.picture)}" alt="{text}">'
            f"<figcaption>{name}: {iou}</figcaption></figure>"
        )
    return f'<h3>{html.escape(title)}</h3><div class="pictures">{"".join(figures)}</div>'


def _shares(scores: Scores) -> str:
    def share(value: float) -> str:
        return "none" if math.isnan(value) else f"{value:.0%}"

    return f"{share(scores.recall)} of the road found, {share(scores.precision)} of the found road"


def legend() -> str:
    """Return the key to the pictures' colours."""
    keys = "".join(
        f'<span class="key" style="background:rgb{COLOURS[name]}"></span>{text}'
        for name, text in _KEYS.items()
    )
    return f"<p>{keys}</p>"
