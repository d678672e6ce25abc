"""The page about pixel scores, of a test and of a training run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup

from roadgis.report.html import Table, number, render
from roadgis.train.scoring.overlays import COLOURS, SceneOverlay, jpeg_uri
from roadgis.train.scoring.plots import history_figure, inline_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LEGEND = {
    "hit": "hit: labelled and predicted",
    "missed": "missed: labelled, not predicted",
    "false": "false: predicted, not labelled",
}


class Chart(NamedTuple):
    """A figure under a heading; `text` describes it."""

    title: str
    svg: Markup
    text: str


class Picture(NamedTuple):
    """A picture of a scene; `text` describes it."""

    uri: str
    text: str
    caption: str


class Gallery(NamedTuple):
    """Pictures under a heading."""

    title: str
    pictures: Sequence[Picture]


def chart(title: str, figure: Figure, name: str, text: str) -> Chart:
    """Return a figure as a chart; `name` is unique on the page, letters only."""
    return Chart(title, Markup(inline_svg(figure, name, text)), text)


def history_charts(history: Mapping[str, Sequence[float]] | None) -> list[Chart]:
    """Return the chart of a training run; empty without history."""
    figure = None if history is None else history_figure(history)
    if figure is None:
        return []
    return [chart("Training", figure, "history", "Loss and IoU over the training run.")]


def gallery(title: str, overlays: Iterable[SceneOverlay], *, by_class: bool) -> Gallery:
    """Return pictures of scenes with their scores."""
    return Gallery(title, [_picture(overlay, by_class) for overlay in overlays])


def _picture(overlay: SceneOverlay, by_class: bool) -> Picture:
    scene, scores = overlay.scores, overlay.scores.scores
    iou = f"IoU {number(scores.iou)}"
    if by_class:
        iou = f"mean IoU {number(scene.mean_iou)}, road {number(scores.iou)}"
    text = (
        f"Scene {scene.name}, {iou}: recall {_share(scores.recall)}, precision "
        f"{_share(scores.precision)}. Hits are green, missed pixels blue, false ones red."
    )
    return Picture(jpeg_uri(overlay.picture), text, f"{scene.name}: {iou}")


def _share(value: float) -> str:
    return "none" if math.isnan(value) else f"{value:.0%}"


def pixel_page(
    title: str,
    summary: str,
    facts: Mapping[str, str],
    *,
    scores: Table | None = None,
    break_even: str = "",
    classes: Table | None = None,
    confusion: tuple[Sequence[str], Sequence[Sequence[int]]] = ((), ()),
    charts: Sequence[Chart] = (),
    galleries: Sequence[Gallery] = (),
) -> str:
    """Return the whole page as HTML; sections without content are left out.

    Parameters
    ----------
    confusion : tuple of (names, rows)
        Pixels by true class (rows) and predicted class (columns), shown with `classes`.
    """
    legend = [
        {"colour": "rgb({}, {}, {})".format(*COLOURS[name]), "text": text}
        for name, text in _LEGEND.items()
    ]
    return render(
        "pixels.html.j2",
        title=title,
        summary=summary,
        facts=facts,
        scores=scores,
        break_even=break_even,
        classes=classes,
        confusion=confusion,
        charts=charts,
        galleries=[one for one in galleries if one.pictures],
        legend=legend,
    )
