"""Scenes: imagery from any source, as one metric pixel grid.

From the ground up: `grid`, `tiling`, `options`, `inputs` (names to rasters), `plane` (affine
maps), `quiet` (rasterio in threads), `handles` (open files), `raster` (one file), `georef`
(CRSs), `lattice` (sheets as one raster), `resample`, `stretch`, `layers` (on the analysis grid),
`geoparquet`, `vector_file` (one layer of a vector file), `area`, `blank`, `plan` (what is decided
once), `describe`, `source` (`open_scene`, `Scene`), `sheets` (which input shows a line).
"""
