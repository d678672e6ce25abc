"""The QA report of a scene."""

from __future__ import annotations

import dataclasses
import html
import re
from typing import Any

import numpy as np
import pytest

from roadgis.web.corrections import corrected
from roadgis.web.scene_report import scene_report
from tests.web.test_corrections import edit, lonlat
from tests.web.test_networks import network

JOB: dict[str, Any] = {"name": "<town>", "warnings": ["dark & small"], "facts": {"inputs": []}}
DOUBTFUL = [
    {"edge": number, "reason": reason, "confidence": 0.4, "bounds": [15.0, 45.0, 15.2, 45.1]}
    for number, reason in ((1, "bridge"), (0, "confidence"))
]


def rows(page: str, caption: str) -> list[list[str]]:
    """Return the rows of a table."""
    table = page[page.index(f"<caption>{caption}") :].partition("</table>")[0]
    cells = (re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in table.split("<tr")[1:])
    return [[html.unescape(cell) for cell in row] for row in cells]


@pytest.fixture
def page() -> str:
    roads = network([(0, 0), (1000, 0)], [(0, 50), (500, 50)])
    roads = dataclasses.replace(roads, confidence=np.array([0.4, 0.9]))
    edits = [
        edit("reject", 1, lonlat((0, 50), (500, 50))),
        edit("draw", None, lonlat((0, 90), (250, 90))),
    ]
    made = corrected(roads, 0, edits, {0: roads})
    return scene_report(made, 0, edits, DOUBTFUL, JOB)


def test_scene_report_sums_up_corrected_roads(page: str) -> None:
    assert "1.25 km of road in 2 edges. 1 doubtful roads are not checked" in page
    assert rows(page, "Roads by confidence")[1:] == [
        ["below 50 %", "1", "1.00", "80.0%"],
        ["50 to 70 %", "0", "0.00", "0.0%"],
        ["70 to 85 %", "0", "0.00", "0.0%"],
        ["85 to 95 %", "0", "0.00", "0.0%"],
        ["above 95 %", "1", "0.25", "20.0%"],
    ]


def test_scene_report_lists_remaining_edges_and_correctors(page: str) -> None:
    assert rows(page, "The most doubtful first")[1:] == [
        ["0", "low confidence", "0.40", "45.050000, 15.100000"]
    ]
    assert rows(page, "Corrections by user")[1:] == [["Ann", "0", "1", "0", "1"]]


def test_scene_report_map_has_a_path_for_each_kind(page: str) -> None:
    assert re.findall(r'stroke="(#\w+)"', page) == ["#d7191c", "#06b6d4", "#787878"]


def test_scene_report_escapes_names(page: str) -> None:
    assert "Roads of &lt;town&gt;" in page
    assert "dark &amp; small" in page
    assert "<town>" not in page


def test_scene_report_without_roads() -> None:
    roads = network([(0, 0), (1000, 0)])
    edits = [edit("reject", 0, lonlat((0, 0), (1000, 0)))]
    made = corrected(roads, 0, edits, {0: roads}).select(np.zeros(0, bool))
    text = scene_report(made, 0, [], [], JOB)
    assert "There are no roads." in text
    assert "No doubtful road is left." in text
