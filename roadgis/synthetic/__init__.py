"""Scenes with known roads, for tests, examples, benchmarks and training."""

from __future__ import annotations

from roadgis.synthetic.town import Town, make_town
from roadgis.synthetic.training_set import write_training_set
from roadgis.synthetic.varied import VariedScene
from roadgis.synthetic.write import write_large_town, write_town

__all__ = [
    "Town",
    "VariedScene",
    "make_town",
    "write_large_town",
    "write_town",
    "write_training_set",
]
