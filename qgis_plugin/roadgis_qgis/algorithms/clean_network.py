"""``roadgis:cleannetwork``."""

import os

from qgis.core import (
    QgsProcessing,
    QgsProcessingException,
    QgsProcessingOutputNumber,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterVectorDestination,
)

from .. import description, inputs
from ..text import tr
from .lines import LinesAlgorithm

__all__ = ["CleanNetwork"]


class CleanNetwork(LinesAlgorithm):
    """An existing line layer to a clean network."""

    COMMAND = "clean"
    ID = "cleannetwork"
    TITLE = "Clean road network"
    ICON = "clean"
    TAGS = "road,clean,topology,noding,snap,gap,dangle,network"
    SUMMARY = (
        "Cleans and nodes an existing line layer.\n"
        "Ends that nearly meet a line are snapped to it, gaps are bridged, short components and "
        "short dead ends are dropped. Lines are not moved."
    )

    def initAlgorithm(self, configuration=None):  # noqa: N802
        """Add the parameters."""
        self.add_lines("INPUT", tr("Lines"), tr("A line layer in any CRS."))
        self.add(
            QgsProcessingParameterRasterLayer(
                "PROBABILITY", tr("Road probability, as evidence"), optional=True
            ),
            next(
                option.help
                for option in description.options("clean")
                if option.name == "probability"
            ),
        )
        self.add_options(leave_out=("probability",))
        self.add_style()
        self.add(
            QgsProcessingParameterVectorDestination(
                "OUTPUT", tr("Clean roads"), QgsProcessing.SourceType.TypeVectorLine
            ),
            tr("In the CRS of the lines. A GeoPackage also has the nodes as a layer."),
        )
        self.addOutput(QgsProcessingOutputNumber("COUNT", tr("Number of roads")))
        self.addOutput(QgsProcessingOutputNumber("LENGTH", tr("Length of the roads, metres")))
        self.addOutput(QgsProcessingOutputNumber("BRIDGED", tr("Gaps bridged")))

    def values(self, parameters, context):
        """Return the options; `gather` adds the evidence, which is a layer here."""
        found = super().values(parameters, context)
        found.pop("probability", None)
        return found

    def gather(self, parameters, context, feedback):
        """Return lines, evidence and output."""
        path = self.output(parameters, "OUTPUT", context, description.ENGINE["suffixes"])
        self.set_style(parameters, path, context)
        lines, layer = self.lines(parameters, "INPUT", context, feedback)
        made = [lines, *layer, f"--output={os.path.abspath(path)}"]
        if parameters.get("PROBABILITY") not in (None, ""):
            evidence = self.parameterAsRasterLayer(parameters, "PROBABILITY", context)
            reason = inputs.rejection(evidence)
            if reason:
                raise QgsProcessingException(reason)
            made.append(f"--probability={inputs.raster_file(evidence, self.folder, feedback)[0]}")
        return made

    def finish(self, told, context, feedback):
        """Return the counts."""
        return {
            "COUNT": told.get("edges"),
            "LENGTH": told.get("length_m"),
            "BRIDGED": told.get("bridged"),
        }
