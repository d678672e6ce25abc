"""Imagery from any source as one metric pixel grid.

From the ground up: `grid`, `options`, `inputs` (names to rasters), `gdal_warnings`,
`dataset_pool` (open files), `damage` (files cut short), `raster` (one file), `pixel_reading`,
`georeferencing`, `pixel_lattice` (sheets as one raster), `block_resampling`, `resampling`,
`area` (area of interest), `values` (what pixel values mean), `plan` (what is decided once per
run), `size`, `record`, `scene` (`open_scene`, `Scene`), `describe`.
"""
