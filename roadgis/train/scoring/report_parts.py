"""Parts of a test report about pixels, classes and scenes."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from roadgis.report.html import facts, figure, number, page, table
from roadgis.train.scoring.curves import Scores
from roadgis.train.scoring.overlays import COLOURS, SceneOverlay, jpeg_uri

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

_KEYS = {
    "hit": "hit: labelled and predicted",
    "missed": "missed: labelled, not predicted",
    "false": "false: predicted, not labelled",
}


def score_row(scores: Scores) -> list[str]:
    """Return the cells of one row of scores, in the order of the report's tables."""
    values = (
        scores.iou, scores.precision, scores.recall, scores.f1,
        scores.relaxed_precision, scores.relaxed_recall, scores.relaxed_f1,
    )  # fmt: skip
    return [number(value) for value in values]


def confusion_table(confusion: npt.NDArray[np.int64], names: Sequence[str]) -> str:
    """Return a confusion matrix as a table, each cell shaded by its share of the row."""
    lines = []
    for name, row in zip(names, confusion, strict=True):
        whole = max(int(row.sum()), 1)
        cells = "".join(
            f'<td style="background:rgba(47,132,198,{0.75 * count / whole:.3f})">'
            f"{count / whole:.1%}<br><small>{count:,}</small></td>"
            for count in row.tolist()
        )
        lines.append(f'<tr><th scope="row">{html.escape(name)}</th>{cells}</tr>')
    heads = "".join(f'<th scope="col">predicted {html.escape(name)}</th>' for name in names)
    return (
        '<div class="wide"><table><caption>Pixels of each labelled class (row) by the class that '
        "was predicted (column), as a share of the row and as a number</caption>"
        f'<thead><tr><th scope="col">labelled</th>{heads}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def gallery(title: str, overlays: Sequence[SceneOverlay], *, by_class: bool) -> str:
    """Return pictures of scenes with their scores; empty if there are none."""
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

    return f"recall {share(scores.recall)}, precision {share(scores.precision)}"


def legend() -> str:
    """Return the legend of the pictures."""
    keys = "".join(
        f'<span class="key" style="background:rgb{COLOURS[name]}"></span>{text}'
        for name, text in _KEYS.items()
    )
    return f"<p>{keys}</p>"
