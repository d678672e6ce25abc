"""Default styles, stored in a GeoPackage in the way that QGIS looks for them."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import quoteattr

from roadgis.vector_files.geopackage import add_default_styles

__all__ = ["COLOURS", "add_styles"]

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
    """Return a layer's style as QGIS 3.22 and later read it."""
    body = _arrows(COLOURS[name]) if name == "offset" else _lines(name)
    return (
        "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
        '<qgis version="3.22.0" styleCategories="Symbology">\n'
        f"{body}"
        "<blendMode>0</blendMode><featureBlendMode>0</featureBlendMode>"
        f"<layerGeometryType>{0 if name == 'offset' else 1}</layerGeometryType>\n</qgis>\n"
    )


def _lines(name: str) -> str:
    """Return rules by which what was reviewed steps back."""
    width = _WIDTH_MM[name]
    return (
        '<renderer-v2 type="RuleRenderer" symbollevels="0" enableorderby="0" forceraster="0">\n'
        '<rules key="{6b1f5c1e-0000-4000-8000-000000000000}">\n'
        + _rule(0, name, 'NOT coalesce("reviewed", false)')
        + _rule(1, f"{name}, reviewed", "ELSE")
        + "</rules>\n<symbols>\n"
        + _line_symbol(0, COLOURS[name], width)
        + _line_symbol(1, _REVIEWED, 0.3)
        + "</symbols>\n</renderer-v2>\n"
    )


def _rule(number: int, label: str, condition: str) -> str:
    key = f"{{6b1f5c1e-0000-4000-8000-00000000000{number + 1}}}"
    return (
        f'<rule key="{key}" symbol="{number}" label={quoteattr(label)} '
        f"filter={quoteattr(condition)}/>\n"
    )


def _line_symbol(number: int, colour: tuple[int, int, int], width_mm: float) -> str:
    return (
        f'<symbol type="line" name="{number}" alpha="1" clip_to_extent="1" force_rhr="0">'
        '<layer class="SimpleLine" enabled="1" locked="0" pass="0">'
        + _options(
            line_color=_rgba(colour),
            line_width=f"{width_mm:g}",
            line_width_unit="MM",
            line_style="solid",
            capstyle="round",
            joinstyle="round",
        )
        + "</layer></symbol>\n"
    )


def _arrows(colour: tuple[int, int, int]) -> str:
    """Return an arrow in the direction of the offset, its size and label by the distance."""
    turned = (
        '<data_defined_properties><Option type="Map">'
        '<Option type="QString" name="name" value=""/>'
        '<Option type="Map" name="properties">'
        + _by_expression("angle", 'coalesce("direction_deg", 0)')
        + _by_expression("size", '3 + min("distance_m", 20) / 2')
        + '</Option><Option type="QString" name="type" value="collection"/>'
        "</Option></data_defined_properties>"
    )
    return (
        '<renderer-v2 type="singleSymbol" symbollevels="0" enableorderby="0" forceraster="0">\n'
        '<symbols><symbol type="marker" name="0" alpha="1" clip_to_extent="1" force_rhr="0">'
        '<layer class="SimpleMarker" enabled="1" locked="0" pass="0">'
        + _options(
            name="arrow",
            color=_rgba(colour),
            outline_color="255,255,255,255",
            outline_width="0.2",
            size="4",
            size_unit="MM",
        )
        + f"{turned}</layer></symbol></symbols>\n</renderer-v2>\n"
    )


def _by_expression(name: str, expression: str) -> str:
    return (
        f'<Option type="Map" name="{name}"><Option type="bool" name="active" value="true"/>'
        f'<Option type="QString" name="expression" value={quoteattr(expression)}/>'
        '<Option type="int" name="type" value="3"/></Option>'
    )


def _options(**values: str) -> str:
    inner = "".join(
        f'<Option type="QString" name="{name}" value="{value}"/>' for name, value in values.items()
    )
    return f'<Option type="Map">{inner}</Option>'


def _rgba(colour: tuple[int, int, int]) -> str:
    return ",".join(map(str, (*colour, 255)))
