"""Scenes with known roads, for tests, examples and benchmarks."""

from __future__ import annotations

from roadgis.synthetic.options import TownOptions
from roadgis.synthetic.town import Town, make_town
from roadgis.synthetic.write import write_large_town, write_town

__all__ = ["Town", "TownOptions", "make_town", "write_large_town", "write_town"]
