"""Differences of two road networks: missing, extra and moved roads, and their offset.

::

    options      settings
    stations     lines measured along their length
    field        a displacement that varies over an area
    offset       the displacement between the networks, estimated
    area         where networks are compared
    matching     which part of a line is which part of the other network's
    pieces       lines cut into stretches of one class
    review       the tables that a reviewer gets
    style        their default styles in QGIS
    write        files
    run          compare: the whole
"""

from __future__ import annotations

from roadgis.comparison.offset_grid import OffsetField
from roadgis.comparison.run import Comparison, compare

__all__ = ["Comparison", "OffsetField", "compare"]
