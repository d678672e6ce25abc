"""roadgis in QGIS: road networks from aerial imagery, made by a program of its own."""


def classFactory(iface):  # noqa: N802 - QGIS's name
    """Return the plugin; QGIS calls this when it loads it."""
    from .plugin import RoadgisPlugin

    return RoadgisPlugin(iface)
