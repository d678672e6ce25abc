"""Reports on a county, derived from its files.

`table` (status of all units), `status` (a summary of it), `measures` (figures by unit), `unit_map`
(units as SVG), `page` (one HTML page with all of them).
"""
