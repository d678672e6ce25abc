"""Labelled scenes to train and score on, and crops of them."""
