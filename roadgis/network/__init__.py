"""Centrelines to road network.

From the ground up: `centerlines` and `network` are the two values, raw lines and the result;
`edit`, `paths` and `edge_ends` are the tools; `prune`, `junctions`, `parallels` and `bridging` are
the steps, and `clean` their order; `shape`, `attributes` and `sheets` complete the edges.
`from_lines` does the same for an existing line layer.
"""
