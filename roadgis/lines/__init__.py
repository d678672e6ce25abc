"""Line layers from any vector file, as arrays.

::

    parts              geometries split into single ones
    layer              LineLayer
    reading            files and tables to LineLayer
    metric_crs         a CRS in which layers can be measured
    linear_reference   lines on one axis of metres: places, intervals, stations
"""

from __future__ import annotations

from roadgis.lines.layer import LineLayer
from roadgis.lines.metric_crs import metric_crs
from roadgis.lines.reading import line_layer, read_lines

__all__ = ["LineLayer", "line_layer", "metric_crs", "read_lines"]
