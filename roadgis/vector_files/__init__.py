"""Vector files: reading one layer, GeoParquet without GDAL's driver, writing into a GeoPackage."""
