"""Every algorithm on a real GeoTIFF: outputs, loaded layers, styles and messages."""

import json
import shutil
import time
from pathlib import Path

import processing
import pytest
from conftest import engine, features
from qgis.core import (
    QgsApplication,
    QgsGraduatedSymbolRenderer,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingParameterDefinition,
    QgsRasterLayer,
    QgsVectorLayer,
)

IDS = {
    "extractroads", "predictprobability", "vectorizeprobability", "cleannetwork",
    "evaluatenetwork", "comparenetworks", "checkinstallation", "setup", "mapcounty",
}  # fmt: skip


def algorithm(name):
    return QgsApplication.processingRegistry().algorithmById(f"roadgis:{name}")


def test_toolbox_has_all_algorithms_with_help_icon_and_group():
    provider = QgsApplication.processingRegistry().providerById("roadgis")
    assert {a.name() for a in provider.algorithms()} == IDS
    assert not provider.icon().isNull()
    for one in provider.algorithms():
        assert one.displayName()
        assert one.group()
        assert len(one.tags()) > 2
        assert Path(one.svgIconPath()).is_file()
        assert not one.icon().isNull()
        for parameter in one.parameterDefinitions():
            assert parameter.help(), (one.name(), parameter.name())
            assert parameter.description() in one.shortHelpString().replace("&#x27;", "'")
        assert not one.flags() & QgsProcessingAlgorithm.Flag.FlagNoThreading


def test_parameters_have_defaults_ranges_and_units_of_the_engine():
    extract = algorithm("extractroads")
    gap = extract.parameterDefinition("MAX_GAP")
    assert (gap.defaultValue(), gap.minimum()) == (30.0, 0.0)
    assert "metres" in gap.description()
    threshold = extract.parameterDefinition("THRESHOLD")
    assert (threshold.defaultValue(), threshold.minimum(), threshold.maximum()) == (None, 0, 1)
    assert extract.parameterDefinition("THREADS").flags() & (
        QgsProcessingParameterDefinition.Flag.FlagAdvanced
    )
    assert not gap.flags() & QgsProcessingParameterDefinition.Flag.FlagAdvanced


def test_set_up_accepts_folders_and_programs_without_a_dot(tmp_path):
    for name, parameter, path in (
        ("setup", "SOURCE", tmp_path / "checkout"),
        ("setup", "PYTHON", "/usr/bin/python3"),
        ("extractroads", "MODEL", tmp_path / "run"),
    ):
        definition = algorithm(name).parameterDefinition(parameter)
        assert definition.checkValueIsAcceptable(str(path)), (name, parameter)


def test_extract_equals_the_command_line_byte_for_byte(scene, by_command_line, tmp_path, feedback):
    output = tmp_path / "qgis.geojson"
    made = processing.run(
        "roadgis:extractroads",
        {"INPUT": str(scene), "OUTPUT": str(output), "PROBABILITY": str(tmp_path / "p.tif")},
        feedback=feedback,
    )
    ours, theirs = output.read_bytes(), by_command_line[0].read_bytes()
    start = b'"features":['
    assert ours[ours.index(start) :] == theirs[theirs.index(start) :]
    assert made["COUNT"] == len(features(output)) > 20
    assert made["LENGTH"] == pytest.approx(
        sum(f["properties"]["length_m"] for f in features(output)), abs=1
    )
    assert QgsRasterLayer(made["PROBABILITY"]).isValid()
    assert "predicting" in feedback.text("progress")
    assert "ONNX Runtime" in feedback.text("info")
    assert feedback.progress() == 100


def test_extract_is_loaded_with_crs_attributes_and_style(scene, project, feedback):
    processing.runAndLoadResults(
        "roadgis:extractroads",
        {"INPUT": str(scene), "OUTPUT": "TEMPORARY_OUTPUT"},
        feedback=feedback,
    )
    (layer,) = project.mapLayers().values()
    assert layer.crs() == QgsRasterLayer(str(scene)).crs()
    assert layer.featureCount() > 20
    names = {field.name() for field in layer.fields()}
    assert {"length_m", "width_m", "confidence", "bridged"} <= names
    assert isinstance(layer.renderer(), QgsGraduatedSymbolRenderer)
    assert layer.renderer().classAttribute() == "confidence"
    every = layer.renderer().ranges()
    line = every[0].symbol().symbolLayer(0)
    drawn = line.dataDefinedProperties().property(line.Property.PropertyStrokeStyle)
    assert "bridged" in drawn.expressionString()
    for feature in layer.getFeatures():
        assert any(r.lowerValue() <= feature["confidence"] <= r.upperValue() for r in every)


