"""Line layers: anybody's lines, from any vector file, as arrays.

::

    parts        geometries taken apart into single ones
    longitude    lines that cross the antimeridian
    layer        LineLayer
    reading      files and tables to LineLayer
    projection   metric_crs: a CRS in which layers can be measured
"""

from __future__ import annotations

from roadgis.lines.layer import LineLayer
from roadgis.lines.metric_crs import metric_crs
from roadgis.lines.reading import line_layer, read_lines

__all__ = ["LineLayer", "line_layer", "metric_crs", "read_lines"]
