"""Texts that can be translated."""

from qgis.PyQt.QtCore import QCoreApplication

__all__ = ["tr"]


def tr(text):
    """Return a text in the user's language."""
    return QCoreApplication.translate("roadgis", text)
