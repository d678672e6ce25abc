"""Parts of QGIS styles (QML) for lines, as QGIS 3.22 and later read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import quoteattr

#: Red, green, blue.
Colour = tuple[int, int, int]
_POINT, _LINE = 0, 1


class LineRule(NamedTuple):
    """Drawing style of some lines.

    Attributes
    ----------
    condition : str
        QGIS expression; ``ELSE`` matches the lines that no other rule draws.
    width_mm : float
        Width of the line.
    dashed_where : str
        QGIS expression that says which lines are dashed; empty for none.
    """

    label: str
    condition: str
    colour: Colour
    width_mm: float
    dashed_where: str = ""


def qml(renderer: str, *, points: bool = False) -> str:
    """Return the style of a layer, from its ``renderer-v2`` element."""
    return (
        "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
        '<qgis version="3.22.0" styleCategories="Symbology">\n'
        f"{renderer}"
        "<blendMode>0</blendMode><featureBlendMode>0</featureBlendMode>"
        f"<layerGeometryType>{_POINT if points else _LINE}</layerGeometryType>\n</qgis>\n"
    )


def line_rules(rules: Sequence[LineRule]) -> str:
    """Return a renderer that draws lines by rules."""
    return (
        '<renderer-v2 type="RuleRenderer" symbollevels="0" enableorderby="0" forceraster="0">\n'
        '<rules key="{6b1f5c1e-0000-4000-8000-000000000000}">\n'
        + "".join(_rule(number, rule) for number, rule in enumerate(rules))
        + "</rules>\n<symbols>\n"
        + "".join(_line_symbol(number, rule) for number, rule in enumerate(rules))
        + "</symbols>\n</renderer-v2>\n"
    )


def _rule(number: int, rule: LineRule) -> str:
    key = f"{{6b1f5c1e-0000-4000-8000-{number + 1:012d}}}"
    return (
        f'<rule key="{key}" symbol="{number}" label={quoteattr(rule.label)} '
        f"filter={quoteattr(rule.condition)}/>\n"
    )


def _line_symbol(number: int, rule: LineRule) -> str:
    dashed = ""
    if rule.dashed_where:
        expression = f"if({rule.dashed_where}, 'dash', 'solid')"
        dashed = data_defined(by_expression("outlineStyle", expression))
    return (
        f'<symbol type="line" name="{number}" alpha="1" clip_to_extent="1" force_rhr="0">'
        '<layer class="SimpleLine" enabled="1" locked="0" pass="0">'
        + options(
            line_color=rgba(rule.colour),
            line_width=f"{rule.width_mm:g}",
            line_width_unit="MM",
            line_style="solid",
            capstyle="round",
            joinstyle="round",
        )
        + f"{dashed}</layer></symbol>\n"
    )


def data_defined(properties: str) -> str:
    """Return the element for properties of a symbol layer; see :func:`by_expression`."""
    return (
        '<data_defined_properties><Option type="Map">'
        '<Option type="QString" name="name" value=""/>'
        f'<Option type="Map" name="properties">{properties}</Option>'
        '<Option type="QString" name="type" value="collection"/>'
        "</Option></data_defined_properties>"
    )


def by_expression(name: str, expression: str) -> str:
    """Return a property that an expression gives."""
    return (
        f'<Option type="Map" name="{name}"><Option type="bool" name="active" value="true"/>'
        f'<Option type="QString" name="expression" value={quoteattr(expression)}/>'
        '<Option type="int" name="type" value="3"/></Option>'
    )


def options(**values: str) -> str:
    """Return the plain settings of a symbol layer."""
    inner = "".join(
        f'<Option type="QString" name="{name}" value="{value}"/>' for name, value in values.items()
    )
    return f'<Option type="Map">{inner}</Option>'


def rgba(colour: Colour) -> str:
    """Return an opaque colour as QGIS writes it."""
    return ",".join(map(str, (*colour, 255)))
