"""Clean an existing line layer: node it, clean it, keep its fields."""
