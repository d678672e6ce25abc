"""Default styles, stored in a GeoPackage in the way that QGIS looks for them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from xml.sax.saxutils import quoteattr

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

_TABLE = """
CREATE TABLE IF NOT EXISTS layer_styles (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    f_table_catalog TEXT(256),
    f_table_schema TEXT(256),
    f_table_name TEXT(256),
    f_geometry_column TEXT(256),
    styleName TEXT(30),
    styleQML TEXT,
    styleSLD TEXT,
    useAsDefault BOOLEAN,
    description TEXT,
    owner TEXT(30),
    ui TEXT(30),
    update_time DATETIME DEFAULT CURRENT_TIMESTAMP
)
"""


def add_styles(path: Path) -> None:
    """Store a default style for each layer of a review GeoPackage.

    Parameters
    ----------
    path : Path
        The file; its layers are those of :data:`COLOURS`.
    """
    with closing(sqlite3.connect(path)) as file, file:
        file.execute(_TABLE)
        file.execute(
            "INSERT OR IGNORE INTO gpkg_contents (table_name, data_type, identifier, description) "
            "VALUES ('layer_styles', 'attributes', 'layer_styles', 'Styles for QGIS')"
        )
        geometry = dict(file.execute("SELECT table_name, column_name FROM gpkg_geometry_columns"))
        for name in COLOURS:
            if name in geometry:
                description = f"roadgis compare: {name}"
                file.execute(
                    "DELETE FROM layer_styles WHERE f_table_name = ? AND description = ?",
                    (name, description),
                )
                # A default style that the user saved in an earlier review is kept.
                file.execute(
                    "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, "
                    "f_geometry_column, styleName, styleQML, useAsDefault, description, owner) "
                    "SELECT '', '', ?1, ?2, ?1, ?3, NOT EXISTS (SELECT 1 FROM layer_styles "
                    "WHERE f_table_name = ?1 AND useAsDefault), ?4, ''",
                    (name, geometry[name], _qml(name), description),
                )


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
