"""The HTML that reports share: one page without scripts or anything from elsewhere."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

__all__ = ["facts", "figure", "number", "page", "table"]

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


def page(title: str, parts: Sequence[str], *, style: str = "") -> str:
    """Return a whole page.

    Parameters
    ----------
    title : str
        Plain text.
    parts : sequence of str
        HTML, one after the other.
    style : str
        A style sheet to follow the shared one.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}{style}</style>\n</head>\n<body>\n<main>\n"
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


def figure(svg: str, caption: str) -> str:
    """Return a figure with its caption (plain text)."""
    return f"<figure>{svg}<figcaption>{html.escape(caption)}</figcaption></figure>"
