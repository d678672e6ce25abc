"""Segmented videos and pictures: each frame through a model, the classes drawn over it.

Bottom up: ``frames`` (reading and writing), ``palette`` (colours, legend), ``labels`` (classes of a
frame), ``segment`` (the whole).
"""
