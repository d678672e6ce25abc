"""What the algorithms that begin with line layers share."""

from qgis.core import QgsProcessing, QgsProcessingParameterFeatureSource

from .. import inputs
from ..text import tr
from .base import EngineAlgorithm

__all__ = ["LinesAlgorithm"]


class LinesAlgorithm(EngineAlgorithm):
    """Takes line layers of any kind."""

    GROUP_ID = "networks"
    GROUP = "Road networks"

    def add_lines(self, name, label, text):
        """Add a line layer."""
        kinds = [QgsProcessing.SourceType.TypeVectorLine]
        self.add(QgsProcessingParameterFeatureSource(name, label, kinds), text)

    def add_area(self, text):
        """Add polygons to look at."""
        kinds = [QgsProcessing.SourceType.TypeVectorPolygon]
        self.add(
            QgsProcessingParameterFeatureSource("AOI", tr("Area"), kinds, optional=True), text
        )

    def lines(self, parameters, name, context, feedback, flag="--layer"):
        """Return the file of a line layer, and the arguments that name the layer in it."""
        path, layer = inputs.vector_file(self, parameters, name, context, self.folder, feedback)
        return path, [f"{flag}={layer}"] if layer else []
