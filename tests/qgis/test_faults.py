"""Faults: cancelled runs, crashes, missing and incompatible engines."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import numpy
import processing
import pytest
from conftest import ROOT, gone
from osgeo import gdal
from qgis.core import (
    QgsApplication,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
)

QGIS_PROCESS = "/usr/bin/qgis_process.bin"
if not os.path.exists(QGIS_PROCESS):
    # Only the wrapper of Debian 12 needs a workaround.
    QGIS_PROCESS = "/usr/bin/qgis_process"


@pytest.fixture(scope="module")
def large(scene, folder):
    """Return a scene that takes minutes: many copies of the small one."""
    path = folder / "large.tif"
    small = gdal.Open(str(scene))
    tile = numpy.tile(small.ReadAsArray(), (1, 14, 14))[:, :8000, :8000]
    driver = gdal.GetDriverByName("GTiff")
    made = driver.Create(str(path), 8000, 8000, tile.shape[0], gdal.GDT_Byte, ["TILED=YES"])
    made.SetProjection(small.GetProjection())
    made.SetGeoTransform(small.GetGeoTransform())
    made.WriteArray(tile)
    del made
    return path


class Watching(QgsProcessingFeedback):
    """Feedback that sets an event when prediction has started."""

    def __init__(self):
        super().__init__(False)
        self.busy = threading.Event()

    def setProgressText(self, text):
        if "predicting" in text:
            self.busy.set()


def engines():
    """Return the process ids of engines that are children or grandchildren of this process."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, ValueError):
            continue
        if b"jsonl" in words and b"roadgis" in words:
            found.append((int(folder.name), parent))
    return found


def my_engine(parent):
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for pid, of in engines():
            if of == parent:
                return pid
        time.sleep(0.05)
    raise AssertionError("no engine was started")


def in_thread(feedback, image, output):
    """Run an extraction in a thread, as the dialog does; return thread and outcome."""
    algorithm = QgsApplication.processingRegistry().algorithmById("roadgis:extractroads").create()
    context = QgsProcessingContext()
    values = {"INPUT": str(image), "OUTPUT": str(output)}
    assert algorithm.prepare(values, context, feedback)
    outcome = {}

    def work():
        try:
            outcome["made"] = algorithm.runPrepared(values, context, feedback)
        except QgsProcessingException as error:
            outcome["error"] = str(error)
        outcome["at"] = time.monotonic()

    thread = threading.Thread(target=work)
    thread.start()
    return thread, outcome


def test_cancel_ends_within_a_second_and_leaves_nothing(large, tmp_path):
    feedback = Watching()
    thread, outcome = in_thread(feedback, large, tmp_path / "roads.gpkg")
    assert feedback.busy.wait(60)
    engine = my_engine(os.getpid())
    time.sleep(1)
    canceled = time.monotonic()
    feedback.cancel()
    thread.join(20)
    assert outcome["at"] - canceled < 1.0
    assert "Stopped" in outcome["error"]
    assert gone(engine, 6)
    assert not list(tmp_path.glob("roads.gpkg"))


def test_killed_engine_is_reported_with_a_hint(large, tmp_path):
    feedback = Watching()
    thread, outcome = in_thread(feedback, large, tmp_path / "roads.gpkg")
    assert feedback.busy.wait(60)
    os.kill(my_engine(os.getpid()), signal.SIGKILL)
    thread.join(10)
    assert "SIGKILL" in outcome["error"]
    assert "memory" in outcome["error"]
    assert "ONNX Runtime" in outcome["error"]
    assert not (tmp_path / "roads.gpkg").exists()


def environment():
    return {**os.environ, "QGIS_PLUGINPATH": str(ROOT / "qgis_plugin")}


