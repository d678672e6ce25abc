"""Default styles, stored in a GeoPackage in the way that QGIS looks for them."""

from __future__ import annotations

from pathlib import Path

from roadgis.vector_files.geopackage import add_default_styles
from roadgis.vector_files.qml import (
    Colour,
    LineRule,
    by_expression,
    data_defined,
    line_rules,
    options,
    qml,
    rgba,
)

#: Red, green, blue of each class: distinct with any colour vision, on imagery and on paper.
COLOURS = {
    "missing": (213, 94, 0),
    "extra": (0, 114, 178),
    "moved": (230, 159, 0),
    "matched": (120, 120, 120),
    "offset": (204, 121, 167),
}
_WIDTH_MM = {"missing": 0.9, "extra": 0.9, "moved": 0.9, "matched": 0.4}
_REVIEWED = (190, 190, 190)


def add_styles(path: Path) -> None:
    """Store a default style for each layer of a review GeoPackage.

    Parameters
    ----------
    path : Path
        The file; its layers are those of :data:`COLOURS`.
    """
    add_default_styles(path, {name: _qml(name) for name in COLOURS}, "roadgis compare")


def _qml(name: str) -> str:
    """Return a layer's style; what was reviewed steps back."""
    if name == "offset":
        return qml(_arrows(COLOURS[name]), points=True)
    rules = (
        LineRule(name, 'NOT coalesce("reviewed", false)', COLOURS[name], _WIDTH_MM[name]),
        LineRule(f"{name}, reviewed", "ELSE", _REVIEWED, 0.3),
    )
    return qml(line_rules(rules))


def _arrows(colour: Colour) -> str:
    """Return an arrow in the direction of the offset, its size and label by the distance."""
    return (
        '<renderer-v2 type="singleSymbol" symbollevels="0" enableorderby="0" forceraster="0">\n'
        '<symbols><symbol type="marker" name="0" alpha="1" clip_to_extent="1" force_rhr="0">'
        '<layer class="SimpleMarker" enabled="1" locked="0" pass="0">'
        + options(
            name="arrow",
            color=rgba(colour),
            outline_color="255,255,255,255",
            outline_width="0.2",
            size="4",
            size_unit="MM",
        )
        + data_defined(
            by_expression("angle", 'coalesce("direction_deg", 0)')
            + by_expression("size", '3 + min("distance_m", 20) / 2')
        )
        + "</layer></symbol></symbols>\n</renderer-v2>\n"
    )
