"""What the algorithms that begin with a raster layer share."""

from qgis.core import (
    QgsProcessing,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterRasterLayer,
)

from .. import inputs
from ..text import tr
from .base import EngineAlgorithm

__all__ = ["ImageryAlgorithm"]


class ImageryAlgorithm(EngineAlgorithm):
    """Refuses what is no raster file, before the run."""

    GROUP_ID = "extraction"
    GROUP = "Extraction"

    def add_input(self, label, text):
        """Add the raster layer."""
        self.add(QgsProcessingParameterRasterLayer("INPUT", label), text)

    def add_area(self):
        """Add the two ways to choose a part."""
        self.add(
            QgsProcessingParameterExtent("EXTENT", tr("Extent"), optional=True),
            tr("Only what lies inside is mapped. Nothing: the whole layer."),
        )
        self.add(
            QgsProcessingParameterFeatureSource(
                "AOI",
                tr("Area"),
                [QgsProcessing.SourceType.TypeVectorPolygon],
                optional=True,
            ),
            tr("Polygons in any CRS; only what lies inside is mapped. Instead of an extent."),
            advanced=True,
        )

    def checkParameterValues(self, parameters, context):  # noqa: N802
        """Refuse layers that are no files before anything starts."""
        layer = self.parameterAsRasterLayer(parameters, "INPUT", context)
        if layer is not None:
            reason = inputs.refusal(layer)
            if reason:
                return False, reason
        return super().checkParameterValues(parameters, context)
