"""Scenes of made-up places from all over the world, for training."""