def test_extract_as_a_task_loads_its_result(by_command_line, tmp_path):
    # A task runs in a thread, where QGIS creates a second context for the algorithm.
    from processing.tools.dataobjects import createContext
    from qgis.core import QgsProcessingAlgRunnerTask, QgsProcessingFeedback
    from qgis.PyQt.QtCore import QCoreApplication

    context, told = createContext(), QgsProcessingFeedback(False)
    output = str(tmp_path / "roads.gpkg")
    details = QgsProcessingContext.LayerDetails("Roads", context.project(), "OUTPUT")
    context.addLayerToLoadOnCompletion(output, details)
    one = algorithm("vectorizeprobability").create()
    parameters = {"INPUT": str(by_command_line[1]), "OUTPUT": output}
    task = QgsProcessingAlgRunnerTask(one, parameters, context, told)
    ended = []
    task.executed.connect(lambda successful, results: ended.append((successful, results)))
    QgsApplication.taskManager().addTask(task)
    until = time.monotonic() + 60
    while not ended and time.monotonic() < until:
        QCoreApplication.processEvents()
        time.sleep(0.02)
    assert ended, "the task did not end within 60 s"
    assert ended[0][0], told.textLog()
    assert output in context.layersToLoadOnCompletion()
    assert Path(output).is_file()


@pytest.mark.parametrize(("style", "attribute"), [(0, "confidence"), (1, "width_m"), (2, None)])
def test_style_parameter_sets_the_style(by_command_line, project, style, attribute):
    processing.runAndLoadResults(
        "roadgis:vectorizeprobability",
        {"INPUT": str(by_command_line[1]), "STYLE": style, "OUTPUT": "TEMPORARY_OUTPUT"},
    )
    (layer,) = project.mapLayers().values()
    graduated = isinstance(layer.renderer(), QgsGraduatedSymbolRenderer)
    assert (layer.renderer().classAttribute() if graduated else None) == attribute


def test_vectorize_equals_the_command_line(by_command_line, tmp_path):
    output = tmp_path / "qgis.geojson"
    processing.run(
        "roadgis:vectorizeprobability",
        {"INPUT": str(by_command_line[1]), "MAX_GAP": 10, "OUTPUT": str(output)},
    )
    engine("vectorize", by_command_line[1], "-o", tmp_path / "cli.geojson", "--max-gap", "10")
    assert features(output) == features(tmp_path / "cli.geojson")


def test_predict_writes_a_raster_that_loads(scene, by_command_line, project):
    processing.runAndLoadResults(
        "roadgis:predictprobability", {"INPUT": str(scene), "OUTPUT": "TEMPORARY_OUTPUT"}
    )
    (layer,) = project.mapLayers().values()
    theirs = QgsRasterLayer(str(by_command_line[1]))
    assert (layer.width(), layer.height(), layer.extent()) == (
        theirs.width(),
        theirs.height(),
        theirs.extent(),
    )


@pytest.fixture
def sheets(scene, tmp_path):
    """Return the scene as two sheets, and a file other than a raster."""
    from osgeo import gdal

    folder = tmp_path / "sheets"
    folder.mkdir()
    for number, left in enumerate((0, 300)):
        path = folder / f"sheet_{number}.tif"
        gdal.Translate(str(path), str(scene), srcWin=[left, 0, 300, 600])
    (folder / "broken.tif").write_bytes(b"not a raster")
    return folder


def test_map_county_equals_extract_and_resumes(sheets, by_command_line, tmp_path, feedback):
    values = {
        "INPUT": str(sheets),
        "UNIT_PX": 768,
        "COUNTY": str(tmp_path / "county"),
        "OUTPUT": str(tmp_path / "roads.geojson"),
    }
    made = processing.run("roadgis:mapcounty", values, feedback=feedback)
    lines = [one["geometry"] for one in features(values["OUTPUT"])]
    assert lines == [one["geometry"] for one in features(by_command_line[0])]
    assert (made["COUNT"], made["FAILED"]) == (len(lines), 0)
    assert "broken.tif" in feedback.text("warning")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "county").glob("*/*.json")}
    assert times
    processing.run("roadgis:mapcounty", values)
    assert times == {path: path.stat().st_mtime_ns for path in times}


def test_map_county_loads_roads_and_units_styled_by_status(sheets, project, tmp_path):
    values = {
        "INPUT": str(sheets),
        "COUNTY": str(tmp_path / "county"),
        "OUTPUT": str(tmp_path / "roads.gpkg"),
    }
    processing.runAndLoadResults("roadgis:mapcounty", values)
    layers = {layer.name(): layer for layer in project.mapLayers().values()}
    assert set(layers) == {"Roads", "Units"}
    assert isinstance(layers["Roads"].renderer(), QgsGraduatedSymbolRenderer)
    assert layers["Units"].renderer().classAttribute() == "status"
    assert {one["status"] for one in layers["Units"].getFeatures()} == {"done"}


def test_map_county_accepts_either_a_folder_or_an_index(sheets, tmp_path):
    values = {"COUNTY": str(tmp_path / "county"), "OUTPUT": str(tmp_path / "roads.gpkg")}
    with pytest.raises(QgsProcessingException, match="either a folder of sheets or a tile index"):
        processing.run("roadgis:mapcounty", values)


