"""``roadgis:vectorizeprobability``."""

import os

from qgis.core import (
    QgsProcessing,
    QgsProcessingOutputNumber,
    QgsProcessingParameterVectorDestination,
)

from .. import description
from ..text import tr
from .imagery import ImageryAlgorithm

__all__ = ["VectorizeProbability"]


class VectorizeProbability(ImageryAlgorithm):
    """A probability raster to a road network."""

    COMMAND = "vectorize"
    ID = "vectorizeprobability"
    TITLE = "Vectorize road probability"
    ICON = "vectorize"
    TAGS = "road,vectorize,skeleton,centreline,centerline,mask,probability"
    SUMMARY = (
        "Makes a road network from a probability raster or a mask of any program.\n"
        "Values are probabilities from 0 to 1 or over another range, a mask of two values, or a "
        "picture of a mask. Their meaning is detected, unless it is given."
    )

    def initAlgorithm(self, configuration=None):  # noqa: N802
        """Add the parameters."""
        self.add_input(
            tr("Road probability or mask"),
            tr("A raster file with one band, or a picture of a mask; else choose its band below."),
        )
        self.add_options(leave_out=("probability",))
        self.add_style()
        self.add(
            QgsProcessingParameterVectorDestination(
                "OUTPUT", tr("Roads"), QgsProcessing.SourceType.TypeVectorLine
            ),
            tr("The centrelines. A GeoPackage also has the nodes as a layer."),
        )
        self.addOutput(QgsProcessingOutputNumber("COUNT", tr("Number of roads")))
        self.addOutput(QgsProcessingOutputNumber("LENGTH", tr("Length of the roads, metres")))

    def gather(self, parameters, context, feedback):
        """Return raster and output."""
        path = self.output(parameters, "OUTPUT", context, description.ENGINE["suffixes"])
        self.set_style(parameters, path, context)
        return [*self.scene(parameters, context, feedback), f"--output={os.path.abspath(path)}"]

    def finish(self, told, context, feedback):
        """Return the counts."""
        return {"COUNT": told.get("edges"), "LENGTH": told.get("length_m")}
