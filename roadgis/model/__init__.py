"""Segmentation models: what they are (card), how they run (runtime), where they are found (catalog)."""
