"""Layers other than plain files, and rejected layers."""

import os
import shutil

import processing
import pytest
from conftest import features
from osgeo import gdal
from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsGeometry,
    QgsProcessingContext,
    QgsProcessingException,
    QgsRasterLayer,
    QgsRectangle,
    QgsVectorLayer,
)


def extract(layer, output, feedback=None, **more):
    values = {"INPUT": layer, "OUTPUT": str(output), **more}
    return processing.run("roadgis:extractroads", values, feedback=feedback)


def without_crs(scene, target):
    gdal.Translate(str(target), str(scene))
    dataset = gdal.Open(str(target), gdal.GA_Update)
    dataset.SetProjection("")
    del dataset
    return target


def geometries(path):
    return [feature["geometry"] for feature in features(path)]


def test_raster_crs_set_in_the_project_only_is_assumed(
    scene, by_command_line, project, tmp_path, feedback
):
    layer = QgsRasterLayer(str(without_crs(scene, tmp_path / "bare.tif")), "bare")
    layer.setCrs(QgsRasterLayer(str(scene)).crs())
    project.addMapLayer(layer)
    extract(layer, tmp_path / "roads.geojson", feedback)
    assert "--assume-crs=EPSG:32619" in feedback.text("command")
    assert geometries(tmp_path / "roads.geojson") == geometries(by_command_line[0])


def test_raster_without_crs_is_rejected(scene, tmp_path):
    layer = QgsRasterLayer(str(without_crs(scene, tmp_path / "bare.tif")), "bare")
    layer.setCrs(QgsCoordinateReferenceSystem())
    with pytest.raises(QgsProcessingException, match="no coordinate reference system"):
        extract(layer, tmp_path / "roads.geojson")


def test_raster_crs_of_the_layer_overrides_that_of_the_file(scene, project, tmp_path):
    layer = QgsRasterLayer(str(scene), "moved")
    layer.setCrs(QgsCoordinateReferenceSystem("EPSG:32618"))
    project.addMapLayer(layer)
    extract(layer, tmp_path / "roads.gpkg")
    assert QgsVectorLayer(str(tmp_path / "roads.gpkg")).crs().authid() == "EPSG:32618"


def test_virtual_raster_is_read(scene, by_command_line, tmp_path):
    gdal.BuildVRT(str(tmp_path / "scene.vrt"), [str(scene)]).FlushCache()
    extract(str(tmp_path / "scene.vrt"), tmp_path / "roads.geojson")
    assert geometries(tmp_path / "roads.geojson") == geometries(by_command_line[0])


def test_raster_in_memory_is_read(scene, by_command_line, tmp_path):
    gdal.Translate("/vsimem/scene.tif", str(scene))
    layer = QgsRasterLayer("/vsimem/scene.tif", "memory")
    extract(layer, tmp_path / "roads.geojson")
    assert geometries(tmp_path / "roads.geojson") == geometries(by_command_line[0])
    gdal.Unlink("/vsimem/scene.tif")


def test_raster_in_a_geopackage_is_read(scene, tmp_path):
    gdal.Translate(str(tmp_path / "r.gpkg"), str(scene), format="GPKG")
    layer = QgsRasterLayer(f"GPKG:{tmp_path / 'r.gpkg'}:r", "table")
    assert layer.isValid()
    made = extract(layer, tmp_path / "roads.geojson")
    assert made["COUNT"] > 20


def test_web_map_layers_are_rejected_with_the_reason(project, tmp_path):
    source = "type=xyz&url=http://127.0.0.1:9/%7Bz%7D/%7Bx%7D/%7By%7D.png&zmax=19&zmin=0"
    layer = QgsRasterLayer(source, "tiles", "wms")
    assert layer.isValid()
    project.addMapLayer(layer)
    algorithm = QgsApplication.processingRegistry().algorithmById("roadgis:extractroads")
    values = {"INPUT": layer, "OUTPUT": str(tmp_path / "x.gpkg")}
    fits, reason = algorithm.checkParameterValues(values, QgsProcessingContext())
    assert not fits
    assert "web map" in reason
    assert "GeoTIFF" in reason
    with pytest.raises(QgsProcessingException, match="web map"):
        processing.run("roadgis:extractroads", values)


