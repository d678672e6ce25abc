"""``roadgis:comparenetworks``."""

import os

from qgis.core import (
    QgsProcessing,
    QgsProcessingOutputNumber,
    QgsProcessingOutputVectorLayer,
    QgsProcessingParameterVectorDestination,
)

from ..text import tr
from .evaluate_network import load_layers
from .lines import LinesAlgorithm

__all__ = ["CompareNetworks"]

#: The layers of the engine's GeoPackage; the first one is the file's own to QGIS.
CLASSES = ("missing", "extra", "moved", "matched")


class CompareNetworks(LinesAlgorithm):
    """Differences between a road network and a base network."""

    COMMAND = "compare"
    ID = "comparenetworks"
    TITLE = "Compare with base network"
    ICON = "compare"
    TAGS = "road,compare,conflation,change,OpenStreetMap,OSM,missing,offset"
    SUMMARY = (
        "Compares a road network with a base network, such as OpenStreetMap's: what is missing, "
        "extra and moved.\n"
        "The displacement between the two is estimated and removed first. The result is a "
        "GeoPackage to review, with a layer for each class and fields to tick off."
    )

    def initAlgorithm(self, configuration=None):  # noqa: N802
        """Add the parameters."""
        self.add_lines("INPUT", tr("Roads"), tr("The extracted network, in any CRS."))
        self.add_lines("BASE", tr("Base network"), tr("The network to compare with, in any CRS."))
        self.add_area(tr("Polygons within which the two are compared. Default: where both are."))
        self.add_options()
        self.add(
            QgsProcessingParameterVectorDestination(
                "OUTPUT", tr("Differences"), QgsProcessing.SourceType.TypeVectorLine
            ),
            tr("A GeoPackage with a layer for each class, or a GeoJSON with one layer."),
        )
        for name in CLASSES[1:]:
            self.addOutput(QgsProcessingOutputVectorLayer(name.upper(), name))
        for name in CLASSES:
            label = tr("Length {}, metres").format(name)
            self.addOutput(QgsProcessingOutputNumber(f"{name.upper()}_M", label))

    def gather(self, parameters, context, feedback):
        """Return networks, area and output."""
        path = self.output(parameters, "OUTPUT", context, [".gpkg", ".geojson"])
        roads, layer = self.lines(parameters, "INPUT", context, feedback)
        base, base_layer = self.lines(parameters, "BASE", context, feedback, "--base-layer")
        if path.lower().endswith(".gpkg"):
            for name in CLASSES[1:]:
                self.results[name.upper()] = f"{path}|layername={name}"
            load_layers(context, path, CLASSES, "OUTPUT")
        made = [roads, base, *layer, *base_layer, f"--output={os.path.abspath(path)}"]
        return made + self.area(parameters, context, feedback)

    def finish(self, told, context, feedback):
        """Log the lengths and return them."""
        summary = told.get("summary", {})
        found = {}
        for name in CLASSES:
            length = summary.get(f"{name}_m")
            if length is not None:
                found[f"{name.upper()}_M"] = length
                feedback.pushInfo(f"{name}: {length / 1000:.2f} km")
        return found
