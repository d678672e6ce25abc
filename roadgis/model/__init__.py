"""Segmentation models: their cards, where they are found, how they are run."""