def enable_plugin():
    """Make qgis_process load the plugin."""
    done = subprocess.run(
        [QGIS_PROCESS, "plugins", "enable", "roadgis_qgis"],
        env=environment(), check=False, capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0 or "already enabled" in done.stdout + done.stderr, done.stderr


def test_engine_ends_when_qgis_is_killed(large, tmp_path):
    enable_plugin()
    qgis = subprocess.Popen(
        [
            QGIS_PROCESS, "run", "roadgis:extractroads",
            f"--INPUT={large}", f"--OUTPUT={tmp_path / 'roads.gpkg'}",
        ],
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    engine = my_engine(qgis.pid)
    for line in qgis.stdout:
        if b"predicting" in line:
            break
    qgis.kill()
    qgis.wait()
    qgis.stdout.close()
    assert gone(engine, 25)
    assert not (tmp_path / "roads.gpkg").exists()


def run(name="extractroads", **values):
    return processing.run(f"roadgis:{name}", values)


@pytest.fixture
def no_engine(monkeypatch, tmp_path):
    monkeypatch.delenv("ROADGIS_PYTHON")
    monkeypatch.setenv("ROADGIS_ENGINE_DIR", str(tmp_path / "engine"))


def test_dialog_without_an_engine_says_what_to_do(no_engine, scene, tmp_path):
    algorithm = QgsApplication.processingRegistry().algorithmById("roadgis:extractroads")
    works, reason = algorithm.canExecute()
    assert not works
    assert "Set up roadgis" in reason
    with pytest.raises(QgsProcessingException, match="Set up roadgis"):
        run(INPUT=str(scene), OUTPUT=str(tmp_path / "x.gpkg"))
    for name in ("setup", "checkinstallation"):
        other = QgsApplication.processingRegistry().algorithmById(f"roadgis:{name}")
        assert other.canExecute()[0]


def test_check_installation_reports_a_missing_installation(no_engine):
    made = run("checkinstallation")
    assert made["WORKS"] is False
    assert "Set up roadgis" in made["REPORT"]


def test_interpreter_setting_selects_the_engine(no_engine, monkeypatch):
    from processing.core.ProcessingConfig import ProcessingConfig
    from roadgis_qgis import engine, settings

    assert engine.missing()
    ProcessingConfig.setSettingValue(settings.INTERPRETER, "/usr/bin/python3")
    try:
        assert engine.python() == ("/usr/bin/python3", "setting")
    finally:
        ProcessingConfig.setSettingValue(settings.INTERPRETER, "")


HELLO = """
import json, os, sys
def say(**line):
    print(json.dumps(line), flush=True)
say(type="hello", protocol={protocol}, version="{version}", pid=os.getpid(), watches_stdin=True)
"""


@pytest.mark.parametrize(
    ("protocol", "version", "advice"),
    [
        (2, "0.1.0", "Update the plugin"),
        (0, "0.1.0", "Set up roadgis"),
        (1, "99.0.0", "Update the plugin"),
        (1, "0.0.9", "Set up roadgis"),
    ],
)
def test_incompatible_versions_are_reported(
    fake_engine, scene, tmp_path, protocol, version, advice
):
    fake_engine(HELLO.format(protocol=protocol, version=version) + "import time; time.sleep(30)")
    with pytest.raises(QgsProcessingException, match=advice):
        run(INPUT=str(scene), OUTPUT=str(tmp_path / "x.gpkg"))


def test_crash_of_the_engine_shows_its_last_lines(fake_engine, scene, tmp_path):
    fake_engine(
        HELLO.format(protocol=1, version="0.1.0")
        + "for i in range(100): print('line', i, file=sys.stderr)\n"
        + "sys.stderr.flush(); os.kill(os.getpid(), 11)"
    )
    with pytest.raises(QgsProcessingException) as caught:
        run(INPUT=str(scene), OUTPUT=str(tmp_path / "x.gpkg"))
    text = str(caught.value)
    assert "SIGSEGV" in text
    assert "line 99" in text
    assert "line 60" in text
    assert "line 50" not in text
    assert "Check installation" in text
