"""The road network: edges and nodes with their attributes, and what is decided on them."""
