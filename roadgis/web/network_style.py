"""QGIS style of downloaded networks: by confidence, bridged gaps dashed, edits apart."""

from __future__ import annotations

from pathlib import Path

from roadgis.vector_files.geopackage import add_default_styles
from roadgis.vector_files.qml import Colour, LineRule, line_rules, options, qml, rgba

#: Lower bound, colour and text of each class, as on the map page: red to blue, distinct with any
#: colour vision.
CONFIDENCE_CLASSES: tuple[tuple[float, Colour, str], ...] = (
    (0.0, (215, 25, 28), "below 50 %"),
    (0.5, (253, 141, 60), "50 to 70 %"),
    (0.7, (254, 217, 118), "70 to 85 %"),
    (0.85, (110, 205, 215), "85 to 95 %"),
    (0.95, (43, 131, 255), "above 95 %"),
)
#: Roads drawn by hand, and roads without a confidence.
DRAWN: Colour = (6, 182, 212)
UNKNOWN: Colour = (154, 165, 173)
_WIDTH_MM = 0.8


def add_network_style(path: Path, *, edited: bool) -> None:
    """Store default styles for the layers of a network's GeoPackage.

    Parameters
    ----------
    path : Path
        The file.
    edited : bool
        Whether the edges have the field ``edit`` of corrections.
    """
    styles = {"edges": _edges(edited), "nodes": _nodes()}
    add_default_styles(path, styles, "roadgis serve")


def _edges(edited: bool) -> str:
    drawn = "coalesce(\"edit\", '') IN ('drawn', 'redrawn')"
    rules = []
    for number, (low, colour, text) in enumerate(CONFIDENCE_CLASSES):
        condition = f'"confidence" >= {low:g}'
        if number + 1 < len(CONFIDENCE_CLASSES):
            condition += f' AND "confidence" < {CONFIDENCE_CLASSES[number + 1][0]:g}'
        if edited:
            condition += f" AND NOT {drawn}"
        rules.append(LineRule(f"Confidence {text}", condition, colour, _WIDTH_MM, '"bridged"'))
    if edited:
        rules.append(LineRule("Drawn by hand", drawn, DRAWN, _WIDTH_MM))
    rules.append(LineRule("Confidence not known", "ELSE", UNKNOWN, _WIDTH_MM, '"bridged"'))
    return qml(line_rules(rules))


def _nodes() -> str:
    """Return small circles that do not hide the roads."""
    return qml(
        '<renderer-v2 type="singleSymbol" symbollevels="0" enableorderby="0" forceraster="0">\n'
        '<symbols><symbol type="marker" name="0" alpha="1" clip_to_extent="1" force_rhr="0">'
        '<layer class="SimpleMarker" enabled="1" locked="0" pass="0">'
        + options(
            name="circle",
            color="255,255,255,255",
            outline_color=rgba((85, 99, 111)),
            outline_width="0.2",
            size="1.2",
            size_unit="MM",
        )
        + "</layer></symbol></symbols>\n</renderer-v2>\n",
        points=True,
    )
