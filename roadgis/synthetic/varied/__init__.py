"""Varied scenes of made-up places all over the world, for training."""

from __future__ import annotations

from roadgis.synthetic.varied.scene import IGNORE, VariedScene

__all__ = ["IGNORE", "VariedScene"]
