"""The plugin: it registers the Processing provider, and nothing else when QGIS starts."""

import os

from qgis.core import QgsApplication, QgsSettings
from qgis.PyQt.QtCore import QCoreApplication, QTranslator

from .provider import RoadgisProvider

__all__ = ["RoadgisPlugin"]


class RoadgisPlugin:
    """What QGIS loads.

    Parameters
    ----------
    iface : QgisInterface or None
        None in qgis_process, which has no windows.
    """

    def __init__(self, iface=None):  # noqa: QGS105
        self.iface = iface
        self.provider = None
        self.translator = None

    def initProcessing(self):  # noqa: N802 - QGIS's name
        """Register the provider; all that qgis_process calls."""
        self._translate()
        self.provider = RoadgisProvider()
        QgsApplication.processingRegistry().addProvider(self.provider)

    def initGui(self):  # noqa: N802 - QGIS's name
        """Register the provider in QGIS with windows."""
        self.initProcessing()

    def unload(self):
        """Take everything back."""
        if self.provider is not None:
            QgsApplication.processingRegistry().removeProvider(self.provider)
            self.provider = None
        if self.translator is not None:
            QCoreApplication.removeTranslator(self.translator)
            self.translator = None

    def _translate(self):
        locale = str(QgsSettings().value("locale/userLocale", "") or "")[:2]
        path = os.path.join(os.path.dirname(__file__), "i18n", f"roadgis_{locale}.qm")
        if locale and os.path.exists(path):
            self.translator = QTranslator()
            self.translator.load(path)
            QCoreApplication.installTranslator(self.translator)