def test_extent_limits_the_run(scene, by_command_line, tmp_path):
    whole = QgsRasterLayer(str(scene)).extent()
    half = QgsRectangle(whole.xMinimum(), whole.yMinimum(), whole.center().x(), whole.yMaximum())
    made = extract(str(scene), tmp_path / "roads.gpkg", EXTENT=half)
    layer = QgsVectorLayer(made["OUTPUT"])
    assert 0 < layer.featureCount() < len(features(by_command_line[0]))
    assert layer.extent().xMaximum() <= half.xMaximum() + 3


def test_extent_may_be_in_another_crs(scene, tmp_path):
    whole = QgsRasterLayer(str(scene)).extent()
    x, y = whole.center().x(), whole.center().y()
    here = f"{x - 100},{x + 100},{y - 100},{y + 100} [EPSG:32619]"
    first = extract(str(scene), tmp_path / "a.gpkg", EXTENT=here)
    layer = QgsVectorLayer(first["OUTPUT"])
    box = layer.extent()
    assert x - 105 < box.xMinimum() < box.xMaximum() < x + 105


def test_area_layer_limits_the_run(scene, project, tmp_path):
    whole = QgsRasterLayer(str(scene)).extent()
    area = QgsVectorLayer("Polygon?crs=EPSG:32619", "area", "memory")
    feature = QgsFeature()
    feature.setGeometry(QgsGeometry.fromRect(whole.buffered(-150)))
    area.dataProvider().addFeatures([feature])
    project.addMapLayer(area)
    made = extract(str(scene), tmp_path / "roads.gpkg", AOI=area)
    assert whole.buffered(-147).contains(QgsVectorLayer(made["OUTPUT"]).extent())
    with pytest.raises(QgsProcessingException, match="not both"):
        extract(str(scene), tmp_path / "y.gpkg", AOI=area, EXTENT=whole)


def memory_copy(path):
    layer = QgsVectorLayer(str(path))
    return layer.materialize(__import__("qgis.core").core.QgsFeatureRequest())


def clean(layer, output):
    return processing.run("roadgis:cleannetwork", {"INPUT": layer, "OUTPUT": str(output)})


def test_memory_layer_gives_the_result_of_its_file(truth, project, tmp_path):
    layer = memory_copy(truth)
    project.addMapLayer(layer)
    clean(layer, tmp_path / "memory.geojson")
    clean(str(truth), tmp_path / "file.geojson")
    assert geometries(tmp_path / "memory.geojson") == geometries(tmp_path / "file.geojson")


def test_filtered_layer_gives_the_filtered_features(truth, project, tmp_path):
    path = tmp_path / "lines.gpkg"
    gdal.VectorTranslate(str(path), str(truth), layerName="lines").FlushCache()
    layer = QgsVectorLayer(f"{path}|layername=lines", "lines")
    total = layer.featureCount()
    layer.setSubsetString(f"fid <= {total // 2}")
    assert layer.featureCount() == total // 2
    project.addMapLayer(layer)
    some = clean(layer, tmp_path / "some.gpkg")
    whole = clean(str(path), tmp_path / "all.gpkg")
    assert 0 < some["LENGTH"] < 0.9 * whole["LENGTH"]


def test_named_layer_of_a_file_is_read(by_command_line, truth, tmp_path):
    path = tmp_path / "two.gpkg"
    gdal.VectorTranslate(str(path), str(by_command_line[0]), layerName="other").FlushCache()
    gdal.VectorTranslate(
        str(path), str(truth), layerName="wege ä", accessMode="append"
    ).FlushCache()
    named = clean(f"{path}|layername=wege ä", tmp_path / "named.gpkg")
    plain = clean(str(truth), tmp_path / "plain.gpkg")
    assert named["LENGTH"] == pytest.approx(plain["LENGTH"], rel=1e-3)


def test_line_crs_set_in_the_project_only_is_used(truth, project, tmp_path):
    gdal.VectorTranslate(str(tmp_path / "bare.shp"), str(truth), dstSRS="EPSG:32619").FlushCache()
    os.remove(tmp_path / "bare.prj")
    layer = QgsVectorLayer(str(tmp_path / "bare.shp"))
    layer.setCrs(QgsCoordinateReferenceSystem("EPSG:32619"))
    project.addMapLayer(layer)
    made = clean(layer, tmp_path / "clean.gpkg")
    assert QgsVectorLayer(made["OUTPUT"]).crs().authid() == "EPSG:32619"
    assert made["COUNT"] > 20


def test_existing_output_is_replaced(scene, truth, tmp_path):
    shutil.copy(truth, tmp_path / "out.geojson")
    made = clean(str(truth), tmp_path / "out.geojson")
    assert len(features(tmp_path / "out.geojson")) == made["COUNT"]
