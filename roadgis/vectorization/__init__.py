"""From probability rasters to raw centrelines, block by block.

From the ground up: `options` (settings, reach), `bitplanes` (64 pixels a word), `mask` (what is
road), `thinning` (skeleton, widths), `end_caps` and `dead_ends`, `trace` (pixels to lines), `run`
(blocks), `empty_result` (why there is no road).
"""

from __future__ import annotations

from roadgis.vectorization.run import joined_blocks, trace_block, trace_centerlines

__all__ = ["joined_blocks", "trace_block", "trace_centerlines"]
