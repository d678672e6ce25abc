"""Layers of QGIS as files that another program can read, with the CRS that they have in QGIS."""

import os

from osgeo import gdal
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransformContext,
    QgsFeature,
    QgsGeometry,
    QgsProcessingException,
    QgsProviderRegistry,
    QgsRasterLayer,
    QgsVectorFileWriter,
    QgsVectorLayer,
)

from .text import tr

__all__ = ["area_file", "extent_file", "raster_file", "rejection", "vector_file"]

#: Formats that the engine reads; other formats and sources are written to a GeoPackage first.
_READABLE = [
    "gpkg", "geojson", "json", "shp", "fgb", "gml", "kml", "sqlite", "tab", "gdb", "parquet",
]  # fmt: skip


def rejection(layer):
    """Return why the engine cannot read a raster layer, or an empty text."""
    if layer is None:
        return tr("The raster layer cannot be opened.")
    provider = layer.providerType()
    if provider != "gdal":
        what = {
            "wms": tr("a web map (WMS, WMTS or XYZ tiles)"),
            "wcs": tr("a coverage service (WCS)"),
            "postgresraster": tr("a raster in PostgreSQL"),
            "arcgismapserver": tr("an ArcGIS map service"),
            "virtualraster": tr("a raster that QGIS calculates"),
        }.get(provider, tr("of the kind '{}'").format(provider))
        return tr(
            "{name} is {what}. Roads are extracted from raster files, because pictures of a web "
            "map have no fixed pixel size and are limited in number. Save the part you need as a "
            "GeoTIFF first: right click the layer > Export > Save As, at about the resolution of "
            "the model (1 m)."
        ).format(name=layer.name(), what=what)
    if not layer.isValid():
        return tr("The raster layer {} cannot be opened.").format(layer.name())
    return ""


def raster_file(layer, folder, feedback):
    """Return a file of a raster layer, and the CRS to assume or an empty text.

    Parameters
    ----------
    layer : QgsRasterLayer
        Of the gdal provider.
    folder : str
        For a virtual raster, where one is needed.
    feedback : QgsProcessingFeedback
        Receives the log.
    """
    source = layer.source()
    path = QgsProviderRegistry.instance().decodeUri("gdal", source).get("path", "")
    plain = path == source
    if os.path.exists(path):
        path = os.path.abspath(path)
    own = _raster_has_crs(path if plain else source)
    if not own and not layer.crs().isValid():
        raise QgsProcessingException(
            tr("{} has no coordinate reference system. Set it in the layer's properties > Source.")
            .format(layer.name())
        )
    if plain and not source.startswith("/vsimem"):
        if not own:
            feedback.pushInfo(tr("The file has no CRS: the layer's is assumed."))
            return path, _crs_text(layer.crs())
        if not layer.crs().isValid() or QgsRasterLayer(source, "", "gdal").crs() == layer.crs():
            return path, ""
        feedback.pushInfo(tr("The layer's CRS is another than the file's: the layer's is used."))
    return _copied(layer, source, path, folder), ""


def _copied(layer, source, path, folder):
    """Write a source other than a plain file as one: by reference, or whole if in memory."""
    # Newer QGIS takes the prefix off the path.
    memory = source.startswith("/vsimem")
    target = os.path.join(folder, "raster.tif" if memory else "raster.vrt")
    srs = layer.crs().toWkt(QgsCoordinateReferenceSystem.WktVariant.WKT_PREFERRED)
    made = gdal.Translate(target, source, format="GTiff" if memory else "VRT", outputSRS=srs)
    if made is None:
        raise QgsProcessingException(tr("{} cannot be read by GDAL.").format(layer.name()))
    made.FlushCache()
    return target


def _raster_has_crs(source):
    try:
        found = gdal.Open(source)
    except RuntimeError:
        found = None
    return found is not None and bool(found.GetProjection() or found.GetGCPProjection())


def vector_file(algorithm, parameters, name, context, folder, feedback):
    """Return file and layer name of a vector parameter.

    Memory layers, filtered layers, selections and layers with a CRS of their own are written to
    a GeoPackage first.

    Returns
    -------
    tuple of (str, str)
        Absolute path, and the layer's name or nothing.
    """
    source = algorithm.parameterAsSource(parameters, name, context)
    if source is None:
        raise QgsProcessingException(algorithm.invalidSourceError(parameters, name))
    path, layer_name = algorithm.parameterAsCompatibleSourceLayerPathAndLayerName(
        parameters, name, context, _READABLE, "gpkg", feedback
    )
    if os.path.exists(path):
        path = os.path.abspath(path)
    layer = QgsVectorLayer(f"{path}|layername={layer_name}" if layer_name else path, name, "ogr")
    crs = source.sourceCrs()
    if not layer.isValid():
        raise QgsProcessingException(tr("{} cannot be opened.").format(path))
    if crs.isValid() and not (_vector_has_crs(path, layer_name) and layer.crs() == crs):
        feedback.pushInfo(tr("{}: the layer's CRS is used.").format(source.sourceName()))
        layer.setCrs(crs)
        return _written(layer, os.path.join(folder, f"{name.lower()}.gpkg")), name.lower()
    return path, layer_name


def _vector_has_crs(path, layer_name):
    try:
        found = gdal.OpenEx(path, gdal.OF_VECTOR)
    except RuntimeError:
        return False
    if found is None:
        return False
    layer = found.GetLayerByName(layer_name) if layer_name else found.GetLayer(0)
    return layer is not None and layer.GetSpatialRef() is not None


def area_file(algorithm, parameters, name, context, folder, feedback):
    """Return a file with the polygons of a parameter as its only layer, or an empty text."""
    if parameters.get(name) in (None, ""):
        return ""
    path, layer_name = vector_file(algorithm, parameters, name, context, folder, feedback)
    if not layer_name:
        return path
    layer = QgsVectorLayer(f"{path}|layername={layer_name}", name, "ogr")
    return _written(layer, os.path.join(folder, "area.gpkg"))


def extent_file(rectangle, crs, folder):
    """Write a rectangle as a polygon layer in its CRS, and return the file."""
    layer = QgsVectorLayer("Polygon", "extent", "memory")
    layer.setCrs(crs)
    feature = QgsFeature()
    feature.setGeometry(QgsGeometry.fromRect(rectangle))
    layer.dataProvider().addFeatures([feature])
    return _written(layer, os.path.join(folder, "extent.gpkg"))


def _written(layer, path):
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName = "GPKG"
    options.layerName = os.path.splitext(os.path.basename(path))[0]
    outcome = QgsVectorFileWriter.writeAsVectorFormatV3(
        layer, path, QgsCoordinateTransformContext(), options
    )
    if outcome[0] != QgsVectorFileWriter.WriterError.NoError:
        raise QgsProcessingException(
            tr("{name} cannot be written for the engine: {why}").format(
                name=layer.name(), why=outcome[1]
            )
        )
    return path


def _crs_text(crs):
    authority = crs.authid()
    if authority.split(":")[0] in ("EPSG", "ESRI", "OGC", "IGNF"):
        return authority
    return crs.toWkt(QgsCoordinateReferenceSystem.WktVariant.WKT_PREFERRED)
