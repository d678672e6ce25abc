"""NOTICE keeps up with the weights that are bundled."""

from __future__ import annotations

from pathlib import Path

from roadgis.model.catalog import read_card

ROOT = Path(__file__).resolve().parents[1]


def test_notice_names_the_bundled_model() -> None:
    card = read_card()
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    assert f"\nBundled now: {card.name}, version {card.version}.\n" in notice, (
        "NOTICE names other weights than the package holds: correct its line 'Bundled now'"
    )
