"""How results look: roads by confidence or width, bridged gaps dashed."""

import collections

from qgis.core import (
    QgsGraduatedSymbolRenderer,
    QgsLineSymbol,
    QgsProcessingLayerPostProcessorInterface,
    QgsProperty,
    QgsRendererRange,
    QgsSymbolLayer,
)
from qgis.PyQt.QtGui import QColor

from .text import tr

__all__ = ["BY_CONFIDENCE", "BY_WIDTH", "PLAIN", "Finish", "attach", "renderer"]

BY_CONFIDENCE, BY_WIDTH, PLAIN = range(3)

# Dark red to dark blue, apart for the colour-blind too; widths in millimetres.
_CONFIDENCE = (
    (0.0, 0.5, "#b2182b"),
    (0.5, 0.7, "#ef8a62"),
    (0.7, 0.85, "#f0c808"),
    (0.85, 0.95, "#67a9cf"),
    (0.95, 1.0, "#2166ac"),
)
_WIDTH = ((0, 4, 0.3), (4, 6, 0.5), (6, 9, 0.8), (9, 14, 1.2), (14, 1000, 1.8))
#: QGIS keeps no reference to Python's post-processors; a few runs' are enough.
_KEPT = collections.deque(maxlen=200)


def renderer(style, fields):
    """Return a renderer for the engine's roads, or None where the fields are missing.

    Parameters
    ----------
    style : int
        `BY_CONFIDENCE` or `BY_WIDTH`.
    fields : QgsFields
        Of the layer.
    """
    attribute = "confidence" if style == BY_CONFIDENCE else "width_m"
    if fields.indexOf(attribute) < 0:
        return None
    bridged = fields.indexOf("bridged") >= 0
    if style == BY_CONFIDENCE:
        ranges = [
            QgsRendererRange(low, high, _line(colour, 0.8, bridged), f"{low:g} - {high:g}")
            for low, high, colour in _CONFIDENCE
        ]
    else:
        ranges = [
            QgsRendererRange(
                low,
                high,
                _line("#d7301f", width, bridged),
                f"{low} - {high} m" if high < 1000 else tr("wider than {} m").format(low),
            )
            for low, high, width in _WIDTH
        ]
    return QgsGraduatedSymbolRenderer(attribute, ranges)


def _line(colour, width, bridged):
    symbol = QgsLineSymbol.createSimple({"capstyle": "round", "joinstyle": "round"})
    symbol.setColor(QColor(colour))
    symbol.setWidth(width)
    if bridged:
        # A gap that the engine bridged was not seen in the image.
        dashed = QgsProperty.fromExpression("if(\"bridged\", 'dash', 'solid')")
        symbol.symbolLayer(0).setDataDefinedProperty(
            QgsSymbolLayer.Property.PropertyStrokeStyle, dashed
        )
    return symbol


class Finish(QgsProcessingLayerPostProcessorInterface):
    """Gives a layer its style and name once QGIS has loaded it.

    Parameters
    ----------
    style : int
        As of :func:`renderer`; `PLAIN` leaves QGIS's, or what the file itself brings.
    name : str
        Nothing leaves QGIS's.
    """

    def __init__(self, style=PLAIN, name=""):
        super().__init__()
        self.style = style
        self.name = name

    def postProcessLayer(self, layer, context, feedback):  # noqa: N802
        """Style and name the layer; QGIS calls this in its main thread."""
        if self.name:
            layer.setName(self.name)
        if self.style == PLAIN:
            layer.loadDefaultStyle()
        else:
            made = renderer(self.style, layer.fields())
            if made is not None:
                layer.setRenderer(made)
        layer.triggerRepaint()


def attach(context, destination, finish):
    """Have a layer finished if QGIS is to load it."""
    if context.willLoadLayerOnCompletion(destination):
        _KEPT.append(finish)
        context.layerToLoadOnCompletionDetails(destination).setPostProcessor(finish)
