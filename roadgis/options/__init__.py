"""Settings of every step as frozen dataclasses; imports neither numpy nor any other package.

A field that users may set carries an :class:`~roadgis.options.option.Option`: its help, group, unit
and kind of path. The command line, ``roadgis describe``, the QGIS parameters and docs/cli.md are
generated from it. Docstrings describe only what the help does not say.
"""
