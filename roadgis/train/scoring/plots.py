"""Figures of scores, as SVG for a page or as files."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from roadgis.atomic import atomic_path
from roadgis.errors import MissingExtraError, how_to_install
from roadgis.train.scoring.curves import Curve, LevelCounts, level_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from roadgis.train.scoring.calibration import Reliability

# Hues that are distinct with any colour vision (after Okabe and Ito) and visible on white and
# black; the dashes repeat the distinction.
_BLUE, _ORANGE, _GREEN, _PINK = "#2f84c6", "#d9701a", "#12a178", "#bf6ba0"
_STYLES: tuple[dict[str, Any], ...] = (
    {"color": _BLUE, "linestyle": "-"},
    {"color": _ORANGE, "linestyle": "--"},
    {"color": _GREEN, "linestyle": "-."},
    {"color": _PINK, "linestyle": ":"},
)
# Replaced by the page's text colour when the SVG is inlined.
_INK = "#010203"
_SIZE = (7.0, 3.6)


def require_matplotlib() -> None:
    """Raise :class:`roadgis.errors.MissingExtraError` unless matplotlib is installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f"Figures need matplotlib, which is not installed ({error}). {how_to_install('train')}"
        ) from error


def _axes(columns: int = 1) -> tuple[Figure, list[Any]]:
    require_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, layout="constrained")
    # Transparent on the page; files get a white background.
    figure.patch.set_alpha(0.0)
    axes = [figure.add_subplot(1, columns, number + 1) for number in range(columns)]
    for each in axes:
        each.patch.set_alpha(0.0)
        each.tick_params(color=_INK, labelcolor=_INK)
        each.grid(color=_INK, alpha=0.12, linewidth=0.6)
        for name, spine in each.spines.items():
            spine.set_color(_INK)
            spine.set_visible(name in ("left", "bottom"))
    return figure, axes


def _label(axes: Any, x: str, y: str, **legend: Any) -> None:
    axes.set_xlabel(x, color=_INK)
    axes.set_ylabel(y, color=_INK)
    if legend.pop("shown", True):
        axes.legend(frameon=False, labelcolor=_INK, **legend)


def threshold_figure(curve: Curve, threshold: float) -> Figure:
    """Plot IoU, precision, recall and F1 over the threshold."""
    figure, (axes,) = _axes()
    for style, name, text in zip(
        _STYLES,
        ("iou", "precision", "recall", "f1"),
        ("IoU", "precision", "recall", "F1"),
        strict=True,
    ):
        axes.plot(curve.threshold, getattr(curve, name), label=text, linewidth=1.8, **style)
    iou = curve.at(threshold).iou
    axes.axvline(threshold, color=_INK, linewidth=0.9, alpha=0.7)
    axes.plot([threshold], [iou], "o", color=_BLUE, markersize=6)
    axes.annotate(
        f"{threshold:.3f}: IoU {iou:.3f}",
        (threshold, iou),
        xytext=(8, -14) if threshold < 0.7 else (-8, -14),
        textcoords="offset points",
        ha="left" if threshold < 0.7 else "right",
        color=_INK,
    )
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    _label(axes, "threshold", "score", loc="lower center", ncols=4)
    return figure


def precision_recall_figure(curve: Curve, threshold: float, buffer_px: int) -> Figure:
    """Plot precision over recall, exact and relaxed, with the relaxed break-even."""
    figure, (axes,) = _axes()
    axes.plot([0, 1], [0, 1], color=_INK, linewidth=0.8, alpha=0.35)
    item = level_of(threshold) - 1
    for style, kind, text in (
        (_STYLES[0], "relaxed_", f"relaxed by {buffer_px} px"),
        (_STYLES[1], "", "exact"),
    ):
        recall, precision = (getattr(curve, kind + name) for name in ("recall", "precision"))
        axes.plot(recall, precision, label=text, linewidth=1.8, **style)
        axes.plot(recall[item], precision[item], "o", color=style["color"], markersize=6)
    meeting = curve.break_even()
    if meeting is not None:
        axes.plot(
            [meeting.value], [meeting.value], "D", markersize=8, markerfacecolor="none",
            markeredgecolor=_INK, label=f"break-even {meeting.value:.3f}", linestyle="none",
        )  # fmt: skip
    axes.plot([], [], "o", color=_INK, markersize=5, label=f"threshold {threshold:.3f}")
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02))
    _label(axes, "recall", "precision", loc="lower left")
    return figure


