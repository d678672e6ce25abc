"""Bridging: close gaps in roads where shape and evidence say that the road continues."""
