"""Training: pairs of images and masks to a Keras model with its card.

The modules here import tensorflow; nothing outside this package does so at the top of a file.
"""
