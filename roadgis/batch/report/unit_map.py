"""Maps of units as SVG, coloured by status or by a measure."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

Floats = npt.NDArray[np.float64]
#: From low to high; distinct in print and for colour-blind readers.
_SCALE = ("#fff7bc", "#c7e9b4", "#7fcdbb", "#41b6c4", "#1d91c0", "#0c2c84")
_NONE = "#c8c8c8"


class UnitMap(NamedTuple):
    """A map in a report: `svg` is markup, the rest plain text.

    Attributes
    ----------
    legend : list of (str, str)
        Colour and label.
    """

    caption: str
    svg: Markup
    legend: list[tuple[str, str]]


def state_map(
    bounds: Floats,
    states: Sequence[str],
    colours: dict[str, tuple[int, int, int]],
    titles: Sequence[str],
    *,
    width_px: int = 900,
) -> UnitMap:
    """Draw units coloured by status, with a legend.

    Parameters
    ----------
    bounds : ndarray, shape (U, 4)
        West, south, east, north.
    states, titles : sequence of str
        Status and tooltip of each unit.
    colours : dict
        Red, green and blue by status.
    width_px : int
        Width of the image.
    """
    hexes = {state: "#" + bytes(colour).hex() for state, colour in colours.items()}
    fills = [hexes[state] for state in states]
    present = [state for state in colours if state in set(states)]
    caption = "Units by status"
    legend = [(hexes[state], state) for state in present]
    return UnitMap(caption, _svg(bounds, fills, titles, caption, width_px), legend)


def value_map(
    bounds: Floats,
    values: Floats,
    titles: Sequence[str],
    label: str,
    *,
    digits: int,
    width_px: int = 440,
) -> UnitMap:
    """Draw units coloured by a measure in six quantile classes, with a legend.

    Parameters
    ----------
    bounds : ndarray, shape (U, 4)
        West, south, east, north.
    values : ndarray, shape (U,)
        Value of each unit; NaN if unknown.
    titles : sequence of str
        Tooltip of each unit.
    label : str
        Caption.
    digits : int
        Number of decimals in the legend.
    width_px : int
        Width of the image.
    """
    known = values[np.isfinite(values)]
    if not len(known):
        blank = [_NONE] * len(values)
        svg = _svg(bounds, blank, titles, label, width_px)
        return UnitMap(label, svg, [(_NONE, "not known")])
    cuts = np.unique(np.round(np.quantile(known, np.linspace(0, 1, 7)), digits))
    classes = np.clip(np.searchsorted(cuts, values, side="right") - 1, 0, max(len(cuts) - 2, 0))
    step = max(len(cuts) - 1, 1)
    shades = [_SCALE[round(i * (len(_SCALE) - 1) / max(step - 1, 1))] for i in range(step)]
    fills = [
        shades[number] if np.isfinite(value) else _NONE
        for number, value in zip(classes.tolist(), values.tolist(), strict=True)
    ]
    ends = [f"{cut:.{digits}f}" for cut in cuts]
    keys = (
        [(shades[0], ends[0])]
        if len(cuts) == 1
        else [
            (shade, f"{low} to {high}")
            for shade, low, high in zip(shades, ends, ends[1:], strict=False)
        ]
    )
    if len(known) < len(values):
        keys.append((_NONE, "not known"))
    return UnitMap(label, _svg(bounds, fills, titles, label, width_px), keys)


def _svg(
    bounds: Floats, fills: Sequence[str], titles: Sequence[str], label: str, width_px: int
) -> Markup:
    west, south = bounds[:, 0].min(), bounds[:, 1].min()
    east, north = bounds[:, 2].max(), bounds[:, 3].max()
    margin = 0.02 * max(east - west, north - south)
    per_px = (east - west + 2 * margin) / width_px
    height_px = (north - south + 2 * margin) / per_px
    x = (bounds[:, 0] - west + margin) / per_px
    y = (north + margin - bounds[:, 3]) / per_px
    width = (bounds[:, 2] - bounds[:, 0]) / per_px
    height = (bounds[:, 3] - bounds[:, 1]) / per_px
    rects = "".join(
        f'<rect x="{a:.1f}" y="{b:.1f}" width="{w:.1f}" height="{h:.1f}" fill="{fill}">'
        f"<title>{html.escape(title)}</title></rect>"
        for a, b, w, h, fill, title in zip(
            x.tolist(), y.tolist(), width.tolist(), height.tolist(), fills, titles, strict=True
        )
    )
    return Markup(
        f'<svg class="units" viewBox="0 0 {width_px} {height_px:.0f}" role="img" '
        f'aria-label="{html.escape(label)}">{rects}</svg>'
    )
