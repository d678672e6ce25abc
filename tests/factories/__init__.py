"""Test data made in code: rasters, roads and networks, models, training pairs."""
