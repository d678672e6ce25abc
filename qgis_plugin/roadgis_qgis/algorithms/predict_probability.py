"""``roadgis:predictprobability``."""

import os

from qgis.core import QgsProcessingParameterRasterDestination

from ..text import tr
from .imagery import ImageryAlgorithm

__all__ = ["PredictProbability"]


class PredictProbability(ImageryAlgorithm):
    """Imagery to a probability raster."""

    COMMAND = "predict"
    ID = "predictprobability"
    TITLE = "Predict road probability"
    ICON = "predict"
    TAGS = "road,probability,segmentation,deep learning,raster,AI"
    SUMMARY = (
        "Predicts the probability of road for each pixel.\n"
        "The result is a Cloud Optimized GeoTIFF: 0 to 254 is probability * 254, 255 is nodata. "
        "'Vectorize road probability' makes a network from it, with any settings, and takes much "
        "less time than the prediction."
    )

    def initAlgorithm(self, configuration=None):  # noqa: N802
        """Add the parameters."""
        self.add_input(
            tr("Image"), tr("A raster file, virtual raster or raster layer; not a web map.")
        )
        self.add_area()
        self.add_options()
        self.add(
            QgsProcessingParameterRasterDestination("OUTPUT", tr("Road probability")),
            tr("GeoTIFF."),
        )

    def gather(self, parameters, context, feedback):
        """Return scene, area and output."""
        path = self.output(parameters, "OUTPUT", context, [".tif"])
        return [
            *self.scene(parameters, context, feedback),
            f"--output={os.path.abspath(path)}",
            *self.area(parameters, context, feedback),
        ]
