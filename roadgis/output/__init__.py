"""Road networks as files: GeoJSON, GeoPackage, FlatGeobuf, GeoParquet, Shapefile."""

from __future__ import annotations

from roadgis.output.formats import SUFFIXES, OutputFormat, check_output, check_raster
from roadgis.output.provenance import read_provenance
from roadgis.output.write import write_network

__all__ = [
    "SUFFIXES",
    "OutputFormat",
    "check_output",
    "check_raster",
    "read_provenance",
    "write_network",
]
