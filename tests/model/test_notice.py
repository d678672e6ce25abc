"""NOTICE lists all bundled weights."""

from __future__ import annotations

from pathlib import Path

from roadgis.model.catalog import bundled_models, read_card

ROOT = Path(__file__).resolve().parents[2]


def test_notice_names_the_bundled_models() -> None:
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    for name in bundled_models():
        card = read_card(name)
        assert f"\n  {name}: {card.name}, version {card.version}\n" in notice, (
            "NOTICE names other weights than the package holds: correct its list 'Bundled now'"
        )
