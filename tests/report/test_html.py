"""HTML from templates: escaping, tables, and pages."""

from __future__ import annotations

import pytest
from jinja2 import UndefinedError

from roadgis.report.html import facts, figure, number, page, render, table


def test_facts_escape_text_and_leave_out_empty_values() -> None:
    assert facts({"a<": "b&", "none": ""}) == "<dl><dt>a&lt;</dt><dd>b&amp;</dd></dl>"


def test_figure_keeps_its_svg_and_escapes_its_caption() -> None:
    expected = "<figure><svg/><figcaption>1 &lt; 2</figcaption></figure>"
    assert figure("<svg/>", "1 < 2") == expected


def test_table_marks_its_total_and_names_its_rows() -> None:
    lines = table("C & D", ["x", "y"], [["all", "3"], ["<one>", "2"]], total=True).splitlines()
    assert lines == [
        '<div class="wide"><table><caption>C &amp; D</caption>',
        '<thead><tr><th scope="col">x</th><th scope="col">y</th></tr></thead>',
        "<tbody>",
        '<tr class="all"><th scope="row">all</th><td>3</td></tr>',
        '<tr><th scope="row">&lt;one&gt;</th><td>2</td></tr>',
        "</tbody></table></div>",
    ]


def test_page_holds_its_parts_as_they_are_below_an_escaped_title() -> None:
    text = page("a <b>", ["<h1>x</h1>", facts({"k": "v"})], style=".x > y { }")
    assert text.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert "<title>a &lt;b&gt;</title>" in text
    assert ".x > y { }</style>" in text
    assert "<main>\n<h1>x</h1>\n<dl><dt>k</dt><dd>v</dd></dl>\n</main>" in text


def test_render_refuses_a_missing_variable() -> None:
    with pytest.raises(UndefinedError, match="'title' is undefined"):
        render("page.html.j2", parts=[], style="")


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
def test_number(value: object, text: str) -> None:
    assert number(value) == text
