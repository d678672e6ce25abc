"""``roadgis:setup``."""

from qgis.core import (
    QgsProcessingOutputString,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFile,
)

from .. import engine, environment, runner
from ..text import tr
from .base import RoadgisAlgorithm

__all__ = ["Setup"]

INSTALL, UPDATE, REMOVE = range(3)


# The default of QGIS, *.*, rejects names without a dot: folders, /usr/bin/python3.
_ANY = "All files (*)"


class Setup(RoadgisAlgorithm):
    """Make, update or remove the engine's environment."""

    ID = "setup"
    TITLE = "Set up roadgis"
    GROUP_ID = "installation"
    GROUP = "Installation"
    ICON = "setup"
    TAGS = "install,setup,update,remove,environment,python,pip"
    SUMMARY = (
        "Installs the roadgis program. Run it once, before anything else.\n"
        "It creates a separate Python environment, so that QGIS's Python is unchanged, and "
        "downloads about 700 MB from the internet (PyPI). An interrupted setup resumes when it is "
        "started again."
    )

    def initAlgorithm(self, configuration=None):  # noqa: N802
        """Add the parameters."""
        self.add(
            QgsProcessingParameterEnum(
                "ACTION",
                tr("Action"),
                [tr("Install"), tr("Update"), tr("Remove")],
                defaultValue=INSTALL,
            ),
            tr(
                "Install creates the environment or resumes an interrupted setup. Update creates "
                "it again, in the version of this plugin. Remove deletes it."
            ),
        )
        self.add(
            QgsProcessingParameterFile(
                "SOURCE",
                tr("roadgis from another place"),
                optional=True,
                fileFilter=_ANY,
            ),
            tr(
                "A wheel (.whl) or a folder with roadgis. Default: the version of this plugin, "
                "from the internet."
            ),
            advanced=True,
        )
        self.add(
            QgsProcessingParameterFile(
                "PYTHON", tr("Python to make it with"), optional=True, fileFilter=_ANY
            ),
            tr("A Python program, 3.10 to 3.13. Default: that of QGIS."),
            advanced=True,
        )
        self.addOutput(QgsProcessingOutputString("PYTHON_FOUND", tr("Interpreter")))

    def processAlgorithm(self, parameters, context, feedback):  # noqa: N802
        """Run the chosen action."""
        action = self.parameterAsEnum(parameters, "ACTION", context)
        try:
            if action == REMOVE:
                found = environment.remove()
                feedback.pushInfo(
                    tr("{} was removed.").format(environment.managed_root())
                    if found
                    else tr("There was nothing to remove.")
                )
                return {"PYTHON_FOUND": ""}
            if action == UPDATE:
                environment.remove()
            python = environment.install(
                self.parameterAsFile(parameters, "SOURCE", context),
                base=self.parameterAsFile(parameters, "PYTHON", context),
                on_progress=engine.progress(feedback),
                on_log=engine.log(feedback),
                is_canceled=feedback.isCanceled,
            )
        except runner.EngineCanceled as error:
            raise engine.canceled(error) from None
        except runner.EngineError as error:
            raise engine.failure(error) from None
        feedback.pushInfo(tr("The engine is ready: {}").format(python))
        return {"PYTHON_FOUND": python}
