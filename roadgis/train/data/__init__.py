"""Labelled scenes for training and scoring, and crops of them."""
