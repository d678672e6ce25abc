"""Labels for training: from vector layers and polygon JSON to masks.

::

    widths        how wide its lines are
    surfaces      what the roads cover, in another CRS
    vector        a layer of roads, and burning it into any pixel grid
    masks         masks on the grids of scenes, as GeoTIFF
    classes       which labels make up which class
    polygon_json  the annotations of one photograph (IDD, Cityscapes), drawn as indices
    png           index masks with a palette
    annotations   a folder of annotations to a folder of masks
"""

from __future__ import annotations
