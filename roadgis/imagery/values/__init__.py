"""Meaning of the pixel values of imagery.

`blank` (blank collars), `stretch` (16 bits to 8), `normalization` (a common mean and standard
deviation), `look` (what imagery looks like, in four figures), `statistics` (which values occur).
"""
