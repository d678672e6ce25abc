"""qgis_process, the model designer and batches."""

import json
import os
import subprocess

import processing
import pytest
from conftest import ROOT, features
from qgis.core import (
    QgsApplication,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingModelAlgorithm,
    QgsProcessingModelChildAlgorithm,
    QgsProcessingModelChildParameterSource,
    QgsProcessingModelOutput,
    QgsProcessingModelParameter,
    QgsProcessingParameterRasterLayer,
    QgsVectorLayer,
)
from test_faults import QGIS_PROCESS, enable_plugin


def qgis_process(*arguments, **more):
    environment = {**os.environ, "QGIS_PLUGINPATH": str(ROOT / "qgis_plugin"), **more}
    return subprocess.run(
        [QGIS_PROCESS, *map(str, arguments)],
        env=environment, capture_output=True, check=False, encoding="utf-8",
    )  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def enabled():
    enable_plugin()


def test_qgis_process_lists_the_algorithms_and_their_help():
    listed = qgis_process("list").stdout
    for name in ("extractroads", "predictprobability", "vectorizeprobability", "cleannetwork",
                 "evaluatenetwork", "comparenetworks", "checkinstallation", "setup"):  # fmt: skip
        assert f"roadgis:{name}" in listed
    told = qgis_process("help", "roadgis:extractroads")
    assert "MAX_GAP" in told.stdout
    # QGIS has separate code for plain and JSON output.
    told = json.loads(qgis_process("--json", "help", "roadgis:extractroads").stdout)
    assert told["parameters"]["MAX_GAP"]["default_value"] == 30


def test_qgis_process_runs_with_and_without_json(by_command_line, tmp_path):
    plain = qgis_process(
        "run", "roadgis:vectorizeprobability",
        f"--INPUT={by_command_line[1]}", f"--OUTPUT={tmp_path / 'ä b.geojson'}",
    )  # fmt: skip
    assert plain.returncode == 0, plain.stderr
    assert "OUTPUT:" in plain.stdout
    done = qgis_process(
        "--json", "run", "roadgis:vectorizeprobability",
        f"--INPUT={by_command_line[1]}", f"--OUTPUT={tmp_path / 'json.geojson'}",
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert told["results"]["COUNT"] == len(features(tmp_path / "json.geojson"))
    assert features(tmp_path / "json.geojson") == features(tmp_path / "ä b.geojson")


def test_qgis_process_failure_has_a_status_and_its_text_on_stderr(by_command_line, tmp_path):
    done = qgis_process(
        "--json", "run", "roadgis:vectorizeprobability",
        f"--INPUT={by_command_line[1]}", f"--OUTPUT={tmp_path / 'x.gpkg'}",
        ROADGIS_PYTHON="/nowhere/python",
    )  # fmt: skip
    assert done.returncode != 0
    assert "/nowhere/python" in done.stderr
    assert not (tmp_path / "x.gpkg").exists()


def child(name, algorithm, source, model):
    """Return a step of a model, with all values as set by the designer."""
    made = QgsProcessingModelChildAlgorithm(f"roadgis:{algorithm}")
    made.setChildId(name)
    for definition in made.algorithm().parameterDefinitions():
        if definition.defaultValue() is not None and not definition.isDestination():
            value = QgsProcessingModelChildParameterSource.fromStaticValue(
                definition.defaultValue()
            )
            made.addParameterSources(definition.name(), [value])
    made.addParameterSources("INPUT", [source])
    if model is not None:
        model.addChildAlgorithm(made)
    return made


def test_model_designer_chains_algorithms(scene, tmp_path):
    model = QgsProcessingModelAlgorithm("roads", "tests")
    model.addModelParameter(
        QgsProcessingParameterRasterLayer("image"), QgsProcessingModelParameter("image")
    )
    source = QgsProcessingModelChildParameterSource
    child("predict", "predictprobability", source.fromModelParameter("image"), model)
    child("vectorize", "vectorizeprobability", source.fromChildOutput("predict", "OUTPUT"), model)
    clean = child("clean", "cleannetwork", source.fromChildOutput("vectorize", "OUTPUT"), None)
    final = QgsProcessingModelOutput("roads")
    final.setChildId("clean")
    final.setChildOutputName("OUTPUT")
    clean.setModelOutputs({"roads": final})
    model.addChildAlgorithm(clean)
    assert model.validate() == (True, [])

    feedback = QgsProcessingFeedback(False)
    context = QgsProcessingContext()
    context.setFeedback(feedback)
    output = tmp_path / "roads.gpkg"
    values = {"image": str(scene), "clean:roads": str(output)}
    _made, ok = model.run(values, context, feedback)
    assert ok, feedback.textLog()
    assert QgsVectorLayer(str(output)).featureCount() > 20


def test_batch_runs_row_by_row(by_command_line, tmp_path):
    algorithm = QgsApplication.processingRegistry().algorithmById("roadgis:vectorizeprobability")
    counts = []
    for number, shortest in enumerate((0, 100_000)):
        row = {
            "INPUT": str(by_command_line[1]),
            "MIN_COMPONENT": shortest,
            "OUTPUT": str(tmp_path / f"row {number}.gpkg"),
        }
        assert algorithm.checkParameterValues(row, QgsProcessingContext())[0]
        # Like the batch dialog: the algorithm is created again for each row.
        made = processing.run(algorithm.create(), row)
        counts.append(QgsVectorLayer(made["OUTPUT"]).featureCount())
    assert counts[0] != counts[1]
