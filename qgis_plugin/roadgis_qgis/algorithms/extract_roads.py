"""``roadgis:extractroads``."""

import os

from qgis.core import (
    QgsProcessing,
    QgsProcessingOutputNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterVectorDestination,
)

from .. import description
from ..text import tr
from .imagery import ImageryAlgorithm

__all__ = ["ExtractRoads"]


class ExtractRoads(ImageryAlgorithm):
    """Imagery to a road network."""

    COMMAND = "extract"
    ID = "extractroads"
    TITLE = "Extract roads"
    ICON = "extract"
    TAGS = "road,roads,street,centreline,centerline,network,deep learning,orthophoto,aerial,AI"
    SUMMARY = (
        "Extracts the road network from an aerial image or orthophoto.\n"
        "A neural network detects the road surface; its centrelines become a clean, connected "
        "network, with the width and the confidence of each road. The layer needs red, green and "
        "blue bands, and pixels of about 0.1 to 1.5 m.\n"
        "Interrupted runs resume: start the tool again with the same output file. Run 'Set up "
        "roadgis' once before."
    )

    def initAlgorithm(self, configuration=None):  # noqa: N802
        """Add the parameters."""
        self.add_input(
            tr("Image"), tr("A raster file, virtual raster or raster layer; not a web map.")
        )
        self.add_area()
        self.add_options()
        self.add_style()
        self.add(
            QgsProcessingParameterVectorDestination(
                "OUTPUT", tr("Roads"), QgsProcessing.SourceType.TypeVectorLine
            ),
            tr("The centrelines. A GeoPackage also has the nodes as a layer."),
        )
        self.add(
            QgsProcessingParameterRasterDestination(
                "PROBABILITY", tr("Road probability"), optional=True, createByDefault=False
            ),
            tr("The probability as a raster: 0 to 254 is probability * 254, 255 is nodata."),
        )
        self.addOutput(QgsProcessingOutputNumber("COUNT", tr("Number of roads")))
        self.addOutput(QgsProcessingOutputNumber("LENGTH", tr("Length of the roads, metres")))

    def gather(self, parameters, context, feedback):
        """Return scene, area and outputs."""
        suffixes = description.ENGINE["suffixes"]
        path = self.output(parameters, "OUTPUT", context, suffixes)
        self.set_style(parameters, path, context)
        made = [*self.scene(parameters, context, feedback), f"--output={os.path.abspath(path)}"]
        probability = self.output(parameters, "PROBABILITY", context, [".tif"])
        if probability:
            made.append(f"--probability={os.path.abspath(probability)}")
        return made + self.area(parameters, context, feedback)

    def finish(self, told, context, feedback):
        """Return the counts."""
        return {"COUNT": told.get("edges"), "LENGTH": told.get("length_m")}