def histogram_figure(counts: LevelCounts, threshold: float) -> Figure:
    """Plot the number of road and other pixels by probability."""
    figure, (axes,) = _axes()
    # Narrower bars than 15 levels would show the levels that an 8-bit model cannot output.
    edges = np.linspace(0, 1, 18)
    for style, pixels, text in (
        (_STYLES[0], counts.road, "labelled road"),
        (_STYLES[1], counts.other, "labelled other"),
    ):
        heights = pixels.reshape(17, 15).sum(axis=1)
        axes.stairs(heights, edges, label=text, linewidth=1.6, **style)
    axes.axvline(threshold, color=_INK, linewidth=0.9, alpha=0.7)
    axes.set_yscale("symlog", linthresh=10)
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)
    _label(axes, "probability of road", "pixels", loc="upper center")
    return figure


def reliability_figure(places: Mapping[str, Reliability]) -> Figure:
    """Plot the correct share of predicted roads over their probability, one line per place."""
    figure, (axes,) = _axes()
    axes.plot([0, 1], [0, 1], color=_INK, linewidth=0.8, alpha=0.35)
    styles = [{**style, "marker": mark} for mark in ("o", "s") for style in _STYLES]
    for style, (name, table) in zip(styles, places.items(), strict=False):
        seen = table.count > 0
        label = f"{name} (error {table.error:.3f})"
        axes.plot(
            table.probability[seen], table.correct[seen], label=label, linewidth=1.6,
            markersize=4, **style,
        )  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    _label(axes, "probability along predicted roads", "correct share", loc="lower right")
    return figure


def history_figure(history: Mapping[str, Sequence[float]]) -> Figure | None:
    """Plot loss and IoU over a training run.

    Parameters
    ----------
    history : mapping
        Columns of a run's log by name, NaN if missing: step (or epoch), loss, iou, validation_iou.

    Returns
    -------
    Figure or None
        None if there is nothing to plot.
    """
    steps = history.get("step") or history.get("epoch")
    wanted = (("loss",), ("iou", "validation_iou"))
    panels = [
        [name for name in names if any(map(math.isfinite, history.get(name, ())))]
        for names in wanted
    ]
    panels = [names for names in panels if names]
    if not steps or not panels:
        return None
    figure, axes = _axes(len(panels))
    texts = {"loss": "loss", "iou": "IoU, training crops", "validation_iou": "IoU, validation"}
    for each, names in zip(axes, panels, strict=True):
        for style, name in zip(_STYLES, names, strict=False):
            points = [
                pair for pair in zip(steps, history[name], strict=True) if math.isfinite(pair[1])
            ]
            marker = "o" if len(points) < 20 else ""
            each.plot(
                *zip(*points, strict=True), label=texts[name], marker=marker, markersize=3,
                linewidth=1.6, **style,
            )  # fmt: skip
        x = "step" if history.get("step") else "epoch"
        _label(each, x, names[0].replace("iou", "IoU").replace("validation_", ""))
    return figure


def _svg(figure: Figure) -> str:
    import matplotlib

    buffer = io.StringIO()
    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": "roadgis", "font.family": "sans-serif"}
    with matplotlib.rc_context(settings):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def inline_svg(figure: Figure, name: str, text: str) -> str:
    """Return a figure as an SVG element for an HTML page.

    Parameters
    ----------
    name : str
        Prefix of all ids, letters only: several figures can share a page.
    text : str
        Description for screen readers, escaped.
    """
    svg = _svg(figure)
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = svg.replace(_INK, "currentColor")
    # The page sets the width, the view box keeps the proportions.
    head, rest = svg.split(">", 1)
    head = re.sub(r'\s(width|height)="[^"]*"', "", head)
    return f'{head} role="img" aria-label="{text}"><title>{text}</title>{rest.strip()}'


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure on a white background, in the format of the suffix.

    Parameters
    ----------
    path : Path
        ``.svg``, ``.png`` or ``.pdf``; replaced if it exists.
    """
    import matplotlib

    kind = path.suffix.lower().removeprefix(".")
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
    figure.patch.set_alpha(1.0)
    with atomic_path(path) as partial, matplotlib.rc_context({"svg.hashsalt": "roadgis"}):
        figure.savefig(
            partial, format=kind, dpi=150, facecolor="white", edgecolor="none", metadata=metadata
        )
