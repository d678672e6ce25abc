"""Tests of the plugin on a real QGIS; ``tests/qgis/run`` starts them with QGIS's own Python."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# The project's own test run has no QGIS.
if importlib.util.find_spec("qgis") is None:
    collect_ignore_glob = ["test_*.py"]

sys.path[:0] = [str(ROOT / "qgis_plugin"), "/usr/share/qgis/python/plugins"]


def pytest_sessionfinish(session, exitstatus):
    session.config.roadgis_status = int(exitstatus)


@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure(config):
    """Exit at once: QGIS 3.40 crashes at interpreter shutdown, after the report."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(getattr(config, "roadgis_status", 1))


def engine(*arguments):
    """Run the engine's command line and return its stdout."""
    command = [os.environ["ROADGIS_PYTHON"], "-I", "-X", "utf8", "-m", "roadgis", *arguments]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PROJ", "GDAL"))}
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, check=False, env=kept
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def gone(pid, seconds=10.0):
    """Return whether a process ends within some seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Return a folder with a space and non-ASCII letters in its name."""
    return tmp_path_factory.mktemp("Straßen été 道路")


@pytest.fixture(scope="session")
def scene(folder):
    """Return a synthetic scene of 600 px, with its truth in the same folder."""
    from osgeo import gdal

    made, path = folder / "made.tif", folder / "scene.tif"
    engine("synthesize", "-o", made, "--truth", folder / "truth.geojson", "--size", "600")
    # Uncompressed: GDAL of QGIS and of the engine differ in the last bit of JPEG.
    gdal.Translate(str(path), str(made), creationOptions=["COMPRESS=DEFLATE"])
    return path


@pytest.fixture(scope="session")
def truth(scene):
    return scene.with_name("truth.geojson")


@pytest.fixture(scope="session")
def by_command_line(scene, folder):
    """Return roads and probability that the command line makes of the scene."""
    roads, probability = folder / "cli.geojson", folder / "cli.tif"
    engine("extract", scene, "-o", roads, "--probability", probability)
    return roads, probability


@pytest.fixture(scope="session", autouse=True)
def plugin(qgis_app):
    """Return the plugin, loaded as by qgis_process."""
    from processing.core.Processing import Processing
    from roadgis_qgis import classFactory

    Processing.initialize()
    loaded = classFactory(None)
    loaded.initProcessing()
    yield loaded
    loaded.unload()


@pytest.fixture(autouse=True)
def project():
    """Return an empty project."""
    from qgis.core import QgsProject

    QgsProject.instance().clear()
    yield QgsProject.instance()
    QgsProject.instance().clear()


def features(path):
    """Return the features of a GeoJSON file without its provenance."""
    return json.loads(Path(path).read_text(encoding="utf-8"))["features"]


@pytest.fixture
def feedback():
    """Return a feedback that records its messages."""
    from qgis.core import QgsProcessingFeedback

    class Kept(QgsProcessingFeedback):
        def __init__(self):
            super().__init__(False)
            self.said = []

        def pushInfo(self, text):
            self.said.append(("info", text))

        def pushWarning(self, text):
            self.said.append(("warning", text))

        def reportError(self, text, fatalError=False):
            self.said.append(("error", text))

        def setProgressText(self, text):
            self.said.append(("progress", text))

        def pushCommandInfo(self, text):
            self.said.append(("command", text))

        def text(self, kind=None):
            return "\n".join(text for k, text in self.said if kind in (None, k))

    return Kept()


FAKE = """#!/bin/sh
# An engine that does what its test says.
exec {python} -I -u {program} "$@"
"""


@pytest.fixture
def fake_engine(tmp_path, monkeypatch):
    """Return a function that replaces the engine by a Python program."""

    def put(program):
        source = tmp_path / "engine.py"
        source.write_text(program, encoding="utf-8")
        path = tmp_path / "python"
        path.write_text(FAKE.format(python=sys.executable, program=source), encoding="utf-8")
        path.chmod(0o755)
        monkeypatch.setenv("ROADGIS_PYTHON", str(path))
        return path

    return put
