"""Base of the algorithms with a raster layer as input."""

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
    """An algorithm that rejects layers other than raster files before the run."""

    GROUP_ID = "extraction"
    GROUP = "Extraction"

    def add_input(self, label, text):
        """Add the raster layer."""
        self.add(QgsProcessingParameterRasterLayer("INPUT", label), text)

    def add_area(self):
        """Add the extent and the area."""
        self.add(
            QgsProcessingParameterExtent("EXTENT", tr("Extent"), optional=True),
            tr("Only roads inside are mapped. Default: the whole layer."),
        )
        self.add(
            QgsProcessingParameterFeatureSource(
                "AOI",
                tr("Area"),
                [QgsProcessing.SourceType.TypeVectorPolygon],
                optional=True,
            ),
            tr("Polygons in any CRS; only roads inside are mapped. Instead of an extent."),
            advanced=True,
        )

    def checkParameterValues(self, parameters, context):  # noqa: N802
        """Reject layers other than files before the run."""
        layer = self.parameterAsRasterLayer(parameters, "INPUT", context)
        if layer is not None:
            reason = inputs.rejection(layer)
            if reason:
                return False, reason
        return super().checkParameterValues(parameters, context)
