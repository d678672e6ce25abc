"""HTML reports from templates, each a single page without scripts or external resources."""
