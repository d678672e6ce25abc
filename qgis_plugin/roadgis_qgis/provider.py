"""The Processing provider ``roadgis``."""

from qgis.core import QgsProcessingProvider
from qgis.PyQt.QtGui import QIcon

from . import description, icons, settings
from .algorithms import ALGORITHMS
from .text import tr

__all__ = ["RoadgisProvider"]


class RoadgisProvider(QgsProcessingProvider):
    """The algorithms, and the formats that the engine writes."""

    def id(self):
        """Return what stands before the colon."""
        return "roadgis"

    def name(self):
        """Return the name in the toolbox."""
        return "roadgis"

    def longName(self):  # noqa: N802
        """Return the name with what it is for."""
        return tr("roadgis: road networks from aerial imagery")

    def versionInfo(self):  # noqa: N802
        """Return the version of the engine that this is made for."""
        return description.VERSION

    def icon(self):
        """Return the provider's icon."""
        return QIcon(icons.path("roadgis"))

    def svgIconPath(self):  # noqa: N802
        """Return the file of the icon."""
        return icons.path("roadgis")

    def load(self):
        """Add options and algorithms."""
        settings.add(self.name(), self.icon())
        self.refreshAlgorithms()
        return True

    def unload(self):
        """Take the options back."""
        settings.take_away()

    def loadAlgorithms(self):  # noqa: N802
        """Add the algorithms."""
        for algorithm in ALGORITHMS:
            self.addAlgorithm(algorithm())

    def supportedOutputVectorLayerExtensions(self):  # noqa: N802
        """Return the formats that the engine writes, GeoPackage first."""
        suffixes = [suffix.lstrip(".") for suffix in description.ENGINE["suffixes"]]
        return sorted(suffixes, key=lambda suffix: (suffix != "gpkg", suffixes.index(suffix)))

    def supportedOutputRasterLayerExtensions(self):  # noqa: N802
        """Return the one raster format that the engine writes."""
        return ["tif"]

    def supportsNonFileBasedOutput(self):  # noqa: N802
        """Return False: another program writes, so no memory layers or databases."""
        return False
