"""Pixel scores of a model on labelled scenes: curves, threshold, calibration, report."""
