"""Scenes: imagery from any source, as one metric pixel grid."""
