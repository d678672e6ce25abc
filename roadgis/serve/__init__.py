"""A local web page that segments videos.

Bottom up: ``jobs`` (the work), ``http_rules`` (headers), ``server``, and the page itself.
"""
