"""The documentation agrees with the program."""

from __future__ import annotations

import dataclasses
import re
import runpy
from collections.abc import Iterable
from pathlib import Path

import click
import pytest
from pyproj import CRS

from roadgis.network.network import RoadNetwork
from roadgis.options.cleaning import RuleOptions
from roadgis.output import SUFFIXES

ROOT = Path(__file__).resolve().parents[1]


PAGE = runpy.run_path(str(ROOT / "docs" / "make_cli.py"))


def test_cli_page_is_up_to_date() -> None:
    written = PAGE["page"]()
    found = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert found == written, "docs/cli.md is not up to date: run python docs/make_cli.py"


def test_options_all_have_help() -> None:
    for name, command in PAGE["commands"]().items():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{name} {parameter.opts} has no help"


@pytest.mark.parametrize("path", sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/**/*.md")))
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("path", sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/**/*.md")))
def test_links_to_headings_lead_to_one(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\(([^)#]*)#([^)]*)\)", text):
        if "://" not in target:
            page = path.parent / target if target else path
            assert anchor in anchors(page), f"{path.name} links to {target}#{anchor}"


def test_index_lists_every_decision() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    records = [path.name for path in sorted((ROOT / "docs" / "decisions").glob("*.md"))]
    assert [name for name in records if f"(decisions/{name})" not in index] == []


def assert_page_names(page: str, names: Iterable[str]) -> None:
    """Assert that a page of the documentation has each name in backticks."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert [name for name in names if f"`{name}`" not in text] == []


def test_outputs_page_names_every_attribute_and_format() -> None:
    columns = RoadNetwork.empty(CRS.from_epsg(2056)).to_geodataframe().columns
    assert_page_names("outputs.md", columns.drop("geometry"))
    assert_page_names("outputs.md", SUFFIXES)


def test_map_page_names_every_download() -> None:
    pytest.importorskip("fastapi")
    from roadgis.web.api.downloads import DOWNLOADS

    assert_page_names("map-page.md", DOWNLOADS)
    text = (ROOT / "docs" / "map-page.md").read_text(encoding="utf-8")
    table = text.split("| download | content |")[1].split("\n\n")[0]
    assert [made.title for made in DOWNLOADS.values() if made.title not in table] == []


def test_clean_page_names_every_rule() -> None:
    assert_page_names("clean.md", [field.name for field in dataclasses.fields(RuleOptions)])


def test_training_page_names_every_loss() -> None:
    pytest.importorskip("tensorflow")
    from roadgis.train.losses import LOSSES

    assert_page_names("training.md", LOSSES)


def where_to_change_what() -> dict[str, list[str]]:
    """Return the paths that CONTRIBUTING.md names for each change."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.split("## Where to change what")[1].split("\n## ")[0]
    rows = [line.split("|") for line in section.splitlines() if line.startswith("| new ")]
    return {row[1].strip(): re.findall(r"\]\(([^)]+)\)", row[2]) for row in rows}


def test_where_to_change_what_names_ten_changes_and_at_most_four_files_each() -> None:
    changes = where_to_change_what()
    assert len(changes) == 10
    for change, paths in changes.items():
        assert 1 <= len(paths) <= 4, change
        assert all((ROOT / path).exists() for path in paths), change
