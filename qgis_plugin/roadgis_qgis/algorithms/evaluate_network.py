"""``roadgis:evaluatenetwork``."""

import os

from qgis.core import (
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingOutputNumber,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterVectorDestination,
)

from .. import style
from ..text import tr
from .lines import LinesAlgorithm

__all__ = ["EvaluateNetwork"]

#: Scores of the engine that are outputs, in the order of the log.
SCORES = (
    "relaxed_f1", "relaxed_precision", "relaxed_recall", "apls", "topo_f1", "topo_precision",
    "topo_recall", "junction_f1", "iou",
)  # fmt: skip


class EvaluateNetwork(LinesAlgorithm):
    """Scores of a road network."""

    COMMAND = "evaluate"
    ID = "evaluatenetwork"
    TITLE = "Evaluate road network"
    ICON = "evaluate"
    TAGS = "road,evaluate,accuracy,precision,recall,F1,APLS,TOPO,IoU,quality"
    SUMMARY = (
        "Scores a road network against ground truth.\n"
        "All scores are from 0 to 1. The report is a web page with the scores and maps of missed "
        "and false roads; the layer of hits, misses and false roads can be loaded."
    )

    def initAlgorithm(self, configuration=None):  # noqa: N802
        """Add the parameters."""
        self.add_lines("INPUT", tr("Roads"), tr("The network to score, in any CRS."))
        self.add_lines("TRUTH", tr("True roads"), tr("Centrelines of the true roads, in any CRS."))
        self.add_area(tr("Polygons in any CRS; only roads inside count."))
        self.add(
            QgsProcessingParameterRasterLayer("IMAGE", tr("Image"), optional=True),
            tr("Imagery behind the maps of the report."),
        )
        self.add_options(leave_out=("image",))
        self.add(
            QgsProcessingParameterFileDestination(
                "REPORT", tr("Report"), tr("Web page (*.html)"), optional=True
            ),
            tr("A web page in one file, with the scores and maps."),
        )
        self.add(
            QgsProcessingParameterVectorDestination(
                "ERRORS",
                tr("Hits, misses and false roads"),
                QgsProcessing.SourceType.TypeVectorLine,
                optional=True,
                createByDefault=False,
            ),
            tr("A GeoPackage with a layer for each."),
        )
        self.add(
            QgsProcessingParameterFileDestination(
                "CSV", tr("Scores as a table"), "CSV (*.csv)", optional=True, createByDefault=False
            ),
            tr("A row with all scores."),
        )
        for name in SCORES:
            self.addOutput(QgsProcessingOutputNumber(name.upper(), name.replace("_", " ")))

    def values(self, parameters, context):
        """Return the options; `gather` adds the image, which is a layer here."""
        found = super().values(parameters, context)
        found.pop("image", None)
        return found

    def gather(self, parameters, context, feedback):
        """Return networks, area, image and outputs."""
        proposal, layer = self.lines(parameters, "INPUT", context, feedback)
        truth, truth_layer = self.lines(parameters, "TRUTH", context, feedback, "--truth-layer")
        made = [proposal, truth, *layer, *truth_layer]
        for name in ("REPORT", "CSV"):
            path = self.parameterAsFileOutput(parameters, name, context)
            if path:
                self.results[name] = path
                made.append(f"--{name.lower()}={os.path.abspath(path)}")
        errors = self.output(parameters, "ERRORS", context, [".gpkg"])
        if errors:
            made.append(f"--errors={os.path.abspath(errors)}")
            load_layers(context, errors, ("hits", "misses", "false"), "ERRORS")
        if parameters.get("IMAGE") not in (None, ""):
            made += self.scene(parameters, context, feedback, "--image", "IMAGE")
        return made + self.area(parameters, context, feedback)

    def finish(self, told, context, feedback):
        """Log the scores and return them."""
        found = {}
        for name in SCORES:
            value = told.get("scores", {}).get(name)
            if value is not None:
                found[name.upper()] = value
                feedback.pushInfo(f"{name.replace('_', ' ')}: {value:.4f}")
        return found


def load_layers(context, path, layers, output):
    """Load all layers of a file if QGIS is to load it; the first is that of the file itself."""
    if not context.willLoadLayerOnCompletion(path):
        return
    project = context.layerToLoadOnCompletionDetails(path).project
    style.attach(context, path, style.Finish(name=layers[0]))
    for name in layers[1:]:
        source = f"{path}|layername={name}"
        context.addLayerToLoadOnCompletion(
            source, QgsProcessingContext.LayerDetails(name, project, f"{output}_{name}")
        )
        style.attach(context, source, style.Finish(name=name))
