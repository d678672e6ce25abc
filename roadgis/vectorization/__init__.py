"""From probability rasters to raw centrelines, block by block.

From the ground up: `options` (settings, reach), `bits` (64 pixels a word), `mask` (what is
road), `skeleton` (thinning, widths), `trace` (pixels to lines), `run` (blocks, the verbs).
"""

from __future__ import annotations

from roadgis.vectorization.run import (
    cleaned_network,
    joined_blocks,
    trace_block,
    trace_centerlines,
    vectorize,
)

__all__ = [
    "cleaned_network",
    "joined_blocks",
    "trace_block",
    "trace_centerlines",
    "vectorize",
]
