"""HTML from templates: escaping and tables."""

from __future__ import annotations

from typing import Any

import pytest
from jinja2 import Environment, PackageLoader, UndefinedError
from markupsafe import Markup

from roadgis.report.html import Table, number, render


def part(macro: str, *values: Any) -> str:
    environment = Environment(
        loader=PackageLoader("roadgis.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return str(getattr(environment.get_template("parts.html.j2").module, macro)(*values))


def test_facts_escape_text_and_leave_out_empty_values() -> None:
    assert part("facts", {"a<": "b&", "none": ""}) == "<dl><dt>a&lt;</dt><dd>b&amp;</dd></dl>"


def test_figure_keeps_its_svg_and_escapes_its_caption() -> None:
    expected = "<figure><svg/><figcaption>1 &lt; 2</figcaption></figure>"
    assert part("figure", Markup("<svg/>"), "1 < 2") == expected


def test_table_marks_its_total_and_names_its_rows() -> None:
    content = Table("C & D", ["x", "y"], [["all", "3"], ["<one>", "2"]], total=True)
    assert part("table", content).splitlines() == [
        '<div class="wide"><table><caption>C &amp; D</caption>',
        '<thead><tr><th scope="col">x</th><th scope="col">y</th></tr></thead>',
        "<tbody>",
        '<tr class="all"><th scope="row">all</th><td>3</td></tr>',
        '<tr><th scope="row">&lt;one&gt;</th><td>2</td></tr>',
        "</tbody></table></div>",
    ]


def test_render_rejects_a_missing_variable() -> None:
    with pytest.raises(UndefinedError, match="'title' is undefined"):
        render("pixels.html.j2")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),  # noqa: RUF001
        (float("nan"), "–"),  # noqa: RUF001
        (True, "yes"),
        (1234, "1,234"),
        (0.5, "0.500"),
        (1234.5678, "1,234.568"),
        ("x", "x"),
    ],
)
def test_number_formats_by_size(value: object, text: str) -> None:
    assert number(value) == text
