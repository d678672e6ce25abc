"""The final shape of edges: junctions and dead ends placed, lines smoothed and simplified."""
