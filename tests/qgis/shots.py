"""Pictures for docs/qgis.md, from QGIS desktop under Xvfb; ``tests/qgis/shots`` starts it.

QGIS runs this with ``--code``; SHOTS_IN holds the scene, SHOTS_OUT gets the pictures.
"""

import os
import traceback

import processing
from qgis.core import QgsApplication, QgsProject, QgsRasterLayer, QgsVectorLayer
from qgis.PyQt.QtCore import QTimer
from qgis.PyQt.QtWidgets import QApplication, QDockWidget, QProgressBar
from qgis.utils import iface, loadPlugin, startPlugin

SCENE = os.environ["SHOTS_IN"]
OUT = os.environ["SHOTS_OUT"]
# References that keep Qt objects alive.
KEPT = {}


def grab(widget, name):
    """Save a picture of a widget."""
    QApplication.processEvents()
    widget.grab().save(os.path.join(OUT, f"qgis-{name}.png"))


def guarded(step):
    """Return a step that ends QGIS when it fails."""

    def run():
        try:
            step()
        except Exception:
            # QGIS must not stay open.
            traceback.print_exc()
            os._exit(1)

    return run


def after(milliseconds, step):
    """Run a step later, when QGIS has finished drawing."""
    QTimer.singleShot(milliseconds, guarded(step))


def prepare():
    """Load plugin and scene, and show the toolbox only."""
    if not QgsApplication.processingRegistry().providerById("roadgis"):
        loadPlugin("roadgis_qgis")
        startPlugin("roadgis_qgis")
    window = iface.mainWindow()
    window.resize(1400, 860)
    toolbox = window.findChild(QDockWidget, "ProcessingToolbox")
    for dock in window.findChildren(QDockWidget):
        if dock.objectName() not in ("Layers", "ProcessingToolbox"):
            dock.hide()
    toolbox.show()
    layer = QgsRasterLayer(SCENE, "town")
    QgsProject.instance().addMapLayer(layer)
    QgsProject.instance().setCrs(layer.crs())
    iface.mapCanvas().setExtent(layer.extent())
    iface.mapCanvas().refresh()
    toolbox.searchBox.setText("roadgis")
    after(3000, show_toolbox)


def show_toolbox():
    """Save a picture of the toolbox, then open the dialog."""
    window = iface.mainWindow()
    grab(window.findChild(QDockWidget, "ProcessingToolbox"), "toolbox")
    dialog = processing.createAlgorithmDialog("roadgis:extractroads", {"BLOCK_PX": 768})
    dialog.resize(900, 640)
    dialog.show()
    KEPT["dialog"] = dialog
    after(1500, show_dialog)


def show_dialog():
    """Save a picture of the dialog, then start the run."""
    dialog = KEPT["dialog"]
    grab(dialog, "dialog")
    dialog.runButton().click()
    after(300, show_run)


def show_run():
    """Save a picture of the run when it shows progress."""
    dialog = KEPT["dialog"]
    if not 20 <= dialog.findChild(QProgressBar).value() < 95:
        after(200, show_run)
        return
    grab(dialog, "run")
    wait()


def wait():
    """Wait until the roads are loaded."""
    roads = [
        one for one in QgsProject.instance().mapLayers().values() if isinstance(one, QgsVectorLayer)
    ]
    if not roads:
        KEPT["waits"] = KEPT.get("waits", 0) + 1
        if KEPT["waits"] > 60:
            grab(KEPT["dialog"], "failed")
            raise RuntimeError("no roads were loaded; see qgis-failed.png")
        after(500, wait)
        return
    KEPT["dialog"].close()
    layer = roads[0]
    node = QgsProject.instance().layerTreeRoot().findLayer(layer.id())
    node.setExpanded(True)
    canvas = iface.mapCanvas()
    box = canvas.layers()[-1].extent()
    box.scale(0.9)
    canvas.setExtent(box)
    canvas.refresh()
    after(4000, show_result)


def show_result():
    """Save a picture of the window with the styled roads."""
    grab(iface.mainWindow(), "result")
    os._exit(0)


after(6000, prepare)
