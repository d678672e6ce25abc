"""``roadgis:checkinstallation``."""

import html
import os
import platform

from qgis.core import (
    Qgis,
    QgsProcessingOutputBoolean,
    QgsProcessingOutputString,
    QgsProcessingParameterFileDestination,
)
from qgis.PyQt.QtCore import QT_VERSION_STR

from .. import description, engine, environment, runner
from ..text import tr
from .base import RoadgisAlgorithm

__all__ = ["CheckInstallation"]


class CheckInstallation(RoadgisAlgorithm):
    """Report the installation and whether it fits the plugin."""

    ID = "checkinstallation"
    TITLE = "Check installation"
    GROUP_ID = "installation"
    GROUP = "Installation"
    ICON = "check"
    TAGS = "install,check,version,diagnose,GPU"
    SUMMARY = (
        "Reports the interpreter, versions, the model, and whether a GPU is used.\n"
        "Copy its text into a bug report."
    )

    def initAlgorithm(self, configuration=None):  # noqa: N802
        """Add the parameters."""
        self.add(
            QgsProcessingParameterFileDestination(
                "OUTPUT", tr("Report"), tr("Web page (*.html)"), optional=True
            ),
            tr("The report as a web page."),
        )
        self.addOutput(QgsProcessingOutputBoolean("WORKS", tr("Whether roadgis can be run")))
        self.addOutput(QgsProcessingOutputString("REPORT", tr("What was found")))

    def processAlgorithm(self, parameters, context, feedback):  # noqa: N802
        """Ask QGIS, then the engine."""
        facts = [
            (tr("Plugin"), tr("made for roadgis {}").format(description.VERSION)),
            ("QGIS", f"{Qgis.QGIS_VERSION}, Qt {QT_VERSION_STR}, Python "
                     f"{platform.python_version()}"),
            (tr("System"), platform.platform()),
        ]
        problem = ""
        try:
            facts += _engine()
        except runner.EngineError as error:
            problem = error.message()
        facts.append((tr("Result"), problem or tr("roadgis can be run.")))
        lines = [f"{name}: {value}" for name, value in facts]
        for line in lines[:-1]:
            feedback.pushInfo(line)
        if problem:
            feedback.reportError(problem, False)
        else:
            feedback.pushInfo(lines[-1])
        found = {"WORKS": not problem, "REPORT": "\n".join(lines)}
        path = self.parameterAsFileOutput(parameters, "OUTPUT", context)
        if path:
            _write(path, facts)
            found["OUTPUT"] = path
        return found


def _engine():
    """Return facts of the engine as pairs; raises EngineError if it cannot be run."""
    python, where = engine.python()
    places = {
        "ROADGIS_PYTHON": tr("named by the variable ROADGIS_PYTHON"),
        "setting": tr("chosen in the options of Processing"),
        "managed": tr("installed by 'Set up roadgis'"),
    }
    facts = [(tr("Interpreter"), f"{python} ({places[where]})")]
    told = runner.describe(python)
    runner.check_fit(told["protocol"], told["version"], description.VERSION)
    facts.append((tr("Engine"), f"roadgis {told['version']}, protocol {told['protocol']}"))
    for model in told.get("models", []):
        if model.get("is_default"):
            size = f"{model['gsd_m']:g} m"
            facts.append((tr("Model"), f"{model['name']} {model['version']}, {size}"))
    probed = environment.probe(python)
    facts.append((tr("Its Python"), probed.pop("python")))
    device = tr("GPU (CUDA)") if probed.pop("cuda") else tr("CPU")
    facts.append((tr("Runs on"), device))
    facts += sorted(probed.items())
    return facts


def _write(path, facts):
    rows = "".join(
        f"<tr><th align='left' valign='top'>{html.escape(name)}</th>"
        f"<td><pre>{html.escape(value)}</pre></td></tr>"
        for name, value in facts
    )
    partial = path + ".partial"
    with open(partial, "w", encoding="utf-8") as file:
        file.write(
            "<!DOCTYPE html><meta charset='utf-8'><title>roadgis</title>"
            f"<h1>roadgis</h1><table>{rows}</table>"
        )
    os.replace(partial, path)
