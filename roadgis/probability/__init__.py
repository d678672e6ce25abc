"""The probability raster: predicted from a scene, kept in a mosaic, or read from any file.

From the ground up: `source` (what vectorizing reads), `tiling` (blocks and tiles), `chunks` and
`mosaic` (the store), `tags` (metadata of files), `encoding` (what stored values mean), `raster`
(probability rasters and masks of other programs), `resumption`, `prediction` (scene and model to
mosaic).
"""