def test_clean_of_an_existing_layer_loads_a_network(truth, tmp_path, feedback):
    made = processing.run(
        "roadgis:cleannetwork",
        {"INPUT": str(truth), "NO_RULE": [0, 1], "OUTPUT": str(tmp_path / "clean.gpkg")},
        feedback=feedback,
    )
    layer = QgsVectorLayer(made["OUTPUT"])
    assert layer.featureCount() == made["COUNT"] > 20
    assert layer.crs() == QgsVectorLayer(str(truth)).crs()
    assert "--no-rule patchy --no-rule uneven" in feedback.text("command")


def test_evaluate_prints_the_scores_and_writes_the_report(
    by_command_line, truth, scene, tmp_path, project
):
    values = {
        "INPUT": str(by_command_line[0]),
        "TRUTH": str(truth),
        "IMAGE": str(scene),
        "REPORT": str(tmp_path / "report.html"),
        "CSV": str(tmp_path / "scores.csv"),
    }
    made = processing.run("roadgis:evaluatenetwork", values)
    told = json.loads(engine("evaluate", by_command_line[0], truth, "--json"))
    for name in ("RELAXED_F1", "APLS", "TOPO_F1", "IOU"):
        assert made[name] == pytest.approx(told[name.lower()])
    assert "<html" in (tmp_path / "report.html").read_text(encoding="utf-8").lower()
    assert (tmp_path / "scores.csv").is_file()


def test_evaluate_with_itself_is_one_and_its_layers_are_loaded(truth, project, tmp_path):
    made = processing.runAndLoadResults(
        "roadgis:evaluatenetwork",
        {"INPUT": str(truth), "TRUTH": str(truth), "ERRORS": str(tmp_path / "e.gpkg")},
    )
    assert made["RELAXED_F1"] == 1
    assert {layer.name() for layer in project.mapLayers().values()} == {"hits", "misses", "false"}


def test_compare_loads_a_layer_of_each_class_with_its_style(by_command_line, truth, project):
    made = processing.runAndLoadResults(
        "roadgis:comparenetworks",
        {"INPUT": str(by_command_line[0]), "BASE": str(truth), "OUTPUT": "TEMPORARY_OUTPUT"},
    )
    layers = {layer.name(): layer for layer in project.mapLayers().values()}
    assert set(layers) == {"missing", "extra", "moved", "matched"}
    assert layers["matched"].featureCount() > 20
    assert made["MATCHED_M"] > made["MISSING_M"]
    # Styles written into the file by the engine.
    assert {one.renderer().type() for one in layers.values()} == {"RuleRenderer"}


def test_check_installation_reports_the_version(tmp_path, feedback):
    made = processing.run(
        "roadgis:checkinstallation", {"OUTPUT": str(tmp_path / "check.html")}, feedback=feedback
    )
    assert made["WORKS"] is True
    for word in ("QGIS: 3", "Interpreter: ", "Engine: roadgis", "Model: ", "Runs on: ", "rasterio"):
        assert word in made["REPORT"], word
    assert "roadgis can be run" in (tmp_path / "check.html").read_text(encoding="utf-8")


def test_extract_rejects_an_output_that_the_engine_cannot_write(by_command_line, truth, tmp_path):
    with pytest.raises(QgsProcessingException, match=r"ends in \.gpkg"):
        processing.run(
            "roadgis:evaluatenetwork",
            {"INPUT": str(truth), "TRUTH": str(truth), "ERRORS": str(tmp_path / "e.shp")},
        )


def test_error_of_the_engine_names_parameters_of_the_dialog(scene, tmp_path):
    with pytest.raises(QgsProcessingException, match="Side of the blocks"):
        processing.run(
            "roadgis:extractroads",
            {"INPUT": str(scene), "BLOCK_PX": 17, "OUTPUT": str(tmp_path / "x.gpkg")},
        )
    assert not (tmp_path / "x.gpkg").exists()


def test_warning_of_the_engine_names_parameters_of_the_dialog(by_command_line, tmp_path, feedback):
    mask = shutil.copy(by_command_line[1], tmp_path / "classes.tif")
    made = processing.run(
        "roadgis:vectorizeprobability",
        {"INPUT": str(mask), "ROAD_VALUE": "300", "OUTPUT": str(tmp_path / "roads.gpkg")},
        feedback=feedback,
    )
    assert made["COUNT"] == 0
    assert "'Values that are road'" in feedback.text("warning")
    assert "--" not in feedback.text("warning")


def test_error_of_the_engine_has_no_hint_about_the_shell(by_command_line, tmp_path):
    values = {"INPUT": str(by_command_line[1]), "BAND": 7, "OUTPUT": str(tmp_path / "x.gpkg")}
    with pytest.raises(QgsProcessingException, match="Correct 'Band'") as caught:
        processing.run("roadgis:vectorizeprobability", values)
    assert "roadgis info" not in str(caught.value)


def test_history_repeats_all_parameters(scene):
    values = {"INPUT": str(scene), "MAX_GAP": 12, "OUTPUT": "TEMPORARY_OUTPUT"}
    command = algorithm("extractroads").asPythonCommand(values, QgsProcessingContext())
    assert command.startswith('processing.run("roadgis:extractroads"')
    assert "'MAX_GAP':12" in command
