"""Road masks for training from vector layers.

In dependency order: `widths` (line widths), `surfaces` (road surfaces in another CRS), `vector` (a
road layer, burnt into any pixel grid), `masks` (GeoTIFF masks on the grids of scenes).
"""

from __future__ import annotations
