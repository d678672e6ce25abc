"""The icons, made by the roadgis team."""

import os

__all__ = ["path"]


def path(name):
    """Return the file of an icon."""
    return os.path.join(os.path.dirname(__file__), name + ".svg")
